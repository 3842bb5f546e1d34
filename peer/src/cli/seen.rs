//! What is remembered of data when its `.cascade` file was made of it, so that nobody hashes it again while it is unchanged.

use crate::ground::disk::SystemDisk;
use crate::ground::{Ground, Stamp};
use crate::metafile::MetafileOnDisk;
use crate::store::{Record, Records};
use cascade_format::Have;
use std::path::Path;

/// Data that is about to be hashed.
#[derive(Debug)]
pub(super) struct Seen {
    stamp: Option<Stamp>,
}

impl Seen {
    /// Look before it is hashed: what is remembered must be on the disk, and a later write must show in the stamp.
    pub(super) fn look(ground: &dyn Ground) -> Self {
        let synced = ground.sync(&SystemDisk).is_ok();
        Self { stamp: ground.look().ok().filter(|_| synced) }
    }

    /// Remembers that the data at `path` is what `made` describes, which was made of it since. Where this cannot be
    /// remembered, the data is hashed once more, and nothing else is lost.
    pub(super) fn remember(self, records: &Records, made: &MetafileOnDisk, path: &Path, ground: &dyn Ground) {
        let hash = made.cascade_hash();
        // Both hashes were computed of the same bytes.
        let _ = records.remember_consistent(hash);
        if let Some(stamp) = self.stamp {
            let record = Record { have: Have::all(made.layout()), file_hash_checked: true };
            let _ = records.save(hash, path, ground, stamp, &record);
        }
    }
}
