//! The log of registrations. The tracker never waits for it: lines go through a bounded queue to a
//! thread of their own, and what finds the queue full is counted instead. So is what comes faster than
//! the log may grow, and what the system will not write: a flood must not fill the disk, and a full disk
//! must not stop the tracker.

use crate::clock;
use crate::responder::News;
use cascade_format::text;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Lines that may wait to be written, some 50 bytes each here.
pub const LOG_QUEUE: usize = 8192;

/// Lines a second that the log grows by in the long run: 90 MB a day at most.
pub const LOG_RATE: u32 = 10;

/// Lines that may come at once, when the log was quiet before: as many as a restarted tracker hears of,
/// when all peers of a large swarm come back. Some 0.9 MB.
pub const LOG_BURST: u32 = 8192;

/// How often at most the log tells how many lines were left out.
const LOSS_INTERVAL: Duration = Duration::from_secs(10);

/// How long the writer lets lines gather after the first, so that it is woken (a system call of the
/// tracker's) at most 50 times a second, and writes many lines at once.
const GATHER: Duration = Duration::from_millis(20);

/// How long [`LogWriter::finish`] waits for a slow reader.
const FINISH: Duration = Duration::from_millis(500);

/// Where the tracker puts its lines.
#[derive(Debug, Clone)]
pub struct Log {
    queue: Option<SyncSender<Line>>,
    dropped: Arc<AtomicU64>,
}

/// What is worth a line.
#[derive(Debug)]
enum Line {
    News(News),
    Said(String),
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::News(news) => write!(f, "{news}"),
            Self::Said(line) => write!(f, "{}", text::line(line)),
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct LogWriter {
    thread: JoinHandle<()>,
    done: Receiver<()>,
}

impl Log {
    /// No log.
    #[must_use]
    pub fn off() -> Self {
        Self { queue: None, dropped: Arc::default() }
    }

    /// A log on `out`, a line for each piece of news.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<(Self, LogWriter)> {
        let (queue, lines) = sync_channel(LOG_QUEUE);
        let (finished, done) = sync_channel(1);
        let dropped = Arc::<AtomicU64>::default();
        let count = Arc::clone(&dropped);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || {
            write_lines(&lines, &count, out);
            let _ = finished.try_send(());
        })?;
        Ok((Self { queue: Some(queue), dropped }, LogWriter { thread, done }))
    }

    /// Queues a line, or counts it as dropped. Never waits.
    pub fn tell(&self, news: News) {
        self.queue(Line::News(news));
    }

    /// The same with what is no news of a peer: one line for an operator.
    pub fn say(&self, line: String) {
        self.queue(Line::Said(line));
    }

    fn queue(&self, line: Line) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(line) {
            // A writer whose reader has gone (a broken pipe) is nobody's loss.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl LogWriter {
    /// Waits until what is queued is written, but for half a second at most. Every [`Log`] of this
    /// writer must be gone.
    pub fn finish(self) {
        if self.done.recv_timeout(FINISH).is_ok() {
            let _ = self.thread.join();
        }
    }
}

/// Writes lines until every sender has gone, or the reader has.
fn write_lines(queue: &Receiver<Line>, dropped: &AtomicU64, mut out: impl Write) {
    let mut page = Page::new(clock::now());
    loop {
        let first = match page.next_report() {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => queue.recv_timeout(at.saturating_duration_since(clock::now())),
        };
        let over = matches!(first, Err(RecvTimeoutError::Disconnected));
        if first.is_ok() {
            thread::sleep(GATHER);
        }
        let now = clock::now();
        for line in first.into_iter().chain(queue.try_iter().take(LOG_QUEUE)) {
            page.line(line, now);
        }
        page.lose(dropped.swap(0, Ordering::Relaxed), now);
        page.report(now, over);
        if page.write(&mut out, now).is_err() || over {
            return;
        }
    }
}

/// What is written next, and what was left out. No clock, and no say in where it is written.
#[derive(Debug)]
struct Page {
    text: Vec<u8>,
    /// Lines that may be written, and since when that is so.
    budget: f64,
    counted: Instant,
    /// Lines left out that the log has not told of yet, and when the first of them was.
    lost: u64,
    lost_since: Option<Instant>,
    /// The last line of `text` tells of them.
    reported: bool,
    /// The last write ended within a line.
    torn: bool,
}

impl Page {
    fn new(now: Instant) -> Self {
        let budget = f64::from(LOG_BURST);
        let (text, lost_since) = (Vec::new(), None);
        Self { text, budget, counted: now, lost: 0, lost_since, reported: false, torn: false }
    }

    /// Adds a line, or leaves it out.
    fn line(&mut self, line: impl Display, now: Instant) {
        let earned = now.saturating_duration_since(self.counted).as_secs_f64() * f64::from(LOG_RATE);
        self.budget = (self.budget + earned).min(f64::from(LOG_BURST));
        self.counted = now;
        if self.budget < 1.0 {
            return self.lose(1, now);
        }
        self.budget -= 1.0;
        // Writing to a vector cannot fail.
        let _ = writeln!(self.text, "tracker: {line}");
    }

    fn lose(&mut self, lines: u64, now: Instant) {
        if lines > 0 {
            self.lost += lines;
            self.lost_since.get_or_insert(now);
        }
    }

    /// When the log must tell what was left out, if anything was.
    fn next_report(&self) -> Option<Instant> {
        self.lost_since.map(|since| since + LOSS_INTERVAL)
    }

