//! Making a `.cascade` file: one pass over the data, constant memory, and never half a file.
//!
//! The hashes are written as they come, into a temporary file beside the output, which takes the
//! output's name when it is complete and on disk. So a reader, or the next run after a crash, sees the
//! old file or the new one.

mod block_hasher;
mod block_size;
mod output;
mod pass;

pub use block_size::{default_block_size, default_block_size_of_folder};

use crate::folder::{Changed, FolderError, Special, Tree, changed};
use crate::ground::Ground;
use crate::ground::open::folder_of;
use crate::ground::open::{OpenError, not_regular, open_regular};
use crate::human::{Name, Why, limit};
use crate::metafile::{MAX_BLOCKS, MetafileFileError, MetafileOnDisk};
use cascade_archive::Archive;
use cascade_format::metafile::MAGIC;
use cascade_format::{Header, Layout, LayoutError};
use output::Output;
pub(crate) use pass::{PassError, Way, hash_all};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Why no `.cascade` file was made. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The data file cannot be opened or read.
    #[error("cannot read {}: {}", Name(path), Why(source))]
    Read {
        /// The data file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The data is a device or a pipe.
    #[error("{} is {what}: only regular files and folders can be shared", Name(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// Another program wrote to the data file while it was read.
    #[error("{} changed while it was read; try again when nothing writes to it", Name(path))]
    Changed {
        /// The data file.
        path: PathBuf,
    },
    /// The folder cannot be shared.
    #[error(transparent)]
    Folder(FolderError),
    /// The output path lies inside the folder that it would describe.
    #[error("{} is inside the folder that it would describe; name another output with -o", Name(path))]
    Inside {
        /// The output.
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
    /// The output path is a directory, a device or a pipe.
    #[error("{} is {what}: it will not be replaced; name another output with -o", Name(path))]
    NotAnOutput {
        /// The output.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The output cannot be written.
    #[error(
        "cannot write {}: {source}; {}", Name(path), limit(source).unwrap_or("name another place with -o")
    )]
    Write {
        /// The output.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The complete output cannot be read again.
    #[error(transparent)]
    Metafile(#[from] MetafileFileError),
    /// `cancel` became true.
    #[error("interrupted")]
    Cancelled,
}

/// The data for which a `.cascade` file is made: an open file, or the archive of a folder, as it was when it was
/// opened.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    data: Data,
}

#[derive(Debug)]
enum Data {
    File(File, Metadata),
    Folder(Box<Tree>, Special),
}

impl Source {
    /// Opens a regular file, or walks a folder.
    ///
    /// # Errors
    /// `Read`, `NotAFile`, `Folder`; `Cancelled` when `cancel` became true.
    pub fn open(path: &Path, special: Special, cancel: &AtomicBool) -> Result<Self, CreateError> {
        let (path, read) = (path.to_owned(), |source| CreateError::Read { path: path.to_owned(), source });
        if std::fs::metadata(&path).map_err(read)?.is_dir() {
            let tree = Tree::walk(&path, special, cancel).map_err(CreateError::from)?;
            return Ok(Self { path, data: Data::Folder(Box::new(tree), special) });
        }
        let (file, metadata) = open_regular(&path).map_err(|error| match error {
            OpenError::Io(source) => read(source),
            OpenError::NotRegular(what) => CreateError::NotAFile { path: path.clone(), what },
        })?;
        Ok(Self { path, data: Data::File(file, metadata) })
    }

    /// The length of the data, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match &self.data {
            Data::File(_, metadata) => metadata.len(),
            Data::Folder(tree, _) => tree.archive().total_len(),
        }
    }

    /// The default block size for this data.
    #[must_use]
    pub fn default_block_size(&self) -> NonZeroU64 {
        match self.archive() {
            Some(archive) => default_block_size_of_folder(self.length(), archive.count()),
            None => default_block_size(self.length()),
        }
    }

    /// The archive, if the data is a folder.
    #[must_use]
    pub fn archive(&self) -> Option<&Archive> {
        match &self.data {
            Data::File(..) => None,
            Data::Folder(tree, _) => Some(tree.archive()),
        }
    }

    /// What its bytes are read from.
    pub(crate) fn ground(&self) -> &dyn Ground {
        match &self.data {
            Data::File(file, _) => file,
            Data::Folder(tree, _) => &**tree,
        }
    }

    /// Writes the `.cascade` file that describes the data to `out`, replaces an existing file, and opens the new one.
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
        self.check_output(out)?;
        let write_error = |source| CreateError::Write { path: out.to_owned(), source };
        let mut output = Output::beside(out).map_err(write_error)?;
        let file_hash =
            hash_all(Way::best(), self.ground(), &layout, |hash| output.push(hash), progress, cancel);
        let file_hash = file_hash.map_err(|error| match error {
            PassError::Read(source) => match changed(&source) {
                Some(Changed(path)) => CreateError::Changed { path: path.clone() },
                None => CreateError::Read { path: self.path.clone(), source },
            },
            PassError::Write(source) => write_error(source),
            PassError::Short => CreateError::Changed { path: self.path.clone() },
            PassError::Cancelled => CreateError::Cancelled,
        })?;
        self.check_unchanged(cancel)?;
        output.publish(&Header { layout, file_hash }, out).map_err(write_error)?;
        Ok(MetafileOnDisk::open(out)?)
    }

    fn check_output(&self, out: &Path) -> Result<(), CreateError> {
        let path = || out.to_owned();
        if let Ok(there) = std::fs::metadata(out) {
            if let Data::File(_, metadata) = &self.data
                && identity(&there) == identity(metadata)
            {
                return Err(CreateError::OverItself { path: path() });
            }
            if let Some(what) = not_regular(&there) {
                return Err(CreateError::NotAnOutput { path: path(), what });
            }
            if holds_something_else(out) {
                let what = "there already and not a .cascade file";
                return Err(CreateError::NotAnOutput { path: path(), what });
            }
        }
        if let (Data::Folder(..), Ok(folder)) = (&self.data, folder_of(out).canonicalize())
            && self.path.canonicalize().is_ok_and(|inside| folder.starts_with(inside))
        {
            return Err(CreateError::Inside { path: path() });
        }
        Ok(())
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
    /// A folder is walked again.
    fn check_unchanged(&self, cancel: &AtomicBool) -> Result<(), CreateError> {
        let (file, before) = match &self.data {
            Data::File(file, metadata) => (file, metadata),
            Data::Folder(tree, special) => return Ok(tree.check_unchanged(*special, cancel)?),
        };
        let now = file.metadata().map_err(|source| CreateError::Read { path: self.path.clone(), source })?;
        let state = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        if state(&now) == state(before) {
            return Ok(());
        }
        Err(CreateError::Changed { path: self.path.clone() })
    }
}

impl From<FolderError> for CreateError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Changed(path) => Self::Changed { path },
            FolderError::Interrupted => Self::Cancelled,
            other @ (FolderError::Io { .. }
            | FolderError::Special { .. }
            | FolderError::Link { .. }
            | FolderError::NotText(_)
            | FolderError::Build { .. }) => Self::Folder(other),
        }
    }
}

/// Device and inode: two names with the same lead to the same file.
/// Whether there is a file that does not begin as a `.cascade` file does. An empty one is nothing to be kept.
fn holds_something_else(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read(&mut head));
    read.is_ok_and(|read| read > 0 && head != MAGIC)
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests;
