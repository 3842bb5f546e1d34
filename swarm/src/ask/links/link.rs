//! One link.

use super::pipeline::{Pace, Pipeline};
use super::requests::{Asked, Requests};
use super::silence::Silence;
use super::told::Told;
use crate::Time;
use crate::ask::earliest::Earliest;
use crate::ask::tuning::Tuning;
use crate::limits::{CONNECT_TIMEOUT, NEWS_TIMEOUT};
use cascade_format::Block;
use core::time::Duration;

/// A question for news waits at the other end for [`NEWS_TIMEOUT`] at most; after twice as long it is lost.
const NEWS_STALL: Duration = Duration::from_secs(NEWS_TIMEOUT.as_secs() * 2);

/// One link.
#[derive(Debug)]
pub(in crate::ask) struct Link {
    tuning: &'static Tuning,
    /// The peer's number.
    pub(in crate::ask) peer: usize,
    pub(in crate::ask) pipeline: Pipeline,
    pub(in crate::ask) requests: Requests,
    /// What the peer has told; `None` while it has not shown that it knows the extension.
    pub(in crate::ask) told: Option<Told>,
    pub(in crate::ask) silence: Silence,
    connected: bool,
    /// Requests show the extension's marker.
    marked: bool,
    /// It was asked for something.
    asked: bool,
    /// It was asked whether its peer speaks the protocol: it is asked for nothing more.
    probed: bool,
    answers: u64,
    opened: Time,
    /// Bytes of verified blocks that came from it.
    gave: u64,
    /// A block was taken from it because it was stalled, and none has come since.
    snubbed: bool,
    /// Its peer gives slices.
    slices: bool,
}

impl Link {
    /// One to `peer` that is being made, with `marked` requests or not; links to the peer had this pace.
    pub(super) fn new(tuning: &'static Tuning, now: Time, peer: usize, marked: bool, pace: Pace) -> Self {
        Self {
            tuning,
            peer,
            pipeline: Pipeline::going_on(tuning, pace),
            requests: Requests::default(),
            told: None,
            silence: Silence::new(tuning, now),
            connected: false,
            marked,
            asked: false,
            probed: false,
            answers: 0,
            opened: now,
            gave: 0,
            snubbed: false,
            slices: false,
        }
    }

    /// Its peer gives slices: what it offers is told by their name from now on.
    pub(in crate::ask) fn begins_slices(&mut self) {
        if !core::mem::replace(&mut self.slices, true)
            && let Some(told) = &mut self.told
        {
            told.forget_offers();
        }
    }

    /// Whether its peer gives slices.
    pub(in crate::ask) fn gives_slices(&self) -> bool {
        self.slices
    }

    pub(super) fn connected(&mut self, now: Time) {
        self.connected = true;
        self.silence.begins(now);
    }

    pub(in crate::ask) fn is_connected(&self) -> bool {
        self.connected
    }

    /// A request leaves. `usual_wait`: how long the links' first bytes take of late.
    pub(super) fn requested(&mut self, now: Time, asked: Asked, usual_wait: Duration) {
        self.asked = true;
        let idle = self.requests.is_empty();
        self.pipeline.requested(now, idle);
        self.silence.requested(now, idle, usual_wait);
        self.requests.push(asked);
    }

    /// Whether it may be asked for news now.
    pub(in crate::ask) fn may_poll(&self, now: Time) -> bool {
        self.connected
            && self.requests.is_empty()
            && self.told.as_ref().is_some_and(|told| told.may_poll(now))
    }

    /// A question for news leaves.
    pub(in crate::ask) fn polls(&mut self, now: Time) {
        if let Some(told) = &mut self.told {
            told.poll_begins(now);
            self.asked = true;
            if self.requests.is_empty() {
                self.silence.begins(now);
            }
        }
    }

    /// It is asked whether its peer speaks the protocol.
    pub(in crate::ask) fn probed(&mut self) {
        (self.asked, self.probed) = (true, true);
    }

    /// The peer refused `block`: whether it has it all the same, and is left alone for a moment. A seeder that chooses
    /// may offer that very block next. `slice_of`: the block that it is a slice of, if it was asked for as a slice.
    pub(in crate::ask) fn is_busy_elsewhere(
        &mut self,
        now: Time,
        block: Block,
        slice_of: Option<Block>,
    ) -> bool {
        let Some(told) = self.told.as_mut().filter(|told| told.has_block(block)) else { return false };
        if slice_of.is_none_or(|whole| told.refuses_slice(now, whole)) {
            told.busy_until = now + self.tuning.busy_pause;
        }
        true
    }

    /// Until when the peer has enough to do.
    pub(in crate::ask) fn busy_until(&self) -> Time {
        self.told.as_ref().map_or(Time::ZERO, |told| told.busy_until)
    }

