//! Fetching the `.cascade` file of a link: which peer is asked for which part, as a state machine like [`Plan`].
//!
//! The bytes prove themselves only when all of them are there. So they are taken from one peer at a time, in order;
//! when it fails, the next one goes on at the same byte. If the whole is wrong, a single giver has lied and is left
//! alone. If there were several givers, nobody knows which of them has lied: each is *suspect*, and from then on its
//! bytes are not joined with those of others. So a liar costs one round together with others, and one alone.
//!
//! [`Plan`]: super::Plan

mod candidates;
#[cfg(test)]
#[allow(
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    clippy::expect_used,
    reason = "a test world of manners"
)]
mod tests;

use super::Source;
use crate::{Listening, Time};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use candidates::Candidates;
use cascade_format::PeerAddr;
use cascade_format::peer_wire::Status;
use core::time::Duration;

/// Peers that are asked at once until the first of them gives something.
const MAX_AT_ONCE: usize = 4;

/// After this time without an answer the next peer is asked too.
const STAGGER: Duration = Duration::from_millis(250);

/// After this time without a byte from the giver another peer is asked for what is missing.
const GIVER_PATIENCE: Duration = Duration::from_secs(2);

/// After this time without a byte a peer has failed.
const SILENCE: Duration = Duration::from_secs(10);

/// The longest time that a part may take: a giver that trickles makes room for another.
const PART_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection on which parts are asked for. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Connect to this address and ask for the part at the offset.
    Ask {
        /// Names the connection.
        attempt: AttemptId,
        /// Where to.
        addr: PeerAddr,
        /// First byte of the part.
        offset: u32,
    },
    /// Ask for the next part over the same connection.
    Next {
        /// The connection.
        attempt: AttemptId,
        /// First byte of the part.
        offset: u32,
    },
    /// Close the connection.
    Leave(AttemptId),
    /// The bytes that are there are wrong, or must not be continued: begin with an empty file.
    Restart,
    /// Every byte is there. Compare the hash, then call [`Fetch::handle_checked`].
    Check,
}

/// How a connection has ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It could not be made, or broke.
    Broke,
    /// The peer has said this instead.
    Refused(Status),
    /// No peer answers what it has answered.
    Lied,
}

#[derive(Debug)]
struct Attempt {
    id: AttemptId,
    candidate: usize,
    offset: u64,
    begun_at: Time,
    part_at: Time,
    sign_at: Time,
    gave: bool,
}

/// The fetching of one `.cascade` file.
#[derive(Debug, Default)]
pub struct Fetch {
    candidates: Candidates,
    attempts: Vec<Attempt>,
    /// Which of them gives.
    giver: Option<AttemptId>,
    total: Option<u64>,
    at: u64,
    /// The candidates that gave something in this round.
    givers: Vec<usize>,
    /// The suspect whose round it is.
    alone: Option<usize>,
    actions: VecDeque<Action>,
    checking: bool,
    done: bool,
    last_id: u64,
    /// Rounds that were in vain.
    wrong_rounds: u32,
}

impl Fetch {
    /// Nothing is there, and nobody is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Peers that may have the file.
    pub fn handle_peers(&mut self, source: Source, addrs: &[PeerAddr]) {
        addrs.iter().for_each(|addr| self.candidates.learn(source, *addr));
    }

    /// This peer is known to others by `addr`, and perhaps by one of the other family: it is not asked itself.
    pub fn set_own_address(&mut self, addr: PeerAddr) {
        self.candidates.own.set_known_by(addr);
    }

    /// This peer listens there.
    pub fn set_listening(&mut self, listening: Listening) {
        self.candidates.own.set_listening(listening);
    }

