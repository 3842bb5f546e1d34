//! The files that one listening port serves (protocol §3: a peer serves several).

use crate::store::Shared;
use crate::upload::SharedUpload;
use cascade_format::{CascadeHash, Have};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A file that is served.
#[derive(Debug)]
pub struct Served {
    /// Its blocks.
    pub file: Arc<Shared>,
    /// Which client gets them, and what clients are told of them.
    pub upload: Arc<SharedUpload>,
}

impl Served {
    /// Serves `file`, which is served nowhere else.
    #[must_use]
    pub fn new(file: Arc<Shared>) -> Arc<Self> {
        let upload = file.listen(|layout, have| SharedUpload::new(*layout, have));
        Arc::new(Self { file, upload })
    }

    /// Serves `file`, every block of which can be brought when it is asked for: clients see a seeder.
    #[must_use]
    pub fn whole(file: Arc<Shared>) -> Arc<Self> {
        let layout = *file.layout();
        Arc::new(Self { file, upload: Arc::new(SharedUpload::new(layout, &Have::all(&layout))) })
    }
}

/// The files of this process by their cascade hash. Read once by a connection for each file that it
/// asks for, written when a file is added or withdrawn: a lock that is held for one look-up.
#[derive(Debug, Default)]
pub struct Catalog {
    files: RwLock<HashMap<CascadeHash, Arc<Served>>>,
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
