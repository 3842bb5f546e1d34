//! The only place that asks what time it is. Everything else is told.

#![allow(clippy::disallowed_methods, reason = "this is the driver's clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since an arbitrary start, for measuring and waiting.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Time since the UNIX epoch; zero on a machine whose clock stands before it.
#[must_use]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
