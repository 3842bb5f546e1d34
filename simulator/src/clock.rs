//! The only place that asks what time it really is: to tell how long a simulation took.

#![allow(clippy::disallowed_methods, reason = "this is the clock module")]

use std::time::Instant;

/// Time since an arbitrary start.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}
