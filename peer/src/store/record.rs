//! What was found by checking a file, remembered from one run to the next, so that a large file is not
//! hashed again as long as its [`Stamp`] proves that it is the same.
//!
//! ```text
//!  ┌───────────────────────────────┬──────────┬─────────────────────────┐
//!  │ one line of JSON: the header  │ bitmap   │ SHA-256 of all before it │
//!  └───────────────────────────────┴──────────┴─────────────────────────┘
//! ```
//!
//! A record is written only after the file's data is on the disk, under another name first. One that is
//! damaged, of another file or of other bytes is no record. Records live in `$CASCADE_STATE_DIR`, else
//! `$XDG_STATE_HOME/cascade`, else `~/.local/state/cascade`; without any of them nothing is remembered. Those of what
//! is no more go after a while (`sweep`).

use crate::folder::Written;
use crate::ground::{Ground, Stamp};
use cascade_format::{BlockHash, CascadeHash, Have, Layout};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

mod sweep;

pub use sweep::{GONE_RECORD_DAYS, MAX_SWEPT, SWEEP_INTERVAL, UNUSED_RECORD_DAYS};

const VERSION: u32 = 1;

/// Longest header line, in bytes: a path and a few numbers.
const MAX_HEADER_LEN: usize = 64 << 10;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordHeader {
    version: u32,
    cascade_hash: String,
    path: PathBuf,
    stamp: Stamp,
    /// The whole-file hash was right too.
    file_hash_checked: bool,
}

/// `.cascade` files of what was shared that are kept. Who shares more in turn waits for a description again.
pub const MAX_SHARED_FILES: usize = 1024;

/// What was known of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// The blocks that are right.
    pub have: Have,
    /// Whether the whole-file hash is right too.
    pub file_hash_checked: bool,
}

/// The folder of records.
#[derive(Debug, Clone)]
pub struct Records {
    folder: Option<PathBuf>,
}

