//! How long a reader is sent away because too many others wait for a block, and how often it was.
//!
//! Those who wait may never read what they asked for. Then nothing goes out, and whoever goes on asking is
//! served.

use super::tuning::Tuning;
use crate::Time;

/// What one reader has found of late.
#[derive(Debug, Default)]
pub(super) struct Patience {
    crowded: Option<Crowded>,
    insists_until: Time,
    /// Times that it was sent away since it got a block.
    sent_away: u64,
    /// The latest of them that counted.
    counted: Time,
}

/// Its questions while too many others waited.
#[derive(Debug, Clone, Copy)]
struct Crowded {
    /// The first of them, and how many blocks had gone out then.
    since: Time,
    gone: u64,
    /// The latest.
    last: Time,
}

impl Patience {
    /// The reader asks for a block, and finds a `crowd` or not; `gone` blocks have gone out so far. Whether it
    /// is to come later.
    pub(super) fn finds(&mut self, tuning: &Tuning, now: Time, crowd: bool, gone: u64) -> bool {
        if now < self.insists_until {
            return false;
        }
        let stayed_away =
            self.crowded.is_some_and(|crowded| now.saturating_sub(crowded.last) > tuning.max_refused_idle);
        if stayed_away {
            self.sent_away = 0;
        }
        let Some(crowded) = self.crowded.as_mut().filter(|_| crowd && !stayed_away) else {
            self.crowded = crowd.then_some(Crowded { since: now, gone, last: now });
            return crowd;
        };
        crowded.last = now;
        let age = now.saturating_sub(crowded.since);
        let idle = gone == crowded.gone;
        let insists = (age >= tuning.max_refused_idle && idle) || age >= tuning.max_refused;
        if insists {
            self.insists_until = now + tuning.admitted;
        }
        !insists
    }

    /// It was sent away.
    pub(super) fn was_sent_away(&mut self, tuning: &Tuning, now: Time) {
        if self.sent_away == 0 || now >= self.counted + tuning.refusals_apart {
            (self.sent_away, self.counted) = (self.sent_away + 1, now);
        }
    }

    /// It got a block.
    pub(super) fn got_a_block(&mut self) {
        self.sent_away = 0;
    }

    /// How often it was sent away since it got a block.
    pub(super) fn times_sent_away(&self) -> u64 {
        self.sent_away
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const TUNING: &Tuning = &Tuning::DEFAULT;
    const MAX_LATER: Duration = TUNING.max_refused_idle;
    const LONGEST_LATER: Duration = TUNING.max_refused;
    const COUNTED_APART: Duration = TUNING.refusals_apart;

    const STEP: Duration = Duration::from_millis(150);

    /// How long a reader is sent away that asks at every step; `gone` tells how many blocks went out by then.
    fn sent_away(gone: impl Fn(Time) -> u64) -> Duration {
        let (mut patience, mut now) = (Patience::default(), STEP);
        while patience.finds(TUNING, now, true, gone(now)) {
            now += STEP;
        }
        assert!(!patience.finds(TUNING, now + STEP, true, gone(now)), "it goes on");
        now - STEP
    }

    #[test]
    fn where_nothing_goes_out_it_is_served_soon_and_elsewhere_in_the_end() {
        assert!(sent_away(|_| 7) <= MAX_LATER + STEP);
        let busy = sent_away(|now| now.as_secs() * 10);
        assert!(busy > MAX_LATER * 2 && busy <= LONGEST_LATER + STEP, "{busy:?}");
    }

    #[test]
    fn who_finds_no_crowd_or_stays_away_begins_anew() {
        for (at, crowd) in [(STEP * 10, false), (STEP * 100, true)] {
            let mut patience = Patience::default();
            assert!(patience.finds(TUNING, STEP, true, 0));
            assert_eq!(patience.finds(TUNING, at, crowd, 0), crowd);
            assert!(patience.finds(TUNING, at + MAX_LATER / 2, true, 0));
        }
    }

    #[test]
    fn it_counts_how_often_it_was_sent_away_and_not_how_often_it_asked() {
        let mut patience = Patience::default();
        for (at, times) in
            [(STEP, 1), (STEP, 1), (STEP * 2, 2), (STEP * 2 + COUNTED_APART / 2, 2), (STEP * 3, 3)]
        {
            assert!(patience.finds(TUNING, at, true, 0));
            patience.was_sent_away(TUNING, at);
            assert_eq!(patience.times_sent_away(), times);
        }
        patience.got_a_block();
        assert_eq!(patience.times_sent_away(), 0);
    }

    #[test]
    fn who_stays_away_for_long_is_like_any_other() {
        let mut patience = Patience::default();
        assert!(patience.finds(TUNING, STEP, true, 0));
        patience.was_sent_away(TUNING, STEP);
        assert!(patience.finds(TUNING, STEP + MAX_LATER * 2, true, 0));
        assert_eq!(patience.times_sent_away(), 0);
    }
}
