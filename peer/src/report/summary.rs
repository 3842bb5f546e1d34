//! The line that ends a download.

use crate::session::Summary;
use indicatif::{HumanBytes, HumanCount};
use std::time::Duration;

/// Received bytes a second over the whole download.
pub(super) fn speed(summary: &Summary) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a shown number")]
    let bytes = summary.bytes.saturating_sub(summary.resumed_bytes) as f64;
    bytes / summary.time.as_secs_f64().max(1e-9)
}

/// "2.1 s", "3 min 20 s".
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else if seconds < 3600.0 {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    } else {
        format!("{} h {} min", time.as_secs() / 3600, time.as_secs() / 60 % 60)
    }
}

/// "512.00 MiB/s".
pub(super) fn per_second(bytes: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
    let bytes = bytes.max(0.0) as u64;
    format!("{}/s", HumanBytes(bytes))
}

/// "1 peer", "3 peers".
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(count))
}

/// The whole line.
pub(super) fn text(summary: &Summary) -> String {
    let path = summary.path.display();
    let bytes = HumanBytes(summary.bytes);
    if summary.resumed_bytes == summary.bytes {
        return format!("{path}: complete and verified already, {bytes}");
    }
    let resumed = if summary.resumed_bytes > 0 {
        format!(", {} were there before", HumanBytes(summary.resumed_bytes))
    } else {
        String::new()
    };
    format!(
        "{path}: {bytes} complete and verified in {}, {}, from {}, {} refused{resumed}",
        duration(summary.time),
        per_second(speed(summary)),
        counted(summary.shares.len() as u64, "peer"),
        counted(summary.blocks_refused, "block"),
    )
}
