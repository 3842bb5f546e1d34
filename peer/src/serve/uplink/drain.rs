//! When a host's next connection may send after another one: how much the system may still hold of the answers to the
//! others.
//!
//! The system tells how much that is, but not when it falls below some number. So the first in line looks again after a
//! pause. With next to nothing as the bound, a host would get one block a pause, however fast the uplink is. So the bound
//! is what has drained in the last such pause, or twice what was held if all of that has drained. It is measured anew
//! once in a second: the link may have become slower.

use super::FlowId;
use cascade_swarm::Time;
use std::time::Duration;

/// Bytes that may be held in any case.
const NEARLY_DRAINED: u64 = 16 << 10;

/// Time after which what has drained is measured anew.
const MEASURED_FOR: Duration = Duration::from_secs(1);

/// The bound of one host.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// What drains in one pause, as measured the last time.
    drained: u64,
    measured_at: Time,
    /// The measurement under way.
    waits: Option<Wait>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    /// The first in line. What is held of its own answers does not count, so each measurement is of one.
    first: FlowId,
    since: Time,
    held: u64,
}

impl Drain {
    /// The next connection may send while fewer bytes than this are held.
    pub(super) fn bound(&self) -> u64 {
        self.drained.max(NEARLY_DRAINED)
    }

    /// What was held is not counted any more, though it has not left.
    pub(super) fn interrupt(&mut self) {
        self.waits = None;
    }

    /// The system holds `held` bytes: whether `first`, the first in line, may send now. If not, it looks again after
    /// `pause`.
    pub(super) fn may_follow(&mut self, now: Time, first: FlowId, held: u64, pause: Duration) -> bool {
        self.waits.take_if(|wait| wait.first != first);
        if let Some(wait) = self.waits.take_if(|wait| now >= wait.since + pause) {
            self.measured(now.saturating_sub(wait.since), wait.held, held, pause);
            self.measured_at = now;
        }
        let is_due = self.drained > 0 && now >= self.measured_at + MEASURED_FOR;
        let follows = held < if is_due { NEARLY_DRAINED } else { self.bound() };
        let wait = self.waits.unwrap_or(Wait { first, since: now, held });
        self.waits = (!follows).then_some(wait);
        follows
    }

    /// Of `before` bytes `held` are left after `elapsed`.
    fn measured(&mut self, elapsed: Duration, before: u64, held: u64, pause: Duration) {
        let pauses = elapsed.as_secs_f64() / pause.as_secs_f64().max(1e-6);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, positive"
        )]
        let drained = (before.saturating_sub(held) as f64 / pauses) as u64;
        self.drained = match (held < NEARLY_DRAINED, pauses < 2.0) {
            // It was too little to tell how much would have drained.
            (true, true) => self.drained.max(before.saturating_mul(2)),
            (true, false) => self.drained.max(drained),
            (false, _) => drained,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(5);

    /// Bytes that a host is sent in a second over a link of `rate` bytes a second, in blocks of `block`, and the most that
    /// the system held when another one was added.
    fn sent_and_held(rate: u64, block: u64) -> (u64, u64) {
        let (mut drain, mut now, mut held, mut sent, mut most) = (Drain::default(), PAUSE, 0u64, 0, 0);
        while now < Duration::from_secs(1) {
            while drain.may_follow(now, 0, held, PAUSE) {
                most = most.max(held);
                held += block;
                sent += block;
            }
            now += PAUSE;
            held = held.saturating_sub(rate / 200);
        }
        (sent, most)
    }

    #[test]
    fn a_fast_link_is_kept_busy() {
        for rate in [10_000_000, 125_000_000, 2_000_000_000] {
            for block in [64 << 10, 1 << 20] {
                let (sent, _) = sent_and_held(rate, block);
                assert!(sent > rate * 9 / 10, "{sent} bytes in blocks of {block} at {rate} bytes/s");
            }
        }
    }

    #[test]
    fn no_more_is_held_than_drains_in_two_pauses() {
        for rate in [1_000_000, 10_000_000, 125_000_000] {
            let block = 64 << 10;
            let (_, held) = sent_and_held(rate, block);
            assert!(held <= NEARLY_DRAINED.max(rate / 100 + block), "{held} bytes at {rate} bytes/s");
        }
    }

    const MIB: u64 = 1 << 20;

    /// A host that has been sent 1 MiB in a pause, a moment ago.
    fn fast() -> (Drain, Time) {
        let now = Duration::from_secs(9);
        (Drain { drained: MIB, measured_at: now, waits: None }, now)
    }

    #[test]
    fn a_link_that_becomes_slow_is_noticed() {
        let (mut drain, now) = fast();
        assert!(!drain.may_follow(now, 0, 2 * MIB, PAUSE));
        assert!(!drain.may_follow(now + PAUSE / 2, 0, 2 * MIB - 100, PAUSE), "it is too early to tell");
        assert!(!drain.may_follow(now + PAUSE, 0, 2 * MIB - 20_000, PAUSE));
        assert_eq!(drain.bound(), 20_000, "as much as drained");
        // Also where no more is held than drained before.
        let (mut drain, now) = fast();
        assert!(drain.may_follow(now, 0, MIB / 2, PAUSE));
        let later = now + MEASURED_FOR;
        assert!(!drain.may_follow(later, 0, MIB / 2, PAUSE));
        assert!(!drain.may_follow(later + PAUSE * 2, 0, MIB / 2 - 40_000, PAUSE));
        assert_eq!(drain.bound(), 20_000, "as much as drained in one of two pauses");
    }

    #[test]
    fn what_only_is_not_counted_any_more_has_not_drained() {
        let mut drain = Drain::default();
        assert!(!drain.may_follow(PAUSE, 0, MIB, PAUSE));
        drain.interrupt();
        assert!(drain.may_follow(PAUSE * 2, 0, 0, PAUSE));
        assert_eq!(drain.bound(), NEARLY_DRAINED);
        // Nor has what the next in line has sent itself.
        assert!(!drain.may_follow(PAUSE * 3, 0, MIB, PAUSE));
        assert!(drain.may_follow(PAUSE * 4, 1, 0, PAUSE));
        assert_eq!(drain.bound(), NEARLY_DRAINED);
        // Nor does one pause empty what is found empty much later.
        let mut drain = Drain::default();
        assert!(!drain.may_follow(PAUSE, 0, MIB, PAUSE));
        assert!(drain.may_follow(PAUSE * 101, 0, 0, PAUSE));
        assert_eq!(drain.bound(), NEARLY_DRAINED);
    }
}
