//! The only place of the test support that reads a clock or waits for one.

use crate::full_speed;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The limit of every wait that names no other. Generous: it ends a test that hangs, it measures nothing.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How often a condition is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(3);

/// The monotonic clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock, in seconds since the UNIX epoch.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Waits for a moment between two looks at a condition.
pub fn breathe() {
    thread::sleep(POLL);
}

/// A pause that belongs to a script (a client that idles, a peer that is slow), never one that hopes for
/// something to have happened meanwhile.
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// Looks at `condition` until it gives something, and returns that.
///
/// # Panics
/// After [`LIMIT`], with `what`.
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(LIMIT, what, condition)
}

/// Looks at `condition` until it gives something, and returns that.
///
/// # Panics
/// After `limit` [at full speed](crate::full_speed), with `what`.
pub fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(!full_speed::is_over(start, limit), "waited {limit:?} in vain for: {what}");
        breathe();
    }
}
