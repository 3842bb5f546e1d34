//! Rooms for the page: those of a tracker in this process, or those that other trackers tell while somebody looks.

use crate::room::{self, Room};
use crate::session::engine::Stop;
use cascade_format::CascadeHash;
use cascade_tracker::Desk;
use cascade_web::limits::MAX_SWARMS;
use cascade_web::model::{Swarm, add_page, rooms};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two questions to a tracker for all rooms, while somebody looks: peers report every 30 s.
const ASK_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is looked whether somebody looks.
const GLANCE: Duration = Duration::from_millis(500);

/// Where rooms come from.
pub(in crate::cli) enum Rooms {
    /// A tracker in this process.
    Own(Arc<Desk>),
    /// For each file, trackers to be asked.
    Asked(Vec<(CascadeHash, Vec<String>)>),
}

/// Rooms that are there to be shown.
pub(super) enum Kept {
    Own(Arc<Desk>),
    Told(Arc<Told>),
}

#[derive(Debug, Default)]
pub(super) struct Told {
    looked: AtomicBool,
    swarms: Mutex<BTreeMap<String, Swarm>>,
}

impl Rooms {
    /// Keeps them up until the peer stops. Must be called within a Tokio runtime.
    pub(super) fn kept_up(self, stop: Stop) -> Kept {
        match self {
            Self::Own(desk) => Kept::Own(desk),
            Self::Asked(files) => {
                let told = Arc::new(Told::default());
                let asking = Arc::clone(&told);
                tokio::spawn(async move {
                    tokio::select! {
                        () = asking.keep_up(&files) => {}
                        () = stop.stopped() => {}
                    }
                });
                Kept::Told(told)
            }
        }
    }
}

impl Kept {
    /// The rooms as they are known now.
    pub(super) fn look(&self) -> BTreeMap<String, Swarm> {
        match self {
            Self::Own(desk) => {
                let states = desk.swarms(MAX_SWARMS).into_iter();
                let states = states.map(|state| (state.cascade_hash, state.summary));
                rooms(states, |hash, first| Some(desk.room(&hash, first)))
            }
            Self::Told(told) => {
                told.looked.store(true, Ordering::Relaxed);
                told.swarms.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
        }
    }
}

impl Told {
    /// Asks again and again, while somebody looks.
    async fn keep_up(&self, files: &[(CascadeHash, Vec<String>)]) {
        loop {
            while !self.looked.swap(false, Ordering::Relaxed) {
                tokio::time::sleep(GLANCE).await;
            }
            for (hash, trackers) in files.iter().take(MAX_SWARMS) {
                let mut known: Option<Room> = None;
                for tracker in trackers {
                    // A tracker of version 1 keeps no room: what this peer sees itself is shown then.
                    let Ok(room) = room::ask(tracker, *hash).await else { continue };
                    match &mut known {
                        Some(known) => known.add(room),
                        None => known = Some(room),
                    }
                }
                self.tell(*hash, known);
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }

    fn tell(&self, hash: CascadeHash, room: Option<Room>) {
        let mut swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = room.filter(|room| !room.members.is_empty());
        match room {
            Some(room) => {
                let mut swarm = Swarm::default();
                add_page(&mut swarm, room.summary, &room.members);
                swarms.insert(hash.to_string(), swarm);
            }
            None => drop(swarms.remove(&hash.to_string())),
        }
    }
}
