//! One data file as the serving threads see it.

use super::{DataFile, HaveMap, Stamp};
use crate::metafile::MetafileOnDisk;
use crate::swarm::Bulletin;
use cascade_format::{Block, CascadeHash, Have, Layout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;

/// A data file, the blocks of it that are verified, and whether it is still what was verified.
#[derive(Debug)]
pub struct Shared {
    cascade_hash: CascadeHash,
    data: DataFile,
    have: HaveMap,
    /// What is told of it to peers that know the swarm extension.
    bulletin: Bulletin,
    /// What the file looked like when it was verified; `None` while it is being downloaded, when this
    /// process writes to it and holds its lock.
    stamp: Mutex<Option<Stamp>>,
    changed: AtomicBool,
    changed_notify: Notify,
    /// Knows each block's hash, if every block is hashed again before it is served.
    proof: OnceLock<Arc<MetafileOnDisk>>,
}

impl Shared {
    /// Joins the parts. `stamp` is that of a file which nobody should write to any more.
    #[must_use]
    pub fn new(cascade_hash: CascadeHash, data: DataFile, have: HaveMap, stamp: Option<Stamp>) -> Self {
        let (changed, changed_notify) = (AtomicBool::new(false), Notify::new());
        let bulletin = Bulletin::new(*have.layout(), &have.snapshot());
        let (stamp, proof) = (Mutex::new(stamp), OnceLock::new());
        Self { cascade_hash, data, have, bulletin, stamp, changed, changed_notify, proof }
    }

    /// From now on every block is hashed before it is served, and compared with what `metafile` says.
    pub fn prove_with(&self, metafile: Arc<MetafileOnDisk>) {
        let _ = self.proof.set(metafile);
    }

    /// What blocks are compared with before they are served, if they are.
    #[must_use]
    pub fn proof(&self) -> Option<&MetafileOnDisk> {
        self.proof.get().map(|metafile| &**metafile)
    }

    /// The file's name on the network.
    #[must_use]
    pub fn cascade_hash(&self) -> CascadeHash {
        self.cascade_hash
    }

    /// How the file is divided into blocks.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        self.data.layout()
    }

    /// The file on disk.
    #[must_use]
    pub fn data(&self) -> &DataFile {
        &self.data
    }

    /// The blocks that are verified and on disk.
    #[must_use]
    pub fn have(&self) -> &HaveMap {
        &self.have
    }

    /// What is told of the file to peers that know the swarm extension.
    #[must_use]
    pub fn bulletin(&self) -> &Bulletin {
        &self.bulletin
    }

    /// `block` is verified and on disk: from now on it is served and told of.
    pub fn publish(&self, block: Block) {
        if self.have.publish(block) {
            self.bulletin.published(block);
        }
    }

    /// The file was checked, and holds the blocks of `have`.
    pub fn restock(&self, have: &Have) {
        self.have.replace(have);
        self.bulletin.restart(*self.layout(), have);
    }

    /// Guards the file with `stamp` from now on (`None`: this process writes to it).
    pub fn set_stamp(&self, stamp: Option<Stamp>) {
        *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        self.changed.store(false, Ordering::Release);
    }

    /// Asks the file system whether the file is what was verified; call it before each answer. When it
    /// is not, every block is withdrawn at once, and whoever waits in [`Shared::wait_changed`] wakes.
    pub fn is_unchanged(&self) -> bool {
        if self.changed.load(Ordering::Acquire) {
            return false;
        }
        let stamp = *self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = stamp.is_none_or(|stamp| Stamp::of(self.data.file()).is_ok_and(|now| now == stamp));
        if !unchanged {
            self.found_wrong();
        }
        unchanged
    }

    /// A block is not what was verified: every block is withdrawn at once, as when the stamp differs.
    pub fn found_wrong(&self) {
        self.changed.store(true, Ordering::Release);
        self.have.withdraw_all();
        self.changed_notify.notify_one();
    }

    /// Waits until [`Shared::is_unchanged`] has found a change, or a wrong block was.
    pub async fn wait_changed(&self) {
        self.changed_notify.notified().await;
    }
}
