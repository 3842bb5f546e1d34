//! One peer: what it has shown of itself, and when it deserves a link.

use super::Time;
use cascade_format::Block;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

/// First wait after a failure; it doubles with each one in a row.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);

/// Longest wait after failures.
pub(super) const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// Wait after the first wrong block; it doubles with each one.
const LIE_BACK_OFF: Duration = Duration::from_secs(60);

/// So many wrong blocks, and the peer is left alone for good. One wrong block may be a bad sector of
/// an honest peer, whose other blocks may be needed.
const MAX_LIES: usize = 4;

/// How long it is believed that a peer lacks a block.
const LACK_BELIEVED: Duration = Duration::from_secs(5);

/// Lacking blocks remembered of one peer.
const MAX_LACKS: usize = 1024;

/// After so many refusals in a row, a peer is asked less and less often. A refusal is cheap, and one
/// block that it has pays for many.
const MANY_MISSES: u32 = 64;

/// The pause doubles after so many more refusals.
const MISSES_A_DOUBLING: u32 = 8;

/// First pause between two questions to a peer that lacks what is missing here.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How long a peer that said goodbye is left alone.
const AWAY: Duration = Duration::from_secs(20);

/// How long a peer whose link gave less than others' is left alone.
const REST: Duration = Duration::from_secs(60);

/// After so many failures in a row an address that others told of is forgotten.
const MAX_HEARSAY_FAILURES: u32 = 4;

/// Connections to a peer that closes each after one answer.
const LINKS_TO_CLOSER: usize = 3;

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The user named it.
    User,
    /// A tracker listed it.
    Tracker,
    /// It has asked this peer for blocks, and told where it listens.
    Swarm,
    /// A host that has asked this peer for blocks, and the port that the swarm's peers use.
    Guess,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    addr: SocketAddrV4,
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
    one_at_a_time: bool,
    closes: bool,
    bytes: u64,
    lies: Vec<Block>,
    garbled: usize,
    lacks: HashMap<Block, Time>,
    lacks_order: VecDeque<Block>,
    misses: u32,
    /// It has lacked a block: it is a leecher.
    missed: bool,
    pause_until: Time,
    /// When what it lacked last is believed no more.
    recheck_at: Time,
}

impl Peer {
    /// One that nothing is known of but what `source` says.
    pub(super) fn new(now: Time, addr: SocketAddrV4, source: Source) -> Self {
        let shown = source == Source::Swarm;
        Self {
            addr,
            links: 0,
            failures: 0,
            retry_at: now,
            banned: false,
            useless: false,
            extended: shown,
            mutual: shown,
            guessed: source == Source::Guess,
            hearsay: false,
            one_at_a_time: false,
            closes: false,
            bytes: 0,
            lies: Vec::new(),
            garbled: 0,
            lacks: HashMap::new(),
            lacks_order: VecDeque::new(),
            misses: 0,
            missed: false,
            pause_until: now,
            recheck_at: now,
        }
    }

    /// One that another peer told of, perhaps as one that knows the extension.
    pub(super) fn by_hearsay(now: Time, addr: SocketAddrV4, extended: bool) -> Self {
        Self { extended, hearsay: true, ..Self::new(now, addr, Source::Tracker) }
    }

    /// Its address was heard of again.
    pub(super) fn told_of(&mut self, now: Time, source: Source) {
        if source != Source::Guess && (self.guessed || self.hearsay) {
            self.banned &= !self.lies.is_empty() || self.garbled > 0;
            (self.guessed, self.hearsay) = (false, false);
        }
        match source {
            Source::User => self.retry_at = now,
            // It is there, whatever was found when it was tried.
            Source::Swarm if self.lies.is_empty() => {
                self.retry_at = self.retry_at.min(now + FIRST_BACK_OFF);
            }
            Source::Swarm | Source::Tracker | Source::Guess => {}
        }
    }

    pub(super) fn addr(&self) -> SocketAddrV4 {
        self.addr
    }

    pub(super) fn link_opened(&mut self) {
        self.links += 1;
    }

    pub(super) fn link_ended(&mut self) {
        self.links = self.links.saturating_sub(1);
    }

    /// A verified block of `bytes` came from this peer.
    pub(super) fn delivered(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.guessed = false;
        self.failures = 0;
        self.misses = 0;
        self.useless = false;
    }

    /// The peer said that it lacks `block`, which may change.
    pub(super) fn lacks(&mut self, now: Time, block: Block, believed: Duration) {
        let believed = believed.min(LACK_BELIEVED);
        if self.lacks.insert(block, now + believed).is_none() {
            self.lacks_order.push_back(block);
        }
        if self.lacks_order.len() > MAX_LACKS
            && let Some(oldest) = self.lacks_order.pop_front()
        {
            self.lacks.remove(&oldest);
        }
        self.misses += 1;
        self.missed = true;
        self.recheck_at = now + believed;
        if self.misses >= MANY_MISSES {
            let doublings = ((self.misses - MANY_MISSES) / MISSES_A_DOUBLING).min(16);
            let pause = FIRST_PAUSE * (1 << doublings);
            self.pause_until = now + pause.min(MAX_PAUSE);
        }
    }

    /// The peer told that it has `block` now.
    pub(super) fn gained(&mut self, block: Block) {
        self.lacks.remove(&block);
        self.misses = 0;
        self.pause_until = Time::ZERO;
    }

    /// The peer told that it has every block, and gives any.
    pub(super) fn lacks_nothing(&mut self) {
        self.lacks.clear();
        self.lacks_order.clear();
        self.misses = 0;
        self.pause_until = Time::ZERO;
    }