impl Records {
    /// The folder that the environment names.
    #[must_use]
    pub fn from_environment() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("CASCADE_STATE_DIR")
            .or_else(|| set("XDG_STATE_HOME").map(|home| home.join("cascade")))
            .or_else(|| set("HOME").map(|home| home.join(".local/state/cascade")));
        Self { folder }
    }

    /// This folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()) }
    }

    /// What is remembered of the file or folder at `path`, if it was the same when it looked like `stamp`.
    #[must_use]
    pub fn load(&self, hash: CascadeHash, path: &Path, stamp: Stamp, layout: &Layout) -> Option<Record> {
        self.recorded(hash, path, layout).filter(|(there, _)| *there == stamp).map(|(_, record)| record)
    }

    /// What is remembered of the file or folder at `path`, and what it looked like, whatever it is by now.
    pub(crate) fn recorded(
        &self,
        hash: CascadeHash,
        path: &Path,
        layout: &Layout,
    ) -> Option<(Stamp, Record)> {
        let name = self.name(hash, path)?;
        let bytes = fs::read(&name).ok()?;
        let (body, sum) = bytes.split_last_chunk::<32>()?;
        if BlockHash::of(body).as_bytes() != sum {
            return None;
        }
        let line = body.iter().take(MAX_HEADER_LEN).position(|byte| *byte == b'\n')?;
        let header: RecordHeader = serde_json::from_slice(body.get(..line)?).ok()?;
        let same = header.version == VERSION
            && header.cascade_hash == hash.to_string()
            && header.path == absolute(path)?;
        let have = Have::from_bytes(layout, body.get(line + 1..)?)?;
        let record = Record { have, file_hash_checked: header.file_hash_checked };
        if !same {
            return None;
        }
        touch(&name);
        Some((header.stamp, record))
    }

    /// Whether the file or folder at `path` was once seen to have blocks of the file `hash`.
    #[must_use]
    pub fn is_recorded(&self, hash: CascadeHash, path: &Path) -> bool {
        self.name(hash, path).is_some_and(|name| name.exists())
    }

    /// Remembers `have` of the `data` at `path`, which looked like `stamp` before it was checked. All of
    /// it must be on the disk: a sync after the check, or after the last write, has gone well.
    ///
    /// # Errors
    /// The file system's own. Nothing depends on a record: it only saves time.
    pub fn save(
        &self,
        hash: CascadeHash,
        path: &Path,
        data: &dyn Ground,
        stamp: Stamp,
        record: &Record,
    ) -> io::Result<()> {
        let (Some(name), Some(folder), Some(path)) = (self.name(hash, path), &self.folder, absolute(path))
        else {
            return Ok(());
        };
        if !data.looks_like(&stamp) {
            return Ok(());
        }
        let header = RecordHeader {
            version: VERSION,
            cascade_hash: hash.to_string(),
            path,
            stamp,
            file_hash_checked: record.file_hash_checked,
        };
        let mut body = serde_json::to_vec(&header)?;
        body.push(b'\n');
        body.extend_from_slice(&record.have.to_bytes());
        let sum = BlockHash::of(&body);
        body.extend_from_slice(sum.as_bytes());
        persist(folder, &name, &body)
    }

    /// Forgets what is remembered of the file at `path`: a look at it has found something else.
    pub fn forget(&self, hash: CascadeHash, path: &Path) {
        if let Some(name) = self.name(hash, path) {
            // There is none, mostly.
            let _ = fs::remove_file(name);
        }
    }

    /// Whether a whole file with exactly these blocks was seen to have the stated whole-file hash. Then
    /// every file whose blocks are right has it: other bytes with the same block hashes cannot be found.
    #[must_use]
    pub fn is_consistent(&self, hash: CascadeHash) -> bool {
        let name = self.consistent(hash).filter(|name| name.exists());
        name.inspect(|name| touch(name)).is_some()
    }

    /// Remembers that the `.cascade` file named `hash` does not contradict itself.
    ///
    /// # Errors
    /// The file system's own. Nothing depends on it: it only saves time.
    pub fn remember_consistent(&self, hash: CascadeHash) -> io::Result<()> {
        match (self.consistent(hash), &self.folder) {
            (Some(name), Some(folder)) => {
                fs::create_dir_all(folder)?;
                File::create(&name)?;
                sweep::sweep(folder, &name);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is known to have been written by this program of the folder at `path`.
    #[must_use]
    pub fn written(&self, path: &Path) -> Written {
        let Some(name) = self.written_name(path) else { return Written::default() };
        let bytes = fs::read(&name).unwrap_or_default();
        match bytes.split_last_chunk::<32>() {
            Some((body, sum)) if BlockHash::of(body).as_bytes() == sum => {
                touch(&name);
                Written::from_bytes(body)
            }
            _ => Written::default(),
        }
    }

    /// Remembers what this program has written of the folder at `path`.
    ///
    /// # Errors
    /// The file system's own. Without it more is kept when the folder is brought up to date; nothing else depends on it.
    pub fn save_written(&self, path: &Path, written: &Written) -> io::Result<()> {
        let (Some(name), Some(folder)) = (self.written_name(path), &self.folder) else { return Ok(()) };
        let mut body = written.to_bytes();
        let sum = BlockHash::of(&body);
        body.extend_from_slice(sum.as_bytes());
        persist(folder, &name, &body)
    }

    /// The folder of the `.cascade` files of what is shared, where there is none beside the data.
    #[must_use]
    pub fn shared_folder(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("shared"))
    }

    /// Where the `.cascade` file of the data at `path` is kept: one for each path.
    #[must_use]
    pub fn shared(&self, path: &Path) -> Option<PathBuf> {
        let path = absolute(path)?;
        let key = BlockHash::of(path.as_os_str().as_encoded_bytes());
        Some(self.shared_folder()?.join(format!("{key}.cascade")))
    }

    /// Removes the `.cascade` files of what was shared that were not used for longest, beyond [`MAX_SHARED_FILES`]. Who
    /// serves one has it open.
    pub fn sweep_shared(&self) {
        let Some(entries) = self.shared_folder().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        let files = entries.flatten().filter_map(|entry| {
            let there = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((there.modified().ok()?, entry.path()))
        });
        let mut files: Vec<_> = files.collect();
        let beyond = files.len().saturating_sub(MAX_SHARED_FILES);
        files.sort_unstable();
        for (_, path) in files.into_iter().take(beyond) {
            // Another process may have done it.
            let _ = fs::remove_file(path);
        }
    }

    /// This `.cascade` file of what was shared is used now.
    pub fn touch_shared(&self, path: &Path) {
        if self.shared_folder().is_some_and(|folder| path.parent() == Some(&folder)) {
            touch(path);
        }
    }

    fn consistent(&self, hash: CascadeHash) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{hash}.consistent")))
    }

    fn written_name(&self, path: &Path) -> Option<PathBuf> {
        let key = BlockHash::of(absolute(path)?.as_os_str().as_encoded_bytes());
        Some(self.folder.as_ref()?.join(format!("{key}.written")))
    }

    fn name(&self, hash: CascadeHash, path: &Path) -> Option<PathBuf> {
        let path = absolute(path)?;
        let key = [hash.as_bytes().as_slice(), path.as_os_str().as_encoded_bytes()].concat();
        Some(self.folder.as_ref()?.join(format!("{}.checked", BlockHash::of(&key))))
    }
}

