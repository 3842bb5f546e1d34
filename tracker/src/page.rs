//! `--web`: what the tracker keeps, as a page.

use cascade_tracker::setup::Names;
use cascade_tracker::store::Status;
use cascade_tracker::{View, ViewError};
use cascade_web::model::{Snapshot, Store, Totals, Tracker, rooms};
use cascade_web::{Bound, Options, Server, Source, limits};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at the tracker. Peers report every 30 s, and a look makes up to a few hundred questions.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Takes the page's address.
pub(crate) fn bind(address: Option<SocketAddr>) -> Result<Bound, String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let bound = Server::bind(Options { address, names: vec![format!("{name}.local"), name] });
    bound.map_err(|error| format!("{error}; choose another address with --web ADDR:PORT"))
}

/// The tracker, to be shown.
pub(crate) struct Page {
    view: View,
    address: SocketAddr,
    names: Names,
    store: Option<Status>,
    last: Mutex<Option<(Instant, Snapshot)>>,
}

impl Page {
    pub(crate) fn new(view: View, address: SocketAddr, names: Names, store: Option<Status>) -> Self {
        Self { view, address, names, store, last: Mutex::default() }
    }

    fn look(&self) -> Result<Snapshot, ViewError> {
        let (registrations, swarms) = self.view.counts()?;
        let (registrations, swarms) = (registrations as u64, swarms as u64);
        let states = self.view.swarms(limits::MAX_SWARMS)?;
        let hashes: Vec<_> = states.iter().map(|state| state.cascade_hash).collect();
        let states = states.into_iter().map(|state| (state.cascade_hash, state.summary));
        let mut rooms = rooms(states, |hash, first| self.view.room(hash, first).ok());
        for hash in hashes {
            if let Some(swarm) = rooms.get_mut(&hash.to_string()) {
                swarm.file = self.names.of(&hash);
            }
        }
        let mut snapshot = Snapshot {
            program: "tracker",
            version: env!("CARGO_PKG_VERSION"),
            address: Some(self.address.to_string()),
            tracker: Some(Tracker { registrations, swarms, store: self.store.as_ref().map(shown) }),
            ..Snapshot::default()
        };
        snapshot.left_out.swarms = swarms.saturating_sub(rooms.len() as u64);
        snapshot.swarms = rooms;
        Ok(snapshot)
    }
}

fn shown(status: &Status) -> Store {
    let figures = status.figures();
    Store {
        well: figures.well,
        waiting: figures.waiting,
        written: figures.written,
        read: figures.read,
        faults: figures.faults,
        lost_goodbyes: figures.lost_goodbyes,
    }
}

impl Source for Page {
    fn totals(&self) -> Totals {
        // Blocks do not pass here.
        Totals::default()
    }

    fn snapshot(&self) -> Snapshot {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        match &*last {
            Some((at, snapshot)) if now.saturating_duration_since(*at) < LOOK_INTERVAL => snapshot.clone(),
            _ => {
                // It ends, or is busy for a moment: what was seen last is shown.
                let before = last.take().map(|(_, snapshot)| snapshot);
                let snapshot = self.look().ok().or(before).unwrap_or_default();
                *last = Some((now, snapshot.clone()));
                snapshot
            }
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the binary has no clock module, and this is its only look at the time"
)]
fn now() -> Instant {
    Instant::now()
}
