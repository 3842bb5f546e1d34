//! When a download looks at itself: tells its progress, and whether its file is where it was (pure).

use std::time::Duration;

/// How often it looks while something arrives.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// How often while nothing does: a download that waits for a peer for days costs next to nothing.
const IDLE_TICK: Duration = Duration::from_secs(5);

/// When nothing has arrived for this long a download counts as idle: the speed that it shows has fallen by then.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(10);

/// The looks of one download; times count from its start.
#[derive(Debug)]
pub(super) struct Ticks {
    last: Duration,
    next: Duration,
}

impl Ticks {
    /// The first look is due `now`.
    pub(super) const fn new(now: Duration) -> Self {
        Self { last: now, next: now }
    }

    /// When the next look is due.
    pub(super) const fn next(&self) -> Duration {
        self.next
    }

    /// A look was taken. `last_arrival`: when something arrived last, if anything did.
    pub(super) fn looked(&mut self, now: Duration, last_arrival: Option<Duration>) {
        let idle = last_arrival.is_none_or(|last| now.saturating_sub(last) >= IDLE_AFTER);
        (self.last, self.next) = (now, now + if idle { IDLE_TICK } else { TICK });
    }

    /// Something has happened: the next look follows the last one as it does while something arrives.
    pub(super) fn hurry(&mut self) {
        self.next = self.next.min(self.last + TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks in a minute from `now` on, when something arrived last at `last_arrival`.
    fn looks_in_a_minute(now: Duration, last_arrival: Option<Duration>) -> u32 {
        let mut ticks = Ticks::new(now);
        let mut looks = 0;
        while ticks.next() < now + Duration::from_secs(60) {
            looks += 1;
            ticks.looked(ticks.next(), last_arrival);
        }
        looks
    }

    #[test]
    fn an_idle_download_looks_seldom_and_a_busy_one_often() {
        let hour = Duration::from_secs(3600);
        assert_eq!(looks_in_a_minute(hour, None), 12);
        assert_eq!(looks_in_a_minute(hour, Some(hour + Duration::from_secs(60))), 240);
        assert_eq!(looks_in_a_minute(hour, Some(hour)), 40 + 10, "ten seconds of them often");
    }

    #[test]
    fn what_happens_is_looked_at_soon() {
        let (hour, mut ticks) = (Duration::from_secs(3600), Ticks::new(Duration::ZERO));
        ticks.looked(hour, None);
        ticks.hurry();
        assert_eq!(ticks.next(), hour + TICK);
        ticks.hurry();
        assert_eq!(ticks.next(), hour + TICK, "many things at once are one look");
    }
}
