//! How long a link has been silent, and whether that is a stall.

use crate::Time;
use crate::ask::earliest::Earliest;
use crate::ask::tuning::Tuning;
use core::time::Duration;

/// A peer that sends less than this, in bytes, is as good as silent.
const PROGRESS_LEN: u64 = 8 << 10;

/// When something arrived on one link.
#[derive(Debug)]
pub(in crate::ask) struct Silence {
    tuning: &'static Tuning,
    /// Anything has ever arrived.
    heard: bool,
    last_byte: Time,
    /// When [`PROGRESS_LEN`] more had come, or a whole answer; and what has come since.
    last_progress: Time,
    since_progress: u64,
    /// How long the links' first bytes took when the last request left.
    usual_wait: Duration,
    /// See [`Silence::stall_time`].
    stall_time: Duration,
}

impl Silence {
    pub(super) fn new(tuning: &'static Tuning, now: Time) -> Self {
        let (usual_wait, stall_time) = (Duration::ZERO, stall_time(tuning, Duration::ZERO));
        let (last_byte, last_progress, since_progress) = (now, now, 0);
        Self { tuning, heard: false, last_byte, last_progress, since_progress, usual_wait, stall_time }
    }

    /// The peer is waited for from now on, though it may owe nothing.
    pub(super) fn begins(&mut self, now: Time) {
        self.last_byte = now;
    }

    /// A request leaves, and no other is under way if the link is `idle`.
    pub(super) fn requested(&mut self, now: Time, idle: bool, usual_wait: Duration) {
        (self.usual_wait, self.stall_time) = (usual_wait, stall_time(self.tuning, usual_wait));
        if idle {
            (self.last_byte, self.last_progress, self.since_progress) = (now, now, 0);
        }
    }

    /// `bytes` arrive.
    pub(super) fn received(&mut self, now: Time, bytes: u64) {
        (self.last_byte, self.heard) = (now, true);
        self.since_progress += bytes;
        if self.since_progress >= PROGRESS_LEN {
            (self.last_progress, self.since_progress) = (now, 0);
        }
    }

    /// An answer is complete.
    pub(super) fn answered(&mut self) {
        (self.last_progress, self.since_progress) = (self.last_byte, 0);
    }

    pub(super) fn was_heard(&self) -> bool {
        self.heard
    }

    pub(super) fn last_byte(&self) -> Time {
        self.last_byte
    }

    /// Whether what arrived at `now` was progress.
    pub(in crate::ask) fn is_progress(&self, now: Time) -> bool {
        self.heard && self.last_progress == now && self.since_progress == 0
    }

    /// How long there was no progress.
    pub(super) fn lasts(&self, now: Time) -> Duration {
        now.saturating_sub(self.last_progress)
    }

    /// How long requests usually wait for the first byte of their answer.
    pub(super) fn usual(&self) -> Duration {
        self.usual_wait
    }

    /// After this long without progress a link that owes an answer is stalled: where everybody waits in queues, a
    /// silence is nothing special.
    pub(super) fn stall_time(&self) -> Duration {
        self.stall_time
    }

    /// Whether the link has stalled for good.
    pub(super) fn is_over(&self, now: Time) -> bool {
        now >= self.last_byte + self.tuning.max_stall * 2
    }

    /// When the silence has lasted one, two, four … stall times, or is over.
    pub(super) fn wakeups(&self, now: Time, next: &mut Earliest) {
        let mut ends = (0..6).map(|doublings| self.last_progress + self.stall_time * (1 << doublings));
        ends.find(|time| *time > now).into_iter().for_each(|end| next.passes(end));
        next.passes(self.last_byte + self.tuning.max_stall * 2);
    }
}

fn stall_time(tuning: &Tuning, usual_wait: Duration) -> Duration {
    tuning.stall_after.max(usual_wait * tuning.stall_waits).min(tuning.max_stall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_no_progress_and_slow_answers_are_no_stall() {
        let tuning = &Tuning::DEFAULT;
        let mut silence = Silence::new(tuning, Time::ZERO);
        silence.requested(Time::ZERO, true, Duration::ZERO);
        let later = Time::from_secs(3);
        silence.received(later, 10);
        assert_eq!(silence.lasts(later), later, "ten bytes");
        silence.received(later, PROGRESS_LEN);
        assert!(silence.is_progress(later));
        assert_eq!(silence.stall_time(), tuning.stall_after);
        silence.requested(later, false, Duration::from_secs(1));
        assert!(silence.stall_time() > tuning.stall_after, "answers take long");
        silence.requested(later, false, Duration::from_secs(100));
        assert_eq!(silence.stall_time(), tuning.max_stall);
    }
}
