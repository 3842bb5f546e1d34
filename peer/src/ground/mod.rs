//! What the bytes of a data file are on: a file, or a folder whose archive they are. `folder` and `store` are built on
//! it.
//!
//! | module | what |
//! |---|---|
//! | [mod@file] | a file as ground |
//! | [`open`] | opening files that a user has named |
//! | [`stamp`] | a cheap proof that a file has not changed |
//! | [`disk`] | what makes data durable, and can be made to fail by a test |
//! | [`have_map`] | the blocks that are verified and on disk, shared by threads |

pub mod disk;
pub mod file;
pub mod have_map;
pub mod open;
pub mod stamp;

pub use have_map::HaveMap;
pub use stamp::Stamp;

use disk::Disk;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// The file system's own; `UnexpectedEof` where the bytes end before; another one where a file below a folder is not
    /// what it was.
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

/// Something whose bytes are those of another ground.
pub trait OnGround: Debug + Send + Sync {
    /// That ground.
    fn ground(&self) -> &impl Ground;
}

impl<T: OnGround> Ground for T {
    fn length(&self) -> io::Result<u64> {
        self.ground().length()
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.ground().fill(buffer, offset)
    }

    fn is_hole(&self, range: &Range<u64>) -> bool {
        self.ground().is_hole(range)
    }

    fn will_need(&self, range: Range<u64>) {
        self.ground().will_need(range);
    }

    fn look(&self) -> io::Result<Stamp> {
        self.ground().look()
    }

    fn looks_like(&self, stamp: &Stamp) -> bool {
        self.ground().looks_like(stamp)
    }

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        self.ground().run_at(offset)
    }

    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        self.ground().sync(disk)
    }

    fn drop_cache(&self, disk: &dyn Disk) {
        self.ground().drop_cache(disk);
    }

    fn is_at(&self, path: &Path) -> bool {
        self.ground().is_at(path)
    }
}

/// Bytes that may be written to, where the writes of other programs are told from ours. The methods that are provided are
/// those of a ground that is only read.
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
    fn guard(&self, _stamp: Stamp) {}

    /// Nothing is written any more.
    fn end_guard(&self) {}

    /// Whether nobody else has written since it is guarded, as far as can be seen.
    fn is_ours(&self) -> bool;

    /// Whether it cannot be vouched for without reading it.
    fn is_uncertain(&self) -> bool {
        false
    }

    /// It was checked because its stamp had moved, and nothing was wrong.
    fn false_alarm(&self) {}

    /// It is read no more: what is open is closed as soon as nobody reads it, where that can be.
    fn withdraw(&self) {}

    /// What it looked like after the last write.
    fn last_stamp(&self) -> Option<Stamp> {
        None
    }

    /// Writes `slices` one after the other at `offset`; at least one.
    ///
    /// # Errors
    /// The file system's own: no space, an I/O error.
    fn write_all_at(&self, _slices: &mut [IoSlice<'_>], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// Gives it this length.
    ///
    /// # Errors
    /// The file system's own.
    fn set_length(&self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// Takes room on the disk for the bytes in `range`, where that costs next to nothing.
    fn reserve(&self, _range: Range<u64>) -> bool {
        false
    }

    /// Gives the room of `range` back: it reads as zeroes then. Only for files.
    ///
    /// # Errors
    /// The file system cannot do that.
    fn punch(&self, _range: Range<u64>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

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

impl<'a> Run<'a> {
    /// The file itself, from `offset` on.
    pub(crate) fn of_file(file: &'a File, offset: u64) -> Self {
        Self { file: Holder::Borrowed(file), offset, len: u64::MAX - offset }
    }

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
