//! Ctrl-C for commands that compute: the work is asked to end, and cleans up.

use super::{CliError, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// A flag that becomes true with the first SIGINT or SIGTERM. The second ends the process at once.
///
/// # Errors
/// The system has no thread or descriptor left.
pub(super) fn flag() -> Result<Arc<AtomicBool>, CliError> {
    let cannot = |error: std::io::Error| CliError::failed(format!("cannot listen for Ctrl-C: {error}"));
    let runtime = Builder::new_current_thread().enable_io().build().map_err(cannot)?;
    let (mut interrupt, mut terminate) = {
        // Here, not in the thread: from now on, no signal is missed.
        let _context = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(cannot)?, signal(SignalKind::terminate()).map_err(cannot)?)
    };
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let listen = async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !first {
                std::process::exit(ExitCode::Interrupted as i32);
            }
            raised.store(true, Ordering::Relaxed);
        }
    };
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || runtime.block_on(listen)).map_err(cannot)?;
    Ok(flag)
}
