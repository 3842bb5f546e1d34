//! One data file as the serving threads see it.

use super::ledger::Ledger;
use super::slices::Slices;
use super::{DataFile, Given};
use crate::ground::{HaveMap, Stamp};
use crate::metafile::MetafileOnDisk;
use crate::origin::Fetcher;
use cascade_format::{Block, BlockHash, CascadeHash, Have, Layout};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

mod sliced;

/// Why blocks were withdrawn.
#[derive(Debug)]
pub enum Trouble {
    /// Somebody else has changed the file: all of them.
    Changed,
    /// The disk did not keep what was written: those that came since the last good sync.
    Sync(io::Error),
}

/// Hears which blocks there are, in the order in which that changes.
pub trait Listener: std::fmt::Debug + Send + Sync {
    /// `block` is verified and written, and was not before.
    fn published(&self, block: Block);

    /// Blocks were withdrawn, or the file was checked: it holds these now. It is `sure` that it holds no others, or it is
    /// still to be checked.
    fn restarted(&self, have: &Have, sure: bool);
}

/// A data file, the blocks of it that are verified, and whether it is still what was verified. This is
/// the only place where blocks are published, withdrawn and made durable.
#[derive(Debug)]
pub struct Shared {
    cascade_hash: CascadeHash,
    data: DataFile,
    have: HaveMap,
    /// Told under the ledger's lock.
    listener: OnceLock<Arc<dyn Listener>>,
    /// The slices of its blocks, if these are divided.
    slices: Option<Slices>,
    /// What the file looked like when it was verified; `None` while it is being downloaded, when this
    /// process writes to it, holds its lock and guards it (see [`DataFile::guard`]).
    stamp: Mutex<Option<Stamp>>,
    /// Which blocks are on the disk. Held while a block is published or withdrawn.
    ledger: Mutex<Ledger>,
    /// Held during a sync: there is one at a time.
    syncing: Mutex<()>,
    changed: AtomicBool,
    /// Blocks that were believed when the whole file came into doubt.
    had: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
    trouble_notify: Notify,
    /// What was given of it to others.
    given: Arc<Given>,
    /// Bytes of its blocks that have come from others.
    received: AtomicU64,
    /// Describes the file; peers that know the swarm extension are given its bytes.
    metafile: OnceLock<Arc<MetafileOnDisk>>,
    /// Knows each block's hash, if every block is hashed again before it is served.
    proof: OnceLock<Arc<MetafileOnDisk>>,
    /// Brings the blocks that are not there.
    origin: OnceLock<Arc<Fetcher>>,
}

impl Shared {
    /// Joins the parts. `stamp` is that of a file which nobody should write to any more.
    #[must_use]
    pub fn new(cascade_hash: CascadeHash, data: DataFile, have: HaveMap, stamp: Option<Stamp>) -> Self {
        Self {
            cascade_hash,
            listener: OnceLock::new(),
            slices: Slices::of(data.layout(), &cascade_hash),
            stamp: Mutex::new(stamp),
            ledger: Mutex::new(Ledger::new(*have.layout())),
            syncing: Mutex::default(),
            changed: AtomicBool::new(false),
            had: AtomicU64::new(0),
            trouble: Mutex::default(),
            trouble_notify: Notify::new(),
            given: Arc::default(),
            received: AtomicU64::new(0),
            metafile: OnceLock::new(),
            proof: OnceLock::new(),
            origin: OnceLock::new(),
            data,
            have,
        }
    }

    /// What was given of it to others.
    #[must_use]
    pub fn given(&self) -> &Arc<Given> {
        &self.given
    }

    /// Bytes of its blocks that have come from others, right or wrong.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Right blocks of this length together have come.
    pub(crate) fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// From now on who asks for the `.cascade` file is given `metafile`.
    pub fn describe_with(&self, metafile: Arc<MetafileOnDisk>) {
        let _ = self.metafile.set(metafile);
    }

    /// The `.cascade` file, if it may be given to others.
    #[must_use]
    pub fn metafile(&self) -> Option<&MetafileOnDisk> {
        self.metafile.get().map(|metafile| &**metafile)
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

    /// From now on blocks that are not there are fetched from an origin when they are asked for.
    pub fn fetch_from(&self, origin: Arc<Fetcher>) {
        let _ = self.origin.set(origin);
    }

    /// Whether blocks were ever fetched from an origin.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        self.origin.get().is_some()
    }

    /// What brings the blocks that are not there, if anything does.
    #[must_use]
    pub fn origin(&self) -> Option<&Fetcher> {
        self.origin.get().map(|origin| &**origin).filter(|origin| !origin.is_over())
    }

    /// Whether clients may ask for `block`: it is there, or can be brought.
    #[must_use]
    pub fn gives(&self, block: Block) -> bool {
        self.have.has(block) || self.origin().is_some()
    }

    /// Number of blocks that clients may ask for.
    #[must_use]
    pub fn given_blocks(&self) -> u64 {
        if self.origin().is_some() { self.layout().blocks() } else { self.have.count() }
    }

