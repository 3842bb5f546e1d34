//! The only place that asks what time it is. Everything else is told.

#![allow(clippy::disallowed_methods, reason = "this is the driver's clock")]

use std::time::Instant;

/// Time since an arbitrary start, for measuring and waiting.
#[must_use]
pub(crate) fn now() -> Instant {
    Instant::now()
}
