//! The only place that asks what time it is.
#![allow(clippy::disallowed_methods, reason = "this module is where time comes from")]

use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since the UNIX epoch.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
