//! Keeping a download's data on the disk while it runs: room is reserved, the part file's name is synced, and
//! then, every few seconds, what was written.

use super::engine::Stop;
use super::recovery::blocking;
use crate::ground::open::folder_of;
use crate::limits::{RESERVE_LEN, SYNC_INTERVAL};
use crate::store::Shared;
use crate::store::ledger::{Ledger, MAX_FAILED_SYNCS};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// The task that does it.
#[derive(Debug)]
pub(super) struct Keeper {
    ended: Arc<Ended>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Ended {
    flag: AtomicBool,
    notify: Notify,
}

impl Keeper {
    /// Starts it. `new`: the part file was made a moment ago. A folder that cannot be synced is sent to
    /// `failed`.
    pub(super) fn start(shared: Arc<Shared>, new: bool, stop: Stop, failed: mpsc::Sender<io::Error>) -> Self {
        let ended = Arc::<Ended>::default();
        let task = tokio::spawn(keep(shared, new, stop, Arc::clone(&ended), failed));
        Self { ended, task }
    }

    /// Ends it; when this returns, it does nothing to the file any more.
    pub(super) async fn end(self) {
        self.ended.flag.store(true, Ordering::Relaxed);
        self.ended.notify.notify_one();
        // It cannot fail, and is not aborted.
        let _ = self.task.await;
    }
}

async fn keep(
    shared: Arc<Shared>,
    new: bool,
    stop: Stop,
    ended: Arc<Ended>,
    failed: mpsc::Sender<io::Error>,
) {
    {
        let (shared, ended) = (Arc::clone(&shared), Arc::clone(&ended));
        let _ = blocking(move || reserve(&shared, &ended, &stop)).await;
    }
    let (mut folder_synced, mut failures) = (!new, 0);
    loop {
        if !folder_synced {
            let shared = Arc::clone(&shared);
            let synced = blocking(move || shared.data().disk().sync_folder(folder_of(shared.data().path())));
            match synced.await {
                Ok(Ok(())) => folder_synced = true,
                Ok(Err(error)) => {
                    failures += 1;
                    if failures == MAX_FAILED_SYNCS {
                        // A download that has ended wants no news.
                        let _ = failed.try_send(error);
                        return;
                    }
                }
                Err(_) => return,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(SYNC_INTERVAL) => {}
            () = ended.notify.notified() => return,
        }
        // What is in doubt is somebody else's business.
        let is_due = |ledger: &Ledger| ledger.doubtful().is_none() && ledger.has_unsynced();
        if is_due(&shared.ledger()) {
            let shared = Arc::clone(&shared);
            // `Shared` tells the tasks that wait for trouble of a failure.
            let _ = blocking(move || shared.sync()).await;
        }
    }
}

fn reserve(shared: &Shared, ended: &Ended, stop: &Stop) {
    let (mut at, length) = (0, shared.layout().length());
    while at < length && !ended.flag.load(Ordering::Relaxed) && !stop.flag().load(Ordering::Relaxed) {
        let end = at.saturating_add(RESERVE_LEN).min(length);
        if !shared.data().reserve(at..end) {
            return;
        }
        at = end;
    }
}
