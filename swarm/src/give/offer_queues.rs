//! In which order subscribers get offers: subscribers that have taken a block apart from newcomers; and while there are
//! several hosts, one subscriber of each host at a time.
//!
//! A subscriber costs its host nothing. Fifty of one host that take whatever they like would have most of what is on
//! offer, and nobody else would be sent it until the offers lapse.

use super::subscriber_id::SubscriberId;
use crate::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;

/// Where a subscriber is; `None`: it does not say that it listens. Those that pass nothing on count as one host.
pub(super) type Host = Option<IpAddr>;

/// A subscriber in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) subscriber: SubscriberId,
    pub(super) host: Host,
    pub(super) newcomer: bool,
}

/// The queues.
#[derive(Debug, Default)]
pub(super) struct OfferQueues {
    proven: VecDeque<Candidate>,
    newcomers: VecDeque<Candidate>,
    hosts: HashMap<Host, Members>,
    now: Time,
}

#[derive(Debug, Default)]
struct Members {
    subscribers: usize,
    /// Those of them that have nothing of the file.
    with_nothing: usize,
    /// Bytes that they are offered.
    offered: u64,
    /// Those of them in the queues.
    candidate: usize,
    /// Those that stand behind one of them.
    behind: VecDeque<Candidate>,
    /// They get no offers until then.
    rests_until: Time,
}

impl Members {
    /// Whether another of them may be in the queue while there are several hosts.
    fn has_room(&self, room: u64, now: Time) -> bool {
        self.candidate == 0 && self.offered < room && self.rests_until <= now
    }
}

impl OfferQueues {
    /// Whether a subscriber says that it listens, and so may pass on what it gets.
    pub(super) fn has_listening_host(&self) -> bool {
        self.hosts.len() > usize::from(self.hosts.contains_key(&None))
    }

    /// A subscriber has come. True: its host is the second, so that there are several from now on.
    pub(super) fn open(&mut self, host: Host) -> bool {
        let members = self.hosts.entry(host).or_default();
        members.subscribers += 1;
        let second = members.subscribers == 1 && self.hosts.len() == 2;
        if second {
            let proven = core::mem::take(&mut self.proven);
            let all = proven.into_iter().chain(core::mem::take(&mut self.newcomers));
            self.hosts.values_mut().for_each(|members| members.candidate = 0);
            all.for_each(|candidate| self.stand(candidate, u64::MAX));
        }
        second
    }

    /// A subscriber has gone; it is in no queue.
    pub(super) fn close(&mut self, host: Host, had_nothing: bool) {
        let Some(members) = self.hosts.get_mut(&host) else { return };
        members.subscribers -= 1;
        members.with_nothing -= usize::from(had_nothing);
        if members.subscribers == 0 {
            self.hosts.remove(&host);
        }
        if self.hosts.len() == 1 {
            let behind = self.hosts.values_mut().flat_map(|members| core::mem::take(&mut members.behind));
            behind.collect::<Vec<_>>().into_iter().for_each(|candidate| self.stand(candidate, u64::MAX));
        }
    }

    /// A subscriber of `host` says whether it has nothing of the file, and said `before` the last time.
    pub(super) fn count_nothing(&mut self, host: Host, before: bool, nothing: bool) {
        if let Some(members) = self.hosts.get_mut(&host) {
            members.with_nothing = members.with_nothing + usize::from(nothing) - usize::from(before);
        }
    }

    /// Whether most hosts have nothing of the file.
    pub(super) fn most_have_nothing(&self) -> bool {
        let with_nothing = self.hosts.values().filter(|members| members.with_nothing == members.subscribers);
        with_nothing.count() * 2 > self.hosts.len()
    }

    /// Whether `host` has several subscribers, and others are there too.
    pub(super) fn is_crowd(&self, host: Host) -> bool {
        self.hosts.len() > 1 && self.hosts.get(&host).is_some_and(|members| members.subscribers > 1)
    }

    /// The next subscriber that has taken a block, or the next newcomer.
    pub(super) fn first(&self, newcomer: bool) -> Option<Candidate> {
        if newcomer { self.newcomers.front().copied() } else { self.proven.front().copied() }
    }

    /// A subscriber that is in no queue joins one, or waits behind others of its host. `room`: bytes that a host may be
    /// offered.
    pub(super) fn stand(&mut self, candidate: Candidate, room: u64) {
        let several = self.hosts.len() > 1;
        let Some(members) = self.hosts.get_mut(&candidate.host) else { return };
        if several && !members.has_room(room, self.now) {
            members.behind.push_back(candidate);
            return;
        }
        members.candidate += 1;
        self.queue(candidate.newcomer).push_back(candidate);
    }

