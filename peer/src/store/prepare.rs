//! Finding or making the file that a download writes to.
//!
//! Data arrives in `NAME.part` beside the target `NAME`. What the target holds already (an older
//! version, the work of another program) is used block by block, and the target itself is not touched
//! until everything is verified (invariant *untouched target*).

use super::{DataFile, Records, Stamp};
use crate::check::check;
use crate::limits::PIECE_LEN;
use crate::metafile::MetafileOnDisk;
use cascade_format::{Block, BlockHash, Have};
use cascade_hash::Sha256Stream;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The target's folder is missing.
    #[error("the folder {} does not exist; make it, or name another place with -o", .0.display())]
    NoFolder(PathBuf),
    /// The target is a folder.
    #[error("{} is a folder, not a file; name another place with -o", .0.display())]
    Folder(PathBuf),
    /// Another process downloads to the same place.
    #[error("{} is being written by another peer; wait for it, or name another place with -o", .0.display())]
    Busy(PathBuf),
    /// What has the part file's name is no file.
    #[error("{} is in the way and not a regular file; move it away, or name another place with -o", .0.display())]
    InTheWay(PathBuf),
    /// The disk is too small.
    #[error("no space for {}: it needs {needed} more bytes, its disk has {free}; make room, or name another place with -o", .path.display())]
    NoSpace {
        /// The target.
        path: PathBuf,
        /// Bytes to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The file system said no.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Place {
    /// In the target, complete.
    Target {
        /// What it looked like before it was checked.
        stamp: Stamp,
        /// Whether the whole-file hash is known to be right as well.
        file_hash_checked: bool,
    },
    /// In a part file, which this process has locked.
    Part {
        /// Its path.
        path: PathBuf,
        /// Whether this process made it.
        new: bool,
    },
}

/// A file that is ready to be downloaded to.
#[derive(Debug)]
pub struct Prepared {
    /// The open file.
    pub data: DataFile,
    /// What it holds.
    pub have: Have,
    /// Where it is.
    pub place: Place,
    /// The name that it gets when it is complete.
    pub target: PathBuf,
}

/// What a preparation needs to know, beside the target.
#[derive(Clone, Copy)]
pub struct Preparation<'a> {
    /// Describes the file.
    pub metafile: &'a MetafileOnDisk,
    /// What was found in earlier runs.
    pub records: &'a Records,
    /// Hears of bytes that were checked.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Ends the preparation early.
    pub cancel: &'a AtomicBool,
}

/// The part file of a target.
#[must_use]
pub fn part_path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

