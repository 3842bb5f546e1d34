//! The only way to stdout and stderr. Every line goes through [`text::line()`] or [`json_text`] as a whole, so
//! that nothing which a terminal obeys comes out of a name or message, wherever it was printed.
//!
//! A reader that has gone away costs its lines and nothing else: the work goes on. Any other failure of
//! stdout is told once on stderr, the work goes on too, and the process ends with an error
//! ([`is_incomplete`]). When stderr fails there is nobody left to tell.

use cascade_format::text::{self, is_shown};
use cascade_tracker::log::is_journal;
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a terminal is taken for that does not tell its size.
const USUAL_WIDTH: usize = 80;

/// The priorities of syslog, before a line for systemd's journal. Lines without one are "info" there.
const ERROR: &str = "<3>";
const WARNING: &str = "<4>";

/// Whether output was lost on stdout.
static INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Writes one line to stdout.
pub(crate) fn line(line: &str) {
    to_stdout(&(text::line(line) + "\n"));
}

/// Writes one line to stdout that tells of something wrong, while the work goes on.
#[allow(clippy::disallowed_methods, reason = "this is the output module")]
pub(crate) fn warning(line: &str) {
    to_stdout(&format!("{}{}\n", for_journal(WARNING, io::stdout()), text::line(line)));
}

/// Writes several lines of the program's own to stdout.
pub(crate) fn lines(lines: &str) {
    to_stdout(&text::lines(lines));
}

/// Writes one JSON object as a line to stdout.
pub(crate) fn json_line(value: &serde_json::Value) {
    to_stdout(&(json_text(value) + "\n"));
}

/// Writes one line to stderr: an error, or what goes beside the output.
pub(crate) fn error(message: &str) {
    let priority = for_journal(ERROR, stderr());
    to_stderr(&format!("{priority}{}\n", text::line(&format!("peer: {message}"))));
}

/// Writes several lines of the program's own to stderr.
pub(crate) fn error_lines(lines: &str) {
    to_stderr(&text::lines(lines));
}

/// Whether output was lost on stdout, other than by a reader that went away.
#[must_use]
pub(crate) fn is_incomplete() -> bool {
    INCOMPLETE.load(Ordering::Relaxed)
}

/// Whether a person sees what goes to stderr.
#[must_use]
pub(crate) fn stderr_is_terminal() -> bool {
    stderr().is_terminal()
}

/// Columns of a line on stdout; where nobody sees them, any number.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the output module")]
pub(crate) fn stdout_width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    size.map_or(usize::MAX, |size| if size.ws_col == 0 { USUAL_WIDTH } else { usize::from(size.ws_col) })
}

/// Columns and rows of the terminal behind stdout; `None`: there is none, or it does not tell.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the output module")]
pub(super) fn stdout_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// For the bars: the terminal behind stderr, if it is one.
#[allow(clippy::disallowed_methods, reason = "this is the output module")]
pub(super) fn stderr() -> io::Stderr {
    io::stderr()
}

/// The priority where `out` is the journal, else nothing.
fn for_journal(priority: &'static str, out: impl AsFd) -> &'static str {
    if is_journal(out) { priority } else { "" }
}

/// For the bars, which bring their own control sequences.
pub(super) fn to_stderr(text: &str) {
    // There is nobody left to tell.
    let _ = stderr().lock().write_all(text.as_bytes());
}

#[allow(clippy::disallowed_methods, reason = "this is the output module")]
fn to_stdout(text: &str) {
    let written = write_all(&mut io::stdout().lock(), text.as_bytes());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(failure) => {
            if !INCOMPLETE.swap(true, Ordering::Relaxed) {
                let message = format!(
                    "cannot write to standard output: {failure}; some of the output is lost, run it again with \
                     the output elsewhere"
                );
                error(&message);
            }
        }
    }
}

/// Writes all of it. Some programs make a pipe that they share with this one non-blocking: then this waits.
fn write_all(stdout: &mut io::StdoutLock<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stdout.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(stdout, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    stdout.flush()
}

/// A JSON value as one line. What may not be shown is escaped as JSON does it, so the value is exact.
fn json_text(value: &serde_json::Value) -> String {
    let mut text = String::new();
    // Outside of strings JSON has none of the characters concerned.
    for c in value.to_string().chars() {
        if is_shown(c) {
            text.push(c);
        } else {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn json_escapes_what_may_not_be_shown() {
        for (text, escaped) in [
            ("plain é 東", "plain é 東"),
            ("\x1b\n\x7f\u{9b}", "\\u001b\\n\\u007f\\u009b"),
            ("gpj.\u{202e}exe", "gpj.\\u202eexe"),
            ("\u{e0041}", "\\udb40\\udc41"),
            ("\u{2028}\u{feff}", "\\u2028\\ufeff"),
        ] {
            assert_eq!(json_text(&json!({"file": text})), format!("{{\"file\":\"{escaped}\"}}"));
        }
    }

    proptest! {
        #[test]
        fn json_is_exact_and_holds_nothing_that_may_not_be_shown(text in any::<String>(), key in any::<String>()) {
            let value = json!({key: [text]});
            let shown = json_text(&value);
            prop_assert!(shown.chars().all(is_shown));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
