//! The files that one listening port serves (protocol §3: a peer serves several).

use crate::store::Shared;
use crate::upload::SharedUpload;
use cascade_format::{Block, CascadeHash, Have, Layout, PeerAddr};
use cascade_swarm::give::Conversation;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard};

/// A file as it is requested by one name: in blocks by its cascade hash, or in slices by the name of these (protocol,
/// Slices).
#[derive(Debug)]
pub struct Served {
    /// Its blocks.
    pub file: Arc<Shared>,
    /// Which client gets its blocks, or its slices, and what clients are told of them.
    pub upload: Arc<SharedUpload>,
    name: CascadeHash,
    layout: Layout,
    /// The same file in slices, if this is the file in blocks and its slices are given.
    slices: Option<Arc<Served>>,
    /// What clients are told of the blocks, if this is the file in slices.
    blocks: Option<Arc<SharedUpload>>,
    /// Requests for the file by either name.
    asked: Arc<AtomicU64>,
}

impl Served {
    /// Serves `file`, which is served nowhere else: in blocks and, if these are divided and not hashed before they are
    /// served, in slices.
    #[must_use]
    pub fn new(file: Arc<Shared>) -> Arc<Self> {
        let asked = Arc::default();
        let sliced = file.proof().is_none() && file.slices().is_some();
        let upload = file.listen(|layout, have| SharedUpload::new(*layout, have, sliced));
        let slices = if sliced { Self::in_slices(&file, &upload, &asked) } else { None };
        Self::in_blocks(file, upload, slices, asked)
    }

    /// Serves `file`, every block of which can be brought when it is asked for: clients see a seeder. Its slices are not
    /// given.
    #[must_use]
    pub fn whole(file: Arc<Shared>) -> Arc<Self> {
        let layout = *file.layout();
        let upload = Arc::new(SharedUpload::new(layout, &Have::all(&layout), false));
        Self::in_blocks(file, upload, None, Arc::default())
    }

    fn in_blocks(
        file: Arc<Shared>,
        upload: Arc<SharedUpload>,
        slices: Option<Arc<Self>>,
        asked: Arc<AtomicU64>,
    ) -> Arc<Self> {
        let (name, layout) = (file.cascade_hash(), *file.layout());
        Arc::new(Self { file, upload, name, layout, slices, blocks: None, asked })
    }

    fn in_slices(
        file: &Arc<Shared>,
        blocks: &Arc<SharedUpload>,
        asked: &Arc<AtomicU64>,
    ) -> Option<Arc<Self>> {
        let slices = file.slices()?;
        let (name, layout) = (slices.name(), *slices.layout());
        let upload = file.listen_slices(|layout, have| SharedUpload::new(*layout, have, false))?;
        let (file, blocks, asked) = (Arc::clone(file), Some(Arc::clone(blocks)), Arc::clone(asked));
        Some(Arc::new(Self { file, upload, name, layout, slices: None, blocks, asked }))
    }

    /// The name by which it is requested: the cascade hash, or the name of the slices.
    #[must_use]
    pub fn name(&self) -> CascadeHash {
        self.name
    }

    /// How the file is divided into what is given: blocks or slices.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The same file in slices, if this is the file in blocks and its slices are given.
    #[must_use]
    pub fn slices(&self) -> Option<&Arc<Self>> {
        self.slices.as_ref()
    }

    /// Whether this is the file in slices.
    #[must_use]
    pub fn is_sliced(&self) -> bool {
        self.layout.slices_a_block() > 1
    }

    /// Whether clients may ask for `block`, which is a block or a slice.
    #[must_use]
    pub fn gives(&self, block: Block) -> bool {
        if self.is_sliced() { self.file.has_slice(block) } else { self.file.gives(block) }
    }

    /// Waits until time alone has changed something for clients of blocks or of slices. The owner of the file calls this
    /// again and again.
    pub async fn tick(&self) {
        let Some(slices) = &self.slices else { return self.upload.tick().await };
        tokio::select! {
            () = self.upload.tick() => {}
            () = slices.upload.tick() => {}
        }
    }

