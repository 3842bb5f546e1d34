//! The only place that reads a clock.
#![allow(clippy::disallowed_methods, reason = "the clock of this crate's driver")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// For timeouts and the age of registrations. (On Linux it stands still while the machine sleeps.)
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// For what clients are told: seconds since the UNIX epoch, as the wire has them (until 2106).
pub(crate) fn unix_now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
