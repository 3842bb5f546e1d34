//! Lines of output. A reader that has gone away is no error: the work goes on.

use indicatif::MultiProgress;
use std::io::{self, Write};

/// Writes one line to stdout.
pub fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Writes one JSON object as a line to stdout.
pub fn json_line(value: &serde_json::Value) {
    line(&value.to_string());
}

/// Writes one line above the bars.
pub(super) fn above(bars: &MultiProgress, text: &str) {
    let _ = bars.println(text);
}