    /// Tells all clients with the extension that this peer leaves; whether there is anybody.
    pub fn leave(&self) -> bool {
        let slices = self.slices.as_ref().is_some_and(|slices| slices.upload.leave());
        self.upload.leave() || slices
    }

    /// See [`SharedUpload::met`].
    pub fn met(&self, addr: PeerAddr, extended: bool) {
        self.upload.met(addr, extended);
        self.slices.iter().for_each(|slices| slices.upload.met(addr, extended));
    }

    /// `block`, a block or a slice that a subscriber has asked for, is out to its last byte.
    pub(crate) fn sent(&self, conversation: &Conversation, block: Block) {
        self.upload.sent(conversation, block);
        if let Some(slices) = &self.slices {
            // A seeder that chooses must not offer these slices as if nobody had them.
            let numbers = slices.layout.slices_of(block);
            slices.upload.gave_by_other_name(numbers, self.layout.len_of(block));
        }
        if let Some(blocks) = &self.blocks {
            self.file.slices().into_iter().for_each(|slices| slices.gave(block));
            // Nor, when the last slice of a block has gone out, the block. Version 1 clients share the uplink with these.
            let whole = self.layout.block_of(block).number();
            let last = block.number() + 1 == self.layout.slices_of(self.layout.block_of(block)).end;
            blocks.gave_by_other_name(whole..whole + u64::from(last), self.layout.len_of(block));
        }
    }

    /// How often it was looked up for a client, by either name.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether a client converses about it or about its slices. The client's connection then holds it, besides the catalog
    /// and this number of `owners`.
    pub(crate) fn has_clients(self: &Arc<Self>, owners: usize) -> bool {
        /// The catalog, and the file in blocks.
        const SLICES_HELD: usize = 2;
        let of_slices = self.slices.as_ref().is_some_and(|slices| Arc::strong_count(slices) > SLICES_HELD);
        Arc::strong_count(self) > owners + 1 || of_slices
    }
}

/// What is found for a client that asks for a file.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// The file.
    Served(Arc<Served>),
    /// It is being opened: look again soon.
    Opening,
    /// It is known here, and cannot be given now.
    NotNow,
    /// No such file.
    Unknown,
}

/// Files that are opened when somebody asks for them.
pub(crate) trait Sleepers: std::fmt::Debug + Send + Sync {
    /// Somebody asks for the file, which is not served yet. Returns at once.
    fn wake(&self, hash: &CascadeHash) -> Lookup;

    /// How many there are that are not open.
    fn asleep(&self) -> u64;
}

/// The files of this process by their cascade hash, and by the name of their slices. A connection reads it once for each
/// file that it asks for; it is written when a file is added or withdrawn. The lock is held for one look-up.
#[derive(Debug, Default)]
pub struct Catalog {
    files: RwLock<Files>,
    /// Asked for what is not in there.
    sleepers: OnceLock<Arc<dyn Sleepers>>,
}

impl Catalog {
    /// Nothing to serve yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Serves `file` from now on, and its slices.
    pub fn add(&self, file: Arc<Served>) {
        let mut files = self.write();
        let slices = file.slices().map(Arc::clone);
        if let Some(before) = files.insert(file.name(), file) {
            forget_slices(&mut files, &before);
        }
        slices.into_iter().for_each(|slices| drop(files.insert(slices.name(), slices)));
    }

    /// From now on `sleepers` are asked for files that are not served. There is one at most.
    pub(crate) fn set_sleepers(&self, sleepers: Arc<dyn Sleepers>) {
        let _ = self.sleepers.set(sleepers);
    }

    /// The file named `hash`, in blocks or in slices, for a client that asks for it.
    pub(crate) fn find(&self, hash: &CascadeHash) -> Lookup {
        match self.get(hash) {
            Some(served) => {
                served.asked.fetch_add(1, Ordering::Relaxed);
                Lookup::Served(served)
            }
            None => self.sleepers.get().map_or(Lookup::Unknown, |sleepers| sleepers.wake(hash)),
        }
    }

