//! Making a `.cascade` file: one pass over the data, constant memory, and never half a file.
//!
//! The hashes are written as they come, into a temporary file beside the output, which takes the
//! output's name when it is complete and on disk. So a reader, or the next run after a crash, sees the
//! old file or the new one.

mod block_hasher;
mod block_size;
mod output;
mod pass;

pub use block_size::default_block_size;

use crate::human::Name;
use crate::metafile::{MAX_BLOCKS, MetafileFileError, MetafileOnDisk};
use crate::store::open::{OpenError, not_regular, open_regular};
use cascade_format::{Header, Layout, LayoutError};
use output::Output;
pub(crate) use pass::{PassError, Way, hash_all};
use std::fs::{File, Metadata};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Why no `.cascade` file was made. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The data file cannot be opened or read.
    #[error("cannot read {}: {source}", Name(path))]
    Read {
        /// The data file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A directory, a device, a pipe.
    #[error("{} is {what}: only regular files can be shared; pack a folder into one file first", Name(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The data file was written to meanwhile.
    #[error("{} changed while it was read; try again when nothing writes to it", Name(path))]
    Changed {
        /// The data file.
        path: PathBuf,
    },
    /// Length and block size make no layout.
    #[error("{}: {source}", Name(path))]
    Layout {
        /// The data file.
        path: PathBuf,
        /// Why not.
        source: LayoutError,
    },
    /// More blocks than this peer could download.
    #[error(
        "{}: {blocks} blocks are more than the {MAX_BLOCKS} that this peer handles; choose larger blocks",
        Name(path)
    )]
    TooManyBlocks {
        /// The data file.
        path: PathBuf,
        /// How many it would have.
        blocks: u64,
    },
    /// The output would take the place of its own input.
    #[error("{} is the data file itself; name another output", Name(path))]
    OverItself {
        /// The output.
        path: PathBuf,
    },
    /// The output's name belongs to a directory, device or pipe, which would be replaced.
    #[error("{} is {what}: it will not be replaced; name another output with -o", Name(path))]
    NotAnOutput {
        /// The output.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The output cannot be written.
    #[error("cannot write {}: {source}; name another place with -o", Name(path))]
    Write {
        /// The output.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no place for the output.
    #[error("there is no place for the .cascade file of {}", Name(path))]
    NoPlace {
        /// The data file.
        path: PathBuf,
    },
    /// The complete output cannot be read again.
    #[error(transparent)]
    Metafile(#[from] MetafileFileError),
    /// `cancel` became true.
    #[error("interrupted")]
    Cancelled,
}

/// The data file to make a `.cascade` file for: open, and as it was when it was opened.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl Source {
    /// Opens a regular file.
    ///
    /// # Errors
    /// `Read`, `NotAFile`.
    pub fn open(path: &Path) -> Result<Self, CreateError> {
        let (file, metadata) = open_regular(path).map_err(|error| match error {
            OpenError::Io(source) => CreateError::Read { path: path.to_owned(), source },
            OpenError::NotRegular(what) => CreateError::NotAFile { path: path.to_owned(), what },
        })?;
        Ok(Self { path: path.to_owned(), file, metadata })
    }

    /// Its length, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.metadata.len()
    }

    /// Writes the `.cascade` file that describes it to `out`, replacing what is there, and opens that.
    ///
    /// `progress` is told how many bytes are done since it was last told.
    ///
    /// # Errors
    /// Everything in [`CreateError`]; `out` is as it was before then.
    pub fn describe(
        &self,
        out: &Path,
        block_size: NonZeroU64,
        progress: &dyn Fn(u64),
        cancel: &AtomicBool,
    ) -> Result<MetafileOnDisk, CreateError> {
        let layout = self.layout(block_size)?;
        if let Ok(there) = std::fs::metadata(out) {
            if identity(&there) == identity(&self.metadata) {
                return Err(CreateError::OverItself { path: out.to_owned() });
            }
            if let Some(what) = not_regular(&there) {
                return Err(CreateError::NotAnOutput { path: out.to_owned(), what });
            }
        }
        let write_error = |source| CreateError::Write { path: out.to_owned(), source };
        let mut output = Output::beside(out).map_err(write_error)?;
        let file_hash =
            hash_all(Way::best(), &self.file, &layout, |hash| output.push(hash), progress, cancel);
        let file_hash = file_hash.map_err(|error| match error {
            PassError::Read(source) => CreateError::Read { path: self.path.clone(), source },
            PassError::Write(source) => write_error(source),
            PassError::Short => CreateError::Changed { path: self.path.clone() },
            PassError::Cancelled => CreateError::Cancelled,
        })?;
        self.check_unchanged()?;
        output.publish(&Header { layout, file_hash }, out).map_err(write_error)?;
        Ok(MetafileOnDisk::open(out)?)
    }

    fn layout(&self, block_size: NonZeroU64) -> Result<Layout, CreateError> {
        let path = || self.path.clone();
        let layout = Layout::new(self.length(), block_size.get())
            .map_err(|source| CreateError::Layout { path: path(), source })?;
        match layout.blocks() {
            0..=MAX_BLOCKS => Ok(layout),
            blocks => Err(CreateError::TooManyBlocks { path: path(), blocks }),
        }
    }

    /// Compares length and times with those at the beginning. A writer through shared memory can slip
    /// through until the system updates them; then the hashes still are of bytes that were read.
    fn check_unchanged(&self) -> Result<(), CreateError> {
        let now =
            self.file.metadata().map_err(|source| CreateError::Read { path: self.path.clone(), source })?;
        let state = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        if state(&now) == state(&self.metadata) {
            return Ok(());
        }
        Err(CreateError::Changed { path: self.path.clone() })
    }
}

/// Device and inode: two names with the same lead to the same file.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests;
