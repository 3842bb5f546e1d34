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
    /// Times that it was refused since it got a block.
    refused: u64,
    /// The latest of them that counted.
    counted: Time,
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

impl Admission {
    /// Other clients that may wait for blocks of `block_size` bytes at a peer that has `have` blocks when this one asks.
    pub(super) fn most(&self, tuning: &Tuning, block_size: u64, have: u64) -> u64 {
        let small = block_size <= tuning.small_block;
        let factor = if small { 2 } else { 1 };
        let large = (tuning.max_waiting * tuning.large_block / block_size.max(1)).max(tuning.large_waiting);
        let most = (tuning.max_waiting.min(large) * factor)
            .min(tuning.min_waiting * factor + have / tuning.blocks_for_another);
        // With large blocks one more that waits costs everybody more than it brings this one.
        if small { most + self.refused.min(most / tuning.refused_part) } else { most }
    }

    /// The client asks for a block, and finds too many others (`full`) or not; `gone` blocks have gone out so far.
    /// Whether it is refused.
    pub(super) fn refuses(&mut self, tuning: &Tuning, now: Time, full: bool, gone: u64) -> bool {
        if now < self.admitted_until {
            return false;
        }
        let stayed_away =
            self.full.is_some_and(|before| now.saturating_sub(before.last) > tuning.max_refused_idle);
        if stayed_away {
            self.refused = 0;
        }
        let Some(before) = self.full.as_mut().filter(|_| full && !stayed_away) else {
            self.full = full.then_some(Full { since: now, gone, last: now });
            return full;
        };
        before.last = now;
        let age = now.saturating_sub(before.since);
        let idle = gone == before.gone;
        let admitted = (age >= tuning.max_refused_idle && idle) || age >= tuning.max_refused;
        if admitted {
            self.admitted_until = now + tuning.admitted;
        }
        !admitted
    }

    /// It was refused.
    pub(super) fn was_refused(&mut self, tuning: &Tuning, now: Time) {
        if self.refused == 0 || now >= self.counted + tuning.refusals_apart {
            (self.refused, self.counted) = (self.refused + 1, now);
        }
    }

    /// It got a block.
    pub(super) fn got_a_block(&mut self) {
        self.refused = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const TUNING: &Tuning = &Tuning::DEFAULT;
    const SMALL_BLOCK: u64 = TUNING.small_block;
    const STEP: Duration = Duration::from_millis(150);

    fn most(block_size: u64, have: u64, refused: u64) -> u64 {
        Admission { refused, ..Admission::default() }.most(TUNING, block_size, have)
    }

    #[test]
    fn a_peer_with_many_blocks_lets_more_wait() {
        for (block_size, have, expected) in
            [(256 << 10, 0, 3), (256 << 10, 8, 4), (256 << 10, 80, 8), (256 << 10, 800, 8)]
        {
            assert_eq!(most(block_size, have, 0), expected, "{have} blocks of {block_size}");
        }
        assert_eq!((most(SMALL_BLOCK, 0, 0), most(SMALL_BLOCK, 800, 0)), (6, 16));
    }

    #[test]
    fn fewer_wait_for_large_blocks() {
        for (block_size, expected) in [(256 << 10, 8), (300 << 10, 6), (512 << 10, 5), (1 << 30, 5)] {
            assert_eq!(most(block_size, 800, 0), expected, "blocks of {block_size}");
        }
    }

    #[test]
    fn a_refused_client_finds_room_before_others_where_blocks_are_small() {
        for (refused, expected) in [(0, 16), (1, 17), (4, 20), (99, 20)] {
            assert_eq!(most(SMALL_BLOCK, 800, refused), expected, "{refused} times");
        }
        assert_eq!(most(SMALL_BLOCK + 1, 800, 99), 8);
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
        assert!(refused_for(|_| 7) <= TUNING.max_refused_idle + STEP);
        let busy = refused_for(|now| now.as_secs() * 10);
        assert!(busy > TUNING.max_refused_idle * 2 && busy <= TUNING.max_refused + STEP, "{busy:?}");
    }

    #[test]
    fn a_client_that_finds_room_or_stays_away_begins_anew() {
        for (at, full) in [(STEP * 10, false), (STEP * 100, true)] {
            let mut admission = Admission::default();
            assert!(admission.refuses(TUNING, STEP, true, 0));
            assert_eq!(admission.refuses(TUNING, at, full, 0), full);
            assert!(admission.refuses(TUNING, at + TUNING.max_refused_idle / 2, true, 0));
        }
    }

    #[test]
    fn it_counts_how_often_it_was_refused_and_not_how_often_it_asked() {
        let mut admission = Admission::default();
        let apart = TUNING.refusals_apart;
        for (at, times) in [(STEP, 1), (STEP, 1), (STEP * 2, 2), (STEP * 2 + apart / 2, 2), (STEP * 3, 3)] {
            assert!(admission.refuses(TUNING, at, true, 0));
            admission.was_refused(TUNING, at);
            assert_eq!(admission.refused, times);
        }
        admission.got_a_block();
        assert_eq!(admission.refused, 0);
    }

    #[test]
    fn a_client_that_stays_away_for_long_is_like_any_other() {
        let mut admission = Admission::default();
        assert!(admission.refuses(TUNING, STEP, true, 0));
        admission.was_refused(TUNING, STEP);
        assert!(admission.refuses(TUNING, STEP + TUNING.max_refused_idle * 2, true, 0));
        assert_eq!(admission.refused, 0);
    }
}
