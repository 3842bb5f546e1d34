//! What a session tells of itself, for its user to see.

use super::announcer::Answer;
use crate::store::Taken;
use cascade_format::PeerAddr;
use cascade_swarm::ask::{PeerShare, WrongBlock};
use std::path::PathBuf;
use std::time::Duration;

/// How far a download is.
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
    /// Received in a second, lately.
    pub bytes_per_second: f64,
    /// Links that are made.
    pub peers: usize,
}

/// What a finished download was like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// Bytes that were there before, and were not taken from an earlier version.
    pub resumed_bytes: u64,
    /// What was taken from an earlier version.
    pub taken: Option<Taken>,
    /// From the first look at the disk to the file's final name.
    pub time: Duration,
    /// What each peer gave, right or wrong, the most generous first.
    pub shares: Vec<PeerShare>,
    /// Blocks with a wrong hash.
    pub blocks_wrong: u64,
    /// Bytes of blocks that came twice.
    pub bytes_duplicate: u64,
    /// Share of the time during which data was arriving, 0 to 1.
    pub busy: f64,
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Existing data is being checked.
    Checking {
        /// Bytes checked so far.
        done: u64,
        /// Bytes to check, at most.
        total: u64,
    },
    /// The `.cascade` file is being fetched from other peers, or waited for.
    Fetching {
        /// Bytes that are there.
        done: u64,
        /// Of how many, as somebody has said.
        total: Option<u64>,
        /// Peers that are known.
        known: usize,
    },
    /// The `.cascade` file is there, and right.
    Fetched {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The download begins.
    Start(Progress),
    /// About four times a second while something arrives, and else every few seconds.
    Progress(Progress),
    /// A link to a peer is made.
    Connected(PeerAddr),
    /// A link has ended.
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
    /// So many peers were found on the local network so far.
    Lan {
        /// How many.
        peers: usize,
    },
    /// A tracker sent none.
    TrackerFailed {
        /// Its address, as the user gave it.
        tracker: String,
        /// Why.
        error: String,
    },
    /// Something that the user may want to mend.
    Warning(String),
    /// The file cannot be downloaded or seeded.
    Failed(String),
    /// The file is complete and has its name.
    Done(Summary),
    /// The file is being served, and what is not here is fetched from an origin when it is asked for.
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

    /// Whether it speaks of a moment that is soon over: nothing is missed by one that is lost.
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

/// Hears the events of one file.
pub trait Observer: Send {
    /// Must return at once.
    fn event(&mut self, event: Event);
}
