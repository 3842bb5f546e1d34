//! The speed that is shown.

use std::time::Duration;

/// Time over which a speed is averaged: long enough to be read, short enough to be true.
const WINDOW: Duration = Duration::from_secs(3);

/// A moving average.
#[derive(Debug, Default)]
pub(super) struct Rate {
    last: Duration,
    bytes: u64,
    value: Option<f64>,
}

impl Rate {
    /// `bytes` is the sum so far; tells bytes a second.
    pub(super) fn update(&mut self, now: Duration, bytes: u64) -> f64 {
        let elapsed = now.saturating_sub(self.last).as_secs_f64();
        if elapsed > 0.0 {
            #[allow(clippy::cast_precision_loss, reason = "a shown number")]
            let sample = bytes.saturating_sub(self.bytes) as f64 / elapsed;
            let weight = 1.0 - (-elapsed / WINDOW.as_secs_f64()).exp();
            self.value = Some(self.value.map_or(sample, |value| value + weight * (sample - value)));
            (self.last, self.bytes) = (now, bytes);
        }
        self.value.unwrap_or(0.0)
    }
}
