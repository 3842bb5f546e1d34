//! How much must have arrived until a link is woken, without I/O.
//!
//! A link that is woken for every packet spends more on waking than on the bytes. Nothing can be done with a
//! part of a block but hash it, so a link may sleep until the rest of the block is there, or as much as is
//! worth a write. What is given up is small and bounded: progress is told up to [`HOLD`] late, as is a refusal in the
//! place of a block that was expected, and a small block, a refusal or news in the middle of a fast stream up to twice
//! [`SOON`].

use std::time::{Duration, Instant};

/// The most bytes that a link sleeps for: beyond, fewer and larger pieces gain nothing. A block of 64 KiB fits, with its
/// header.
pub const MAX_MARK_LEN: u64 = 65 << 10;

/// A link sleeps beyond the end of a block only for what comes in this time: a block is published this much
/// late, give or take as much again.
pub const SOON: Duration = Duration::from_millis(5);

/// A link that waits for the rest of a block looks at what has come after this time: the plan counts the
/// silence of peers in seconds.
pub const HOLD: Duration = Duration::from_millis(300);

/// What a packet carries at the least, in bytes: to wait for less is to wait for a packet.
const PACKET: u64 = 1280;

/// Up to this rate, in bytes a second, a link hashes itself what it receives: some tenths of what a core hashes.
const CALM_BYTES: u64 = 256 << 20;

/// What a link waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Bytes that must be there; at least 1. The end of the stream counts as any number.
    pub mark: u64,
    /// After this time it looks at what is there, whatever that is. `None`: the next byte wakes it.
    pub hold: Option<Duration>,
}

impl Wait {
    /// For anything.
    pub const BYTE: Self = Self { mark: 1, hold: None };
}

/// What a link's rate is, and what it waits for.
#[derive(Debug, Default)]
pub struct LowWater {
    /// Bytes a second; 0 while unknown.
    rate: u64,
    /// When the sample began; its bytes.
    start: Option<Instant>,
    sample: u64,
    /// Nothing had come when the link looked last.
    silent: bool,
}

impl LowWater {
    /// The link has looked, and found `bytes`.
    pub fn received(&mut self, now: Instant, bytes: u64) {
        self.silent = bytes == 0;
        self.sample += bytes;
        let start = *self.start.get_or_insert(now);
        let elapsed = now.saturating_duration_since(start);
        if elapsed >= SOON {
            let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            self.rate = self.sample.saturating_mul(1_000_000) / micros;
            (self.start, self.sample) = (Some(now), 0);
        }
    }

    /// The link has taken `bytes`, and left what else is there where it is.
    pub fn received_in_part(&mut self, bytes: u64) {
        self.sample += bytes;
    }

    /// Whether so little comes that the link's own thread can hash it too.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.rate <= CALM_BYTES
    }

    /// What to wait for where `body` bytes are left of the block that has begun, or are those of the next one that will
    /// be given, and `expected` are those of everything that was asked for, if nothing is refused.
    #[must_use]
    pub fn next(&self, body: u64, expected: u64) -> Wait {
        let micros = u64::try_from(SOON.as_micros()).unwrap_or(u64::MAX);
        let soon = (self.rate.saturating_mul(micros) / 1_000_000).min(expected).min(MAX_MARK_LEN);
        let body = body.min(MAX_MARK_LEN);
        let (mark, hold) = if soon >= body { (soon, SOON * 2) } else { (body, HOLD) };
        if self.silent || mark <= PACKET { Wait::BYTE } else { Wait { mark, hold: Some(hold) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link on which `step` bytes came in each of some periods.
    fn steady(period: Duration, step: u64) -> LowWater {
        let (mut water, mut now) = (LowWater::default(), crate::clock::now());
        for _ in 0..10 {
            water.received(now, step);
            now += period;
        }
        water
    }

    #[test]
    fn the_rest_of_a_block_is_waited_for_and_no_more() {
        let water = steady(Duration::from_millis(10), 3000);
        assert_eq!(water.next(60_000, 10 << 20), Wait { mark: 60_000, hold: Some(HOLD) });
        assert_eq!(water.next(16 << 20, 20 << 20), Wait { mark: MAX_MARK_LEN, hold: Some(HOLD) });
    }

    #[test]
    fn a_header_is_waited_for_byte_by_byte_where_little_comes() {
        let water = steady(Duration::from_millis(10), 2000);
        assert_eq!(water.next(0, 10 << 20), Wait::BYTE);
        assert_eq!(water.next(PACKET, 10 << 20), Wait::BYTE, "a packet brings it anyway");
        assert_eq!(LowWater::default().next(0, 10 << 20), Wait::BYTE, "an unknown rate");
    }

    #[test]
    fn the_next_block_is_waited_for_as_a_whole_and_not_long_where_it_comes_soon() {
        let next = (64 << 10) + 9;
        let slow = steady(Duration::from_millis(10), 3000);
        assert_eq!(slow.next(next, 10 << 20), Wait { mark: next, hold: Some(HOLD) });
        let fast = steady(Duration::from_millis(5), 1 << 20);
        assert_eq!(fast.next(next, 10 << 20), Wait { mark: MAX_MARK_LEN, hold: Some(SOON * 2) });
    }

    #[test]
    fn many_small_blocks_are_waited_for_together_but_not_long() {
        // 6 MB/s: 30 KB in 5 ms.
        let water = steady(Duration::from_millis(5), 30_000);
        let wait = water.next(400, 10 << 20);
        assert!((29_000..31_000).contains(&wait.mark), "{wait:?}");
        assert_eq!(wait.hold, Some(SOON * 2));
    }

    #[test]
    fn the_tail_is_not_waited_beyond() {
        let water = steady(Duration::from_millis(5), 1 << 20);
        assert_eq!(water.next(400, 10 << 20).mark, MAX_MARK_LEN);
        assert_eq!(water.next(400, 5000).mark, 5000);
        assert_eq!(water.next(400, 400), Wait::BYTE);
    }

    #[test]
    fn after_a_hold_in_vain_the_next_byte_wakes() {
        let mut water = steady(Duration::from_millis(5), 30_000);
        let later = crate::clock::now() + HOLD;
        water.received(later, 0);
        assert_eq!(water.next(60_000, 10 << 20), Wait::BYTE);
        // A trickle is seen every time the link looks.
        water.received(later + HOLD, 1000);
        assert_eq!(water.next(59_000, 10 << 20), Wait { mark: 59_000, hold: Some(HOLD) });
    }
}
