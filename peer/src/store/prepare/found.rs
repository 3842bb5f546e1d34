//! What a file or folder holds, and whether the disk keeps it.

use super::Preparation;
use crate::check::check;
use crate::ground::disk::{Disk, SystemDisk};
use crate::ground::{Ground, Stamp};
use crate::store::Record;
use crate::store::error::{PrepareError, io_error};
use crate::store::ledger::MAX_FAILED_SYNCS;
use cascade_format::Have;
use std::path::Path;
use std::sync::atomic::Ordering;

/// What a check may rely on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust {
    /// The record of an earlier check, if the file's stamp is what it was.
    Record,
    /// The bytes alone.
    Bytes,
}

/// What a file was found to hold.
#[derive(Debug)]
pub(crate) struct Found {
    /// The blocks that are right.
    pub(crate) have: Have,
    /// What the file looked like before they were read.
    pub(crate) stamp: Stamp,
    /// Whether the whole-file hash is known to be right as well.
    pub(crate) file_hash_checked: bool,
    /// Whether the blocks are known to be on the disk, not only in the system's memory.
    pub(crate) on_disk: bool,
}

impl Preparation<'_> {
    /// What an existing file holds: by the record of an earlier run, or by hashing it.
    pub(crate) fn known_or_checked(&self, path: &Path, file: &dyn Ground) -> Result<Found, PrepareError> {
        let stamp = file.look().map_err(|error| io_error("look at", path, error))?;
        let layout = self.metafile.layout();
        if let Some(record) = self.records.load(self.metafile.cascade_hash(), path, stamp, layout) {
            (self.progress)(layout.length());
            let Record { have, file_hash_checked } = record;
            return Ok(Found { have, stamp, file_hash_checked, on_disk: true });
        }
        self.checked_at(path, file, stamp)
    }

    /// What a file holds, by its bytes.
    fn checked(&self, path: &Path, file: &dyn Ground) -> Result<Found, PrepareError> {
        let stamp = file.look().map_err(|error| io_error("look at", path, error))?;
        self.checked_at(path, file, stamp)
    }

    fn checked_at(&self, path: &Path, file: &dyn Ground, stamp: Stamp) -> Result<Found, PrepareError> {
        let layout = self.metafile.layout();
        let have = check(file, self.metafile, 0..layout.blocks(), self.progress, self.cancel);
        if self.cancel.load(Ordering::Relaxed) {
            return Err(PrepareError::Interrupted);
        }
        let have = have.map_err(|error| io_error("read", path, error))?;
        Ok(Found { have, stamp, file_hash_checked: false, on_disk: false })
    }

    /// What a finished file holds on the disk, for sure. If the disk refuses to keep it, the system's memory
    /// is not believed: the file is read again.
    ///
    /// # Errors
    /// The disk refuses [`MAX_FAILED_SYNCS`] times; the file cannot be read.
    pub(crate) fn durable(
        &self,
        path: &Path,
        file: &dyn Ground,
        trust: Trust,
    ) -> Result<Found, PrepareError> {
        let (disk, mut trust) = (SystemDisk, trust);
        // A page that is clean cannot be written to through a mapping without the file system noticing: the
        // change time moves, and the stamp shows it. In a page that is dirty already it would not. (Where
        // there is no disk, as with tmpfs, pages are never clean.)
        if file.sync(&disk).is_err() {
            file.drop_cache(&disk);
            trust = Trust::Bytes;
        }
        durable(&disk, path, file, || match trust {
            Trust::Record => self.known_or_checked(path, file),
            Trust::Bytes => self.checked(path, file),
        })
    }
}

/// What `look` finds in `file`, as soon as a sync after it has gone well.
pub(super) fn durable(
    disk: &dyn Disk,
    path: &Path,
    file: &dyn Ground,
    mut look: impl FnMut() -> Result<Found, PrepareError>,
) -> Result<Found, PrepareError> {
    let mut failures = 0;
    loop {
        let found = look()?;
        let Err(source) = (if found.on_disk { Ok(()) } else { file.sync(disk) }) else {
            return Ok(Found { on_disk: true, ..found });
        };
        file.drop_cache(disk);
        failures += 1;
        if failures == MAX_FAILED_SYNCS {
            return Err(PrepareError::Disk { path: path.to_owned(), source });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::disk::tests::FailingDisk;
    use cascade_format::Layout;
    use std::cell::Cell;

    fn found(on_disk: bool) -> Result<Found, PrepareError> {
        let file = tempfile::tempfile().map_err(|error| io_error("make", Path::new("x"), error))?;
        let stamp = Stamp::of(&file).map_err(|error| io_error("look at", Path::new("x"), error))?;
        let have = Have::all(&Layout::new(1, 1).unwrap());
        Ok(Found { have, stamp, file_hash_checked: false, on_disk })
    }

    #[test]
    fn what_a_failed_sync_leaves_in_memory_is_dropped_and_read_again() {
        let (file, path) = (tempfile::tempfile().unwrap(), Path::new("x"));
        let looks = Cell::new(0);
        let mut look = || {
            looks.set(looks.get() + 1);
            found(false)
        };
        let disk = FailingDisk::new(|number| number < 2);
        assert!(durable(&disk, path, &file, &mut look).unwrap().on_disk);
        assert_eq!((looks.get(), disk.dropped.load(Ordering::Relaxed)), (3, 2));

        looks.set(0);
        let dead = FailingDisk::new(|_| true);
        let error = durable(&dead, path, &file, &mut look).unwrap_err();
        assert!(error.to_string().contains("the disk does not keep x"), "{error}");
        assert_eq!(looks.get(), MAX_FAILED_SYNCS);

        // What an earlier run has seen on the disk needs no sync.
        assert!(durable(&dead, path, &file, || found(true)).unwrap().on_disk);
    }
}
