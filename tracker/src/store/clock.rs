//! The store's clock, as all trackers of a store count their seconds. No I/O.

use crate::registry::LIFETIME_SECS;
use std::time::Duration;

/// Seconds that a score may be ahead of the store's clock. What is further ahead was written before that clock was set
/// back, and nobody can say how old it is: it is left out.
pub(crate) const AHEAD_SECS: f64 = 60.0;

/// What the store's clock shows when the tracker's steady clock shows zero, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StoreClock(f64);

impl StoreClock {
    /// The clock of a store that has shown `unix` seconds when the tracker had run for `now`.
    pub(crate) fn of(unix: f64, now: Duration) -> Self {
        Self(unix - (f64::from(LIFETIME_SECS) + now.as_secs_f64()))
    }

    /// The score of a second of the steady clock: never later than the subscription was.
    pub(crate) fn score(self, steady: u32) -> i64 {
        #[allow(clippy::cast_possible_truncation, reason = "it saturates")]
        let score = (f64::from(steady) + self.0).floor() as i64;
        score
    }

    /// The second of the steady clock of a score, never later than the subscription was; `None` where it is too far from
    /// `now`, on either side.
    pub(crate) fn steady(self, score: f64, now: Duration) -> Option<u32> {
        let steady = (score - self.0).floor();
        let latest = f64::from(LIFETIME_SECS) + now.as_secs_f64();
        let age = latest - steady;
        if !(-AHEAD_SECS..=f64::from(LIFETIME_SECS) + 1.0).contains(&age) {
            return None;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is between the two bounds above"
        )]
        let steady = steady.min(latest.floor()) as u32;
        Some(steady)
    }

    /// Seconds between two readings of the same clock.
    pub(crate) fn distance(self, other: Self) -> f64 {
        (self.0 - other.0).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_never_too_small() {
        for fraction in [0.0, 0.25, 0.999] {
            let writer = StoreClock::of(1_800_000_000.0 + fraction, Duration::from_millis(7300));
            let reader = StoreClock::of(1_800_000_100.5, Duration::from_millis(900));
            // Subscribed in second 1,805 of the writer: 2.3 s before its clock was compared.
            let score = writer.score(1805);
            let now = Duration::from_millis(900);
            let steady = f64::from(reader.steady(score as f64, now).unwrap());
            let age = 1800.9 - steady;
            let real = 100.5 - fraction + 2.3;
            assert!((real - 0.001..real + 2.0).contains(&age), "{age} {real}");
        }
    }

    #[test]
    fn what_is_too_old_or_from_the_future_is_left_out() {
        let now = Duration::from_secs(1000);
        let clock = StoreClock::of(50_000.0, now);
        assert_eq!(clock.steady(50_000.0, now), Some(2800));
        assert_eq!(clock.steady(50_030.0, now), Some(2800), "a little ahead counts as now");
        assert_eq!(clock.steady(50_061.0, now), None);
        assert_eq!(clock.steady(48_200.0, now), Some(1000));
        for wrong in [48_198.0, 0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(clock.steady(wrong, now), None, "{wrong}");
        }
    }
}
