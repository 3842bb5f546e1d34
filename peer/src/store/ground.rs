//! What the bytes of a data file are read from: a file, or a [folder](crate::folder::Tree) whose archive they are.

use super::Stamp;
use super::disk::Disk;
use crate::check::is_hole;
use crate::folder::{FolderError, Written};
use cascade_format::{Block, BlockHash};
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Bytes at places, and whether they are what they were. No place is shared, so any thread may read.
pub trait Ground: Debug + Send + Sync {
    /// How many bytes there are now.
    ///
    /// # Errors
    /// The file system's own.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// The file system's own; `UnexpectedEof` where the bytes end before; [`Changed`](crate::folder::Changed) where
    /// a file below a folder is not what it was.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Whether no byte of `range`, which lies inside, was ever written. `false` where nobody can tell.
    fn is_hole(&self, range: &Range<u64>) -> bool;

    /// Starts reading `range` from the disk in the background, where the system can.
    fn will_need(&self, range: Range<u64>);

    /// What it looks like now.
    ///
    /// # Errors
    /// The file system's own.
    fn look(&self) -> io::Result<Stamp>;

    /// Whether it still looks like `stamp`, the result of the last look. Of a folder: as far as its files were read.
    fn looks_like(&self, stamp: &Stamp) -> bool;

    /// The file in which the bytes from `offset` on lie as they are, if they do.
    fn run_at(&self, offset: u64) -> Option<Run<'_>>;

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// Some of it did not get there.
    fn sync(&self, disk: &dyn Disk) -> io::Result<()>;

    /// Lets the system forget what it keeps in memory and has on the disk.
    fn drop_cache(&self, disk: &dyn Disk);

    /// Whether `path` leads here, without a link between.
    fn is_at(&self, path: &Path) -> bool;
}

/// Bytes that are written to, where the writes of others are told from ours.
pub trait Guarded: Ground {
    /// The file, where it is one.
    fn file(&self) -> Option<&File> {
        None
    }

    /// The first file below a folder that was seen to have changed.
    fn first_changed(&self) -> Option<PathBuf> {
        None
    }

    /// From now on, whoever else writes is found out. It looked like `stamp` when the bytes were known.
    fn guard(&self, stamp: Stamp);

    /// Nothing is written any more.
    fn end_guard(&self);

    /// Whether nobody else has written since it is guarded, as far as can be seen.
    fn is_ours(&self) -> bool;

    /// Whether it cannot be vouched for without reading it.
    fn is_uncertain(&self) -> bool;

    /// It was checked because its stamp had moved, and nothing was wrong.
    fn false_alarm(&self);

    /// It is read no more: what is open is closed as soon as nobody reads it, where that can be.
    fn withdraw(&self) {}

    /// What it looked like after the last write.
    fn last_stamp(&self) -> Option<Stamp>;

    /// Writes `slices` one after the other at `offset`; at least one.
    ///
    /// # Errors
    /// The file system's own: no space, an I/O error.
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Whether the bytes that were written to `block` are ones that this archive can have there: always, where it is
    /// no archive of a folder. Asked when the block has the right hash.
    fn is_canonical(&self, _: Block) -> bool {
        true
    }

    /// Everything is written and verified: makes what has no bytes, sets times and permissions, and compares all
    /// that there is with what there should be. Only for folders.
    ///
    /// # Errors
    /// Something is not as it should be.
    fn complete(&self, _: &AtomicBool) -> Result<(), FolderError> {
        Ok(())
    }

    /// What the files look like that this process has written, when all are complete. Only for folders.
    fn written(&self) -> Option<Written> {
        None
    }

    /// Where files are kept that were replaced and may be the user's own work, and how many there are.
    fn kept(&self) -> Option<(PathBuf, u64)> {
        None
    }

