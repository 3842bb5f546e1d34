//! Whether one more client is let in to wait for a block, or refused.
//!
//! A request that waits here is a block that its leecher gets from nobody. So when enough others wait, a client that
//! knows the extension is told to ask elsewhere, or later; version 1 clients have their share instead. Those that wait
//! may never read what they asked for. Then nothing goes out, and a client that goes on asking is served.

use super::tuning::Tuning;
use crate::Time;

/// What one subscriber has found of late.
#[derive(Debug, Default)]
pub(super) struct Admission {
    full: Option<Full>,
    admitted_until: Time,
}

/// Its requests while too many others waited.
#[derive(Debug, Clone, Copy)]
struct Full {
    /// The first of them, and how many blocks had gone out then.
    since: Time,
    gone: u64,
    /// The latest.
    last: Time,
}

/// Other clients that may wait for blocks at a peer that has `have` blocks of `block` bytes when one more asks. A block
/// that is larger than an offer of small ones counts by its bytes: there are few, and each client wants another.
pub(super) fn most(tuning: &Tuning, have: u64, block: u64) -> u64 {
    let counted = have.saturating_mul((block / tuning.offer_bytes).max(1));
    tuning.max_waiting.min(tuning.min_waiting + counted / tuning.blocks_for_another)
}

impl Admission {
    /// The client asks for a block, and finds too many others (`full`) or not; `gone` blocks have gone out so far.
    /// Whether it is refused.
    pub(super) fn refuses(&mut self, tuning: &Tuning, now: Time, full: bool, gone: u64) -> bool {
        if now < self.admitted_until {
            return false;
        }
        let stayed_away = self.full.is_some_and(|before| now.saturating_sub(before.last) > tuning.lapse);
        let Some(before) = self.full.as_mut().filter(|_| full && !stayed_away) else {
            self.full = full.then_some(Full { since: now, gone, last: now });
            return full;
        };
        before.last = now;
        let age = now.saturating_sub(before.since);
        let idle = gone == before.gone;
        let admitted = (age >= tuning.idle && idle) || age >= tuning.lapse;
        if admitted {
            self.admitted_until = now + tuning.lapse;
        }
        !admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const TUNING: &Tuning = &Tuning::DEFAULT;
    const STEP: Duration = Duration::from_millis(150);

    #[test]
    fn a_peer_with_many_blocks_lets_more_wait() {
        for (have, expected) in [(0, 3), (8, 4), (64, 11), (80, 12), (800, 12)] {
            assert_eq!(most(TUNING, have, 1), expected, "{have} blocks");
            assert_eq!(most(TUNING, have, TUNING.offer_bytes), expected, "{have} blocks");
        }
        for (have, expected) in [(0, 3), (1, 3), (2, 4), (8, 7), (18, 12), (u64::MAX, 12)] {
            assert_eq!(most(TUNING, have, TUNING.offer_bytes * 4), expected, "{have} large blocks");
        }
    }

    /// How long a client is refused that asks at every step; `gone` tells how many blocks went out by then.
    fn refused_for(gone: impl Fn(Time) -> u64) -> Duration {
        let (mut admission, mut now) = (Admission::default(), STEP);
        while admission.refuses(TUNING, now, true, gone(now)) {
            now += STEP;
        }
        assert!(!admission.refuses(TUNING, now + STEP, true, gone(now)), "it goes on");
        now - STEP
    }

    #[test]
    fn where_nothing_goes_out_it_is_served_soon_and_elsewhere_in_the_end() {
        assert!(refused_for(|_| 7) <= TUNING.idle + STEP);
        let busy = refused_for(|now| now.as_secs() * 10);
        assert!(busy > TUNING.idle * 2 && busy <= TUNING.lapse + STEP, "{busy:?}");
    }

    #[test]
    fn a_client_that_finds_room_or_stays_away_begins_anew() {
        for (at, full) in [(STEP * 10, false), (STEP * 100, true)] {
            let mut admission = Admission::default();
            assert!(admission.refuses(TUNING, STEP, true, 0));
            assert_eq!(admission.refuses(TUNING, at, full, 0), full);
            assert!(admission.refuses(TUNING, at + TUNING.idle / 2, true, 0));
        }
    }
}
