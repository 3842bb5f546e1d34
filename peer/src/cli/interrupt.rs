//! SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal is closed): the first asks the work to end in order, so
//! that a record is written and goodbye said; the second ends the process at once.
//!
//! They are heard by a thread of their own: whatever the work waits for, it cannot keep them from being
//! heard.

use super::{CliError, ExitCode, LIMITS};
use crate::limits::END_TIMEOUT;
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// `SIGXFSZ`: a file grows past the user's limit. Heard, so that the write fails with an error which says
/// so, instead of the process ending without a word.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// Pairs of descriptors that are looked for at the start: more than the runtime that hears signals opens.
const SPARE_PAIRS: usize = 3;

/// How the work is asked to end.
type End = Box<dyn FnOnce() + Send>;

/// The thread that hears signals, from the start of the process on.
#[derive(Clone, Default)]
pub(super) struct Ear {
    end: Arc<Mutex<Option<End>>>,
}

impl Ear {
    /// Begins to hear. Until [`Ear::on_signal`] is called there is nothing to finish: the first signal ends
    /// the process at once.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(super) fn start() -> Result<Self, CliError> {
        let cannot =
            |error: io::Error| CliError::failed(format!("cannot listen for signals: {error}; {LIMITS}"));
        // The runtime needs some descriptors for signals, and panics where there are none.
        drop((0..SPARE_PAIRS).map(|_| UnixStream::pair()).collect::<io::Result<Vec<_>>>().map_err(cannot)?);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        // Here, not in the thread: from now on, no signal is missed.
        let mut signals = Signals::start(&runtime).map_err(cannot)?;
        let ear = Self::default();
        let end = Arc::clone(&ear.end);
        let listen = async move {
            signals.next().await;
            let end = end.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(end) = end {
                end();
                // Either way it is over.
                let _ = timeout(END_TIMEOUT, signals.next()).await;
            }
            std::process::exit(ExitCode::Interrupted as i32);
        };
        let thread = std::thread::Builder::new().name("signals".into());
        thread.spawn(move || runtime.block_on(listen)).map_err(cannot)?;
        Ok(ear)
    }

    /// From now on the first signal calls `end`. At the second, or when the work has not ended
    /// [`END_TIMEOUT`] after the first, the process ends.
    pub(super) fn on_signal(&self, end: impl FnOnce() + Send + 'static) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(end));
    }

    /// A flag that becomes true with the first signal.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        let raised = Arc::clone(&flag);
        self.on_signal(move || raised.store(true, Ordering::Relaxed));
        flag
    }
}

/// The signals that end the process.
struct Signals {
    ending: Vec<Signal>,
    _file_size: Option<Signal>,
}

impl Signals {
    fn start(runtime: &Runtime) -> io::Result<Self> {
        let _context = runtime.enter();
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangup_is_ignored() {
            kinds.push(SignalKind::hangup());
        }
        let ending = kinds.into_iter().map(signal).collect::<io::Result<_>>()?;
        Ok(Self { ending, _file_size: signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED)).ok() })
    }

    /// Waits for one of them.
    async fn next(&mut self) {
        poll_fn(|context| {
            let heard = self.ending.iter_mut().any(|signal| pin!(signal.recv()).poll(context).is_ready());
            if heard { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Whether this process was started so that it outlives the terminal, as `nohup` does it. Where the system
/// does not tell, it was not.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores_hangup(&status)
}

/// Reads the set of ignored signals, `SigIgn:` and hexadecimal digits; SIGHUP is the first of them.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn the_set_of_ignored_signals_is_read() {
        for (status, ignores) in [
            ("Name:\tpeer\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0", true),
            ("SigIgn:\t0000000000001000\n", false),
            ("SigIgn:\tnonsense\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), ignores, "{status}");
        }
    }
}