    /// The peer has said how long the `.cascade` file is, in front of a part.
    pub fn handle_total(&mut self, now: Time, id: AttemptId, total: u64) {
        let Some(attempt) = self.attempt(id) else { return };
        let (candidate, offset) = (attempt.candidate, attempt.offset);
        attempt.sign_at = now;
        self.candidates.spoke(candidate);
        if self.giver == Some(id) {
            if self.total != Some(total) {
                self.spoiled(now, candidate);
            }
            return;
        }
        if offset != self.at {
            // The giver has gone on meanwhile.
            return self.leave(now, id, false);
        }
        if let Some(giver) = self.giver {
            // It has been silent for long, or this one would not have been asked.
            self.leave(now, giver, true);
        }
        if self.at > 0 && self.total.is_some_and(|told| told != total) {
            return self.spoiled(now, candidate);
        }
        (self.giver, self.total) = (Some(id), Some(total));
        let others: Vec<_> =
            self.attempts.iter().map(|attempt| attempt.id).filter(|other| *other != id).collect();
        others.into_iter().for_each(|other| self.leave(now, other, false));
    }

    /// The next `len` bytes of a part have come; whether they belong at the end of what is there. They are to be
    /// thrown away else.
    pub fn handle_bytes(&mut self, now: Time, id: AttemptId, len: u64) -> bool {
        let gives = self.giver == Some(id);
        let Some(attempt) = self.attempt(id) else { return false };
        attempt.sign_at = now;
        if !gives || len == 0 {
            return false;
        }
        attempt.gave = true;
        let candidate = attempt.candidate;
        if !self.givers.contains(&candidate) {
            self.givers.push(candidate);
        }
        self.at += len;
        true
    }

    /// A part has come to its end.
    pub fn handle_end(&mut self, now: Time, id: AttemptId) {
        let (gives, at, total) = (self.giver == Some(id), self.at, self.total);
        let Some(attempt) = self.attempt(id) else { return };
        if !gives {
            return self.leave(now, id, false);
        }
        (attempt.part_at, attempt.sign_at, attempt.offset) = (now, now, at);
        if total.is_some_and(|total| at >= total) {
            self.leave(now, id, false);
            self.checking = true;
            self.actions.push_back(Action::Check);
        } else {
            let offset = u32::try_from(at).unwrap_or(u32::MAX);
            self.actions.push_back(Action::Next { attempt: id, offset });
        }
    }

    /// The connection has ended, or must end because of what has come over it.
    pub fn handle_failed(&mut self, now: Time, id: AttemptId, failure: Failure) {
        let Some(attempt) = self.take(id) else { return };
        let (candidate, gave) = (attempt.candidate, attempt.gave);
        match failure {
            Failure::Broke => self.candidates.failed(now, candidate, gave),
            Failure::Refused(status) => self.candidates.refused(now, candidate, status),
            Failure::Lied => {
                self.candidates.lied(candidate);
                if self.givers.contains(&candidate) {
                    // What it gave before is worth no more.
                    self.restart();
                }
            }
        }
        self.end_alone(candidate);
    }

    /// Whether what is there has the right hash; or, before everything is there, that it cannot have it.
    pub fn handle_checked(&mut self, now: Time, right: bool) {
        self.checking = false;
        if right {
            self.done = true;
            self.actions.clear();
            let all: Vec<_> = self.attempts.iter().map(|attempt| attempt.id).collect();
            return all.into_iter().for_each(|id| self.leave(now, id, false));
        }
        self.wrong_rounds += 1;
        match self.givers.as_slice() {
            [liar] => self.candidates.lied(*liar),
            several => several.iter().for_each(|giver| self.candidates.suspect(*giver)),
        }
        self.restart();
    }

    /// What to do next; `None`: nothing until something happens, or [`Fetch::next_wakeup`].
    pub fn poll_action(&mut self, now: Time) -> Option<Action> {
        self.end_overdue(now);
        if self.actions.is_empty() && !self.done && !self.checking {
            self.ask_another(now);
        }
        self.actions.pop_front()
    }

