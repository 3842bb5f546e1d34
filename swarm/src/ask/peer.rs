//! One peer: what it has shown of itself, and when it deserves a link.

use super::Time;
use super::hosts::HostId;
use super::origin::{Origins, Source};
use super::pipeline::Pace;
use super::tuning::Tuning;
use alloc::collections::VecDeque;
use cascade_format::Block;
use core::net::SocketAddrV4;
use core::time::Duration;
use hashbrown::HashMap;

/// So many wrong blocks, and the peer is left alone for good. One wrong block may be a bad sector of
/// an honest peer, whose other blocks may be needed.
const MAX_LIES: usize = 4;

/// Lacking blocks remembered of one peer.
const MAX_LACKS: usize = 1024;

/// See [`Peer::rank`].
pub(super) type Rank = (bool, bool, usize, bool, u32, bool, usize);

/// Whether requests to a peer show the extension's marker. Some peers take nothing but zeros there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marking {
    /// They do; it has not refused that.
    Marked,
    /// They do not: a marked one was answered with status 4.
    Plain,
    /// They do again: it answers status 4 to zeros as well.
    Either,
}

/// A block that a peer sent wrong.
#[derive(Debug, Clone, Copy)]
struct Lie {
    times: u32,
    /// When it may be asked of this peer again, where nobody else has it.
    again: Option<Time>,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    tuning: &'static Tuning,
    addr: SocketAddrV4,
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
    one_at_a_time: bool,
    closes: bool,
    marking: Marking,
    /// What its links have shown of its rate, for links that end with their first answer.
    pace: Pace,
    bytes: u64,
    lies: HashMap<Block, Lie>,
    /// Wrong blocks since the last right one.
    lies_in_a_row: u32,
    garbled: usize,
    lacks: HashMap<Block, Time>,
    lacks_order: VecDeque<Block>,
    misses: u32,
    /// It has lacked a block: it is a leecher.
    missed: bool,
    pause_until: Time,
    /// When the first of the blocks that it lacked is believed to be lacking no more.
    recheck_at: Time,
    /// When the last of them is. A look at it in between may pass over all that it may be asked for; this one does not.
    lacks_until: Time,
}