/// Marks the record of the file at `path` as used now. The record that was not used for the longest time is removed first.
fn touch(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    // Where that is not permitted, the file is removed earlier.
    let _ = utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// Writes a file under another name first. Old ones go then, from time to time.
fn persist(folder: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.persist(name)?;
    sweep::sweep(folder, name);
    Ok(())
}

fn absolute(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (records, path) = (Records::in_folder(&folder.path().join("state")), folder.path().join("data"));
        fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).unwrap();
        let layout = Layout::new(10, 4).unwrap();
        let hash = CascadeHash([1; 32]);
        assert_eq!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout), None);
        let mut have = Have::none(&layout);
        have.insert(layout.block(2).unwrap());
        let record = Record { have, file_hash_checked: false };
        let stamp = Stamp::of(&file).unwrap();
        records.save(hash, &path, &file, stamp, &record).unwrap();
        assert_eq!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout), Some(record));
        assert_eq!(records.load(CascadeHash([2; 32]), &path, Stamp::of(&file).unwrap(), &layout), None);
        records.forget(CascadeHash([2; 32]), &path);
        assert!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout).is_some());
        records.forget(hash, &path);
        assert_eq!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout), None);
        let record = Record { have: Have::none(&layout), file_hash_checked: false };
        records.save(hash, &path, &file, stamp, &record).unwrap();
        assert!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout).is_some());

        // The same length, but written to: another change time, however coarse the clock.
        let mut tries = 0;
        while Stamp::of(&file).unwrap() == stamp {
            fs::write(&path, b"9876543210").unwrap();
            tries += 1;
            assert!(tries < 1_000_000, "the file system's clock stands still");
        }
        assert_eq!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout), None);
    }

    #[test]
    fn descriptions_of_what_was_shared_are_bounded_and_those_that_are_used_stay() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::in_folder(dir.path());
        let folder = records.shared_folder().unwrap();
        fs::create_dir(&folder).unwrap();
        let name = |number: usize| folder.join(format!("{number}.cascade"));
        let old = |path: &Path, number: usize| {
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number as u64);
            File::create(path).unwrap().set_modified(time).unwrap();
        };
        (0..MAX_SHARED_FILES).for_each(|number| old(&name(number), number));
        records.sweep_shared();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), MAX_SHARED_FILES);
        records.touch_shared(&name(1));
        (0..3).for_each(|number| old(&name(MAX_SHARED_FILES + number), MAX_SHARED_FILES + number));
        records.sweep_shared();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), MAX_SHARED_FILES);
        let there = [0, 1, 2, 3, 4].map(|number| name(number).exists());
        assert_eq!(there, [false, true, false, false, true]);
    }

    #[test]
    fn consistency_is_remembered_by_cascade_hash() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::in_folder(&folder.path().join("new"));
        let (one, other) = (CascadeHash([1; 32]), CascadeHash([2; 32]));
        assert!(!records.is_consistent(one));
        records.remember_consistent(one).unwrap();
        assert!(records.is_consistent(one) && !records.is_consistent(other));
    }

    #[test]
    fn a_damaged_record_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (records, path) = (Records::in_folder(folder.path()), folder.path().join("data"));
        fs::write(&path, b"x").unwrap();
        let (file, layout) = (File::open(&path).unwrap(), Layout::new(1, 1).unwrap());
        let hash = CascadeHash([1; 32]);
        let record = Record { have: Have::all(&layout), file_hash_checked: true };
        records.save(hash, &path, &file, Stamp::of(&file).unwrap(), &record).unwrap();
        let name = records.name(hash, &path).unwrap();
        let good = fs::read(&name).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&name, &bad).unwrap();
            assert_eq!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout), None, "byte {at}");
        }
        fs::write(&name, &good).unwrap();
        assert_eq!(records.load(hash, &path, Stamp::of(&file).unwrap(), &layout), Some(record));
    }
}