    /// When to ask again what to do, if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Time {
        let overdue = self.attempts.iter().map(Attempt::overdue_at);
        let another = self.another_at(now).map(|at| at.max(self.candidates.next_at(now)));
        // What could be done now was done: a host without room, or a suspect that waits for others, is looked at again.
        let another = another.map(|at| if at <= now { now + STAGGER } else { at });
        overdue.chain(another).min().unwrap_or(now + SILENCE)
    }

    /// The peers that have given the bytes that are there.
    pub fn givers(&self) -> impl Iterator<Item = PeerAddr> {
        self.givers.iter().filter_map(|giver| self.candidates.addr(*giver))
    }

    /// Whether the file is there, and right.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Whether every known peer was asked in vain, and none is being asked.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        !self.done && !self.checking && self.attempts.is_empty() && self.candidates.all_tried()
    }

    /// Bytes that are there, and of how many.
    #[must_use]
    pub const fn progress(&self) -> (u64, Option<u64>) {
        (self.at, self.total)
    }

    /// Rounds whose bytes were wrong.
    #[must_use]
    pub const fn wrong_rounds(&self) -> u32 {
        self.wrong_rounds
    }

    /// Peers that are known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.candidates.len()
    }

    fn attempt(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.id == id)
    }

    fn take(&mut self, id: AttemptId) -> Option<Attempt> {
        let at = self.attempts.iter().position(|attempt| attempt.id == id)?;
        if self.giver == Some(id) {
            self.giver = None;
        }
        let attempt = self.attempts.swap_remove(at);
        self.candidates.end(attempt.candidate);
        Some(attempt)
    }

    /// Ends a connection from here; with `blame` its peer has failed.
    fn leave(&mut self, now: Time, id: AttemptId, blame: bool) {
        let Some(attempt) = self.take(id) else { return };
        self.actions.push_back(Action::Leave(id));
        if blame {
            self.candidates.failed(now, attempt.candidate, false);
            self.end_alone(attempt.candidate);
        }
    }

    /// A suspect's round has ended without an end of the file: nobody else goes on with its bytes.
    fn end_alone(&mut self, candidate: usize) {
        if self.alone == Some(candidate) {
            self.restart();
        }
    }

    /// Two peers contradict each other about the length.
    fn spoiled(&mut self, now: Time, candidate: usize) {
        if !self.givers.contains(&candidate) {
            self.givers.push(candidate);
        }
        self.handle_checked(now, false);
    }

    /// Begins a new round. Connections of the old one end.
    fn restart(&mut self) {
        (self.total, self.alone, self.at) = (None, None, 0);
        self.givers.clear();
        let all: Vec<_> = self.attempts.iter().map(|attempt| attempt.id).collect();
        for id in all {
            self.take(id);
            self.actions.push_back(Action::Leave(id));
        }
        self.actions.push_back(Action::Restart);
    }

    fn end_overdue(&mut self, now: Time) {
        while let Some(attempt) = self.attempts.iter().find(|attempt| attempt.overdue_at() <= now) {
            self.leave(now, attempt.id, true);
        }
    }

    /// When another peer may be asked; `None`: not before something happens.
    fn another_at(&self, now: Time) -> Option<Time> {
        let idle = self.done || self.checking;
        if idle || self.attempts.len() >= MAX_AT_ONCE || (self.alone.is_some() && !self.attempts.is_empty()) {
            return None;
        }
        let youngest = self.attempts.iter().map(|attempt| attempt.begun_at + STAGGER).max();
        let giver = self.giver.and_then(|id| self.attempts.iter().find(|attempt| attempt.id == id));
        let giver = giver.map(|giver| giver.sign_at + GIVER_PATIENCE);
        Some(youngest.into_iter().chain(giver).max().unwrap_or(now))
    }

    fn ask_another(&mut self, now: Time) {
        if self.another_at(now).is_none_or(|at| at > now) {
            return;
        }
        let Some((candidate, addr, suspect)) = self.candidates.best(now) else { return };
        if suspect {
            if !self.attempts.is_empty() {
                // Not beside others.
                return;
            }
            if self.at > 0 {
                self.restart();
            }
            self.alone = Some(candidate);
        }
        self.candidates.begin(now, candidate);
        self.last_id += 1;
        let id = AttemptId(self.last_id);
        let offset = self.at;
        self.attempts.push(Attempt {
            id,
            candidate,
            offset,
            begun_at: now,
            part_at: now,
            sign_at: now,
            gave: false,
        });
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        self.actions.push_back(Action::Ask { attempt: id, addr, offset });
    }
}

impl Attempt {
    fn overdue_at(&self) -> Time {
        (self.sign_at + SILENCE).min(self.part_at + PART_TIMEOUT)
    }
}
