//! What all files of the process share: piece buffers, hash threads, the catalog of what is served.

use super::announcer::Announcer;
use crate::catalog::Catalog;
use crate::lan::Lan;
use crate::limits::{MAX_CHECKS, MAX_TRACKER_CALLS};
use crate::link::{BufferPool, HashPool, LinkThreads};
#[cfg(feature = "origin")]
use crate::origin::Clients;
use crate::origin::Gate;
use crate::pace::Limit;
use crate::room::PeerName;
use crate::room::telling::{Badge, Told};
use crate::store::Records;
use crate::tracker_client::{Forms, Identity};
use crate::view::Files;
use cascade_format::CascadeHash;
use cascade_swarm::Listening;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The shared parts.
#[derive(Debug, Clone)]
pub struct Engine {
    /// What the listener serves.
    pub catalog: Arc<Catalog>,
    /// Link threads.
    pub links: LinkThreads,
    /// Piece buffers.
    pub buffers: BufferPool,
    /// Hash threads.
    pub hashers: HashPool,
    /// Found in earlier runs.
    pub records: Records,
    /// Where the listener listens; `None`: this process does not serve.
    pub listen: Option<Listening>,
    /// Whether peers that know the swarm extension are spoken to in it.
    pub extension: bool,
    /// Whether every block is hashed again before it is sent.
    pub paranoid: bool,
    /// What links receive in a second at most.
    pub max_down: Option<Limit>,
    /// The local network.
    pub lan: Lan,
    /// Tells all sessions to end.
    pub stop: Stop,
    /// What is seen of the files.
    pub(crate) seen: Arc<Files>,
    /// Permits to check a file.
    pub checks: Arc<Semaphore>,
    /// What is known of the trackers.
    pub(crate) forms: Arc<Forms>,
    /// Lets requests to origins pass.
    pub(crate) origin_gate: Gate,
    /// Connections to them.
    #[cfg(feature = "origin")]
    pub(crate) origin_clients: Arc<Clients>,
    /// Permits to talk to a tracker.
    pub tracker_calls: Arc<Semaphore>,
    /// Who this peer is in the rooms of trackers.
    pub(crate) badge: Badge,
    /// Conversations with trackers, until their goodbyes.
    pub(crate) conversations: Arc<Mutex<JoinSet<()>>>,
    /// Conversations with trackers, which the next download or seeding of the file continues.
    pub(crate) parked: Arc<Mutex<HashMap<CascadeHash, Announcer>>>,
}

impl Engine {
    /// An engine with a link thread and a hash thread for each core.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn new(listen: Option<Listening>, extension: bool, records: Records, stop: Stop) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            catalog: Catalog::new(),
            links: LinkThreads::start(cores)?,
            buffers: BufferPool::default(),
            hashers: HashPool::start(cores)?,
            records,
            listen,
            extension,
            paranoid: false,
            max_down: None,
            lan: Lan::new(listen),
            seen: Arc::new(Files::new(Arc::clone(stop.flag()))),
            stop,
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
            forms: Arc::default(),
            origin_gate: Gate::new(None),
            #[cfg(feature = "origin")]
            origin_clients: Arc::default(),
            tracker_calls: Arc::new(Semaphore::new(MAX_TRACKER_CALLS)),
            badge: Badge::new(PeerName::EMPTY),
            conversations: Arc::default(),
            parked: Arc::default(),
        })
    }

    /// Begins a conversation with a tracker.
    pub(crate) fn converse(&self, conversation: impl Future<Output = ()> + Send + 'static) {
        let mut conversations = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
        while conversations.try_join_next().is_some() {}
        conversations.spawn(conversation);
    }

    /// Waits until the trackers that have this peer in their rooms have heard its goodbye: when everything should end.
    pub(crate) async fn say_goodbyes(&self) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let conversations =
            std::mem::take(&mut *self.conversations.lock().unwrap_or_else(PoisonError::into_inner));
        // Each of them has its time.
        conversations.join_all().await;
    }

    /// The next session of this file continues with `announcer`.
    pub(super) fn park(&self, hash: CascadeHash, announcer: Announcer) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, announcer);
    }

    /// Takes over what was parked.
    pub(crate) fn unpark(&self, hash: &CascadeHash) -> Option<Announcer> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(hash)
    }

    /// The same of a file that is served meanwhile, and whose answers nobody reads.
    pub(super) fn park_unheard(&self, hash: CascadeHash, announcer: Announcer) {
        if announcer.has_trackers() {
            announcer.set_hungry(false);
            announcer.set_heard(false);
            self.park(hash, announcer);
        }
    }

    /// Announces a file to `trackers`: a conversation that was begun before goes on, as trackers are not to be asked
    /// twice at once. `hungry`: more peers are wanted; `complete`: nothing is to be downloaded.
    pub(super) fn announce(
        &self,
        trackers: &[String],
        hash: CascadeHash,
        told: Told,
        (hungry, complete): (bool, bool),
    ) -> Announcer {
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash);
        let announcer = match parked {
            Some(announcer) if !trackers.is_empty() => {
                announcer.set_hungry(hungry);
                announcer.set_heard(true);
                // It may have been begun without the `.cascade` file, when there was nothing to give.
                if self.listen.is_some() {
                    announcer.register();
                }
                announcer
            }
            _ if complete => Announcer::for_complete(self, trackers, hash),
            _ => Announcer::start(self, trackers, hash, hungry),
        };
        announcer.tell(told);
        announcer
    }

    /// The port that requests tell to peers that know the extension, 0 for none; `None`: plain version 1.
    #[must_use]
    pub fn marker_port(&self) -> Option<u16> {
        self.extension.then(|| self.listen.map_or(0, |listen| listen.port()))
    }

    /// How this process shows itself to trackers. One that does not listen has port 0.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { listening: self.listen, forms: Arc::clone(&self.forms) }
    }
}

/// The wish that everything ends, for tasks and for threads.
#[derive(Debug, Clone)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    changed: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { flag: Arc::default(), changed: watch::channel(false).0 }
    }
}

impl Stop {
    /// Ends everything.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.changed.send_replace(true);
    }

    /// Whether everything should end; for work that cannot wait for it.
    #[must_use]
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// Whether everything should end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Waits until everything should end.
    pub async fn stopped(&self) {
        let mut changed = self.changed.subscribe();
        // The sender lives in `self`, so this ends by the wish alone.
        let _ = changed.wait_for(|stopped| *stopped).await;
    }
}