    /// Bytes arrive; see [`Pipeline::received`].
    pub(in crate::ask) fn received(&mut self, now: Time, bytes: u64) -> Option<Duration> {
        self.silence.received(now, bytes);
        self.requests.received(bytes);
        self.pipeline.received(now, bytes)
    }

    /// The answer for `block` is complete; see [`Requests::answered`].
    pub(super) fn answered(&mut self, block: Block, refused: bool) -> Option<(Asked, bool)> {
        let answered = self.requests.answered(block)?;
        if !refused {
            self.pipeline.answered(self.silence.last_byte());
        }
        self.answers += 1;
        self.silence.answered();
        Some(answered)
    }

    /// A verified block of `bytes` came from it.
    pub(in crate::ask) fn gave(&mut self, bytes: u64) {
        (self.gave, self.snubbed) = (self.gave + bytes, false);
        self.told.iter_mut().for_each(Told::gave);
    }

    /// A block is taken from it because it is stalled.
    pub(in crate::ask) fn snubbed(&mut self) {
        self.snubbed = true;
    }

    /// See [`Link::snubbed`].
    pub(in crate::ask) fn is_snubbed(&self) -> bool {
        self.snubbed
    }

    pub(in crate::ask) fn has_given(&self) -> bool {
        self.gave > 0
    }

    /// Bytes of verified blocks that came from it.
    pub(in crate::ask) fn given(&self) -> u64 {
        self.gave
    }

    /// Bytes a second that it has given since it was opened.
    pub(in crate::ask) fn yields(&self, now: Time) -> u64 {
        self.gave * 1000
            / u64::try_from(now.saturating_sub(self.opened).as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// When it was opened.
    pub(in crate::ask) fn opened(&self) -> Time {
        self.opened
    }

    pub(in crate::ask) fn answers(&self) -> u64 {
        self.answers
    }

    /// Whether its requests show the extension's marker.
    pub(in crate::ask) fn is_marked(&self) -> bool {
        self.marked
    }

    /// Whether it was asked for anything.
    pub(in crate::ask) fn was_asked(&self) -> bool {
        self.asked
    }

    /// Whether it was only asked whether its peer speaks the protocol. Others are not kept waiting for that.
    pub(in crate::ask) fn is_probed(&self) -> bool {
        self.probed
    }

    /// Since when nothing at all has come over it, if nothing ever has.
    pub(in crate::ask) fn silent_since(&self) -> Option<Time> {
        (!self.silence.was_heard()).then_some(self.opened)
    }

    /// Whether its peer, which closes after each answer, is about to do so.
    pub(in crate::ask) fn is_closing(&self, now: Time) -> bool {
        self.answers > 0 && now < self.silence.last_byte() + self.tuning.pause
    }

    /// Whether the peer owes an answer and has sent nothing for a while.
    pub(in crate::ask) fn is_stalled(&self, now: Time) -> bool {
        !self.requests.is_empty() && self.silence.lasts(now) >= self.stall_time()
    }

    /// How long the peer has owed an answer without sending anything to speak of; zero where it owes none.
    pub(in crate::ask) fn stalls_for(&self, now: Time) -> Duration {
        if self.requests.is_empty() { Duration::ZERO } else { self.silence.lasts(now) }
    }

    /// How much longer than usual that is.
    pub(in crate::ask) fn unusual_silence(&self, now: Time) -> Duration {
        self.stalls_for(now).saturating_sub(self.silence.usual())
    }

    /// How long a silence of this peer is nothing special.
    pub(in crate::ask) fn stall_time(&self) -> Duration {
        self.silence.stall_time()
    }

    /// Whether nothing more is to be hoped of the link.
    pub(in crate::ask) fn is_dead(&self, now: Time) -> bool {
        if !self.connected {
            return now >= self.silence.last_byte() + CONNECT_TIMEOUT * 2;
        }
        if self.requests.is_empty() {
            let polling = self.told.as_ref().is_some_and(|told| told.polling);
            return polling && now >= self.silence.last_byte() + NEWS_STALL;
        }
        let unwanted = self.is_stalled(now) && self.requests.wanted().next().is_none();
        unwanted || self.silence.is_over(now)
    }

    /// When time alone changes something about the link.
    pub(in crate::ask) fn wakeups(&self, now: Time, next: &mut Earliest) {
        let last_byte = self.silence.last_byte();
        if !self.connected {
            next.due(last_byte + CONNECT_TIMEOUT * 2);
        } else if !self.requests.is_empty() {
            self.silence.wakeups(now, next);
        } else if let Some(told) = &self.told {
            next.passes(told.busy_until);
            if told.polling {
                next.due(last_byte + NEWS_STALL);
            } else if !told.leaves {
                next.passes(told.next_poll());
            }
            told.slices_at(now).into_iter().for_each(|at| next.passes(at));
        } else if self.answers == 1 {
            next.passes(last_byte + self.tuning.pause);
        }
    }
}
