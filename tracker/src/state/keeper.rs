//! The thread that writes the state of a running tracker.

use super::StateFile;
use crate::responder::{Export, Now, Part, Responder};
use crate::view::{BUSY_PAUSE, View, ViewError};
use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Pauses of [`BUSY_PAUSE`] until a save is given up: 2 s.
const BUSY_TRIES: u32 = 100;

/// Writes the state again and again.
#[derive(Debug)]
pub struct Keeper {
    stop: SyncSender<()>,
    thread: JoinHandle<StateFile>,
}

impl Keeper {
    /// Writes the state of the tracker at every `interval`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(state: StateFile, view: View, interval: Duration) -> io::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(1);
        let thread = thread::Builder::new().name("state".to_owned()).spawn(move || {
            let mut fails = false;
            while matches!(stopped.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
                // One line when it begins to fail, and one when it does not any more.
                match state.save(|at, frame| ask(&view, at, frame)) {
                    Ok(_) if fails => {
                        tracing::info!("{}: written again", state.path().display());
                        fails = false;
                    }
                    Err(error) if !fails && !is_end(&error) => {
                        tracing::error!("{}", cannot_write(&state, &error));
                        fails = true;
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            state
        })?;
        Ok(Self { stop, thread })
    }

    /// Writes the state for the last time, of a tracker that has ended.
    pub(crate) fn finish(self, responder: &Responder, now: Now) {
        drop(self.stop);
        let Ok(state) = self.thread.join() else { return };
        if let Err(error) = state.save(|at, frame| Ok(responder.export(at, now, frame))) {
            tracing::error!("{}", cannot_write(&state, &error));
        }
    }
}

fn cannot_write(state: &StateFile, error: &io::Error) -> String {
    format!("{}: cannot write it: {error}; what was written before stays", state.path().display())
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotConnected
}

/// Asks the tracker's thread for one part.
fn ask(view: &View, at: Export, mut frame: Vec<u8>) -> io::Result<Part> {
    for _ in 0..BUSY_TRIES {
        match view.export(at, frame) {
            Ok(part) => return Ok(part),
            Err(ViewError::Ended) => {
                return Err(io::Error::new(io::ErrorKind::NotConnected, ViewError::Ended));
            }
            Err(ViewError::Busy) => frame = Vec::new(),
        }
        thread::sleep(BUSY_PAUSE);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, ViewError::Busy))
}
