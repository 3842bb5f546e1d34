//! Keeping a download's data on the disk while it runs: room is reserved, the part file's name is synced, and
//! then, every few seconds, what was written; of a folder, all of it gets to its place.

use super::engine::Stop;
use super::mover::move_over;
use super::recovery::blocking;
use crate::ground::disk::is_full;
use crate::ground::open::folder_of;
use crate::limits::{RESERVE_LEN, SYNC_INTERVAL};
use crate::metafile::MetafileOnDisk;
use crate::store::Shared;
use crate::store::ledger::{Ledger, MAX_FAILED_SYNCS};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// The task that does it.
#[derive(Debug)]
pub(super) struct Keeper {
    ended: Arc<Ended>,
    task: JoinHandle<()>,
}

/// What it could not do.
#[derive(Debug)]
pub(super) enum Failed {
    /// A folder was not synced.
    Folder(io::Error),
    /// What has come to a file that turned into a folder was not moved.
    Move(io::Error),
}

#[derive(Debug, Default)]
struct Ended {
    flag: AtomicBool,
    notify: Notify,
}

impl Keeper {
    /// Starts it. `new`: the part file was made a moment ago. What cannot be done is sent to `failed`, and ends it.
    pub(super) fn start(
        (shared, metafile): (Arc<Shared>, Arc<MetafileOnDisk>),
        new: bool,
        stop: Stop,
        failed: mpsc::Sender<Failed>,
    ) -> Self {
        let ended = Arc::<Ended>::default();
        let work = Work { shared, metafile, stop, ended: Arc::clone(&ended) };
        let task = tokio::spawn(async move {
            if let Err(why) = work.run(new).await {
                // A download that has ended wants no news.
                let _ = failed.try_send(why);
            }
        });
        Self { ended, task }
    }

    /// Something may have come that belongs to another place.
    pub(super) fn hurry(&self) {
        self.ended.notify.notify_one();
    }

    /// Ends it; when this returns, it does nothing to the file any more.
    pub(super) async fn end(self) {
        self.ended.flag.store(true, Ordering::Relaxed);
        self.ended.notify.notify_one();
        // It cannot fail, and is not aborted.
        let _ = self.task.await;
    }
}

/// What it does.
#[derive(Debug, Clone)]
struct Work {
    shared: Arc<Shared>,
    metafile: Arc<MetafileOnDisk>,
    stop: Stop,
    ended: Arc<Ended>,
}

impl Work {
    /// Until it is ended.
    async fn run(self, new: bool) -> Result<(), Failed> {
        let this = self.clone();
        let _ = blocking(move || this.reserve()).await;
        let (mut folder_synced, mut failures) = (!new, 0);
        let mut syncs = tokio::time::interval(SYNC_INTERVAL);
        syncs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        syncs.reset();
        loop {
            if !folder_synced {
                let shared = Arc::clone(&self.shared);
                let sync = move || shared.data().disk().sync_folder(folder_of(shared.data().path()));
                match blocking(sync).await {
                    Ok(Ok(())) => folder_synced = true,
                    Ok(Err(error)) => {
                        failures += 1;
                        if failures == MAX_FAILED_SYNCS {
                            return Err(Failed::Folder(error));
                        }
                    }
                    Err(_) => return Ok(()),
                }
            }
            let hurried = tokio::select! {
                _ = syncs.tick() => false,
                () = self.ended.notify.notified() => true,
            };
            if self.ended.flag.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.shared.data().has_left() {
                let this = self.clone();
                match blocking(move || move_over(&this.shared, &this.metafile, &|| this.is_over())).await {
                    // What finds no room is moved when there is some, and what somebody has changed when it is mended.
                    Ok(Err(error)) if !is_full(&error) && self.shared.is_unchanged() => {
                        return Err(Failed::Move(error));
                    }
                    _ => {}
                }
            }
            // What is in doubt is somebody else's business.
            let is_due = |ledger: &Ledger| !hurried && ledger.doubtful().is_none() && ledger.has_unsynced();
            if is_due(&self.shared.ledger()) {
                let shared = Arc::clone(&self.shared);
                // `Shared` tells the tasks that wait for trouble of a failure.
                let _ = blocking(move || shared.sync()).await;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.ended.flag.load(Ordering::Relaxed) || self.stop.flag().load(Ordering::Relaxed)
    }

    fn reserve(&self) {
        let (mut at, length) = (0, self.shared.layout().length());
        while at < length && !self.is_over() {
            let end = at.saturating_add(RESERVE_LEN).min(length);
            if !self.shared.data().reserve(at..end) {
                return;
            }
            at = end;
        }
    }
}