    /// Tells what was left out, if it is time to.
    fn report(&mut self, now: Instant, last: bool) {
        if self.next_report().is_some_and(|at| last || now >= at) {
            let lost = self.lost;
            let why = format!("they came faster than {LOG_RATE} a second, or could not be written");
            let _ = writeln!(self.text, "tracker: {lost} lines are not in this log: {why}");
            self.reported = true;
        }
    }

    /// Writes the lines that are there. Lines that the system refuses are lost and counted.
    ///
    /// # Errors
    /// The reader has gone.
    fn write(&mut self, out: &mut impl Write, now: Instant) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responder::What;
    use cascade_format::CascadeHash;
    use std::sync::mpsc::Sender;

    fn registration(port: u16) -> News {
        let peer = std::net::SocketAddrV4::new([1, 2, 3, 4].into(), port);
        News { what: What::Registered, file: CascadeHash([0xab; 32]), peer: peer.into() }
    }

    /// Passes what is written to the test, and waits for its permission before each write.
    struct Slow {
        gate: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.gate.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the test sends a handful of messages")]
    fn slow() -> (Slow, Sender<()>, Receiver<Vec<u8>>) {
        let (open, gate) = std::sync::mpsc::channel();
        let (written, output) = std::sync::mpsc::channel();
        (Slow { gate, written }, open, output)
    }

    #[test]
    fn a_slow_reader_costs_lines_not_time_and_the_loss_is_told() {
        let (out, open, output) = slow();
        let (log, writer) = Log::to(out).unwrap();
        // Nobody reads: this must return all the same.
        for _ in 0..3 * LOG_QUEUE {
            log.tell(registration(80));
        }
        drop(log);
        (0..3).for_each(|_| open.send(()).unwrap());
        writer.finish();
        let text: String = output.try_iter().map(|part| String::from_utf8(part).unwrap()).collect();
        let line = format!("tracker: registered 1.2.3.4:80 for {}", "ab".repeat(32));
        let (lines, rest): (Vec<_>, Vec<_>) = text.lines().partition(|l| *l == line);
        assert_eq!(rest.len(), 1, "one line about the loss: {rest:?}");
        let lost: usize = rest[0].split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(lines.len() + lost, 3 * LOG_QUEUE);
    }

    #[test]
    fn a_reader_that_has_gone_harms_nobody() {
        let (out, open, _output) = slow();
        drop(open);
        let (log, writer) = Log::to(out).unwrap();
        log.tell(registration(1));
        writer.done.recv_timeout(Duration::from_secs(10)).expect("the writer ends at a broken pipe");
        log.tell(registration(2));
    }

    /// Lines of `text` by kind: registrations, and what the lines about lost ones add up to.
    fn tally(text: &[u8]) -> (usize, usize) {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let lost = text.lines().filter_map(|line| line.split_once(" lines are not in this log"));
        let lost = lost.map(|(front, _)| front.strip_prefix("tracker: ").unwrap().parse::<usize>().unwrap());
        (text.lines().filter(|line| line.starts_with("tracker: registered ")).count(), lost.sum())
    }

    #[test]
    fn a_flood_is_logged_at_a_bounded_rate_and_every_line_is_accounted_for() {
        let start = clock::now();
        let (mut page, mut out) = (Page::new(start), Vec::new());
        // Five thousand a second, for 1000 seconds.
        for tick in 0..10_000 {
            let now = start + Duration::from_millis(100 * tick);
            (0..500).for_each(|_| page.line(registration(1), now));
            page.report(now, tick == 9_999);
            page.write(&mut out, now).unwrap();
        }
        let (lines, lost) = tally(&out);
        assert_eq!(lines + lost, 5_000_000);
        let expected = LOG_BURST as usize + 1000 * LOG_RATE as usize;
        assert!(lines <= expected && lines > expected - 20, "{lines} lines of {expected}");
        assert!(out.len() < 3_000_000, "the log has {} bytes", out.len());
        let reports = out.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"written")).count();
        assert!(reports <= 101, "{reports} lines tell of lost ones");
    }

    /// Takes what a device takes that has `room` bytes left.
    struct Device {
        text: Vec<u8>,
        room: usize,
    }

    impl Write for Device {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.get(..self.room.min(bytes.len())).unwrap();
            self.room -= taken.len();
            self.text.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_device_costs_lines_which_are_told_when_it_has_room_again() {
        let start = clock::now();
        for room in 0..400 {
            let (mut page, mut out) = (Page::new(start), Device { text: Vec::new(), room });
            let mut now = start;
            for turn in 0..4 {
                (0..3).for_each(|port| page.line(registration(port), now));
                page.report(now, false);
                page.write(&mut out, now).unwrap();
                now += LOSS_INTERVAL;
                out.room += turn * 100;
            }
            out.room = usize::MAX;
            page.line(registration(9), now);
            page.report(now, true);
            page.write(&mut out, now).unwrap();
            let text = String::from_utf8_lossy(&out.text).into_owned();
            // What was cut off is counted as lost; a line that lacks its newline alone looks whole here.
            let whole = format!(" for {}", "ab".repeat(32));
            let lines = text.lines().filter(|line| line.ends_with(&whole)).count();
            assert!([13, 14].contains(&(lines + tally(&out.text).1)), "{room} bytes of room: {text}");
        }
    }
}
