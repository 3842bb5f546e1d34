//! What a session tells of itself, for its user to see.

use super::announcer::Answer;
use super::ticks::IDLE_AFTER;
use crate::store::Taken;
use cascade_format::PeerAddr;
use cascade_swarm::ask::{PeerShare, WrongBlock};
use std::path::PathBuf;
use std::time::Duration;

/// How much of a file a download has.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Verified bytes, those of earlier runs included.
    pub bytes_done: u64,
    /// Length of the file, in bytes.
    pub bytes_total: u64,
    /// Verified blocks.
    pub blocks_done: u64,
    /// All blocks.
    pub blocks_total: u64,
    /// Bytes received in a second, a mean over the last seconds.
    pub bytes_per_second: f64,
    /// The number of links that are connected.
    pub peers: usize,
    /// The time since data came last, or since the start. Zero while the download waits for the disk.
    pub silent_for: Duration,
}

impl Progress {
    /// Whether data is missing, and none has come for 10 s.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent_for >= IDLE_AFTER && self.bytes_done < self.bytes_total
    }
}

/// The result of a finished download.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The path of the file.
    pub path: PathBuf,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// Bytes that were on the disk at the start, other than those taken from an earlier version.
    pub resumed_bytes: u64,
    /// What was taken from an earlier version.
    pub taken: Option<Taken>,
    /// The time from the first look at the disk until the file got its final name.
    pub time: Duration,
    /// What each peer has given, right and wrong; the largest number of right bytes first.
    pub shares: Vec<PeerShare>,
    /// The number of blocks that arrived with a wrong hash.
    pub blocks_wrong: u64,
    /// Bytes of blocks that arrived a second time.
    pub bytes_duplicate: u64,
    /// Share of the time during which data was arriving, 0 to 1.
    pub busy: f64,
}

/// Something that a transfer reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Existing data is being checked.
    Checking {
        /// Bytes checked so far.
        done: u64,
        /// Bytes to check, at most.
        total: u64,
    },
    /// The `.cascade` file is being fetched from other peers, or no peer has it yet.
    Fetching {
        /// Bytes that have arrived.
        done: u64,
        /// Length of the `.cascade` file, as a peer has claimed; `None` before a peer has told it.
        total: Option<u64>,
        /// The number of known peers.
        known: usize,
    },
    /// The `.cascade` file is complete and verified.
    Fetched {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The download begins.
    Start(Progress),
    /// The state of the download: about four times a second while bytes arrive, and otherwise every few seconds.
    Progress(Progress),
    /// A link to a peer is connected.
    Connected(PeerAddr),
    /// A link to a peer has ended, for this reason.
    Dropped(PeerAddr, String),
    /// A peer sent a block with a wrong hash.
    WrongBlock(WrongBlock),
    /// A tracker sent a list of peers.
    Tracker {
        /// Its address, as the user gave it.
        tracker: String,
        /// Peers in its list.
        peers: usize,
    },
    /// This number of peers have been found on the local network so far.
    Lan {
        /// How many.
        peers: usize,
    },
    /// A tracker has sent no list.
    TrackerFailed {
        /// Its address, as the user gave it.
        tracker: String,
        /// Why.
        error: String,
    },
    /// A problem that the user may want to solve; the transfer goes on.
    Warning(String),
    /// The file cannot be downloaded or seeded.
    Failed(String),
    /// The file is complete and has its name.
    Done(Summary),
    /// The file is being served. A block that is not here is fetched from the origin when a client requests it.
    Origin {
        /// The origin, without what is secret in its address.
        origin: String,
        /// Verified blocks that are here.
        blocks_done: u64,
        /// All blocks.
        blocks: u64,
    },
    /// The file is being served.
    Seeding {
        /// Verified blocks.
        blocks_done: u64,
        /// All blocks.
        blocks: u64,
    },
}

impl Event {
    /// What a tracker has said.
    pub(super) fn of_tracker(answer: &Answer) -> Self {
        let tracker = answer.tracker.clone();
        match &answer.list {
            Ok(list) => Self::Tracker { tracker, peers: list.peers.len() },
            Err(error) => Self::TrackerFailed { tracker, error: error.to_string() },
        }
    }

    /// Whether the event describes a state that soon changes, so that nothing is missed if it is dropped.
    #[must_use]
    pub fn is_momentary(&self) -> bool {
        matches!(
            self,
            Self::Checking { .. }
                | Self::Fetching { .. }
                | Self::Progress(_)
                | Self::Connected(_)
                | Self::Dropped(..)
        )
    }
}

/// Receives the events of one file.
pub trait Observer: Send {
    /// Receives one event. It must return at once, because the transfer waits for it.
    fn event(&mut self, event: Event);
}
