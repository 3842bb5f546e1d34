//! The one place that asks for the time.

use std::time::Instant;

/// Now, on the clock that never goes back.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the driver's clock: a benchmark measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since the UNIX epoch, for the date in a report.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the driver's clock: a report says when it was made")]
pub fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Time between two looks at something that runs for seconds.
pub const STEP: std::time::Duration = std::time::Duration::from_millis(5);
