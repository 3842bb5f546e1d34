//! Which peers may have the `.cascade` file, and whom to ask next.

use super::super::address;
use super::super::own::Own;
use super::super::peers::hosts::{HostId, Hosts};
use super::Source;
use crate::Time;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::peer_wire::Status;
use core::time::Duration;

/// Peers remembered of one way of hearing of them: the user, each tracker. A further one takes the place of one that has
/// failed and never spoken.
const MAX_A_SOURCE: usize = 64;

/// Pause before a peer that failed is asked again; doubles …
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// … up to this, if it has answered before or the link names it: the sharer may come later …
const SHORT_PAUSE: Duration = Duration::from_secs(4);

/// … and up to this of others, and at once of one that knows only version 1.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// Doublings that are counted.
const MAX_DOUBLINGS: u32 = 6;

#[derive(Debug)]
struct Candidate {
    addr: PeerAddr,
    source: Source,
    host: HostId,
    retry_at: Time,
    /// Failures in a row.
    failures: u32,
    tried: bool,
    busy: bool,
    /// It has spoken the protocol.
    spoken: bool,
    /// It was one of several who gave wrong bytes.
    suspect: bool,
    /// It alone gave wrong bytes, or what no peer sends.
    liar: bool,
}

impl Candidate {
    fn is_named(&self) -> bool {
        self.source == Source::User
    }
}

/// All of them. The number of one is its place, and does not change while it is asked or after it has spoken.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    hosts: Hosts,
    pub(super) own: Own,
}

impl Candidates {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn addr(&self, place: usize) -> Option<PeerAddr> {
        self.list.get(place).map(|candidate| candidate.addr)
    }

    pub(super) fn learn(&mut self, source: Source, addr: PeerAddr) {
        let known = self.list.iter_mut().find(|candidate| candidate.addr == addr);
        if let Some(known) = known {
            if source == Source::User {
                known.source = source;
            }
            return;
        }
        let of_source = self.list.iter().filter(|candidate| candidate.source == source).count();
        if !self.own.may_be_somewhere(addr) {
            return;
        }
        let in_vain = if of_source < MAX_A_SOURCE { None } else { self.most_in_vain(source) };
        if of_source >= MAX_A_SOURCE && in_vain.is_none() {
            return;
        }
        let (host, retry_at) = self.hosts.learn(addr.ip());
        let candidate = Candidate {
            addr,
            source,
            host,
            retry_at,
            failures: 0,
            tried: false,
            busy: false,
            spoken: false,
            suspect: false,
            liar: false,
        };
        match in_vain.and_then(|place| self.list.get_mut(place)) {
            Some(place) => {
                let before = core::mem::replace(place, candidate);
                self.hosts.forget(before.host, false, before.retry_at);
            }
            None => self.list.push(candidate),
        }
    }

    /// The place of the peer of this source that has failed most often, and has never spoken the protocol. Lists that change
    /// for hours name many that have left.
    fn most_in_vain(&self, source: Source) -> Option<usize> {
        let of_source = self.list.iter().enumerate().filter(|(_, candidate)| candidate.source == source);
        let in_vain =
            of_source.filter(|(_, candidate)| !candidate.busy && !candidate.spoken && candidate.failures > 0);
        in_vain.max_by_key(|(_, candidate)| candidate.failures).map(|(place, _)| place)
    }

    /// Whom to ask now, where, and whether it is suspect. Those that failed least come first, those that the link
    /// names before others, and suspects last.
    pub(super) fn best(&self, now: Time) -> Option<(usize, PeerAddr, bool)> {
        let fit = |candidate: &&Candidate| {
            self.ready_at(candidate).is_some_and(|at| at <= now)
                && (candidate.is_named() || candidate.spoken || self.hosts.has_room(candidate.host))
        };
        let ranked = self.list.iter().enumerate().filter(|(_, candidate)| fit(candidate));
        let rank = |candidate: &Candidate| {
            (candidate.suspect, self.lies_at(candidate), candidate.failures, !candidate.is_named())
        };
        let best = ranked.min_by_key(|(place, candidate)| (rank(candidate), *place));
        best.map(|(place, candidate)| (place, candidate.addr, candidate.suspect))
    }

