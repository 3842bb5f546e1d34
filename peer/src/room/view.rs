//! What can be told of a member: what it is doing, and how long it will take.

use super::{Member, Presence};
use std::cmp::Reverse;
use std::time::Duration;

/// What a member is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It lacks blocks, and has not reported lately.
    Silent,
    /// It lacks blocks.
    Incomplete,
    /// It tells nothing, as peers of version 1.
    Unknown,
    /// It was started to give the file.
    Seeder,
    /// It has received everything.
    Complete,
    /// It has received everything, and has left.
    Left,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Incomplete => "incomplete",
            Self::Unknown => "unknown",
            Self::Seeder => "seeder",
            Self::Complete => "complete",
            Self::Left => "left",
        }
    }
}

/// What `member` is doing.
#[must_use]
pub fn state(member: &Member) -> State {
    match (member.progress, member.presence) {
        (None, _) => State::Unknown,
        (Some(_), Presence::Left) => State::Left,
        _ if member.seeder => State::Seeder,
        _ if member.is_complete() => State::Complete,
        (Some(_), Presence::Silent) => State::Silent,
        (Some(_), Presence::Here) => State::Incomplete,
    }
}

/// How much of the file a member has, from 0 to 1, as it says.
#[must_use]
pub fn share(member: &Member) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a shown number")]
    let share = member.progress.map(|progress| match progress.blocks {
        0 => 1.0,
        blocks => progress.blocks_done as f64 / blocks as f64,
    });
    share
}

/// How long a receiver will take for the rest of a file of `length` bytes, at the rate between its last two reports. It is
/// not known when that time is over, and no report has come since.
#[must_use]
pub fn time_left(member: &Member, length: u64) -> Option<Duration> {
    let share = share(member).filter(|_| state(member) == State::Incomplete && member.rate > 0)?;
    #[allow(clippy::cast_precision_loss, reason = "a shown number")]
    let seconds = length as f64 * (1.0 - share) / member.rate as f64;
    // Since its report it has gone on.
    let left = Duration::try_from_secs_f64(seconds).ok()?;
    let left = left.checked_sub(Duration::from_secs(u64::from(member.since)))?;
    Some(left.max(Duration::from_secs(1)))
}

/// Sorts members so that whoever holds everybody up comes first: those who lack blocks and say nothing, those who
/// will take longest, those of whom nobody knows anything; then the others. `length` is the file's, where it is known.
pub fn by_who_holds_up(members: &mut [Member], length: Option<u64>) {
    // Without a length the time is known up to a factor, which all have in common.
    let length = length.unwrap_or(1 << 40);
    members.sort_by_cached_key(|member| {
        let left = time_left(member, length).map_or(Reverse(Duration::MAX), Reverse);
        let had = member.progress.map_or(0, |progress| progress.blocks_done);
        (state(member), left, had, member.addr)
    });
}

#[cfg(test)]
mod tests {
    use super::super::Progress;
    use super::*;
    use std::net::SocketAddr;

    fn member(port: u16, had: u64, rate: u64) -> Member {
        let addr: SocketAddr = ([10, 0, 0, 1], port).into();
        let progress = Some(Progress { blocks_done: had, blocks: 10, ..Progress::default() });
        Member { progress, rate, ..Member::unknown(addr.into(), 10) }
    }

    #[test]
    fn who_holds_everybody_up_comes_first() {
        let mut members = vec![
            Member { seeder: true, ..member(1, 10, 0) },
            member(2, 10, 5),
            Member { presence: Presence::Left, ..member(3, 10, 5) },
            member(4, 9, 5),
            member(5, 1, 5),
            member(6, 1, 50),
            member(7, 5, 0),
            Member { progress: None, ..member(8, 0, 0) },
            Member { presence: Presence::Silent, ..member(9, 9, 5) },
        ];
        for length in [None, Some(1000)] {
            by_who_holds_up(&mut members, length);
            let ports: Vec<_> = members.iter().map(|member| member.addr.port()).collect();
            assert_eq!(ports, [9, 7, 5, 4, 6, 8, 1, 2, 3], "{length:?}");
            members.reverse();
        }
    }

    #[test]
    fn the_time_left_goes_down_while_nothing_is_heard() {
        assert_eq!(time_left(&member(1, 5, 10), 1000), Some(Duration::from_secs(40)));
        assert_eq!(time_left(&member(1, 9, 10), 1000), Some(Duration::from_secs(1)));
        for none in [
            member(1, 5, 0),
            member(1, 9, 50),
            member(1, 10, 7),
            Member { progress: None, ..member(1, 5, 10) },
        ] {
            assert_eq!(time_left(&none, 1000), None);
        }
    }
}
