//! In which order readers get offers: those who have taken a block and newcomers apart; and of each host, while there
//! are several, one reader at a time.
//!
//! A reader costs its host nothing. Fifty of one host that take whatever they like would have most of what is on
//! offer, and nobody else would be sent it until the offers lapse.

use super::subscriber::ReaderId;
use crate::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use hashbrown::HashMap;

/// Where a reader is; `None`: it does not say that it listens. Those that pass nothing on count as one host.
pub(super) type Host = Option<Ipv4Addr>;

/// A reader in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) reader: ReaderId,
    pub(super) host: Host,
    pub(super) newcomer: bool,
}

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    proven: VecDeque<Standing>,
    newcomers: VecDeque<Standing>,
    hosts: HashMap<Host, Members>,
    now: Time,
}

#[derive(Debug, Default)]
struct Members {
    readers: usize,
    /// Bytes that they are offered.
    offered: u64,
    /// Those of them in the lines.
    standing: usize,
    /// Those that stand behind one of them.
    behind: VecDeque<Standing>,
    /// They get no offers until then.
    rests_until: Time,
}

impl Members {
    /// Whether another of them may stand in line while there are several hosts.
    fn has_room(&self, room: u64, now: Time) -> bool {
        self.standing == 0 && self.offered < room && self.rests_until <= now
    }
}

impl Lines {
    /// A reader has come. True: its host is the second, so that there are several from now on.
    pub(super) fn open(&mut self, host: Host) -> bool {
        let members = self.hosts.entry(host).or_default();
        members.readers += 1;
        let second = members.readers == 1 && self.hosts.len() == 2;
        if second {
            let proven = core::mem::take(&mut self.proven);
            let all = proven.into_iter().chain(core::mem::take(&mut self.newcomers));
            self.hosts.values_mut().for_each(|members| members.standing = 0);
            all.for_each(|standing| self.stand(standing, u64::MAX));
        }
        second
    }

    /// A reader has gone; it stands in no line.
    pub(super) fn close(&mut self, host: Host) {
        let Some(members) = self.hosts.get_mut(&host) else { return };
        members.readers -= 1;
        if members.readers == 0 {
            self.hosts.remove(&host);
        }
        if self.hosts.len() == 1 {
            let behind = self.hosts.values_mut().flat_map(|members| core::mem::take(&mut members.behind));
            behind.collect::<Vec<_>>().into_iter().for_each(|standing| self.stand(standing, u64::MAX));
        }
    }

    /// Whether `host` has several readers, and others are there too.
    pub(super) fn is_crowd(&self, host: Host) -> bool {
        self.hosts.len() > 1 && self.hosts.get(&host).is_some_and(|members| members.readers > 1)
    }

    /// The next reader that has taken a block, or the next newcomer.
    pub(super) fn first(&self, newcomer: bool) -> Option<Standing> {
        if newcomer { self.newcomers.front().copied() } else { self.proven.front().copied() }
    }

    /// A reader that stands nowhere stands in line, or behind others of its host. `room`: bytes that a host may be
    /// offered.
    pub(super) fn stand(&mut self, standing: Standing, room: u64) {
        let several = self.hosts.len() > 1;
        let Some(members) = self.hosts.get_mut(&standing.host) else { return };
        if several && !members.has_room(room, self.now) {
            members.behind.push_back(standing);
            return;
        }
        members.standing += 1;
        self.line(standing.newcomer).push_back(standing);
    }

    /// A reader stands no longer.
    pub(super) fn leave(&mut self, standing: Standing, room: u64) {
        let line = self.line(standing.newcomer);
        let before = line.len();
        // Mostly it is the first.
        if line.front().is_some_and(|first| first.reader == standing.reader) {
            line.pop_front();
        } else {
            line.retain(|other| other.reader != standing.reader);
        }
        let stood = line.len() < before;
        let Some(members) = self.hosts.get_mut(&standing.host) else { return };
        if stood {
            members.standing -= 1;
            self.advance(standing.host, room);
        } else {
            members.behind.retain(|other| other.reader != standing.reader);
        }
    }

    /// A reader of `host` is offered `bytes`.
    pub(super) fn add(&mut self, host: Host, bytes: u64) {
        if let Some(members) = self.hosts.get_mut(&host) {
            members.offered += bytes;
        }
    }

