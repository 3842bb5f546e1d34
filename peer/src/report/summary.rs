//! The line that ends a download.

use crate::human::{Bytes, Count, Name, Span, Speed};
use crate::session::Summary;

/// Mean speed of what was downloaded.
pub(super) fn speed(summary: &Summary) -> Speed {
    Speed { bytes: summary.bytes.saturating_sub(summary.resumed_bytes), time: summary.time }
}

/// A speed that was measured in bytes a second.
pub(super) fn per_second(bytes: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
    let bytes = bytes.max(0.0) as u64;
    format!("{}/s", Bytes(bytes))
}

/// The whole line.
pub(super) fn text(summary: &Summary) -> String {
    let path = Name(&summary.path);
    let bytes = Bytes(summary.bytes);
    if summary.resumed_bytes == summary.bytes {
        return format!("{path}: complete and verified already, {bytes}");
    }
    let resumed = if summary.resumed_bytes > 0 {
        format!(", {} were there before", Bytes(summary.resumed_bytes))
    } else {
        String::new()
    };
    let twice = if summary.bytes_duplicate > 0 {
        format!(", {} came twice", Bytes(summary.bytes_duplicate))
    } else {
        String::new()
    };
    format!(
        "{path}: {bytes} complete and verified in {}, {}, from {}, {} refused{twice}{resumed}, downlink busy {:.0} %",
        Span(summary.time),
        speed(summary),
        Count(summary.shares.len() as u64, "peer"),
        Count(summary.blocks_refused, "block"),
        summary.busy * 100.0,
    )
}
