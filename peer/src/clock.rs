//! The only place that asks what time it is. Everything else is told.

#![allow(clippy::disallowed_methods, reason = "this is the driver's clock")]

use std::time::{Instant, SystemTime};

/// Time since an arbitrary start, for measuring and waiting.
#[must_use]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What the wall clock shows, which somebody may set: nanoseconds since the UNIX epoch.
#[must_use]
pub(crate) fn wall_ns() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}
