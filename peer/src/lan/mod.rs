//! Peers of the local network, found without a tracker by multicast DNS (`mdns-sd`).
//!
//! | module | what it holds |
//! |---|---|
//! | `name` | how a swarm and its peers are called (pure) |
//! | `found` | which answers are believed (pure) |
//! | `member` | one file: what is announced, what is found |
//! | `keeper` | the task that has the library's thread, and watches it |
//!
//! Nothing is started before the first file asks for it.

mod found;
mod keeper;
mod member;
mod name;

use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::Listening;
use keeper::Keeper;
use member::Member;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the local network has to answer, where peers are not waited for.
pub(crate) const LAN_PATIENCE: Duration = Duration::from_secs(3);

/// Findings that wait to be read.
const FINDINGS: usize = 64;

/// The local network, as the files of a process share it.
#[derive(Debug, Clone)]
pub struct Lan {
    /// Where the process listens; `None`: it does not, and is not announced.
    listen: Option<Listening>,
    keeper: Arc<Mutex<Option<Keeper>>>,
}

/// One file on the local network. Its peer is announced, if it listens, until this is dropped.
#[derive(Debug)]
pub struct LanSwarm {
    found: mpsc::Receiver<Vec<PeerAddr>>,
}

impl Lan {
    /// For a process that listens there.
    #[must_use]
    pub fn new(listen: Option<Listening>) -> Self {
        Self { listen, keeper: Arc::default() }
    }

    /// Takes part in the swarm of the file: announces this peer, if it listens where others may reach it, and looks for
    /// others. Must be called within a Tokio runtime.
    #[must_use]
    pub fn join(&self, hash: &CascadeHash) -> LanSwarm {
        self.start(hash, self.reachable())
    }

    /// The same, but this peer is not announced: it has nothing to give yet.
    pub(crate) fn look(&self, hash: &CascadeHash) -> LanSwarm {
        self.start(hash, None)
    }

    fn reachable(&self) -> Option<Listening> {
        self.listen.filter(|listen| !listen.is_loopback())
    }

    fn start(&self, hash: &CascadeHash, announced: Option<Listening>) -> LanSwarm {
        let (tell, found) = mpsc::channel(FINDINGS);
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let keeper = keeper.get_or_insert_with(|| Keeper::start(self.reachable()));
        keeper.join(Member::new(hash, announced, tell));
        LanSwarm { found }
    }

    /// Says goodbye for all files, and ends everything.
    pub async fn shut_down(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            keeper.shut_down().await;
        }
    }
}

impl LanSwarm {
    /// Waits until others are found; for ever when none are looked for any more.
    pub async fn found(&mut self) -> Vec<PeerAddr> {
        match self.found.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

/// The name of a file's swarm on the local network: 32 hex digits, from which nobody learns the cascade hash.
#[must_use]
pub fn swarm_name(hash: &CascadeHash) -> String {
    name::swarm(hash)
}

/// Waits until others are found on the local network; for ever for who does not look there.
pub(crate) async fn found_on(swarm: &mut Option<LanSwarm>) -> Vec<PeerAddr> {
    match swarm {
        Some(swarm) => swarm.found().await,
        None => std::future::pending().await,
    }
}
