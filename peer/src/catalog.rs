//! The files that one listening port serves (protocol §3: a peer serves several).

use crate::store::Shared;
use crate::upload::SharedUpload;
use cascade_format::{CascadeHash, Have};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// A file that is served.
#[derive(Debug)]
pub struct Served {
    /// Its blocks.
    pub file: Arc<Shared>,
    /// Which client gets them, and what clients are told of them.
    pub upload: Arc<SharedUpload>,
    /// Requests for it.
    asked: AtomicU64,
}

impl Served {
    /// Serves `file`, which is served nowhere else.
    #[must_use]
    pub fn new(file: Arc<Shared>) -> Arc<Self> {
        let upload = file.listen(|layout, have| SharedUpload::new(*layout, have));
        Arc::new(Self { file, upload, asked: AtomicU64::new(0) })
    }

    /// Serves `file`, every block of which can be brought when it is asked for: clients see a seeder.
    #[must_use]
    pub fn whole(file: Arc<Shared>) -> Arc<Self> {
        let layout = *file.layout();
        let upload = Arc::new(SharedUpload::new(layout, &Have::all(&layout)));
        Arc::new(Self { file, upload, asked: AtomicU64::new(0) })
    }

    /// How often it was looked up for a client.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
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

/// The files of this process by their cascade hash. Read once by a connection for each file that it
/// asks for, written when a file is added or withdrawn: a lock that is held for one look-up.
#[derive(Debug, Default)]
pub struct Catalog {
    files: RwLock<HashMap<CascadeHash, Arc<Served>>>,
    /// Asked for what is not in there.
    sleepers: OnceLock<Arc<dyn Sleepers>>,
}

impl Catalog {
    /// Nothing to serve yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Serves `file` from now on.
    pub fn add(&self, file: Arc<Served>) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.insert(file.file.cascade_hash(), file);
    }

    /// From now on `sleepers` are asked for files that are not served. There is one at most.
    pub(crate) fn set_sleepers(&self, sleepers: Arc<dyn Sleepers>) {
        let _ = self.sleepers.set(sleepers);
    }

    /// The file named `hash`, for a client that asks for it.
    pub(crate) fn find(&self, hash: &CascadeHash) -> Lookup {
        match self.get(hash) {
            Some(served) => {
                served.asked.fetch_add(1, Ordering::Relaxed);
                Lookup::Served(served)
            }
            None => self.sleepers.get().map_or(Lookup::Unknown, |sleepers| sleepers.wake(hash)),
        }
    }

    /// Serves this very file no longer; another one with its name stays.
    pub(crate) fn remove_this(&self, served: &Arc<Served>) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let hash = served.file.cascade_hash();
        if files.get(&hash).is_some_and(|there| Arc::ptr_eq(there, served)) {
            files.remove(&hash);
        }
    }

    /// Serves the file no longer; connections that hold it finish the block they are at.
    pub fn remove(&self, hash: &CascadeHash) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }

    /// Tells all clients with the extension that this peer leaves; whether there is anybody.
    pub fn leave(&self) -> bool {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.values().fold(false, |any, file| file.upload.leave() | any)
    }

    /// The file named `hash`, if this process has it.
    #[must_use]
    pub fn get(&self, hash: &CascadeHash) -> Option<Arc<Served>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).get(hash).map(Arc::clone)
    }
}