    /// A subscriber stands no longer.
    pub(super) fn leave(&mut self, candidate: Candidate, room: u64) {
        let queue = self.queue(candidate.newcomer);
        let before = queue.len();
        // Mostly it is the first.
        if queue.front().is_some_and(|first| first.subscriber == candidate.subscriber) {
            queue.pop_front();
        } else {
            queue.retain(|other| other.subscriber != candidate.subscriber);
        }
        let stood = queue.len() < before;
        let Some(members) = self.hosts.get_mut(&candidate.host) else { return };
        if stood {
            members.candidate -= 1;
            self.advance(candidate.host, room);
        } else {
            members.behind.retain(|other| other.subscriber != candidate.subscriber);
        }
    }

    /// A subscriber of `host` is offered `bytes`.
    pub(super) fn add(&mut self, host: Host, bytes: u64) {
        if let Some(members) = self.hosts.get_mut(&host) {
            members.offered += bytes;
        }
    }

    /// An offer of `bytes` to a subscriber of `host` is over.
    pub(super) fn remove(&mut self, host: Host, bytes: u64, room: u64) {
        if let Some(members) = self.hosts.get_mut(&host) {
            members.offered = members.offered.saturating_sub(bytes);
            self.advance(host, room);
        }
    }

    /// A subscriber of a crowd has let its offer lapse: the next ones would do so one after the other.
    pub(super) fn rest(&mut self, host: Host, until: Time) {
        let Some(members) = self.hosts.get_mut(&host) else { return };
        members.rests_until = until;
        for queue in [&mut self.proven, &mut self.newcomers] {
            let (back, rest) =
                core::mem::take(queue).into_iter().partition(|candidate| candidate.host == host);
            *queue = rest;
            members.behind.extend::<VecDeque<Candidate>>(back);
        }
        members.candidate = 0;
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

    /// The next of `host` joins its queue, if it may.
    fn advance(&mut self, host: Host, room: u64) {
        let Some(members) = self.hosts.get_mut(&host) else { return };
        if members.has_room(room, self.now)
            && let Some(next) = members.behind.pop_front()
        {
            members.candidate += 1;
            self.queue(next.newcomer).push_back(next);
        }
    }

    fn queue(&mut self, newcomer: bool) -> &mut VecDeque<Candidate> {
        if newcomer { &mut self.newcomers } else { &mut self.proven }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: u64 = 100;

    #[test]
    fn a_host_that_takes_nothing_rests() {
        let mut queues = OfferQueues::default();
        for (number, host) in [(1, 1), (2, 1), (3, 2)] {
            queues.open(subscriber(number, host).host);
            queues.stand(subscriber(number, host), UNIT);
        }
        assert_eq!(next(&mut queues), Some(1));
        queues.rest(subscriber(1, 1).host, Time::from_secs(10));
        queues.remove(subscriber(1, 1).host, UNIT, UNIT);
        assert_eq!([next(&mut queues), next(&mut queues)], [Some(3), None]);
        queues.handle_time(Time::from_secs(9), UNIT);
        assert_eq!(next(&mut queues), None);
        queues.handle_time(Time::from_secs(10), UNIT);
        assert_eq!(next(&mut queues), Some(2));
    }

    fn subscriber(number: u64, host: u8) -> Candidate {
        Candidate {
            subscriber: SubscriberId(number),
            host: Some(IpAddr::from([10, 0, 0, host])),
            newcomer: false,
        }
    }

    fn next(queues: &mut OfferQueues) -> Option<u64> {
        let first = queues.first(false)?;
        queues.add(first.host, UNIT);
        queues.leave(first, UNIT);
        queues.stand(first, UNIT);
        Some(first.subscriber.0)
    }

    #[test]
    fn a_host_with_many_readers_gets_what_one_gets() {
        let mut queues = OfferQueues::default();
        for number in 0..5 {
            queues.open(subscriber(number, 1).host);
            queues.stand(subscriber(number, 1), UNIT);
        }
        assert_eq!([next(&mut queues), next(&mut queues)], [Some(0), Some(1)], "alone it is not limited");
        queues.open(subscriber(9, 2).host);
        queues.stand(subscriber(9, 2), UNIT);
        assert_eq!(next(&mut queues), Some(2), "this one stood in the queue when the other came");
        assert_eq!([next(&mut queues), next(&mut queues)], [Some(9), None], "the others stand behind");
        (0..3).for_each(|_| queues.remove(subscriber(0, 1).host, UNIT, UNIT));
        assert_eq!([next(&mut queues), next(&mut queues)], [Some(3), None]);
        assert!(queues.is_crowd(subscriber(0, 1).host) && !queues.is_crowd(subscriber(9, 2).host));
        queues.leave(subscriber(9, 2), UNIT);
        queues.close(subscriber(9, 2).host, false);
        let rest: Vec<u64> = (0..5).filter_map(|_| next(&mut queues)).collect();
        assert_eq!(rest, [4, 0, 1, 2, 3], "it is alone again");
    }
}
