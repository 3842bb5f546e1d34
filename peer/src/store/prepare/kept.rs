//! The file in which a part of what an origin has is kept, when not all of it may be.
//!
//! It is no part file: what is in a part file is never dropped.

use super::{Preparation, set_length};
use crate::ground::Stamp;
use crate::origin::cache::Dropped;
use crate::origin::pool::Shrink;
use crate::store::error::{PrepareError, io_error};
use crate::store::part::{self, Part, with_ending};
use crate::store::reserve::punch;
use crate::store::{DataFile, Record, Records};
use cascade_format::{CascadeHash, Have, Layout};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The ending of its name.
const ENDING: &str = ".cache";

/// What is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The file, which this process has locked and guards.
    pub(crate) data: DataFile,
    /// What it holds.
    pub(crate) have: Have,
}

/// `NAME.cache` beside `target`.
pub(crate) fn kept_path(target: &Path) -> PathBuf {
    with_ending(target, ENDING)
}

impl Preparation<'_> {
    /// Opens or makes `NAME.cache` beside `target`.
    ///
    /// # Errors
    /// Another process uses it; something else has the name; the file system says no.
    pub(crate) fn kept(&self, target: &Path) -> Result<Kept, PrepareError> {
        let (path, layout) = (kept_path(target), self.metafile.layout());
        let part = Part::at(path.clone())?.ok_or_else(|| PrepareError::InTheWay(path.clone()))?;
        let length = part.file.metadata().map_err(|error| io_error("look at", &path, error))?.len();
        let have = if part.new {
            Have::none(layout)
        } else if length == layout.length() || length == 0 {
            self.known_or_checked(&path, &part.file)?.have
        } else {
            // It is somebody else's: ours has this length from its first moment on.
            return Err(PrepareError::ForeignCache(path));
        };
        set_length(&part.file, layout.length()).map_err(|error| io_error("make room for", &path, error))?;
        let stamp = Stamp::of(&part.file).map_err(|error| io_error("look at", &path, error))?;
        let data = DataFile::new(part.file, &path, *layout);
        if part.new {
            // By its record it is known to be ours, whatever ends this process.
            let record = Record { have: have.clone(), file_hash_checked: false };
            let _ = self.records.save(self.metafile.cascade_hash(), &path, data.ground(), stamp, &record);
        }
        data.guard(stamp);
        Ok(Kept { data, have })
    }
}

/// What is kept of a file that nobody uses.
#[derive(Debug)]
pub(crate) struct KeptFile {
    pub(crate) hash: CascadeHash,
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
    /// Where it is remembered which blocks it has.
    pub(crate) records: Records,
}

impl Shrink for KeptFile {
    fn shrink(&self, parts: Option<&[Dropped]>) -> bool {
        let Self { hash, path, layout, records } = self;
        let is_file = fs::symlink_metadata(path).is_ok_and(|there| there.is_file());
        let Some(part) = is_file.then(|| Part::at(path.clone()).ok().flatten()).flatten() else {
            return true;
        };
        let known = Stamp::of(&part.file).ok().and_then(|stamp| records.load(*hash, path, stamp, layout));
        let (Some(mut record), Some(parts)) = (known, parts) else {
            // Which parts it has is not known: what is dropped of it would be read at its next use as if it were there.
            part::remove(&part.file, &part.path);
            return true;
        };
        for Dropped { blocks, hole } in parts {
            for block in blocks.clone().filter_map(|number| layout.block(number)) {
                record.have.remove(block);
            }
            if punch(&part.file, hole.start..hole.end.min(layout.length())).is_err() {
                part::remove(&part.file, &part.path);
                return true;
            }
        }
        if part.file.sync_all().is_ok()
            && let Ok(stamp) = Stamp::of(&part.file)
        {
            // Without it the next use hashes what is there; nothing else is lost.
            let _ = records.save(*hash, path, &part.file, stamp, &record);
        }
        false
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn leave_for(&self, path: &Path) {
        let Self { hash, path: here, layout, records } = self;
        let Ok(there) = fs::symlink_metadata(here) else { return };
        let place = |there: &fs::Metadata| (there.dev(), there.ino());
        let same = fs::symlink_metadata(path).is_ok_and(|other| place(&other) == place(&there));
        if !same && there.len() == layout.length() && records.recorded(*hash, here, layout).is_some() {
            self.shrink(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_of_a_file_that_sleeps_is_forgotten_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (layout, path) = (Layout::new(40_960, 4096).unwrap(), folder.path().join("x.cache"));
        let records = Records::in_folder(&folder.path().join("state"));
        let kept = KeptFile { hash: CascadeHash([1; 32]), path: path.clone(), layout, records };
        fs::write(&path, vec![7; 40_960]).unwrap();
        let open = || fs::File::open(&path).unwrap();
        let record = Record { have: Have::all(&layout), file_hash_checked: false };
        let stamp = Stamp::of(&open()).unwrap();
        kept.records.save(kept.hash, &path, &open(), stamp, &record).unwrap();
        let parts =
            [Dropped { blocks: 2..4, hole: 8192..16_384 }, Dropped { blocks: 9..10, hole: 36_864..40_960 }];
        assert!(!kept.shrink(Some(&parts)));
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[8191] == 7 && bytes[8192..16_384].iter().all(|byte| *byte == 0) && bytes[16_384] == 7);
        let known = kept.records.load(kept.hash, &path, Stamp::of(&open()).unwrap(), &layout).unwrap();
        let has = |number| known.have.has(layout.block(number).unwrap());
        assert_eq!((0..10).filter(|number| has(*number)).collect::<Vec<_>>(), [0, 1, 4, 5, 6, 7, 8]);
        // Somebody has changed it: nobody knows what it has.
        fs::write(&path, b"x").unwrap();
        assert!(kept.shrink(Some(&parts)) && !path.exists());
        assert!(kept.shrink(None) && !path.exists(), "nothing is made");
    }

    #[test]
    fn what_is_kept_where_nobody_finds_it_any_more_is_dropped_and_nothing_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let (layout, path) = (Layout::new(4096, 4096).unwrap(), folder.path().join("x.cache"));
        let records = Records::in_folder(&folder.path().join("state"));
        let kept = KeptFile { hash: CascadeHash([1; 32]), path: path.clone(), layout, records };
        fs::write(&path, vec![7; 4096]).unwrap();
        kept.leave_for(&folder.path().join("y.cache"));
        assert!(path.exists(), "nothing says that it is ours");
        let (file, have) = (fs::File::open(&path).unwrap(), Have::all(&layout));
        let record = Record { have, file_hash_checked: false };
        kept.records.save(kept.hash, &path, &file, Stamp::of(&file).unwrap(), &record).unwrap();
        drop(file);
        kept.leave_for(&folder.path().join("state/../x.cache"));
        assert!(path.exists(), "it is where it was");
        fs::write(&path, b"mine").unwrap();
        kept.leave_for(&folder.path().join("y.cache"));
        assert!(path.exists(), "ours has another length");
        fs::write(&path, vec![0; 4096]).unwrap();
        kept.leave_for(&folder.path().join("y.cache"));
        assert!(!path.exists());
    }
}
