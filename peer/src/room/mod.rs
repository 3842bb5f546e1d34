//! The room of a file: who has how much of it, as trackers know it from what the peers report.
//!
//! ```no_run
//! # async fn example(hash: cascade_format::CascadeHash) -> Result<(), cascade_peer::room::RoomError> {
//! let room = cascade_peer::room::ask("192.0.2.1:8888", hash).await?;
//! println!("{} have it, {} do not yet", room.summary.complete, room.summary.incomplete);
//! for member in &room.members {
//!     println!("{} {}: {:?}", member.addr, member.name, member.progress);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! All of it is what peers say of themselves, and nobody proves it.

mod reporter;
pub(crate) mod telling;
pub mod view;

pub use cascade_format::tracker_room::{Member, PeerName, Presence, Program, Progress, Summary};

pub use reporter::Reporter;

use crate::limits::MAX_ROOM_PAGES;
use crate::tracker_client::{self, TrackerError};
use cascade_format::CascadeHash;
use cascade_format::tracker_room::{Page, PageError, RoomRequest};
use std::collections::HashMap;

/// What one tracker knows, or several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// How many there are.
    pub summary: Summary,
    /// Who they are, in no order; of very many only a part.
    pub members: Vec<Member>,
}

/// Why a tracker tells of no room.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// It keeps none, or none of this file, in its own words.
    #[error("it tells nothing of who has how much: {0}")]
    Refused(String),
    /// It could not be asked.
    #[error("{0}")]
    Failed(String),
    /// Its answer is none.
    #[error("its answer makes no sense: {0}")]
    Nonsense(#[from] PageError),
}

impl From<TrackerError> for RoomError {
    fn from(error: TrackerError) -> Self {
        let text = error.to_string();
        if let TrackerError::Refused(message) = error { Self::Refused(message) } else { Self::Failed(text) }
    }
}

/// Asks `tracker`, a `HOST:PORT`, for the room of a file.
///
/// # Errors
/// Everything in [`RoomError`]; a tracker of version 1 refuses.
pub async fn ask(tracker: &str, cascade_hash: CascadeHash) -> Result<Room, RoomError> {
    let mut room = Room::default();
    let mut first = 0;
    for _ in 0..MAX_ROOM_PAGES {
        let page = ask_page(tracker, cascade_hash, first).await?;
        room.summary = page.summary;
        room.members.extend(page.members);
        if page.next == 0 || page.next == first {
            break;
        }
        first = page.next;
    }
    Ok(room)
}

/// Asks `tracker`, a `HOST:PORT`, how many have a file, with one question: of a large room only some members are told.
///
/// # Errors
/// Those of [`ask`].
pub async fn glance(tracker: &str, cascade_hash: CascadeHash) -> Result<Room, RoomError> {
    let Page { summary, members, .. } = ask_page(tracker, cascade_hash, 0).await?;
    Ok(Room { summary, members })
}

async fn ask_page(tracker: &str, cascade_hash: CascadeHash, first: u32) -> Result<Page, RoomError> {
    let body = tracker_client::exchange(tracker, &RoomRequest { cascade_hash, first }.encode()).await?;
    Ok(Page::parse(&body)?)
}

impl Room {
    /// Adds what another tracker knows of the same file. A peer may be known to both: it is one by its address, and the
    /// later report of it counts; of the numbers, which may count the same peers, the greater ones are kept.
    pub fn add(&mut self, other: Self) {
        let (ours, theirs) = (&mut self.summary, other.summary);
        ours.complete = ours.complete.max(theirs.complete);
        ours.incomplete = ours.incomplete.max(theirs.incomplete);
        ours.silent = ours.silent.max(theirs.silent);
        ours.seeders = ours.seeders.max(theirs.seeders);
        ours.unknown = ours.unknown.max(theirs.unknown);
        let mut known: HashMap<_, usize> =
            self.members.iter().enumerate().map(|(at, member)| (member.addr, at)).collect();
        for member in other.members {
            match known.get(&member.addr).and_then(|at| self.members.get_mut(*at)) {
                // Port 0 is nobody's own.
                Some(there) if member.addr.port() != 0 => {
                    let later = (member.progress.is_some(), std::cmp::Reverse(member.since));
                    if later > (there.progress.is_some(), std::cmp::Reverse(there.since)) {
                        *there = member;
                    }
                }
                Some(_) | None => {
                    known.insert(member.addr, self.members.len());
                    self.members.push(member);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn member(addr: &str, had: Option<u64>, since: u32) -> Member {
        let addr: SocketAddr = addr.parse().unwrap();
        let progress = had.map(|had| Progress { blocks_done: had, blocks: 10, ..Progress::default() });
        Member { progress, ..Member::unknown(addr.into(), since) }
    }

    #[test]
    fn what_two_trackers_know_is_one_room() {
        let summary = Summary { complete: 1, incomplete: 5, ..Summary::default() };
        let members = vec![
            member("10.0.0.1:1", Some(3), 20),
            member("10.0.0.2:1", None, 1),
            member("10.0.0.3:0", Some(1), 1),
        ];
        let mut room = Room { summary, members };
        let summary = Summary { complete: 2, unknown: 1, ..Summary::default() };
        let members = vec![
            member("10.0.0.1:1", Some(4), 10),
            member("10.0.0.2:1", Some(1), 99),
            member("10.0.0.3:0", Some(2), 1),
            member("10.0.0.4:1", None, 1),
        ];
        room.add(Room { summary, members });
        assert_eq!(room.summary, Summary { complete: 2, incomplete: 5, unknown: 1, ..Summary::default() });
        let had: Vec<_> =
            room.members.iter().map(|member| member.progress.map(|progress| progress.blocks_done)).collect();
        assert_eq!(had, [Some(4), Some(1), Some(1), Some(2), None]);
    }
}
