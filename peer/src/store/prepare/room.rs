//! Whether the disk is large enough.

use super::Preparation;
use crate::store::{DataFile, Part, PrepareError};
use cascade_format::Have;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Preparation<'_> {
    /// Whether the rest of a part file fits on its disk. How much a folder needs that is brought up to date is not known
    /// yet.
    pub(super) fn check_room(&self, part: &Part, folder: &Path, target: &Path) -> Result<(), PrepareError> {
        if target.is_dir() {
            return Ok(());
        }
        let taken = part.file.metadata().map_or(0, |metadata| allocated(&metadata));
        let needed = self.metafile.layout().length().saturating_sub(taken);
        match free_space(folder) {
            Some(free) if free < needed => {
                Err(PrepareError::NoSpace { path: part.path.clone(), needed, free })
            }
            _ => Ok(()),
        }
    }

    /// Whether what a folder lacks fits on its disk. Room that its files occupy already is not counted, because it was
    /// reserved, or because some bytes of a block have come; nor are holes in blocks that are right.
    pub(super) fn check_room_for(&self, have: &Have, data: &DataFile) -> Result<(), PrepareError> {
        let layout = self.metafile.layout();
        let missing = layout.iter().filter(|block| !have.has(*block));
        let missing: u64 = missing.map(|block| layout.len_of(block)).sum();
        let needed = if missing == 0 { 0 } else { data.room_needed().unwrap_or(missing).min(missing) };
        match free_space(data.path()) {
            Some(free) if free < needed => {
                Err(PrepareError::NoSpace { path: data.path().to_owned(), needed, free })
            }
            _ => Ok(()),
        }
    }
}

/// Free bytes on the disk of `folder`, where the system tells.
fn free_space(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    // Some file systems tell nothing at all.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of the disk that a file occupies already.
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.blocks().saturating_mul(512)
}
