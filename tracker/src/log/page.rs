//! What is written next, and what was left out. No clock, and no say in where it is written.

use super::{Format, LOG_RATE};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How often at most the log tells how many lines were left out.
pub(super) const LOSS_INTERVAL: Duration = Duration::from_secs(10);

/// Lines that wait for one call of the system.
#[derive(Debug)]
pub(super) struct Page {
    format: Format,
    text: Vec<u8>,
    /// Lines left out that the log has not told of yet, and when the first of them was.
    lost: u64,
    lost_since: Option<Instant>,
    /// The last line of `text` tells of them.
    reported: bool,
    /// The last write ended within a line.
    torn: bool,
}

impl Page {
    pub(super) const fn new(format: Format) -> Self {
        Self { format, text: Vec::new(), lost: 0, lost_since: None, reported: false, torn: false }
    }

    /// Adds a line, which has its end; or nothing.
    pub(super) fn add(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
    }

    /// Lines were left out.
    pub(super) fn lose(&mut self, lines: u64, now: Instant) {
        if lines > 0 {
            self.lost += lines;
            self.lost_since.get_or_insert(now);
        }
    }

    /// When the log must tell what was left out, if anything was.
    pub(super) fn next_report(&self) -> Option<Instant> {
        self.lost_since.map(|since| since + LOSS_INTERVAL)
    }

    /// Tells what was left out, if it is time to.
    pub(super) fn report(&mut self, now: Instant, last: bool) {
        if self.next_report().is_some_and(|at| last || now >= at) {
            let lost = self.lost;
            let why = format!("they came faster than {LOG_RATE} a second, or could not be written");
            let line = self.format.loss(lost, &format!("{lost} lines are not in this log: {why}"));
            self.text.extend_from_slice(&line);
            self.reported = true;
        }
    }

    /// Writes the lines that are there. Lines that the system refuses are lost and counted.
    ///
    /// # Errors
    /// The reader has gone.
    pub(super) fn write(&mut self, out: &mut impl Write, now: Instant) -> io::Result<()> {
        let mends = self.torn && !self.text.is_empty();
        if mends {
            self.text.insert(0, b'\n');
        }
        let (written, result) = write_some(out, &self.text);
        let (done, rest) = self.text.split_at(written);
        let mut lost = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(last) = done.last() {
            self.torn = *last != b'\n';
        } else if mends {
            lost -= 1;
        }
        let told = std::mem::take(&mut self.reported);
        if told && rest.is_empty() {
            (self.lost, self.lost_since) = (0, None);
        } else if told {
            // That line is lost too, but what it tells is not.
            (lost, self.lost_since) = (lost - 1, Some(now));
        }
        self.text.clear();
        self.lose(lost, now);
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Writes as much as the system takes.
fn write_some(out: &mut impl Write, text: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, out.flush())
}