    /// Serves this very file no longer, nor its slices; another one with its name stays.
    pub(crate) fn remove_this(&self, served: &Arc<Served>) {
        let mut files = self.write();
        if files.get(&served.name()).is_some_and(|there| Arc::ptr_eq(there, served)) {
            files.remove(&served.name());
            forget_slices(&mut files, served);
        }
    }

    /// Serves the file no longer, nor its slices; connections that hold it finish the block they are at.
    pub fn remove(&self, hash: &CascadeHash) {
        let mut files = self.write();
        if let Some(served) = files.remove(hash) {
            forget_slices(&mut files, &served);
        }
    }

    /// Tells all clients with the extension that this peer leaves; whether there is anybody.
    pub fn leave(&self) -> bool {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.values().fold(false, |any, file| file.upload.leave() | any)
    }

    /// The file named `hash`, in blocks or in slices, if this process has it.
    #[must_use]
    pub fn get(&self, hash: &CascadeHash) -> Option<Arc<Served>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).get(hash).map(Arc::clone)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Files> {
        self.files.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By their names.
type Files = HashMap<CascadeHash, Arc<Served>>;

/// The slices of `served`, which is in `files` no longer, are not served any more.
fn forget_slices(files: &mut Files, served: &Served) {
    if let Some(slices) = served.slices() {
        files.remove(&slices.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::HaveMap;
    use crate::store::DataFile;
    use cascade_format::extension::slices;
    use std::path::Path;

    const HASH: CascadeHash = CascadeHash([1; 32]);

    fn shared(block_size: u64) -> Arc<Shared> {
        let layout = Layout::new(1 << 20, block_size).unwrap();
        let data = DataFile::new(tempfile::tempfile().unwrap(), Path::new("x"), layout);
        Arc::new(Shared::new(HASH, data, HaveMap::new(layout, &Have::all(&layout)), None))
    }

    #[test]
    fn a_file_comes_and_goes_with_its_slices() {
        let (catalog, name) = (Catalog::new(), slices::name(&HASH));
        let file = Served::new(shared(256 << 10));
        catalog.add(Arc::clone(&file));
        let Lookup::Served(sliced) = catalog.find(&name) else { panic!("there are no slices") };
        assert!(Arc::ptr_eq(&sliced, file.slices().unwrap()) && sliced.is_sliced() && !file.is_sliced());
        assert_eq!((sliced.name(), sliced.layout().blocks(), file.layout().blocks()), (name, 16, 4));
        assert_eq!((file.asked(), sliced.asked()), (1, 1));
        // One whose slices are not given takes its place.
        let whole = Served::whole(shared(256 << 10));
        catalog.add(Arc::clone(&whole));
        assert!(catalog.get(&name).is_none() && whole.slices().is_none());
        catalog.remove_this(&file);
        assert!(Arc::ptr_eq(&catalog.get(&HASH).unwrap(), &whole));
        let other = Served::new(shared(256 << 10));
        catalog.add(Arc::clone(&other));
        catalog.remove_this(&file);
        assert!(catalog.get(&name).is_some());
        catalog.remove(&HASH);
        assert!(catalog.get(&name).is_none() && catalog.get(&HASH).is_none());
        assert!(Served::new(shared(64 << 10)).slices().is_none(), "its blocks are not divided");
    }

    #[test]
    fn a_client_that_asks_for_slices_is_a_client_of_the_file() {
        let (catalog, file) = (Catalog::new(), Served::new(shared(256 << 10)));
        catalog.add(Arc::clone(&file));
        assert!(!file.has_clients(1));
        let held = catalog.get(&slices::name(&HASH));
        assert!(file.has_clients(1));
        drop(held);
        let held = catalog.get(&HASH);
        assert!(file.has_clients(1));
        drop(held);
        assert!(!file.has_clients(1));
    }
}
