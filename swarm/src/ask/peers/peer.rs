//! One peer: what it has shown of itself, and when it deserves a link.

use super::habits::Habits;
use super::hosts::HostId;
use super::lies::{Lies, MAX_LIES};
use super::origin::{Origins, Source};
use super::refusals::Refusals;
use crate::Time;
use crate::ask::earliest::Earliest;
use crate::ask::links::pipeline::Pace;
use crate::ask::tuning::Tuning;
use crate::limits::CONNECT_TIMEOUT;
use cascade_format::Block;
use cascade_format::PeerAddr;
use core::time::Duration;

/// After this number of failures in a row an address that only other peers told of is not tried any more, and a peer that had
/// everything counts as gone.
const MAX_FAILURES: u32 = 4;

/// Connections at once to a peer that closes each after one answer.
const LINKS_TO_CLOSER: usize = 3;

/// One peer.
#[derive(Debug)]
pub(in crate::ask) struct Peer {
    tuning: &'static Tuning,
    addr: PeerAddr,
    /// Its host, in the table of hosts.
    host: HostId,
    links: usize,
    failures: u32,
    retry_at: Time,
    banned: bool,
    /// It does not have the file.
    useless: bool,
    /// It is said, or has shown, to know the extension.
    extended: bool,
    /// It has a link to this peer.
    mutual: bool,
    /// Nobody has told of it, and it has not given anything yet: see [`Source::Guess`].
    guessed: bool,
    /// Only another peer has told of it.
    hearsay: bool,
    /// By which ways it was heard of.
    origins: Origins,
    /// The user named it.
    named: bool,
    /// It has given an answer that is one in the protocol.
    spoken: bool,
    pub(in crate::ask) habits: Habits,
    /// What its links have shown of its rate, for links that end with their first answer.
    pace: Pace,
    bytes: u64,
    pub(in crate::ask) lies: Lies,
    pub(in crate::ask) refusals: Refusals,
    garbled: usize,
}

impl Peer {
    /// One that nothing is known of but what `source` says.
    pub(in crate::ask) fn new(tuning: &'static Tuning, now: Time, addr: PeerAddr, source: Source) -> Self {
        let shown = source == Source::Swarm;
        Self {
            tuning,
            addr,
            host: HostId::default(),
            links: 0,
            failures: 0,
            retry_at: now,
            banned: false,
            useless: false,
            extended: shown,
            mutual: shown,
            guessed: source == Source::Guess,
            hearsay: false,
            origins: Origins::of(source),
            named: source == Source::User,
            spoken: false,
            habits: Habits::default(),
            pace: Pace::default(),
            bytes: 0,
            lies: Lies::default(),
            refusals: Refusals::none(tuning, now),
            garbled: 0,
        }
    }

    /// One that another peer told of, perhaps as one that knows the extension.
    pub(in crate::ask) fn by_hearsay(
        tuning: &'static Tuning,
        now: Time,
        addr: PeerAddr,
        extended: bool,
    ) -> Self {
        Self { extended, hearsay: true, guessed: false, ..Self::new(tuning, now, addr, Source::Guess) }
    }

    /// Its address was heard of again.
    pub(in crate::ask) fn told_of(&mut self, now: Time, source: Source) {
        self.origins.add(source);
        self.named |= source == Source::User;
        if source != Source::Guess && (self.guessed || self.hearsay) {
            self.banned &= !self.lies.is_empty() || self.garbled > 0;
            (self.guessed, self.hearsay) = (false, false);
        }
        match source {
            Source::User => self.retry_at = now,
            // It is there, whatever was found when it was tried.
            Source::Swarm if self.lies.is_empty() => {
                self.retry_at = self.retry_at.min(now + self.tuning.pause);
            }
            Source::Swarm | Source::Lan | Source::Tracker(_) | Source::Guess => {}
        }
    }

    pub(in crate::ask) fn addr(&self) -> PeerAddr {
        self.addr
    }

    pub(in crate::ask) fn link_opened(&mut self) {
        self.links += 1;
    }

    pub(in crate::ask) fn link_ended(&mut self) {
        self.links = self.links.saturating_sub(1);
    }

    /// A verified block of `bytes` came from this peer.
    pub(in crate::ask) fn delivered(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.lies.end_row();
        self.refusals.end_row();
        self.guessed = false;
        self.failures = 0;
        self.useless = false;
    }

    /// Whether the peer may be asked for news before it has told any.
    pub(in crate::ask) fn may_tell(&self) -> bool {
        self.extended && self.habits.takes_marks()
    }

