//! How a limit on bytes a second is kept, by many that share it.
//!
//! Each connection that wants to move bytes is promised a time and a piece. A piece is as long as the limit lets
//! through in [`PIECE_TIME`], and no connection has two promises at once. So all waiting connections get a piece each,
//! in the order in which they asked, and a message of a few bytes waits for one piece of each of the others, never for
//! a block. The unused part of a promise goes to others.

use crate::Time;
use core::time::Duration;

/// The lowest limit, in bytes a second. With it, a message of the protocol still takes less than a second.
pub const MIN_RATE: u64 = 1 << 10;

/// The highest limit, in bytes a second (1 TiB/s). No machine is as fast, and the arithmetic cannot overflow.
pub const MAX_RATE: u64 = 1_099_511_627_776;

/// The time that a piece takes, and for which it keeps a message of another connection waiting.
const PIECE_TIME: Duration = Duration::from_millis(5);

/// The shortest piece, in bytes: it fills a packet of Ethernet, and holds any message that is sent with one call.
const MIN_PIECE: u64 = 1448;

/// The longest, in bytes.
const MAX_PIECE: u64 = 128 << 10;

/// What the limit would have let through in the last moments, and nobody used, may still be used: timers are late by
/// some milliseconds, on a busy machine by more. Of ten seconds it is a fiftieth.
const CREDIT: Duration = Duration::from_millis(200);

/// The limit is what holds things up if a connection had to wait for it within this time.
const MEMORY: Duration = Duration::from_secs(1);

const NANOS_A_SECOND: u64 = 1_000_000_000;

/// A limit: bytes a second, in [`MIN_RATE`]..=[`MAX_RATE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// A limit of this many bytes a second; `None` if it is out of range.
    #[must_use]
    pub const fn new(bytes_a_second: u64) -> Option<Self> {
        if bytes_a_second >= MIN_RATE && bytes_a_second <= MAX_RATE {
            Some(Self(bytes_a_second))
        } else {
            None
        }
    }

    /// Bytes a second.
    #[must_use]
    pub const fn bytes_a_second(self) -> u64 {
        self.0
    }

    /// The bytes that it lets through in `time`.
    #[must_use]
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.0) * time.as_nanos() / u128::from(NANOS_A_SECOND);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The most bytes of one promise.
    #[must_use]
    pub fn piece_len(self) -> u64 {
        self.bytes_in(PIECE_TIME).clamp(MIN_PIECE, MAX_PIECE)
    }

    /// How long `bytes` take; never less than that.
    fn time_for(self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * u128::from(NANOS_A_SECOND)).div_ceil(u128::from(self.0));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// When how many bytes may be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Not before then.
    pub at: Time,
    /// At most this number, at least one.
    pub len: u64,
}

/// What is promised of a limit.
#[derive(Debug)]
pub struct Pacer {
    rate: Rate,
    /// When all that was promised has been moved.
    free_at: Time,
    /// Until when somebody was told to wait.
    waits_until: Option<Time>,
}

impl Pacer {
    /// A limit of which nothing is used at `now`.
    #[must_use]
    pub const fn new(rate: Rate, now: Time) -> Self {
        Self { rate, free_at: now, waits_until: None }
    }

    /// The limit.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Promises up to `wanted` bytes. The caller tells with [`Pacer::used`] how much of the promise it has used.
    pub fn promise(&mut self, now: Time, wanted: u64) -> Promise {
        let len = wanted.clamp(1, self.rate.piece_len());
        let at = self.free_at.max(now.saturating_sub(CREDIT));
        self.free_at = at.saturating_add(self.rate.time_for(len));
        if at > now {
            self.waits_until = Some(at);
        }
        Promise { at: at.max(now), len }
    }

    /// Of a promise of `len` bytes `used` were moved: less, or a few more.
    pub fn used(&mut self, len: u64, used: u64) {
        self.free_at = if used < len {
            self.free_at.saturating_sub(self.rate.time_for(len - used))
        } else {
            self.free_at.saturating_add(self.rate.time_for(used - len))
        };
    }

    /// Whether more would be moved if there were no limit, now or a moment ago.
    #[must_use]
    pub fn holds_up(&self, now: Time) -> bool {
        self.waits_until.is_some_and(|until| now <= until + MEMORY)
    }
}

#[cfg(test)]
mod tests;
