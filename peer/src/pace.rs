//! A limit on bytes a second as the connections of a process share it: [`Pacer`] with a lock and the clock.
//!
//! Where there is no limit there is none of this: connections hold no [`Allowance`].

use crate::clock;
use cascade_swarm::pace::{Pacer, Rate};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a connection may leave in the system's receive buffer: what a limit lets through in this time. One that
/// crosses half the world and back in it still carries the whole limit.
const WINDOW_TIME: Duration = Duration::from_millis(200);

/// The least of it, in bytes: some packets.
const MIN_WINDOW_LEN: usize = 8 << 10;

/// The most: where a limit is so high the system's own rule does better.
const MAX_WINDOW_LEN: usize = 2 << 20;

/// A limit that all connections of a process share, in one direction.
#[derive(Debug, Clone)]
pub struct Limit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pacer: Mutex<Pacer>,
    rate: Rate,
    start: Instant,
}

impl Limit {
    /// A limit of which nothing is used yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let pacer = Mutex::new(Pacer::new(rate, Duration::ZERO));
        Self(Arc::new(Inner { pacer, rate, start: clock::now() }))
    }

    /// The limit.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.0.rate
    }

    /// Whether more would be moved if there were no limit, now or a moment ago.
    #[must_use]
    pub fn holds_up(&self) -> bool {
        self.pacer().holds_up(self.now())
    }

    /// Gives back bytes that were counted as moved, and were not.
    pub fn give_back(&self, bytes: u64) {
        self.pacer().used(bytes, 0);
    }

    /// One connection's part in it.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        Allowance { limit: self.clone(), promised: 0, at: self.0.start }
    }

    /// The most bytes that are moved with one call.
    #[must_use]
    pub fn piece_len(&self) -> u64 {
        self.0.rate.piece_len()
    }

    /// The receive buffer that a connection should have, in bytes: who does not read must not be sent much more, for
    /// what is on its way uses the link. `None`: as the system likes.
    #[must_use]
    pub fn window_len(&self) -> Option<usize> {
        let bytes = usize::try_from(self.0.rate.bytes_in(WINDOW_TIME)).unwrap_or(usize::MAX);
        (bytes < MAX_WINDOW_LEN).then_some(bytes.max(MIN_WINDOW_LEN))
    }

    fn now(&self) -> Duration {
        clock::now().saturating_duration_since(self.0.start)
    }

    fn pacer(&self) -> MutexGuard<'_, Pacer> {
        self.0.pacer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one connection may move, and when.
#[derive(Debug)]
pub struct Allowance {
    limit: Limit,
    /// Bytes that are promised and not moved; 0: nothing is.
    promised: u64,
    /// When they may be moved.
    at: Instant,
}

impl Allowance {
    /// The limit.
    #[must_use]
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// How many bytes may be moved now, at least one, if `wanted` are there to be moved. What was moved is to be told
    /// with [`Allowance::used`].
    ///
    /// # Errors
    /// The time from when on something may be moved: ask again then.
    pub fn take(&mut self, wanted: u64) -> Result<usize, Instant> {
        if self.promised == 0 {
            let now = self.limit.now();
            let promise = self.limit.pacer().promise(now, wanted);
            (self.promised, self.at) = (promise.len, self.limit.0.start + promise.at);
            if promise.at <= now {
                return Ok(self.promised());
            }
        }
        if clock::now() >= self.at { Ok(self.promised()) } else { Err(self.at) }
    }

    /// Bytes that are promised and not moved.
    #[must_use]
    pub fn promised(&self) -> usize {
        usize::try_from(self.promised).unwrap_or(usize::MAX)
    }

    /// So many bytes were moved of what was promised.
    pub fn used(&mut self, bytes: usize) {
        let promised = std::mem::take(&mut self.promised);
        self.limit.pacer().used(promised, bytes as u64);
    }

    /// Nothing is moved of what was promised, if anything is.
    pub fn give_back(&mut self) {
        if self.promised > 0 {
            self.used(0);
        }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(bytes: u64) -> Limit {
        Limit::new(Rate::new(bytes).unwrap())
    }

    #[test]
    fn what_is_promised_is_kept_for_one_connection_and_given_back_when_it_ends() {
        let limit = limit(1024);
        let (mut first, mut second) = (limit.allowance(), limit.allowance());
        assert_eq!(first.take(1000), Ok(1000));
        first.used(1000);
        let wait = second.take(1000).unwrap_err();
        assert_eq!(second.take(9), Err(wait), "the promise stands, whatever is wanted meanwhile");
        let behind = first.take(1000).unwrap_err();
        assert!(behind >= wait + Duration::from_millis(900), "who asks later waits for who asked before");
        first.give_back();
        drop(second);
        let again = first.take(1000).unwrap_err();
        assert!(again <= wait, "what nobody uses is lost");
    }

    #[test]
    fn a_window_holds_a_moment_of_the_limit() {
        assert_eq!(limit(64 << 10).window_len(), Some(13_107));
        assert_eq!(limit(1024).window_len(), Some(MIN_WINDOW_LEN));
        assert_eq!(limit(1 << 30).window_len(), None);
    }
}
