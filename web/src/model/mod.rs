//! What is shown, as plain values. Names of fields are those of `--json`; `docs/api.md` says what each means.
//!
//! Whatever has members is a map by a key that stays (a hash, an address), because a viewer is told only what changed.
//! Unknown values are absent, never `null`.

mod cells;
mod room;

pub use cells::{Cell, cells};
pub use room::{add_page, rooms};

use crate::limits::{MAX_FILES, MAX_MEMBERS, MAX_SWARMS};
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the interface for programs, in its paths.
pub const API_VERSION: u32 = 1;

/// Bytes of blocks so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Received from other peers.
    pub received: u64,
    /// Given to other peers.
    pub given: u64,
}

/// What a program does at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// `peer` or `tracker`.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Where it listens for other peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Files that it downloads or serves, by cascade hash.
    pub files: BTreeMap<String, File>,
    /// Swarms that it knows of, by cascade hash.
    pub swarms: BTreeMap<String, Swarm>,
    /// Of a tracker: what it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracker: Option<Tracker>,
    /// What has no room in here.
    pub left_out: LeftOut,
}

/// What was left out of a snapshot, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Files.
    pub files: u64,
    /// Swarms.
    pub swarms: u64,
    /// Links of files.
    pub links: u64,
    /// Members of swarms.
    pub members: u64,
}

/// A file that is downloaded or served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct File {
    /// Name of the data file. Somebody else may have chosen it.
    pub file: String,
    /// The event of `--json` that tells the same: `fetching`, `checking`, `progress` or `seeding`.
    pub state: &'static str,
    /// Bytes of the data file.
    pub length: u64,
    /// Bytes of a block.
    pub block_size: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Verified blocks.
    pub blocks_done: u64,
    /// Blocks that are on their way to this peer.
    pub in_flight: u64,
    /// Bytes a second that arrive.
    pub bytes_per_second: u64,
    /// Seconds until it is complete at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Bytes of its blocks that were given to other peers.
    pub bytes_given: u64,
    /// The map of its blocks: see [`cells`].
    pub map: String,
    /// Connections over which this peer requests blocks, by address.
    pub links: BTreeMap<String, Link>,
}

/// A connection over which blocks are requested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What is under way: `connecting`, `asking`, `stalled`, `waiting` or `idle`.
    pub role: &'static str,
    /// Bytes a second that come from it.
    pub bytes_per_second: u64,
    /// Bytes of blocks that it has given.
    pub bytes: u64,
    /// Blocks that it has, if it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks_done: Option<u64>,
}

/// Who has how much of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swarm {
    /// Name of the file, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Number of blocks, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u64>,
    /// Receivers that have all blocks.
    pub complete: u64,
    /// Receivers that do not, and have been heard of lately.
    pub incomplete: u64,
    /// Receivers that do not, and have not been heard of lately.
    pub silent: u64,
    /// Members that were started to give the file.
    pub seeders: u64,
    /// Members that do not tell how far they are.
    pub unknown: u64,
    /// The members, by a key that says nothing else.
    pub members: BTreeMap<String, Member>,
}

/// A member of a swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Name for people, which the member has chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it listens, or comes from.
    pub address: String,
    /// Blocks that it has, if it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks_done: Option<u64>,
    /// Whether it has all blocks.
    pub complete: bool,
    /// Whether it was started to give the file.
    pub seeder: bool,
    /// `here`; `silent`, not heard of lately; `left`, with all blocks.
    pub presence: &'static str,
    /// Bytes a second that it receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Bytes that it has received, by its own word or ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// Bytes that it has given to others, by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_given: Option<u64>,
    /// Name and version of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// What a tracker keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tracker {
    /// Registrations.
    pub registrations: u64,
    /// Files with registrations.
    pub swarms: u64,
    /// The store that it shares with other trackers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
}

/// A store that trackers share, as one of them sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Store {
    /// Whether it answers and takes registrations.
    pub well: bool,
    /// Changes that wait to be written.
    pub waiting: u64,
    /// Changes that it has taken.
    pub written: u64,
    /// Swarms that were read.
    pub read: u64,
    /// Times that it failed.
    pub faults: u64,
    /// Goodbyes that could not be kept until it was back.
    pub lost_goodbyes: u64,
}

/// The history of rates.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct HistoryView {
    /// Seconds from one point to the next; the first one begins with the program.
    pub(crate) interval_seconds: f64,
    /// Bytes a second that were received and given.
    pub(crate) points: BTreeMap<usize, [u64; 2]>,
}

impl Snapshot {
    /// Leaves out what is too much, and counts it.
    pub(crate) fn bound(&mut self) {
        let left = &mut self.left_out;
        left.files += keep(&mut self.files, MAX_FILES);
        left.swarms += keep(&mut self.swarms, MAX_SWARMS);
        let mut room = MAX_MEMBERS;
        for file in self.files.values_mut() {
            left.links += keep(&mut file.links, room);
            room -= file.links.len();
        }
        let mut room = MAX_MEMBERS;
        for swarm in self.swarms.values_mut() {
            left.members += keep(&mut swarm.members, room);
            room -= swarm.members.len();
        }
    }
}

/// Keeps the first `max` of `map`; returns how many were dropped.
fn keep<V>(map: &mut BTreeMap<String, V>, max: usize) -> u64 {
    let Some(key) = map.keys().nth(max).cloned() else { return 0 };
    map.split_off(&key).len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted() {
        let members = |count: usize| (0..count).map(|at| (format!("{at:06}"), Member::default())).collect();
        let swarm = |count| Swarm { members: members(count), ..Swarm::default() };
        let swarms = [("a", swarm(MAX_MEMBERS - 1)), ("b", swarm(5)), ("c", swarm(2))];
        let mut snapshot = Snapshot {
            files: (0..MAX_FILES + 3).map(|at| (format!("{at:06}"), File::default())).collect(),
            swarms: swarms.into_iter().map(|(hash, swarm)| (hash.to_owned(), swarm)).collect(),
            ..Snapshot::default()
        };
        snapshot.bound();
        let kept: Vec<_> = snapshot.swarms.values().map(|swarm| swarm.members.len()).collect();
        assert_eq!(kept, [MAX_MEMBERS - 1, 1, 0]);
        assert_eq!(snapshot.files.len(), MAX_FILES);
        assert_eq!(snapshot.left_out, LeftOut { files: 3, swarms: 0, links: 0, members: 6 });
    }
}
