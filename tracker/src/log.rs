//! The log: events of `tracing` as lines. The tracker never waits for it: lines go through a bounded queue to a thread of
//! their own, and what finds the queue full is counted instead. So is what comes faster than the log may grow, and what
//! the system will not write: a flood must not fill the disk, and a full disk must not stop the tracker. (The appender of
//! `tracing` itself has no bound in the long run, and does not count what a disk refuses.)
//!
//! ```text
//!  event ──filter──► rate ──► line, as text or JSON ──► queue │ thread: page ──► stderr
//!                      └─────────── left out, counted ────────┴────────┘
//! ```

mod line;
mod page;
mod rate;

use crate::clock;
pub use line::{Format, is_journal};
use page::Page;
use rate::Rate;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Lines that may wait to be written, some 120 bytes each.
pub const LOG_QUEUE: usize = 8192;

/// Lines a second that the log grows by in the long run: 90 MB a day at most. Warnings and errors have as many besides.
pub const LOG_RATE: u32 = 10;

/// Lines that may come at once, when the log was quiet before: as many as a restarted tracker hears of,
/// when all peers of a large swarm come back. Some 0.9 MB.
pub const LOG_BURST: u32 = 8192;

/// How long the writer lets lines gather after the first, so that it is woken (a system call of the
/// tracker's) at most 50 times a second, and writes many lines at once.
const GATHER: Duration = Duration::from_millis(20);

/// How long [`LogWriter::finish`] waits for a slow reader.
const FINISH: Duration = Duration::from_millis(500);

/// The targets of this program's own events, which a level alone is about. Others' are shown as warnings.
const OWN: [&str; 2] = ["cascade_tracker", "tracker"];

/// What goes to the thread that writes.
#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// To be answered when everything before it is written; with `true` it is the last.
    Flush(SyncSender<()>, bool),
}

/// Makes lines of events, and queues them.
#[derive(Debug)]
pub struct Log {
    format: Format,
    queue: SyncSender<Entry>,
    left_out: Arc<AtomicU64>,
    started: Instant,
    rate: Rate,
    /// Of warnings and errors: no flood of registrations keeps them out.
    rate_of_warnings: Rate,
}

/// The thread that writes.
#[derive(Debug)]
pub struct LogWriter {
    thread: JoinHandle<()>,
    queue: SyncSender<Entry>,
}

/// Which events are shown: a level for those of this program, or a list such as
/// `info,cascade_tracker::state=debug` of levels by the modules that they come from.
///
/// # Errors
/// The text is neither.
pub fn filter(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for part in text.split(',') {
        match part.split_once('=') {
            None => {
                let level = level(part)?;
                let own = OWN.map(|target| (target, level));
                targets = targets.with_targets(own).with_default(level.min(LevelFilter::WARN));
            }
            Some((target, word)) => targets = targets.with_target(target, level(word)?),
        }
    }
    Ok(targets)
}

fn level(word: &str) -> Result<LevelFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let known = LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(word));
    known.and_then(|level| level.parse().ok()).ok_or_else(|| {
        "a level is off, error, warn, info, debug or trace; or a list such as info,cascade_tracker::state=debug"
            .to_owned()
    })
}

/// Sends the events of the whole process to `out` from now on.
///
/// # Errors
/// The system has no thread left, or there is a log already.
pub fn start(filter: Targets, format: Format, out: impl Write + Send + 'static) -> io::Result<LogWriter> {
    let (log, writer) = Log::to(format, out)?;
    let subscriber = tracing_subscriber::registry().with(filter).with(log);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(writer)
}

impl Log {
    /// A log on `out`, a line for each event.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn to(format: Format, out: impl Write + Send + 'static) -> io::Result<(Self, LogWriter)> {
        let (queue, lines) = sync_channel(LOG_QUEUE);
        let left_out = Arc::<AtomicU64>::default();
        let count = Arc::clone(&left_out);
        let write = move || write_lines(&lines, &count, format, out);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(write)?;
        let writer = LogWriter { thread, queue: queue.clone() };
        let (rate, rate_of_warnings) = (Rate::new(), Rate::new());
        Ok((Self { format, queue, left_out, started: clock::now(), rate, rate_of_warnings }, writer))
    }

    /// Queues an event's line, or counts it as left out. Never waits.
    fn tell(&self, event: &Event<'_>) {
        let rate = if *event.metadata().level() <= Level::WARN { &self.rate_of_warnings } else { &self.rate };
        if !rate.allows(self.started.elapsed()) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.queue.try_send(Entry::Line(self.format.line(event))) {
            // A writer whose reader has gone (a broken pipe) is nobody's loss.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.tell(event);
    }
}

impl LogWriter {
    /// Waits until what was queued is written, but for half a second at most.
    pub fn flush(&self) {
        self.ask(false);
    }

    /// The same; what comes later is lost.
    pub fn finish(self) {
        if self.ask(true) {
            let _ = self.thread.join();
        }
    }

    /// Whether there was an answer in time.
    fn ask(&self, last: bool) -> bool {
        let (written, answer) = sync_channel(1);
        let (mut entry, until) = (Entry::Flush(written, last), clock::now() + FINISH);
        while let Err(error) = self.queue.try_send(entry) {
            match error {
                TrySendError::Full(again) if clock::now() < until => entry = again,
                TrySendError::Full(_) | TrySendError::Disconnected(_) => return false,
            }
            thread::sleep(GATHER);
        }
        answer.recv_timeout(until.saturating_duration_since(clock::now())).is_ok()
    }
}

/// Writes lines until it is asked for the last time, or the reader has gone.
fn write_lines(queue: &Receiver<Entry>, left_out: &AtomicU64, format: Format, mut out: impl Write) {
    let mut page = Page::new(format);
    loop {
        let first = match page.next_report() {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => queue.recv_timeout(at.saturating_duration_since(clock::now())),
        };
        let mut ends = matches!(first, Err(RecvTimeoutError::Disconnected));
        if matches!(first, Ok(Entry::Line(_))) {
            thread::sleep(GATHER);
        }
        let (now, mut flushes) = (clock::now(), Vec::new());
        for entry in first.into_iter().chain(queue.try_iter().take(LOG_QUEUE)) {
            match entry {
                Entry::Line(line) => page.add(&line),
                Entry::Flush(written, last) => {
                    ends |= last;
                    flushes.push(written);
                }
            }
        }
        page.lose(left_out.swap(0, Ordering::Relaxed), now);
        page.report(now, ends);
        let has_reader = page.write(&mut out, now).is_ok();
        for written in flushes {
            // Who has asked may not wait any longer.
            let _ = written.try_send(());
        }
        if ends || !has_reader {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