    /// An offer of `bytes` to a reader of `host` is over.
    pub(super) fn remove(&mut self, host: Host, bytes: u64, room: u64) {
        if let Some(members) = self.hosts.get_mut(&host) {
            members.offered = members.offered.saturating_sub(bytes);
            self.advance(host, room);
        }
    }

    /// A reader of a crowd has let its offer lapse: the next ones would do so one after the other.
    pub(super) fn rest(&mut self, host: Host, until: Time) {
        let Some(members) = self.hosts.get_mut(&host) else { return };
        members.rests_until = until;
        for line in [&mut self.proven, &mut self.newcomers] {
            let (back, rest) = core::mem::take(line).into_iter().partition(|standing| standing.host == host);
            *line = rest;
            members.behind.extend::<VecDeque<Standing>>(back);
        }
        members.standing = 0;
    }

    /// Looks which hosts have rested long enough.
    pub(super) fn handle_time(&mut self, now: Time, room: u64) {
        self.now = now;
        let rested = self.hosts.iter().filter(|(_, members)| members.has_room(room, now));
        let mut rested: Vec<Host> = rested.map(|(host, _)| *host).collect();
        // A fixed order: hash maps have none.
        rested.sort_unstable();
        rested.into_iter().for_each(|host| self.advance(host, room));
    }

    /// The next of `host` stands in line, if it may.
    fn advance(&mut self, host: Host, room: u64) {
        let Some(members) = self.hosts.get_mut(&host) else { return };
        if members.has_room(room, self.now)
            && let Some(next) = members.behind.pop_front()
        {
            members.standing += 1;
            self.line(next.newcomer).push_back(next);
        }
    }

    fn line(&mut self, newcomer: bool) -> &mut VecDeque<Standing> {
        if newcomer { &mut self.newcomers } else { &mut self.proven }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: u64 = 100;

    #[test]
    fn a_host_that_takes_nothing_rests() {
        let mut lines = Lines::default();
        for (number, host) in [(1, 1), (2, 1), (3, 2)] {
            lines.open(reader(number, host).host);
            lines.stand(reader(number, host), UNIT);
        }
        assert_eq!(next(&mut lines), Some(1));
        lines.rest(reader(1, 1).host, Time::from_secs(10));
        lines.remove(reader(1, 1).host, UNIT, UNIT);
        assert_eq!([next(&mut lines), next(&mut lines)], [Some(3), None]);
        lines.handle_time(Time::from_secs(9), UNIT);
        assert_eq!(next(&mut lines), None);
        lines.handle_time(Time::from_secs(10), UNIT);
        assert_eq!(next(&mut lines), Some(2));
    }

    fn reader(number: u64, host: u8) -> Standing {
        Standing { reader: ReaderId(number), host: Some(Ipv4Addr::new(10, 0, 0, host)), newcomer: false }
    }

    fn next(lines: &mut Lines) -> Option<u64> {
        let first = lines.first(false)?;
        lines.add(first.host, UNIT);
        lines.leave(first, UNIT);
        lines.stand(first, UNIT);
        Some(first.reader.0)
    }

    #[test]
    fn a_host_with_many_readers_gets_what_one_gets() {
        let mut lines = Lines::default();
        for number in 0..5 {
            lines.open(reader(number, 1).host);
            lines.stand(reader(number, 1), UNIT);
        }
        assert_eq!([next(&mut lines), next(&mut lines)], [Some(0), Some(1)], "alone it is not limited");
        lines.open(reader(9, 2).host);
        lines.stand(reader(9, 2), UNIT);
        assert_eq!(next(&mut lines), Some(2), "this one stood in line when the other came");
        assert_eq!([next(&mut lines), next(&mut lines)], [Some(9), None], "the others stand behind");
        (0..3).for_each(|_| lines.remove(reader(0, 1).host, UNIT, UNIT));
        assert_eq!([next(&mut lines), next(&mut lines)], [Some(3), None]);
        assert!(lines.is_crowd(reader(0, 1).host) && !lines.is_crowd(reader(9, 2).host));
        lines.leave(reader(9, 2), UNIT);
        lines.close(reader(9, 2).host);
        let rest: Vec<u64> = (0..5).filter_map(|_| next(&mut lines)).collect();
        assert_eq!(rest, [4, 0, 1, 2, 3], "it is alone again");
    }
}
