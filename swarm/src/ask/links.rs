//! What is under way on each link.

use super::knowledge::Told;
use super::pipeline::{Pace, Pipeline};
use super::tuning::Tuning;
use super::{LinkId, Time};
use crate::limits::{CONNECT_TIMEOUT, NEWS_TIMEOUT};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::Block;
use core::time::Duration;

/// A question for news waits at the other end; after so long it is not there any more.
const NEWS_STALL: Duration = Duration::from_secs(NEWS_TIMEOUT.as_secs() * 2);

/// A requested block. It stays in the queue when it is lost to another link: its answer will come.
#[derive(Debug)]
struct Pending {
    block: Block,
    wanted: bool,
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    tuning: &'static Tuning,
    pub(super) peer: usize,
    pub(super) pipeline: Pipeline,
    pub(super) last_pick: Option<Block>,
    /// What the peer has told; `None` while it has not shown that it knows the extension.
    pub(super) told: Option<Told>,
    connected: bool,
    /// Requests show the extension's marker.
    marked: bool,
    /// It was asked for something.
    asked: bool,
    /// It was asked whether its peer speaks the protocol: it is asked for nothing more.
    probed: bool,
    /// Something has come over it.
    heard: bool,
    queue: VecDeque<Pending>,
    /// Entries of the queue that are not wanted any more.
    lost: usize,
    under_way: u64,
    answers: u64,
    was_pipelined: bool,
    opened: Time,
    /// Bytes of verified blocks that came from it.
    gave: u64,
    last_byte: Time,
    /// When [`Tuning::progress_len`] more had come, or a whole answer; and what has come since.
    last_progress: Time,
    since_progress: u64,
    /// A block was taken from it because it was silent, and nothing has come since.
    robbed: bool,
    usual_wait: Duration,
}

impl Link {
    fn connected(&mut self, now: Time) {
        self.connected = true;
        self.last_byte = now;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// A request leaves. `usual_wait`: how long the links' first bytes take of late.
    fn requested(&mut self, now: Time, block: Block, length: u64, usual_wait: Duration) {
        self.asked = true;
        self.usual_wait = usual_wait;
        let idle = self.queue.is_empty();
        self.pipeline.requested(now, idle);
        if idle {
            (self.last_byte, self.last_progress, self.since_progress) = (now, now, 0);
        }
        self.queue.push_back(Pending { block, wanted: true });
        self.was_pipelined |= self.queue.len() > 1;
        self.under_way += length;
        self.last_pick = Some(block);
    }

    /// Whether it may be asked for news now.
    pub(super) fn may_poll(&self, now: Time) -> bool {
        // To ask for news is to decline what is offered.
        let ready =
            |told: &Told| !told.polling && !told.leaves && told.offered.is_empty() && now >= told.poll_at;
        self.connected && self.queue.is_empty() && self.told.as_ref().is_some_and(ready)
    }

    /// A question for news leaves.
    pub(super) fn polls(&mut self, now: Time) {
        if let Some(told) = &mut self.told {
            told.poll_begins(now);
            self.asked = true;
            if self.queue.is_empty() {
                self.last_byte = now;
            }
        }
    }

    /// The peer refused `block`: whether it has it all the same, and is left alone for a moment.
    pub(super) fn is_busy_elsewhere(&mut self, now: Time, block: Block) -> bool {
        let told = self.told.as_mut().filter(|told| told.may_give(block));
        if let Some(told) = told {
            told.busy_until = now + self.tuning.busy_pause;
            return true;
        }
        false
    }

    /// Until when the peer has enough to do.
    pub(super) fn busy_until(&self) -> Time {
        self.told.as_ref().map_or(Time::ZERO, |told| told.busy_until)
    }

    fn is_polling(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.polling)
    }

    /// Bytes arrive; see [`Pipeline::received`].
    pub(super) fn received(&mut self, now: Time, bytes: u64) -> Option<Duration> {
        (self.last_byte, self.heard) = (now, true);
        self.since_progress += bytes;
        if self.since_progress >= self.tuning.progress_len {
            (self.last_progress, self.since_progress) = (now, 0);
        }
        self.pipeline.received(now, bytes)
    }

    /// Whether, with what has just arrived, enough has come to speak of.
    pub(super) fn has_progressed(&self, now: Time) -> bool {
        self.heard && self.last_progress == now && self.since_progress == 0
    }

    /// The answer for `block` is complete; tells whether it was still wanted from this link.
    fn answered(&mut self, block: Block, length: u64, refused: bool) -> bool {
        let Some(at) = self.queue.iter().position(|pending| pending.block == block) else { return false };
        let wanted = self.queue.remove(at).is_some_and(|pending| pending.wanted);
        self.lost -= usize::from(!wanted);
        self.under_way = self.under_way.saturating_sub(length);
        if !refused {
            self.pipeline.answered(self.last_byte);
        }
        self.answers += 1;
        (self.last_progress, self.since_progress) = (self.last_byte, 0);
        wanted
    }