impl Peer {
    /// One that nothing is known of but what `source` says.
    pub(super) fn new(tuning: &'static Tuning, now: Time, addr: SocketAddrV4, source: Source) -> Self {
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
            one_at_a_time: false,
            closes: false,
            marking: Marking::Marked,
            pace: Pace::default(),
            bytes: 0,
            lies: HashMap::new(),
            lies_in_a_row: 0,
            garbled: 0,
            lacks: HashMap::new(),
            lacks_order: VecDeque::new(),
            misses: 0,
            missed: false,
            pause_until: now,
            recheck_at: now,
            lacks_until: now,
        }
    }

    /// One that another peer told of, perhaps as one that knows the extension.
    pub(super) fn by_hearsay(tuning: &'static Tuning, now: Time, addr: SocketAddrV4, extended: bool) -> Self {
        Self { extended, hearsay: true, guessed: false, ..Self::new(tuning, now, addr, Source::Guess) }
    }

    /// Its address was heard of again.
    pub(super) fn told_of(&mut self, now: Time, source: Source) {
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
                self.retry_at = self.retry_at.min(now + self.tuning.first_back_off);
            }
            Source::Swarm | Source::Tracker(_) | Source::Guess => {}
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
        self.lies_in_a_row = 0;
        self.guessed = false;
        self.failures = 0;
        self.misses = 0;
        self.useless = false;
    }

    /// The peer said that it lacks `block`, which may change.
    pub(super) fn lacks(&mut self, now: Time, block: Block, believed: Duration) {
        let believed = believed.min(self.tuning.lack_believed);
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
        let end = now + believed;
        self.recheck_at = if self.recheck_at > now { self.recheck_at.min(end) } else { end };
        self.lacks_until = self.lacks_until.max(end);
        if self.misses >= self.tuning.many_misses {
            let doublings = ((self.misses - self.tuning.many_misses) / self.tuning.misses_a_doubling).min(16);
            let pause = self.tuning.first_miss_pause * (1 << doublings);
            self.pause_until = now + pause.min(self.tuning.max_miss_pause);
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
    pub(super) fn may_tell(&self) -> bool {
        self.extended && self.takes_marks()
    }

    /// The peer has shown whether it knows the extension.
    pub(super) fn set_extended(&mut self, extended: bool) {
        self.extended = extended;
    }

    /// The peer told that it leaves.
    pub(super) fn left(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + self.tuning.away);
    }

    /// Others may give more: it is left alone for a while.
    pub(super) fn rests(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + self.tuning.rest);
    }

    /// Whether it makes sense to ask this peer for `block`.
    pub(super) fn may_have(&self, now: Time, block: Block) -> bool {
        let again = self.lies.is_empty()
            || self.lies.get(&block).is_none_or(|lie| lie.again.is_some_and(|again| again <= now));
        again && self.lacks.get(&block).is_none_or(|until| *until <= now)
    }

    /// Whether there are blocks that it said to lack, or sent wrong: time alone may change what it is asked for.
    pub(super) fn lacks_anything(&self) -> bool {
        !self.lacks.is_empty() || !self.lies.is_empty()
    }

    /// Whether the peer has refused so often that it should be left in peace for the moment.
    pub(super) fn is_paused(&self, now: Time) -> bool {
        now < self.pause_until
    }

    /// Whether only one request may be under way.
    pub(super) fn takes_one_at_a_time(&self) -> bool {
        self.one_at_a_time || self.closes
    }

    /// Whether it closes each connection after one answer.
    pub(super) fn closes(&self) -> bool {
        self.closes
    }

    /// Whether it has given an answer that is one in the protocol.
    pub(super) fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// See [`Peer::has_spoken`]; [`super::peers::Peers::spoke`] counts it.
    pub(super) fn spoke(&mut self) {
        self.spoken = true;
    }

    /// Whether the user named it.
    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// By which ways it was heard of.
    pub(super) fn origins(&self) -> Origins {
        self.origins
    }

    /// Links to it, made or being made.
    pub(super) fn links(&self) -> usize {
        self.links
    }

    /// Its host, in the table of hosts.
    pub(super) fn host(&self) -> HostId {
        self.host
    }

    /// It lives on this host.
    pub(super) fn lives_on(&mut self, host: HostId) {
        self.host = host;
    }

    /// It is not to be tried before.
    pub(super) fn put_off(&mut self, until: Time) {
        self.retry_at = self.retry_at.max(until);
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// When it may be tried again.
    pub(super) fn retry_at(&self) -> Time {
        self.retry_at
    }

    /// What its links have shown of its rate; see [`Peer::remember_pace`].
    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// A link to it ends that has shown this.
    pub(super) fn remember_pace(&mut self, pace: Pace) {
        if pace.rate > 0.0 {
            self.pace = pace;
        }
    }

    /// Whether requests to it show the extension's marker.
    pub(super) fn takes_marks(&self) -> bool {
        self.marking != Marking::Plain
    }

    /// It answered status 4 to a request that was alone. Tells whether that may be because the request was marked:
    /// then it is asked once more without.
    pub(super) fn refused_marked(&mut self) -> bool {
        let before = self.marking;
        self.marking = if before == Marking::Marked { Marking::Plain } else { Marking::Either };
        before == Marking::Marked
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
        self.links == 0 && self.bytes == 0 && self.failures > 0 && !self.banned && !self.named
    }

    /// Whether it has neither failed nor lied so far.
    pub(super) fn is_untried(&self) -> bool {
        !self.banned && !self.useless && self.failures == 0 && self.lies.is_empty()
    }

    /// Whether it sent wrong blocks, and will be asked again for one.
    pub(super) fn is_to_be_asked_again(&self) -> bool {
        !self.banned && self.failures == 0 && self.lies.values().any(|lie| lie.again.is_some())
    }

    /// Whether `block`, which it is not known to lack, may still come from it: it is there, or may be, and has
    /// not sent the block wrong. With `at_all`, also if it is gone, and had everything that it was asked for.
    pub(super) fn may_offer(&self, block: Block, at_all: bool) -> bool {
        let had_all = self.bytes > 0 && !self.missed;
        let there = self.failures < self.tuning.gone_failures
            && (had_all || (self.lies.is_empty() && self.failures == 0));
        let honest = !self.banned && !self.useless && !self.is_liar() && !self.lies.contains_key(&block);
        honest && !self.missed && (there || (at_all && had_all))
    }

    /// Blocks that it sent wrong, and how often.
    pub(super) fn lies(&self) -> impl Iterator<Item = (Block, u32)> + '_ {
        self.lies.iter().map(|(block, lie)| (*block, lie.times))
    }

    /// Whether it sent `block` wrong.
    pub(super) fn has_lied_about(&self, block: Block) -> bool {
        self.lies.contains_key(&block)
    }

    /// Wrong blocks that it sent.
    pub(super) fn wrong_blocks(&self) -> u64 {
        self.lies.values().map(|lie| u64::from(lie.times)).sum()
    }

    fn is_liar(&self) -> bool {
        !self.lies.is_empty() && self.wrong_blocks() >= MAX_LIES as u64
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
        self.closes |= answers == 1;
    }

    /// It has answered again on a connection, and so does not close each after one answer.
    pub(super) fn keeps_open(&mut self) {
        self.closes = false;
    }

    /// The peer did not do what it should, without lying.
    pub(super) fn failed(&mut self, now: Time) {
        // A guess is tried once.
        self.banned |= self.guessed
            || (self.hearsay && self.bytes == 0 && self.failures >= self.tuning.hearsay_failures);
        self.failures = self.failures.saturating_add(1);
        let wait = self.tuning.first_back_off * (1 << self.failures.saturating_sub(1).min(6));
        self.retry_at = self.retry_at.max(now + wait.min(self.tuning.max_back_off));
    }

    /// The peer does not have the file; it may be starting.
    pub(super) fn useless(&mut self, now: Time) {
        self.useless = true;
        self.failed(now);
    }

    /// The peer sent a wrong `block`.
    pub(super) fn lied_about(&mut self, now: Time, block: Block) {
        let doublings = u32::try_from(self.wrong_blocks()).unwrap_or(u32::MAX).min(8);
        let lie = self.lies.entry(block).or_insert(Lie { times: 0, again: None });
        *lie = Lie { times: lie.times.saturating_add(1), again: None };
        self.lies_in_a_row = self.lies_in_a_row.saturating_add(1);
        self.retry_at = now + self.tuning.lie_back_off * (1 << doublings);
    }

    /// Whether `block`, which it sent wrong, is asked of it again at some time.
    pub(super) fn has_another_try(&self, block: Block) -> bool {
        self.lies.get(&block).is_some_and(|lie| lie.again.is_some())
    }

    /// Nobody else has `block`, which it sent wrong: it is asked again after `pause`, and for other blocks sooner.
    pub(super) fn ask_again(&mut self, now: Time, block: Block, pause: Duration) {
        if let Some(lie) = self.lies.get_mut(&block) {
            lie.again = Some(now + pause);
        }
        let rest = self.tuning.first_back_off * (1 << self.lies_in_a_row.saturating_sub(1).min(6));
        self.retry_at = self.retry_at.min(now + rest);
    }

    /// Somebody else may have `block`: it is not asked of this peer again.
    pub(super) fn ask_no_more(&mut self, block: Block) {
        if let Some(lie) = self.lies.get_mut(&block) {
            lie.again = None;
        }
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
        if self.closes { self.tuning.links_to_closer } else { 1 }
    }

    fn wants_link(&self) -> bool {
        let honest = !self.is_liar() || self.is_to_be_asked_again();
        !self.banned && honest && self.links < self.max_links()
    }

    /// Whether it deserves a link now.
    pub(super) fn is_due(&self, now: Time) -> bool {
        let rests = self.retry_at > now || (self.closes && self.is_paused(now));
        !rests && self.wants_link()
    }

    /// Whether it has a link to this peer.
    pub(super) fn is_mutual(&self) -> bool {
        self.mutual
    }

    /// Whether nothing is known of it but that a list, or somebody, named it.
    pub(super) fn is_mere_name(&self) -> bool {
        !self.spoken && !self.named && !self.mutual && !self.hearsay
    }

    /// When it is due for a link (if there is `room` for one), or ends a pause.
    pub(super) fn next_wakeup(&self, now: Time, room: bool) -> Option<Time> {
        let retry = (room && self.wants_link()).then_some(self.retry_at);
        let asked = self.links > 0 || self.closes;
        let pauses = asked.then_some([self.pause_until, self.recheck_at, self.lacks_until]);
        let again = self.lies.values().filter_map(|lie| lie.again).filter(|again| *again > now).min();
        let pauses = pauses.into_iter().flatten().chain(again);
        retry.into_iter().chain(pauses).filter(|time| *time > now).min()
    }

    /// Better ones first: those that gave something, those that spoke the protocol, those of whom somebody told who
    /// has few links (`rivals`) to others that never spoke, those that are more than hearsay, those never
    /// tried, those that have a link to this peer (so that everybody has about as many who ask as it asks).
    pub(super) fn rank(&self, rivals: usize) -> Rank {
        (self.bytes == 0, !self.spoken, rivals, self.hearsay, self.failures, !self.mutual, self.links)
    }
}