    /// When somebody may be asked again.
    pub(super) fn next_at(&self, now: Time) -> Time {
        let next = self.list.iter().filter_map(|candidate| self.ready_at(candidate)).min();
        next.unwrap_or(now + LONG_PAUSE)
    }

    /// When it may be asked; `None`: it is being asked, or never again.
    fn ready_at(&self, candidate: &Candidate) -> Option<Time> {
        if candidate.busy || candidate.liar || self.own.is_at(candidate.addr) {
            return None;
        }
        let free = candidate.is_named() || candidate.spoken;
        let host = if free { Time::ZERO } else { self.hosts.try_at(candidate.host) };
        Some(candidate.retry_at.max(host))
    }

    /// Liars on the same host: a liar's other ports come after everybody else.
    fn lies_at(&self, candidate: &Candidate) -> usize {
        let host = |addr: PeerAddr| address::host(addr.ip());
        let same = |other: &&Candidate| other.liar && host(other.addr) == host(candidate.addr);
        self.list.iter().filter(same).count()
    }

    /// Whether each was asked, and none is worth being asked at once again.
    pub(super) fn all_tried(&self) -> bool {
        let own = |candidate: &Candidate| self.own.is_at(candidate.addr);
        self.list
            .iter()
            .all(|candidate| candidate.liar || own(candidate) || (candidate.tried && candidate.failures > 0))
    }

    /// A connection to it is begun.
    pub(super) fn begin(&mut self, now: Time, place: usize) {
        let Some(candidate) = self.list.get_mut(place) else { return };
        (candidate.busy, candidate.tried) = (true, true);
        if !candidate.spoken {
            self.hosts.try_silent(now, candidate.host);
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self, place: usize) {
        let Some(candidate) = self.list.get_mut(place) else { return };
        candidate.busy = false;
        if !candidate.spoken {
            self.hosts.less_silent(candidate.host, 1);
        }
    }

    /// It speaks the protocol.
    pub(super) fn spoke(&mut self, place: usize) {
        let Some(candidate) = self.list.get_mut(place) else { return };
        if !core::mem::replace(&mut candidate.spoken, true) {
            self.hosts.spoke(candidate.host);
            if candidate.busy {
                self.hosts.less_silent(candidate.host, 1);
            }
        }
    }

    /// It broke off, after it `gave` something or not.
    pub(super) fn failed(&mut self, now: Time, place: usize, gave: bool) {
        let Some(candidate) = self.list.get_mut(place) else { return };
        if gave {
            candidate.failures = 0;
        }
        let short = candidate.is_named() || candidate.spoken;
        candidate.pause(now, if short { SHORT_PAUSE } else { LONG_PAUSE });
    }

    /// It answered, but no part: it lacks the file, now or for ever, or does not know the extension.
    pub(super) fn refused(&mut self, now: Time, place: usize, status: Status) {
        self.spoke(place);
        let Some(candidate) = self.list.get_mut(place) else { return };
        match status {
            Status::UnknownFile | Status::MissingBlock => candidate.pause(now, SHORT_PAUSE),
            Status::Block | Status::NoSuchBlock | Status::BadRequest | Status::Other(_) => {
                candidate.failures += 1;
                candidate.retry_at = now + LONG_PAUSE;
            }
        }
    }

    pub(super) fn suspect(&mut self, place: usize) {
        self.list.get_mut(place).into_iter().for_each(|candidate| candidate.suspect = true);
    }

    pub(super) fn lied(&mut self, place: usize) {
        self.list.get_mut(place).into_iter().for_each(|candidate| candidate.liar = true);
    }
}

impl Candidate {
    fn pause(&mut self, now: Time, most: Duration) {
        let pause = FIRST_PAUSE * 2_u32.pow(self.failures.min(MAX_DOUBLINGS));
        self.failures += 1;
        self.retry_at = now + pause.min(most);
    }
}