    /// A verified block of `bytes` came from it.
    pub(super) fn gave(&mut self, bytes: u64) {
        (self.gave, self.robbed) = (self.gave + bytes, false);
        self.told.iter_mut().for_each(|told| told.useful = true);
    }

    /// A block is taken from it because it is silent.
    pub(super) fn robbed(&mut self) {
        self.robbed = true;
    }

    /// Whether it may take blocks from others.
    pub(super) fn may_rob(&self) -> bool {
        !self.robbed
    }

    pub(super) fn has_given(&self) -> bool {
        self.gave > 0
    }

    /// Bytes a second that it has given since it was opened.
    pub(super) fn yields(&self, now: Time) -> u64 {
        self.gave * 1000
            / u64::try_from(now.saturating_sub(self.opened).as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// When it was opened.
    pub(super) fn opened(&self) -> Time {
        self.opened
    }

    /// Whether an answer is under way for `block` that is not wanted any more. It must be over before the
    /// block is asked of this link again: the two answers could not be told apart.
    pub(super) fn owes_lost(&self, block: Block) -> bool {
        self.lost > 0 && self.queue.iter().any(|pending| pending.block == block)
    }

    /// `block` is asked of another link now.
    pub(super) fn lost(&mut self, block: Block) {
        if let Some(pending) = self.queue.iter_mut().find(|pending| pending.block == block && pending.wanted)
        {
            pending.wanted = false;
            self.lost += 1;
        }
    }

    /// The requested blocks that are still wanted from this link, the next one first.
    pub(super) fn wanted(&self) -> impl DoubleEndedIterator<Item = Block> + '_ {
        self.queue.iter().filter(|pending| pending.wanted).map(|pending| pending.block)
    }

    /// The block whose answer is the next.
    pub(super) fn owed(&self) -> Option<Block> {
        self.queue.front().map(|pending| pending.block)
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers
    }

    pub(super) fn was_pipelined(&self) -> bool {
        self.was_pipelined
    }

    /// Whether its requests show the extension's marker.
    pub(super) fn is_marked(&self) -> bool {
        self.marked
    }

    /// Whether it was asked for anything.
    pub(super) fn was_asked(&self) -> bool {
        self.asked
    }

    /// Whether it was only asked whether its peer speaks the protocol. Others are not kept waiting for that.
    pub(super) fn is_probed(&self) -> bool {
        self.probed
    }

    /// Since when nothing at all has come over it, if nothing ever has.
    pub(super) fn silent_since(&self) -> Option<Time> {
        (!self.heard).then_some(self.opened)
    }

    /// Whether its peer, which closes after each answer, is about to do so.
    pub(super) fn is_closing(&self, now: Time) -> bool {
        self.answers > 0 && now < self.last_byte + self.tuning.close_grace
    }

    /// Number of requests under way.
    pub(super) fn requests(&self) -> usize {
        self.queue.len()
    }

    /// Bytes under way.
    pub(super) fn under_way(&self) -> u64 {
        self.under_way
    }

    /// Whether the peer owes an answer and has sent nothing for a while.
    pub(super) fn is_stalling(&self, now: Time) -> bool {
        !self.queue.is_empty() && now >= self.last_progress + self.patience()
    }

    /// How long the peer has owed an answer without sending anything to speak of; zero where it owes none.
    pub(super) fn silence(&self, now: Time) -> Duration {
        if self.queue.is_empty() { Duration::ZERO } else { now.saturating_sub(self.last_progress) }
    }

    /// How much longer than usual that is.
    pub(super) fn unusual_silence(&self, now: Time) -> Duration {
        self.silence(now).saturating_sub(self.usual_wait)
    }

    /// Whether nothing more is to be hoped of the link.
    pub(super) fn is_stalled(&self, now: Time) -> bool {
        if !self.connected {
            return now >= self.last_byte + CONNECT_TIMEOUT * 2;
        }
        if self.queue.is_empty() {
            return self.is_polling() && now >= self.last_byte + NEWS_STALL;
        }
        let all_lost = self.is_stalling(now) && self.wanted().next().is_none();
        all_lost || (!self.queue.is_empty() && now >= self.last_byte + self.tuning.stall_timeout)
    }

    /// How long a silence of this peer is nothing special.
    pub(super) fn patience(&self) -> Duration {
        self.tuning
            .stall_after
            .max(self.pipeline.round_trip() * self.tuning.stall_trips)
            .max(self.usual_wait * self.tuning.stall_waits)
            .min(self.tuning.max_stall)
    }

    /// When time alone changes something about the link.
    pub(super) fn next_wakeup(&self, now: Time) -> Option<Time> {
        if !self.connected {
            return Some(self.last_byte + CONNECT_TIMEOUT * 2);
        }
        let owed = !self.queue.is_empty();
        if !owed {
            let busy = Some(self.busy_until()).filter(|until| *until > now);
            let poll = match &self.told {
                Some(told) if told.polling => Some(self.last_byte + NEWS_STALL),
                Some(told) if told.leaves => None,
                Some(told) => Some(told.poll_at).filter(|at| *at > now),
                None => {
                    Some(self.last_byte + self.tuning.close_grace).filter(|at| *at > now && self.answers == 1)
                }
            };
            return [busy, poll].into_iter().flatten().min();
        }
        // A silence matters when it has lasted one, two, four … patiences.
        let patience = self.patience();
        let mut silences = (0..6).map(|doubling| self.last_progress + patience * (1 << doubling));
        let silence = silences.find(|time| *time > now);
        let stall = Some(self.last_byte + self.tuning.stall_timeout).filter(|time| *time > now);
        [silence, stall].into_iter().flatten().min()
    }
}

/// All links, made or being made. They are few and looked at all the time: two lists, in the order of their
/// numbers.
#[derive(Debug)]
pub(super) struct Links {
    tuning: &'static Tuning,
    ids: Vec<LinkId>,
    links: Vec<Link>,
    next: u64,
    /// Sums that are asked for with every request: links that are made, and bytes under way on all.
    connected: usize,
    under_way: u64,
    /// See [`Links::round_trip`].
    round_trip: Duration,
}

impl Links {
    pub(super) fn new(tuning: &'static Tuning) -> Self {
        let (ids, links) = (Vec::new(), Vec::new());
        Self { tuning, ids, links, next: 0, connected: 0, under_way: 0, round_trip: Duration::ZERO }
    }

