//! When a host's next connection may send after another one: how much the system may still hold of the answers to the
//! others.
//!
//! The system tells how much that is, but not when it falls below some number. So the first in line looks again after a
//! pause. With next to nothing as the bound, a host would get one block a pause, however fast the uplink is. So the bound
//! is what has drained in the last such pause: the others of the host are then never sent more in advance than leaves
//! until the next look.

use cascade_swarm::Time;
use std::time::Duration;

/// Bytes that may be held in any case.
pub(super) const NEARLY_DRAINED: u64 = 16 << 10;

/// The bound of one host.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// What drained in one pause.
    drained: u64,
    /// Since when the first in line waits, and what was held then.
    waits: Option<(Time, u64)>,
}

impl Drain {
    /// The system holds `held` bytes: whether the first in line may send now. If not, it looks again after `pause`.
    pub(super) fn may_follow(&mut self, now: Time, held: u64, pause: Duration) -> bool {
        if let Some((since, before)) = self.waits
            && now >= since + pause
        {
            // Where everything has drained, it was too little to tell how much would have.
            self.drained =
                if held < NEARLY_DRAINED { before.saturating_mul(2) } else { before.saturating_sub(held) };
            self.waits = None;
        }
        let follows = held < self.drained.max(NEARLY_DRAINED);
        self.waits = if follows { None } else { self.waits.or(Some((now, held))) };
        follows
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
            while drain.may_follow(now, held, PAUSE) {
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
    fn no_more_is_held_than_drains_in_a_pause() {
        for rate in [1_000_000, 10_000_000, 125_000_000] {
            let block = 64 << 10;
            let (_, held) = sent_and_held(rate, block);
            assert!(held <= NEARLY_DRAINED.max(rate / 100 + block), "{held} bytes at {rate} bytes/s");
        }
    }

    #[test]
    fn a_link_that_becomes_slow_is_noticed_after_one_pause() {
        let mut drain = Drain { drained: 1 << 20, waits: None };
        let now = Duration::from_secs(1);
        assert!(!drain.may_follow(now, 2 << 20, PAUSE));
        assert!(!drain.may_follow(now + PAUSE / 2, (2 << 20) - 100, PAUSE), "it is too early to tell");
        assert!(!drain.may_follow(now + PAUSE, (2 << 20) - 20_000, PAUSE));
        assert!(!drain.may_follow(now + PAUSE, 20_000, PAUSE));
        assert!(drain.may_follow(now + PAUSE, 19_999, PAUSE), "as much as drained");
    }
}
