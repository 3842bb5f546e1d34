//! How many lines the log may grow by.

use super::{LOG_BURST, LOG_RATE};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Between two lines in the long run, in microseconds.
const SPACING: u64 = 1_000_000 / LOG_RATE as u64;

/// A bound in the long run, with a burst. It is the time at which all lines so far would be even with the rate: one word,
/// which threads share without waiting for each other.
#[derive(Debug, Default)]
pub(super) struct Rate(AtomicU64);

impl Rate {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether one more line may be written at `now`, a time since any start. It counts as written.
    pub(super) fn allows(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let after = |even: u64| {
            let next = even.max(now).saturating_add(SPACING);
            (next <= now.saturating_add(SPACING * u64::from(LOG_BURST))).then_some(next)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let rate = Rate::new();
        let at = |millis| (0..10_000).filter(|_| rate.allows(Duration::from_millis(millis))).count();
        assert_eq!(at(5), LOG_BURST as usize);
        assert_eq!((at(50), at(106), at(1006)), (0, 1, 9));
        // After a quiet time.
        assert_eq!(at(100_000_000), LOG_BURST as usize);
    }
}
