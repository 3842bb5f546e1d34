//! A speed that is shown.

use std::time::Duration;

/// Time over which a speed is averaged: long enough to be read, short enough to be true.
const WINDOW: Duration = Duration::from_secs(3);

/// A moving average that is right from its first sample on, and begins with the first byte.
#[derive(Debug, Clone, Default)]
pub(crate) struct Average {
    last: Duration,
    bytes: u64,
    sum: f64,
    weight: f64,
}

impl Average {
    /// `bytes` is the sum so far; tells bytes a second.
    pub(crate) fn update(&mut self, now: Duration, bytes: u64) -> f64 {
        let elapsed = now.saturating_sub(self.last).as_secs_f64();
        if elapsed > 0.0 && bytes > 0 {
            #[allow(clippy::cast_precision_loss, reason = "a shown number")]
            let sample = bytes.saturating_sub(self.bytes) as f64 / elapsed;
            let share = 1.0 - (-elapsed / WINDOW.as_secs_f64()).exp();
            self.sum += share * (sample - self.sum);
            self.weight += share * (1.0 - self.weight);
        }
        (self.last, self.bytes) = (now, bytes);
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_speed_is_shown_at_once_and_waiting_before_it_does_not_count() {
        let mut rate = Average::default();
        let at = Duration::from_secs_f64;
        assert_eq!(rate.update(at(7.0), 0).to_bits(), 0.0_f64.to_bits());
        for tick in 1..20_u32 {
            let shown = rate.update(at(7.0 + f64::from(tick) * 0.25), u64::from(tick) * 250);
            assert!((shown - 1000.0).abs() < 1e-6, "{shown}");
        }
    }
}
