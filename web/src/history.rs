//! Rates over time, from the start of the program, in bounded memory: when the points are used up, each two become
//! one, and from then on a point covers twice the time.

use crate::limits::{MAX_POINTS, SAMPLE};
use crate::model::{HistoryView, Totals};
use std::collections::VecDeque;

/// Samples over which the present rate is a mean.
const RECENT: usize = 4;

/// The history of rates. It is told the totals every [`SAMPLE`].
#[derive(Debug)]
pub(crate) struct History {
    /// What was received and given in the time of each point, in bytes.
    points: Vec<Totals>,
    /// Samples of a full point.
    samples: u32,
    /// Samples of the last point.
    in_last: u32,
    /// The latest totals, the newest last.
    recent: VecDeque<Totals>,
}

impl History {
    pub(crate) fn new(totals: Totals) -> Self {
        Self { points: Vec::new(), samples: 1, in_last: 1, recent: [totals].into() }
    }

    /// Takes the totals of now.
    pub(crate) fn handle_sample(&mut self, totals: Totals) {
        let before = self.recent.back().copied().unwrap_or_default();
        let passed = Totals {
            received: totals.received.saturating_sub(before.received),
            given: totals.given.saturating_sub(before.given),
        };
        self.recent.push_back(totals);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        match self.points.last_mut() {
            Some(last) if self.in_last < self.samples => {
                *last = sum(*last, passed);
                self.in_last += 1;
            }
            Some(_) | None => {
                if self.points.len() >= MAX_POINTS {
                    self.halve();
                }
                self.points.push(passed);
                self.in_last = 1;
            }
        }
    }

    fn halve(&mut self) {
        let pairs = self.points.chunks(2);
        self.points = pairs.map(|pair| pair.iter().copied().fold(Totals::default(), sum)).collect();
        self.samples = self.samples.saturating_mul(2);
    }

    /// Bytes a second that are received and given now.
    pub(crate) fn rates(&self) -> Totals {
        let (Some(first), Some(last)) = (self.recent.front(), self.recent.back()) else {
            return Totals::default();
        };
        let rate = |first: u64, last: u64| {
            let millis = millis(u32::try_from(self.recent.len() - 1).unwrap_or(1).max(1));
            last.saturating_sub(first).saturating_mul(1000) / millis
        };
        Totals { received: rate(first.received, last.received), given: rate(first.given, last.given) }
    }

    /// All of it, in bytes a second. The last point is left out until it is full.
    pub(crate) fn view(&self) -> HistoryView {
        let full = self.points.len() - usize::from(self.in_last < self.samples && !self.points.is_empty());
        let millis = millis(self.samples);
        let rate = |bytes: u64| bytes.saturating_mul(1000) / millis;
        let points = self.points.iter().take(full).enumerate();
        let points = points.map(|(at, point)| (at, [rate(point.received), rate(point.given)])).collect();
        #[allow(clippy::cast_precision_loss, reason = "a shown number")]
        HistoryView { interval_seconds: millis as f64 / 1000.0, points }
    }
}

fn sum(one: Totals, other: Totals) -> Totals {
    Totals {
        received: one.received.saturating_add(other.received),
        given: one.given.saturating_add(other.given),
    }
}

/// Milliseconds of this number of samples.
fn millis(samples: u32) -> u64 {
    u64::try_from((SAMPLE * samples).as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_time_is_kept_in_bounded_memory() {
        let mut history = History::new(Totals::default());
        let each = 3000;
        for second in 1..=10_000u64 {
            history.handle_sample(Totals { received: second * each, given: second });
            assert!(history.points.len() <= MAX_POINTS);
        }
        let view = history.view();
        assert!(view.points.len() > MAX_POINTS / 2 - 2 && view.interval_seconds >= 64.0);
        assert!(view.points.values().all(|[down, up]| *down == each && *up == 1), "{view:?}");
        let covered = view.interval_seconds * f64::from(u32::try_from(view.points.len()).unwrap());
        assert!((9_900.0..=10_000.0).contains(&covered));
    }

    #[test]
    fn the_rate_of_now_is_that_of_the_last_seconds() {
        let mut history = History::new(Totals::default());
        assert_eq!(history.rates(), Totals::default());
        for received in [1000, 2000, 3000, 3000, 3000, 3000] {
            history.handle_sample(Totals { received, given: 2 * received });
        }
        assert_eq!(history.rates(), Totals::default(), "nothing for three seconds");
        history.handle_sample(Totals { received: 6000, given: 6000 });
        assert_eq!(history.rates(), Totals { received: 1000, given: 0 });
    }
}