    /// Gives what is complete the name `to`, which nobody has, in place of `from`; or brings the folder that has it up
    /// to date. `None`: the name did not lead here, or somebody has written to it. Only for folders.
    ///
    /// # Errors
    /// The file system's own.
    fn rename(&self, _: &dyn Disk, _from: &Path, _to: &Path) -> io::Result<Option<Stamp>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives it this length.
    ///
    /// # Errors
    /// The file system's own.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Takes room on the disk for the bytes in `range`, where that costs next to nothing.
    fn reserve(&self, range: Range<u64>) -> bool;

    /// Gives the room of `range` back: it reads as zeroes then. Only for files.
    ///
    /// # Errors
    /// The file system cannot do that.
    fn punch(&self, _range: Range<u64>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The file is the archive of a folder: blocks that are begun from now on go to what `into` makes of it, and the
    /// file keeps its first `head_len` bytes when all others have been [moved](Guarded::move_over). Only for a file that
    /// may be one.
    ///
    /// # Errors
    /// Those of `into`; then nothing has changed here.
    fn turn(&self, _head_len: u64, _into: Into<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether `block` is still in the file that has turned.
    fn is_left(&self, _: Block) -> bool {
        false
    }

    /// Whether the file that has turned may be longer than its head.
    fn has_left(&self) -> bool {
        false
    }

    /// Moves a verified block out of the file that has turned, if it is there. `false`: it has not this hash, and stays.
    ///
    /// # Errors
    /// The file system's own; [`HostileArchive`](crate::folder::HostileArchive).
    fn move_over(&self, _: Block, _: BlockHash) -> io::Result<bool> {
        Ok(true)
    }

    /// Cuts the file that has turned, if nothing is left in it and nobody reads it.
    ///
    /// # Errors
    /// The file system's own.
    fn cut(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes of a file what takes its place.
pub type Into<'a> = Box<dyn FnOnce(&File) -> io::Result<Box<dyn Guarded>> + 'a>;

/// Bytes that lie in one file one after the other.
#[derive(Debug)]
pub struct Run<'a> {
    file: Holder<'a>,
    /// Where they begin in the file.
    pub offset: u64,
    /// How many there are, at least one.
    pub len: u64,
}

/// Holds an open file.
pub(crate) trait AsFile: Debug + Send + Sync {
    fn as_file(&self) -> &File;
}

#[derive(Debug)]
enum Holder<'a> {
    Borrowed(&'a File),
    Shared(Arc<dyn AsFile>),
}

impl Run<'_> {
    /// In a file that stays open as long as this.
    pub(crate) fn of_shared(file: Arc<dyn AsFile>, offset: u64, len: u64) -> Self {
        Self { file: Holder::Shared(file), offset, len }
    }

    /// The first bytes of it, as many as this at most.
    #[must_use]
    pub(crate) fn up_to(self, len: u64) -> Self {
        Self { len: self.len.min(len), ..self }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        match &self.file {
            Holder::Borrowed(file) => file,
            Holder::Shared(file) => file.as_file(),
        }
    }
}

impl Ground for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn is_hole(&self, range: &Range<u64>) -> bool {
        is_hole(self, range)
    }

    fn will_need(&self, range: Range<u64>) {
        crate::read_ahead::will_need(self, range);
    }

    fn look(&self) -> io::Result<Stamp> {
        Stamp::of(self)
    }

    fn looks_like(&self, stamp: &Stamp) -> bool {
        Stamp::of(self).is_ok_and(|now| now == *stamp)
    }

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        Some(Run { file: Holder::Borrowed(self), offset, len: u64::MAX - offset })
    }

    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.sync(self)
    }

    fn drop_cache(&self, disk: &dyn Disk) {
        disk.drop_cache(self);
    }

    fn is_at(&self, path: &Path) -> bool {
        let (Ok(here), Ok(there)) = (self.metadata(), fs::symlink_metadata(path)) else { return false };
        let (here, there) = (Stamp::from_metadata(&here), Stamp::from_metadata(&there));
        (here.device, here.inode) == (there.device, there.inode)
    }
}