    /// Whether it has spoken the protocol, and is not asked for news.
    pub(super) fn speaks_plainly(&self) -> bool {
        self.spoken && !self.may_tell()
    }

    /// The peer has shown whether it knows the extension.
    pub(in crate::ask) fn set_extended(&mut self, extended: bool) {
        self.extended = extended;
    }

    /// The peer told that it leaves.
    pub(in crate::ask) fn left(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + self.tuning.back_off(MAX_FAILURES));
    }

    /// Others may give more: it is left alone for a while.
    pub(in crate::ask) fn rests(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + self.tuning.max_pause);
    }

    /// Whether it makes sense to ask this peer for `block`.
    pub(in crate::ask) fn may_have(&self, now: Time, block: Block) -> bool {
        self.lies.may_ask(now, block) && !self.refusals.lacks(now, block)
    }

    /// Whether there are blocks that it said to lack, or sent wrong: time alone may change what it is asked for.
    pub(in crate::ask) fn lacks_anything(&self) -> bool {
        self.refusals.lacks_anything() || !self.lies.is_empty()
    }

    /// Whether it has given an answer that is one in the protocol.
    pub(in crate::ask) fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// See [`Peer::has_spoken`]; [`super::peers::Peers::spoke`] counts it.
    pub(in crate::ask) fn spoke(&mut self) {
        self.spoken = true;
    }

    /// Whether the user named it.
    pub(in crate::ask) fn is_named(&self) -> bool {
        self.named
    }

    /// Whether it has spoken the protocol, or was named by the user.
    pub(in crate::ask) fn is_shown(&self) -> bool {
        self.spoken || self.named
    }

    /// By which ways it was heard of.
    pub(in crate::ask) fn origins(&self) -> Origins {
        self.origins
    }

    /// Links to it, made or being made.
    pub(in crate::ask) fn links(&self) -> usize {
        self.links
    }

    /// Its host, in the table of hosts.
    pub(in crate::ask) fn host(&self) -> HostId {
        self.host
    }

    /// It lives on this host.
    pub(in crate::ask) fn lives_on(&mut self, host: HostId) {
        self.host = host;
    }

    /// It is not to be tried before.
    pub(in crate::ask) fn put_off(&mut self, until: Time) {
        self.retry_at = self.retry_at.max(until);
    }

    /// Failures in a row.
    pub(in crate::ask) fn failures(&self) -> u32 {
        self.failures
    }

    /// When it may be tried again.
    pub(in crate::ask) fn retry_at(&self) -> Time {
        self.retry_at
    }

    /// What its links have shown of its rate; see [`Peer::remember_pace`].
    pub(in crate::ask) fn pace(&self) -> Pace {
        self.pace
    }

    /// A link to it ends that has shown this.
    pub(in crate::ask) fn remember_pace(&mut self, pace: Pace) {
        if pace.rate > 0.0 {
            self.pace = pace;
        }
    }

    /// Whether the peer has given something.
    pub(in crate::ask) fn has_given(&self) -> bool {
        self.bytes > 0
    }

    /// Bytes of verified blocks that came from it.
    pub(in crate::ask) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether its place may go to another: it has been tried, and is of no use.
    pub(in crate::ask) fn is_forgettable(&self) -> bool {
        self.links == 0 && self.bytes == 0 && self.failures > 0 && !self.banned && !self.named
    }

    /// Whether it has neither failed nor lied so far.
    pub(in crate::ask) fn is_untried(&self) -> bool {
        !self.banned && !self.useless && self.failures == 0 && self.lies.is_empty()
    }

    /// Whether it sent wrong blocks, and will be asked again for one.
    pub(in crate::ask) fn is_to_be_asked_again(&self) -> bool {
        !self.banned && self.failures == 0 && self.lies.any_other_try()
    }

    /// Whether `block`, which it is not known to lack, may still come from it: it is there, or may be, and has
    /// not sent the block wrong. With `at_all`, also if it is gone, and had everything that it was asked for.
    pub(in crate::ask) fn may_offer(&self, block: Block, at_all: bool) -> bool {
        let had_all = self.bytes > 0 && !self.refusals.any();
        let there = self.failures < MAX_FAILURES && (had_all || (self.lies.is_empty() && self.failures == 0));
        let honest = !self.banned && !self.useless && !self.lies.too_many() && !self.lies.contains(block);
        honest && !self.refusals.any() && (there || (at_all && had_all))
    }

    /// Wrong blocks that it sent.
    pub(in crate::ask) fn wrong_blocks(&self) -> u64 {
        self.lies.count()
    }

    /// Whether it is a linked leecher that tells nothing of itself.
    pub(in crate::ask) fn is_plain_leecher(&self) -> bool {
        self.refusals.any() && self.links > 0 && !self.extended
    }

    /// Whether the peer is a leecher that has given something.
    pub(in crate::ask) fn is_giving_leecher(&self) -> bool {
        self.refusals.any() && self.bytes > 0 && self.links > 0
    }

    /// The peer did not do what it should, without lying.
    pub(in crate::ask) fn failed(&mut self, now: Time) {
        // A guess is tried once.
        self.banned |= self.guessed || (self.hearsay && self.bytes == 0 && self.failures >= MAX_FAILURES);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = self.retry_at.max(now + self.tuning.back_off(self.failures - 1));
    }

    /// No way leads to the peer. That will not change soon, unless a way has led to it before: then this machine has lost
    /// its network, and may have one again at any time. A try costs nothing meanwhile, because nothing is sent; there
    /// are as many as if each had been waited for.
    pub(in crate::ask) fn is_out_of_reach(&mut self, now: Time) {
        let before = self.retry_at;
        self.failed(now);
        if self.spoken {
            self.retry_at = self.retry_at.min(now + CONNECT_TIMEOUT).max(before);
        } else {
            self.put_off(now + self.tuning.max_pause);
        }
    }

    /// Another peer was reached when none was linked: if this one failed meanwhile, the network may have been away.
    pub(in crate::ask) fn may_be_back(&mut self, now: Time) {
        if self.spoken && self.failures > 0 && self.links == 0 && self.lies.is_empty() {
            self.retry_at = self.retry_at.min(now + self.tuning.pause);
        }
    }

    /// The peer does not have the file; it may be starting.
    pub(in crate::ask) fn useless(&mut self, now: Time) {
        self.useless = true;
        self.failed(now);
    }

    /// The peer sent a wrong `block`.
    pub(in crate::ask) fn lied_about(&mut self, now: Time, block: Block) {
        self.lies.add(block);
        self.retry_at = now + self.tuning.max_pause;
    }

    /// Nobody else has `block`, which it sent wrong: it is asked again after `pause`, and for other blocks sooner.
    pub(in crate::ask) fn ask_again(&mut self, now: Time, block: Block, pause: Duration) {
        let rest = self.lies.ask_again(self.tuning, now, block, pause);
        self.retry_at = self.retry_at.min(now + rest);
    }

    /// The peer sent what is no answer to a question with a marker. It may be one of version 1 with statuses of
    /// its own; one that goes on so is left alone.
    pub(in crate::ask) fn garbled(&mut self, now: Time) {
        self.garbled += 1;
        self.banned |= self.garbled >= MAX_LIES;
        self.failed(now);
    }

    /// The peer broke the protocol in a way that no honest peer does.
    pub(in crate::ask) fn banned(&mut self) {
        self.banned = true;
    }

    fn max_links(&self) -> usize {
        if self.habits.closes() { LINKS_TO_CLOSER } else { 1 }
    }

    fn wants_link(&self) -> bool {
        let honest = !self.lies.too_many() || self.is_to_be_asked_again();
        !self.banned && honest && self.links < self.max_links()
    }

    /// When it deserves a link; [`Time::MAX`]: it does not.
    pub(super) fn due_at(&self) -> Time {
        if !self.wants_link() {
            Time::MAX
        } else if self.habits.closes() {
            self.retry_at.max(self.refusals.pause_until())
        } else {
            self.retry_at
        }
    }

    /// Whether it has a link to this peer.
    pub(in crate::ask) fn is_mutual(&self) -> bool {
        self.mutual
    }

    /// Whether only another peer has told of it.
    pub(super) fn is_hearsay(&self) -> bool {
        self.hearsay
    }

    /// Whether nothing is known of it but that a list, or somebody, named it.
    pub(in crate::ask) fn is_mere_name(&self) -> bool {
        !self.spoken && !self.named && !self.mutual && !self.hearsay
    }

    /// When it is due for a link (if there is `room` for one), or ends a pause.
    pub(in crate::ask) fn wakeups(&self, room: bool, next: &mut Earliest) {
        let waits = room && self.wants_link();
        if waits {
            next.passes(self.retry_at);
        }
        // A link to a peer that has refused what is missing is only made when one of these refusals is believed no more.
        if self.links > 0 || self.habits.closes() || (waits && self.refusals.any()) {
            self.refusals.wakeups().into_iter().for_each(|at| next.passes(at));
        }
        self.lies.wakeups(next);
    }
}
