//! A limit on a rate of sending, over all connections of a script.

use crate::clock;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The limit.
pub(crate) struct Pace {
    /// Bytes a second; `None`: as fast as it goes.
    rate: Option<u64>,
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self { rate, free_at: Mutex::new(None) }
    }

    /// Longest run of bytes to send between two calls of [`Pace::take`].
    pub(crate) fn chunk(&self) -> usize {
        // About twenty steps a second, so that even a slow peer never sleeps long.
        self.rate.map_or(1 << 20, |rate| usize::try_from((rate / 20).clamp(1, 1 << 20)).unwrap_or(1))
    }

    /// Waits until `bytes` more may be sent.
    pub(crate) fn take(&self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let wait = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = clock::now();
            let start = free_at.map_or(now, |at| at.max(now));
            *free_at = Some(start + cost);
            start + cost - now
        };
        clock::pause(wait);
    }
}
