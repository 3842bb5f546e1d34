//! The life of one thread of the pool.
//!
//! Its connections are tasks of the thread's own runtime. When a client's request wakes the thread, only the client's task is
//! polled, and nothing of this module.

use super::clients::Clients;
use super::connection::Connection;
use super::schedule;
use super::thread::{Handover, Running, ServeThread, Setup};
use crate::clock;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The life of worker `index`: takes connections until the pool stops, then sees the last ones out. Must run in a
/// runtime that is local to its thread.
pub(super) async fn work(index: usize, setup: Setup, mut arriving: mpsc::Receiver<Handover>) {
    let worker = ServeThread::new(&setup);
    let mut running = setup.running.clone();
    loop {
        tokio::select! {
            biased;
            _ = running.wait_for(|running| *running != Running::Yes) => break,
            handover = arriving.recv() => match handover {
                Some(handover) => begin(&worker, &setup.clients, handover),
                None => break,
            },
        }
    }
    drop(arriving);
    worker.stopping.set(true);
    setup.clients.close_idle(index);
    tokio::select! {
        () = finish(&worker, &setup) => {}
        _ = running.wait_for(|running| *running == Running::No) => {}
    }
}

/// Begins to serve an accepted connection; one that broke meanwhile is dropped.
fn begin(worker: &Rc<ServeThread>, clients: &Clients, Handover { stream, slot }: Handover) {
    // Answers are written whole: waiting for more bytes to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
        let index = slot.index();
        let connection = Connection::new(stream, slot, Rc::clone(worker));
        let task = tokio::task::spawn_local(schedule::serve(connection));
        clients.attach(index, &task.abort_handle());
    }
}

/// Waits until the last connection is closed, but no longer than the time for it.
async fn finish(worker: &ServeThread, setup: &Setup) {
    let timeouts = &setup.options.timeouts;
    let end = clock::now() + timeouts.stop;
    while worker.open.get() > 0 {
        let left = end.saturating_duration_since(clock::now());
        if left == Duration::ZERO {
            break;
        }
        // Nobody else looks any more for clients that do not close their side.
        setup.clients.sweep();
        let _ = tokio::time::timeout(left.min(timeouts.sweep_interval()), worker.all_closed.notified()).await;
    }
}