    /// A new link to `peer`, not made yet, with `marked` requests or not; links to it had this pace.
    pub(super) fn open(&mut self, now: Time, peer: usize, marked: bool, pace: Pace) -> LinkId {
        let id = LinkId(self.next);
        self.next += 1;
        let link = Link {
            tuning: self.tuning,
            peer,
            pipeline: Pipeline::going_on(self.tuning, pace),
            last_pick: None,
            told: None,
            connected: false,
            marked,
            asked: false,
            probed: false,
            heard: false,
            queue: VecDeque::new(),
            lost: 0,
            under_way: 0,
            answers: 0,
            was_pipelined: false,
            opened: now,
            gave: 0,
            last_byte: now,
            last_progress: now,
            since_progress: 0,
            robbed: false,
            usual_wait: Duration::ZERO,
        };
        // Its number is the highest.
        self.ids.push(id);
        self.links.push(link);
        id
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.links.get(self.ids.binary_search(&id).ok()?)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(self.ids.binary_search(&id).ok()?)
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Link> {
        let at = self.ids.binary_search(&id).ok()?;
        self.ids.remove(at);
        let link = self.links.remove(at);
        self.connected -= usize::from(link.connected);
        self.under_way -= link.under_way;
        Some(link)
    }

    /// See [`Link::connected`].
    pub(super) fn connect(&mut self, now: Time, id: LinkId) {
        if let Ok(at) = self.ids.binary_search(&id)
            && let Some(link) = self.links.get_mut(at)
        {
            self.connected += usize::from(!link.connected);
            link.connected(now);
        }
    }

    /// See [`Link::requested`].
    pub(super) fn requested(
        &mut self,
        now: Time,
        id: LinkId,
        block: Block,
        length: u64,
        usual_wait: Duration,
    ) {
        if let Some(link) = self.get_mut(id) {
            link.requested(now, block, length, usual_wait);
            self.under_way += length;
        }
    }

    /// The link is asked whether it speaks the protocol.
    pub(super) fn probed(&mut self, id: LinkId) {
        if let Some(link) = self.get_mut(id) {
            (link.asked, link.probed) = (true, true);
        }
    }

    /// See [`Link::answered`].
    pub(super) fn answered(&mut self, id: LinkId, block: Block, length: u64, refused: bool) -> bool {
        let Some(link) = self.get_mut(id) else { return false };
        let before = link.under_way;
        let wanted = link.answered(block, length, refused);
        let done = before - link.under_way;
        self.under_way -= done;
        wanted
    }

    /// Looks at all links; see [`Links::round_trip`].
    pub(super) fn look(&mut self) {
        let known = self.links.iter().map(|link| link.pipeline.round_trip()).filter(|trip| !trip.is_zero());
        self.round_trip = known.min().unwrap_or_default();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.ids.iter().copied().zip(&self.links)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.ids.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn connected(&self) -> usize {
        self.connected
    }

    /// Links that are being made, and of which it is not known what they will be asked for.
    pub(super) fn unasked(&self) -> usize {
        self.links.iter().filter(|link| !link.connected && !link.asked).count()
    }

    /// What the peers of the links have told.
    pub(super) fn told_mut(&mut self) -> impl Iterator<Item = &mut Told> {
        self.links.iter_mut().filter_map(|link| link.told.as_mut())
    }

    /// Bytes that are asked for on all links together.
    pub(super) fn under_way(&self) -> u64 {
        self.under_way
    }

    /// The shortest round trip of all links, when [`Links::look`] was called last: the others' may have
    /// waited in queues.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Bytes a second of all links together.
    pub(super) fn rate(&self) -> f64 {
        self.links.iter().map(|link| link.pipeline.rate()).sum()
    }

    pub(super) fn next_wakeup(&self, now: Time) -> Option<Time> {
        self.links.iter().filter_map(|link| link.next_wakeup(now)).min()
    }
}
