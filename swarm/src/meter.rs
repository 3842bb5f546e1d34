//! How many bytes a second go somewhere, of late.

use core::time::Duration;

/// Time over which one sample is taken.
const WINDOW: Duration = Duration::from_millis(200);

/// A rate as a mean of the last windows, each counting half as much as the next.
#[derive(Debug, Default)]
pub struct Meter {
    start: Duration,
    bytes: u64,
    rate: f64,
}

impl Meter {
    /// `bytes` have gone.
    pub fn add(&mut self, now: Duration, bytes: u64) {
        let elapsed = now.saturating_sub(self.start);
        if elapsed >= WINDOW {
            #[allow(clippy::cast_precision_loss, reason = "an estimate")]
            let sample = self.bytes as f64 / elapsed.as_secs_f64();
            // After a pause the old rate says nothing.
            let afresh = self.rate == 0.0 || elapsed >= WINDOW * 5;
            self.rate = if afresh { sample } else { f64::midpoint(self.rate, sample) };
            (self.start, self.bytes) = (now, 0);
        }
        self.bytes += bytes;
    }

    /// Bytes a second; 0 while unknown.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured() {
        let mut meter = Meter::default();
        for step in 0..200u64 {
            meter.add(Duration::from_millis(step * 10), 1000);
        }
        assert!((90_000.0..110_000.0).contains(&meter.rate()), "{}", meter.rate());
    }
}