    /// Whether the peer may be asked for news before it has told any.
    pub(super) fn is_extended(&self) -> bool {
        self.extended
    }

    /// The peer has shown whether it knows the extension.
    pub(super) fn set_extended(&mut self, extended: bool) {
        self.extended = extended;
    }

    /// The peer told that it leaves.
    pub(super) fn left(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + AWAY);
    }

    /// Others may give more: it is left alone for a while.
    pub(super) fn rests(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + REST);
    }

    /// Whether it makes sense to ask this peer for `block`.
    pub(super) fn may_have(&self, now: Time, block: Block) -> bool {
        !self.lies.contains(&block) && self.lacks.get(&block).is_none_or(|until| *until <= now)
    }

    /// Whether there are blocks that it said to lack.
    pub(super) fn lacks_anything(&self) -> bool {
        !self.lacks.is_empty()
    }

    /// Whether the peer has refused so often that it should be left in peace for the moment.
    pub(super) fn is_paused(&self, now: Time) -> bool {
        now < self.pause_until
    }

    /// Whether only one request may be under way.
    pub(super) fn takes_one_at_a_time(&self) -> bool {
        self.one_at_a_time
    }

    /// Whether the peer has given something.
    pub(super) fn has_given(&self) -> bool {
        self.bytes > 0
    }

    /// Bytes of verified blocks that came from it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether its place may go to another: it has been tried, and is of no use.
    pub(super) fn is_forgettable(&self) -> bool {
        self.links == 0 && self.bytes == 0 && self.failures > 0 && !self.banned
    }

    /// Whether it has neither failed nor lied so far.
    pub(super) fn is_untried(&self) -> bool {
        !self.banned && !self.useless && self.failures == 0 && self.lies.is_empty()
    }

    /// Whether it is a linked leecher that tells nothing of itself.
    pub(super) fn is_plain_leecher(&self) -> bool {
        self.missed && self.links > 0 && !self.extended
    }

    /// Whether the peer is a leecher that has given something.
    pub(super) fn is_giving_leecher(&self) -> bool {
        self.missed && self.bytes > 0 && self.links > 0
    }

    /// Whether the peer has had every block that it was asked for.
    pub(super) fn never_missed(&self) -> bool {
        !self.missed
    }

    /// Refusals in a row.
    pub(super) fn misses(&self) -> u32 {
        self.misses
    }

    /// The peer cannot read several requests at once.
    pub(super) fn one_at_a_time(&mut self) {
        self.one_at_a_time = true;
    }

    /// A connection ended without fault after `answers` answers.
    pub(super) fn closed_after(&mut self, answers: u64) {
        if answers == 1 {
            self.closes = true;
            self.one_at_a_time = true;
        }
    }

    /// The peer did not do what it should, without lying.
    pub(super) fn failed(&mut self, now: Time) {
        // A guess is tried once.
        self.banned |=
            self.guessed || (self.hearsay && self.bytes == 0 && self.failures >= MAX_HEARSAY_FAILURES);
        self.failures = self.failures.saturating_add(1);
        let wait = FIRST_BACK_OFF * (1 << self.failures.saturating_sub(1).min(6));
        self.retry_at = self.retry_at.max(now + wait.min(MAX_BACK_OFF));
    }

    /// The peer does not have the file; it may be starting.
    pub(super) fn useless(&mut self, now: Time) {
        self.useless = true;
        self.failed(now);
    }

    /// The peer sent a wrong `block`.
    pub(super) fn lied_about(&mut self, now: Time, block: Block) {
        let doublings = u32::try_from(self.lies.len()).unwrap_or(u32::MAX).min(8);
        self.lies.push(block);
        self.retry_at = now + LIE_BACK_OFF * (1 << doublings);
        self.banned |= self.lies.len() >= MAX_LIES;
    }

    /// The peer sent what is no answer to a question with a marker. It may be one of version 1 with statuses of
    /// its own; one that goes on so is left alone.
    pub(super) fn garbled(&mut self, now: Time) {
        self.garbled += 1;
        self.banned |= self.garbled >= MAX_LIES;
        self.failed(now);
    }

    /// The peer broke the protocol in a way that no honest peer does.
    pub(super) fn banned(&mut self) {
        self.banned = true;
    }

    fn max_links(&self) -> usize {
        if self.closes { LINKS_TO_CLOSER } else { 1 }
    }

    fn wants_link(&self) -> bool {
        !self.banned && self.links < self.max_links()
    }

    /// Whether it deserves a link now, where only peers count that have a link to this one, or all.
    pub(super) fn is_due(&self, now: Time, only_mutual: bool) -> bool {
        let rests = self.retry_at > now || (self.closes && self.is_paused(now));
        self.wants_link() && !rests && (self.mutual || !only_mutual)
    }

    /// When it is due for a link (if there is `room` for one), or ends a pause.
    pub(super) fn next_wakeup(&self, now: Time, room: bool) -> Option<Time> {
        let retry = (room && self.wants_link()).then_some(self.retry_at);
        let asked = self.links > 0 || self.closes;
        let pauses = asked.then_some([self.pause_until, self.recheck_at]);
        retry.into_iter().chain(pauses.into_iter().flatten()).filter(|time| *time > now).min()
    }

    /// Better ones first: those that gave something, those that are more than hearsay, those never tried, those
    /// that have a link to this peer (so that everybody has about as many who ask as it asks).
    pub(super) fn rank(&self) -> (bool, bool, u32, bool, usize) {
        (self.bytes == 0, self.hearsay, self.failures, !self.mutual, self.links)
    }
}