impl Preparation<'_> {
    /// Finds what there is of `target` and opens the file to write to. Makes no file when it fails.
    ///
    /// # Errors
    /// Everything in [`PrepareError`].
    pub fn run(&self, target: &Path) -> Result<Prepared, PrepareError> {
        // A target that is a link stays one: the file it points to is replaced.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(PrepareError::NoFolder(folder.to_owned()));
        }
        let old = match self.old_target(&target)? {
            Some(Old::Complete(prepared)) => return Ok(prepared),
            Some(Old::Partial(file, have)) => Some((file, have)),
            None => None,
        };
        let part = part_path(&target);
        let new = !part.exists();
        let (file, mut have) = self.open_part(&part, folder)?;
        let data = DataFile::new(file, &part, *self.metafile.layout());
        if let Some((old, old_have)) = old {
            self.copy(&old, &old_have, &data, &mut have)?;
        }
        Ok(Prepared { data, have, place: Place::Part { path: part, new }, target })
    }

    /// What the target itself holds.
    fn old_target(&self, target: &Path) -> Result<Option<Old>, PrepareError> {
        let file = match File::open(target) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", target, error)),
        };
        let metadata = file.metadata().map_err(|error| io_error("look at", target, error))?;
        if metadata.is_dir() {
            return Err(PrepareError::Folder(target.to_owned()));
        }
        let (have, stamp, file_hash_checked) = self.known_or_checked(target, &file)?;
        if !have.is_complete() || metadata.len() != self.metafile.layout().length() {
            return Ok(Some(Old::Partial(file, have)));
        }
        let data = DataFile::new(file, target, *self.metafile.layout());
        let place = Place::Target { stamp, file_hash_checked };
        Ok(Some(Old::Complete(Prepared { data, have, place, target: target.to_owned() })))
    }

    /// What an existing file holds: by the record of an earlier run, or by hashing it.
    pub(crate) fn known_or_checked(
        &self,
        path: &Path,
        file: &File,
    ) -> Result<(Have, Stamp, bool), PrepareError> {
        let stamp = Stamp::of(file).map_err(|error| io_error("look at", path, error))?;
        let layout = self.metafile.layout();
        if let Some(record) = self.records.load(self.metafile.cascade_hash(), path, file, layout) {
            (self.progress)(layout.length());
            return Ok((record.have, stamp, record.file_hash_checked));
        }
        let have = check(file, self.metafile, 0..layout.blocks(), self.progress, self.cancel);
        if self.cancel.load(Ordering::Relaxed) {
            return Err(PrepareError::Interrupted);
        }
        let have = have.map_err(|error| io_error("read", path, error))?;
        Ok((have, stamp, false))
    }

    /// Opens, locks and checks the part file, or makes it. A file of that name which is none of ours
    /// (another length, and no block of it is right) is moved aside.
    fn open_part(&self, part: &Path, folder: &Path) -> Result<(File, Have), PrepareError> {
        let length = self.metafile.layout().length();
        let known = match fs::metadata(part) {
            Ok(metadata) if !metadata.is_file() => return Err(PrepareError::InTheWay(part.to_owned())),
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("look at", part, error)),
        };
        let needed = length.saturating_sub(known.as_ref().map_or(0, allocated));
        if let Some(free) = free_space(folder)
            && free < needed
        {
            return Err(PrepareError::NoSpace { path: part.to_owned(), needed, free });
        }
        let mut file = lock(part)?;
        let mut have = Have::none(self.metafile.layout());
        if let Some(known) = known.as_ref().filter(|known| known.len() > 0) {
            have = self.known_or_checked(part, &file)?.0;
            if have.count() == 0 && known.len() != length {
                move_aside(part).map_err(|error| io_error("move aside", part, error))?;
                file = lock(part)?;
            }
        }
        if let Err(error) = file.set_len(length) {
            if known.is_none() {
                // It was made a moment ago, and is empty.
                let _ = fs::remove_file(part);
            }
            return Err(io_error("make room for", part, error));
        }
        Ok((file, have))
    }

    /// Copies blocks that the old target has and the part file has not; verifies what it copies.
    fn copy(
        &self,
        old: &File,
        old_have: &Have,
        data: &DataFile,
        have: &mut Have,
    ) -> Result<(), PrepareError> {
        let old = DataFile::new(
            old.try_clone().map_err(|e| io_error("open", data.path(), e))?,
            data.path(),
            *data.layout(),
        );
        let mut buffer = vec![0; PIECE_LEN];
        for block in data.layout().iter() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PrepareError::Interrupted);
            }
            if old_have.has(block) && !have.has(block) {
                let copied = self.copy_block(&old, data, block, &mut buffer);
                if copied.map_err(|error| io_error("write", data.path(), error))? {
                    have.insert(block);
                }
            }
        }
        Ok(())
    }

    fn copy_block(
        &self,
        old: &DataFile,
        data: &DataFile,
        block: Block,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        let (mut hasher, range) = (Sha256Stream::new(), data.layout().range(block));
        let mut at = range.start;
        while at < range.end {
            let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..length).unwrap_or_default();
            old.read_exact_at(piece, at)?;
            hasher.update(piece);
            data.write_all_at(&mut [IoSlice::new(piece)], at)?;
            at += length as u64;
        }
        Ok(BlockHash(hasher.finish()) == self.metafile.hash_of(block)?)
    }
}

/// Opens or makes the part file, for this process alone.
fn lock(part: &Path) -> Result<File, PrepareError> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(part);
    let file = file.map_err(|error| io_error("create", part, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PrepareError::Busy(part.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("lock", part, error)),
    }
}

/// Gives somebody else's file the first free name of `NAME.part.1`, `NAME.part.2`, …
fn move_aside(part: &Path) -> io::Result<()> {
    for number in 1..1000 {
        let mut name = part.as_os_str().to_owned();
        name.push(format!(".{number}"));
        match fs::hard_link(part, &name) {
            Ok(()) => return fs::remove_file(part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

enum Old {
    Complete(Prepared),
    Partial(File, Have),
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> PrepareError {
    PrepareError::Io { what, path: path.to_owned(), source }
}

/// Free bytes on the disk of `folder`, where the system tells.
fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(folder).ok()?;
        // Some file systems tell nothing at all.
        (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Bytes of the disk that a file occupies already.
fn allocated(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512)
    }
    #[cfg(not(unix))]
    {
        metadata.len()
    }
}
