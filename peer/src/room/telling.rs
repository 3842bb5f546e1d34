//! What this peer tells trackers of one file.

use crate::store::Shared;
use cascade_format::tracker_room::{PeerName, Program, Progress, Report};
use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::ask::announce::tell::Standing;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a peer says of its program.
const PROGRAM: &str = concat!("cascade ", env!("CARGO_PKG_VERSION"));

/// Who this peer is in the rooms of trackers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Badge {
    /// Drawn at random for each run of the program; told to trackers alone.
    number: u64,
    /// For people; empty: none.
    name: PeerName,
}

impl Badge {
    /// A new one.
    #[must_use]
    pub(crate) fn new(name: PeerName) -> Self {
        // The standard library's hash keys come from the system's random numbers.
        Self { number: RandomState::new().hash_one(PROGRAM), name }
    }

    /// A report of this peer.
    #[must_use]
    pub(crate) fn report(
        &self,
        cascade_hash: CascadeHash,
        listen: PeerAddr,
        seeder: bool,
        progress: Progress,
    ) -> Report {
        let (Self { number, name }, program) = (*self, Program::of(PROGRAM));
        Report {
            cascade_hash,
            listen,
            number,
            goodbye: false,
            seeder,
            v4_only: false,
            progress,
            program,
            name,
        }
    }
}

/// Why this peer takes part in a swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It gets the file, or has got it in this run.
    Receiver,
    /// It was started to give it.
    Seeder,
}

/// One file, as this peer reports it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    shared: Arc<Shared>,
    role: Role,
    /// The file is verified as a whole, and has its name.
    concluded: Arc<AtomicBool>,
}

impl Told {
    pub(crate) fn new(shared: Arc<Shared>, role: Role) -> Self {
        Self { shared, role, concluded: Arc::new(AtomicBool::new(role == Role::Seeder)) }
    }

    fn progress(&self) -> Progress {
        let Progress { blocks_done: had, blocks, .. } = progress(&self.shared);
        // Who hears that somebody has everything may switch off the machine that he got it from: so the last block
        // is told when the whole file is verified and has its name.
        let last = u64::from(!self.concluded.load(Ordering::Acquire));
        Progress { blocks_done: had.min(blocks.saturating_sub(last)), ..progress(&self.shared) }
    }
}

/// How far this peer is with a file.
pub(crate) fn progress(shared: &Shared) -> Progress {
    let (had, blocks) = (shared.given_blocks(), shared.layout().blocks());
    Progress { blocks_done: had, blocks, received: shared.received(), given: shared.given().bytes() }
}

/// What is told of a file, for all trackers; nothing before it is known what its blocks are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Telling(Arc<Mutex<Option<Told>>>);

impl Telling {
    /// From now on this is told. Who receives the file goes on as a receiver when it has everything.
    pub(crate) fn set(&self, told: Told) {
        let mut there = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = there.as_ref().is_some_and(|there| Arc::ptr_eq(&there.shared, &told.shared));
        if !is_same {
            *there = Some(told);
        }
    }

    /// The file is verified as a whole, and has its name.
    pub(crate) fn conclude(&self) {
        if let Some(told) = self.get() {
            told.concluded.store(true, Ordering::Release);
        }
    }

    fn get(&self) -> Option<Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far this peer is, and why it takes part.
    pub(crate) fn progress(&self) -> Option<(Role, Progress)> {
        self.get().map(|told| (told.role, told.progress()))
    }
}

/// What decides when it is reported.
pub(crate) fn standing(progress: &Progress) -> Standing {
    let Progress { blocks_done: had, received, given, .. } = *progress;
    Standing { complete: progress.is_complete(), figures: [had, received, given] }
}
