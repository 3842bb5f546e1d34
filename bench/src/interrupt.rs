//! Ctrl-C: the waiting loops see it and end with an error, so that every process that was started is stopped
//! and every folder removed on the way out.

use crate::error::{BenchError, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Watches for SIGINT and SIGTERM from now on. Without the watch, a signal ends the program at once.
pub fn watch() {
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            let Ok(mut terminate) = terminate else { return };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            REQUESTED.store(true, Ordering::Relaxed);
        });
    });
}

/// An error when the user wants to stop.
///
/// # Errors
/// [`BenchError::Interrupted`].
pub fn check() -> Result<()> {
    if REQUESTED.load(Ordering::Relaxed) { Err(BenchError::Interrupted) } else { Ok(()) }
}
