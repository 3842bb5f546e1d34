//! The log of registrations. The tracker never waits for it: lines go through a bounded queue to a
//! thread of their own, and what finds the queue full is counted instead.

use crate::responder::Registration;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Lines that may wait to be written, 40 bytes each here.
pub const LOG_QUEUE: usize = 8192;

/// How long the writer lets lines gather after the first, so that it is woken (a system call of the
/// tracker's) at most so often, and writes many lines at once.
const GATHER: Duration = Duration::from_millis(20);

/// How long [`LogWriter::finish`] waits for a slow reader.
const FINISH: Duration = Duration::from_millis(500);

/// Where the tracker puts its lines.
#[derive(Debug, Clone)]
pub struct Log {
    queue: Option<SyncSender<Registration>>,
    dropped: Arc<AtomicU64>,
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

    /// A log on `out`, a line a registration.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn to(out: impl Write + Send + 'static) -> std::io::Result<(Self, LogWriter)> {
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
    pub fn registered(&self, registration: Registration) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(registration) {
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
fn write_lines(lines: &Receiver<Registration>, dropped: &AtomicU64, mut out: impl Write) {
    let mut text = Vec::new();
    while let Ok(first) = lines.recv() {
        thread::sleep(GATHER);
        text.clear();
        for line in std::iter::once(first).chain(lines.try_iter().take(LOG_QUEUE)) {
            // Writing to a vector cannot fail.
            let _ = writeln!(text, "tracker: {line}");
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ =
                writeln!(text, "tracker: {missing} registrations are not in this log: its reader is slow");
        }
        if out.write_all(&text).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::CascadeHash;
    use std::io;
    use std::sync::mpsc::Sender;

    fn registration(port: u16) -> Registration {
        let peer = std::net::SocketAddrV4::new([1, 2, 3, 4].into(), port);
        Registration { file: CascadeHash([0xab; 32]), peer }
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
            log.registered(registration(80));
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
        log.registered(registration(1));
        writer.done.recv_timeout(Duration::from_secs(10)).expect("the writer ends at a broken pipe");
        log.registered(registration(2));
    }
}