    /// Whether blocks may be dropped at any time, and their bytes with them.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.origin.get().is_some_and(|origin| origin.drops())
    }

    /// Fills `buffer` with the bytes at `offset`, which are those of verified blocks.
    ///
    /// # Errors
    /// Those of [`DataFile::read_exact_at`]; `NotFound`: a block was dropped meanwhile.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(origin) = self.origin.get().filter(|origin| origin.drops()) else {
            return self.data.read_exact_at(buffer, offset);
        };
        let _reading = origin.reading();
        let (size, end) = (self.layout().block_size().max(1), offset + buffer.len() as u64);
        let mut blocks = (offset / size..end.div_ceil(size)).map(|number| self.layout().block(number));
        if !blocks.all(|block| block.is_some_and(|block| self.have.has(block))) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.data.read_exact_at(buffer, offset)
    }

    /// These blocks are there no longer. Who can ask for them still can, so nobody is told.
    pub fn withdraw_range(&self, blocks: Range<u64>) {
        let _ledger = self.ledger();
        for block in blocks.filter_map(|number| self.layout().block(number)) {
            self.have.withdraw(block);
        }
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

    /// The blocks that are verified and written.
    #[must_use]
    pub fn have(&self) -> &HaveMap {
        &self.have
    }

    /// From now on the listener that `make` makes of the present blocks hears of changes. There is one at most.
    pub fn listen<L: Listener + 'static>(&self, make: impl FnOnce(&Layout, &Have) -> L) -> Arc<L> {
        let _ledger = self.ledger();
        let listener = Arc::new(make(self.layout(), &self.have.snapshot()));
        let _ = self.listener.set(Arc::<L>::clone(&listener));
        listener
    }

    fn restarted(&self, sure: bool) {
        if let Some(slices) = self.slices() {
            slices.restarted(&self.have.snapshot(), sure);
        }
        if let Some(listener) = self.listener.get() {
            listener.restarted(&self.have.snapshot(), sure);
        }
    }

    /// The ledger, for a look or a step; see [`Ledger`].
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `block` is verified and written: from now on it is served and told of. Not while the file is in
    /// doubt.
    pub fn publish(&self, block: Block) {
        let mut ledger = self.ledger();
        self.publish_in(&mut ledger, block);
    }

    fn publish_in(&self, ledger: &mut Ledger, block: Block) {
        if !(ledger.published(block) && self.have.publish(block)) {
            return;
        }
        if let Some(slices) = self.slices() {
            slices.tell(&slices.completed(block));
        }
        if let Some(listener) = self.listener.get() {
            listener.published(block);
        }
    }

    /// Makes all that was published durable. When it fails, what came since the last good sync is
    /// withdrawn before anybody hears of it, the file is in doubt, and the tasks that wait in
    /// [`Shared::wait_trouble`] wake. In a file in doubt a sync that goes well changes nothing.
    ///
    /// # Errors
    /// What the disk says. The system's memory of the file is dropped then: what is read next, and is not
    /// waiting to be written again, is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.ledger().sync_begins();
        let Err(error) = self.data.sync() else {
            self.ledger().sync_succeeded();
            return Ok(());
        };
        let told = io::Error::new(error.kind(), error.to_string());
        {
            let mut ledger = self.ledger();
            self.withdraw(ledger.sync_failed());
        }
        self.data.drop_cache();
        self.tell(Trouble::Sync(told));
        Err(error)
    }

    /// Moves `block`, which must have this hash, out of a file that has turned into a folder, if it is there and
    /// believed.
    ///
    /// # Errors
    /// Those of [`DataFile::move_over`].
    pub fn move_over(&self, block: Block, hash: BlockHash) -> io::Result<()> {
        // A sync that fails takes back what was moved before it began, or nothing of it.
        let _no_sync = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ledger().doubtful().is_some() || !self.have.has(block) {
            return Ok(());
        }
        if !self.data.move_over(block, hash)? {
            self.found_wrong();
        }
        // It is in another place, and perhaps not yet on the disk. What is in doubt is looked at anyway.
        let _ = self.ledger().published(block);
        Ok(())
    }

    fn withdraw(&self, doubtful: &Have) {
        let mut any = false;
        for block in self.layout().iter().filter(|block| doubtful.has(*block)) {
            any |= self.have.withdraw(block);
        }
        // Slices of blocks that are not complete are in doubt, too.
        if any || self.slices().is_some() {
            self.restarted(false);
        }
    }

    /// Nothing of the file can be believed until it is checked: every block is withdrawn.
    pub fn doubt_all(&self) {
        let mut ledger = self.ledger();
        ledger.doubt_all();
        self.had.fetch_max(self.have.count(), Ordering::Relaxed);
        self.have.withdraw_all();
        self.restarted(false);
    }

    /// Number of blocks that were believed when the whole file came into doubt.
    #[must_use]
    pub fn had(&self) -> u64 {
        self.had.load(Ordering::Relaxed)
    }

    /// What was in doubt was checked, and holds the blocks of `right`; they were read from the disk itself
    /// (`from_disk`), or may only be in the system's memory yet.
    pub fn settle(&self, right: &Have, from_disk: bool) {
        let mut ledger = self.ledger();
        // Told before this, and mended by it.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        ledger.settled(right, from_disk);
        self.had.store(0, Ordering::Relaxed);
        self.have.replace(right);
        self.restarted(true);
        self.changed.store(false, Ordering::Release);
    }

    /// Guards the file with `stamp` from now on: nobody should write to it any more. `None`: nothing guards
    /// it.
    pub fn set_stamp(&self, stamp: Option<Stamp>) {
        self.data.end_guard();
        *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        self.changed.store(false, Ordering::Release);
    }

    /// What the file looked like when it was verified; `None` while it is being downloaded.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        *self.stamp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the file system whether the file is what was verified; call it before each answer. When it
    /// is not, every block is withdrawn at once, and the tasks that wait in [`Shared::wait_trouble`] wake.
    pub fn is_unchanged(&self) -> bool {
        if self.changed.load(Ordering::Acquire) {
            return false;
        }
        let unchanged = match self.stamp() {
            Some(stamp) => self.data.ground().looks_like(&stamp),
            None => self.data.is_ours(),
        };
        if !unchanged {
            self.found_wrong();
        }
        unchanged
    }

    /// A block is not what was verified: every block is withdrawn at once, and the tasks that wait in
    /// [`Shared::wait_trouble`] wake.
    pub fn found_wrong(&self) {
        if !self.changed.swap(true, Ordering::AcqRel) {
            self.doubt_all();
            self.tell(Trouble::Changed);
        }
    }

    fn tell(&self, trouble: Trouble) {
        let mut told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // What concerns all blocks is not hidden by what concerns some.
        if !matches!(*told, Some(Trouble::Changed)) {
            *told = Some(trouble);
        }
        self.trouble_notify.notify_one();
    }

    /// Waits until blocks were withdrawn, and tells why.
    pub async fn wait_trouble(&self) -> Trouble {
        loop {
            if let Some(trouble) = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return trouble;
            }
            self.trouble_notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::disk::tests::FailingDisk;
    use std::io::IoSlice;
    use std::path::Path;
    use std::sync::Arc;

    fn shared(fails: fn(u32) -> bool) -> (Shared, Arc<FailingDisk>) {
        let (layout, disk) = (Layout::new(40, 10).unwrap(), Arc::new(FailingDisk::new(fails)));
        let file = tempfile::tempfile().unwrap();
        file.set_len(40).unwrap();
        let data = DataFile::on_disk(file, Path::new("x"), layout, Arc::<FailingDisk>::clone(&disk));
        data.guard(data.ground().look().unwrap());
        (Shared::new(CascadeHash([1; 32]), data, HaveMap::new(layout, &Have::none(&layout)), None), disk)
    }

    fn blocks(shared: &Shared) -> Vec<u64> {
        shared.layout().iter().map(|block| block.number()).filter(|n| has(shared, *n)).collect()
    }

    fn has(shared: &Shared, number: u64) -> bool {
        shared.have().has(shared.layout().block(number).unwrap())
    }

    fn publish(shared: &Shared, number: u64) {
        shared.publish(shared.layout().block(number).unwrap());
    }

    #[tokio::test]
    async fn a_failed_sync_takes_back_what_came_since_the_last_good_one() {
        let (shared, disk) = shared(|number| number == 1);
        publish(&shared, 0);
        shared.sync().unwrap();
        publish(&shared, 1);
        publish(&shared, 2);
        assert!(shared.sync().is_err());
        assert_eq!(blocks(&shared), [0]);
        assert_eq!(disk.dropped.load(Ordering::Relaxed), 1, "what only memory has is forgotten");
        assert!(matches!(shared.wait_trouble().await, Trouble::Sync(_)));
        // A second try goes well, and is not believed; nor is what was under way.
        shared.sync().unwrap();
        publish(&shared, 3);
        assert_eq!(blocks(&shared), [0]);
        let mut right = Have::none(shared.layout());
        right.insert(shared.layout().block(2).unwrap());
        shared.settle(&right, true);
        publish(&shared, 3);
        assert_eq!(blocks(&shared), [0, 2, 3]);
    }

    #[tokio::test]
    async fn another_program_takes_everything_back_and_our_own_writes_nothing() {
        let (shared, _) = shared(|_| false);
        publish(&shared, 0);
        shared.data().write_all_at(&mut [IoSlice::new(b"ours")], 10).unwrap();
        assert!(shared.is_unchanged());
        shared.data().file().unwrap().set_len(39).unwrap();
        assert!(!shared.is_unchanged() && !shared.is_unchanged());
        publish(&shared, 1);
        assert_eq!(shared.have().count(), 0);
        assert!(matches!(shared.wait_trouble().await, Trouble::Changed));
        assert_eq!(shared.had(), 1);
        shared.data().guard(shared.data().ground().look().unwrap());
        shared.settle(&Have::all(shared.layout()), false);
        assert!(shared.is_unchanged() && shared.have().is_complete());
    }
}
