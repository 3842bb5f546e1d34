//! Where a folder is while it is downloaded: `NAME.part/`, in which `files` becomes the folder, and `head` has the
//! first bytes of its archive, with the index.
//!
//! Every download begins as that of a file, `NAME.part`. When its first bytes turn out to be the head of a folder's
//! archive, that file becomes `head`:
//!
//! ```text
//! NAME.part          NAME.part.new/head          NAME.part/head
//!            ──►     NAME.part.new/files   ──►   NAME.part/files    ──► … ──►  NAME
//! ```

use crate::ground::Ground;
use cascade_archive::{Archive, Parser, Refused};
use cascade_format::Layout;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const PIECE_LEN: usize = 64 << 10;

/// Bytes after which it is known whether a file is the archive of a folder.
const START_LEN: u64 = 1024;

/// `NAME.part/`.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// The place at `path`, if there is one.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let new = with_new(path);
        if fs::symlink_metadata(path).is_err() && is_place(&new) {
            // An earlier run did not come further.
            fs::rename(&new, path).ok()?;
        }
        is_place(path).then(|| Self(path.to_owned()))
    }

    /// Makes it of the part file at `path`.
    ///
    /// # Errors
    /// The file system's own.
    pub fn make(path: &Path) -> io::Result<()> {
        let new = Self(with_new(path));
        if !fs::symlink_metadata(&new.0).is_ok_and(|there| there.is_dir()) {
            fs::create_dir(&new.0)?;
        }
        fs::rename(path, new.head())?;
        if !new.files().is_dir() {
            fs::create_dir(new.files())?;
        }
        fs::rename(&new.0, path)
    }

    /// The first bytes of the archive.
    #[must_use]
    pub fn head(&self) -> PathBuf {
        self.0.join("head")
    }

    /// What becomes the folder.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.0.join("files")
    }

    /// What becomes the folder, in the place that is [made](Place::make) of the part file at `path`.
    #[must_use]
    pub fn files_of(path: &Path) -> PathBuf {
        Self(path.to_owned()).files()
    }

    /// Removes what is left when the folder has its name. Entries that do not belong here stay.
    pub fn remove(&self) {
        if fs::symlink_metadata(self.files()).is_err() && fs::remove_file(self.head()).is_ok() {
            let _ = fs::remove_dir(&self.0);
        }
    }

    /// The place that has these `files`.
    #[must_use]
    pub fn of_files(files: &Path) -> Option<Self> {
        let place = Self(files.parent()?.to_owned());
        (place.files() == files).then_some(place)
    }
}

fn is_place(path: &Path) -> bool {
    let is = |path: &Path, what: fn(&fs::Metadata) -> bool| {
        fs::symlink_metadata(path).is_ok_and(|there| what(&there))
    };
    is(path, fs::Metadata::is_dir) && is(&path.join("head"), fs::Metadata::is_file)
}

fn with_new(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Length of the blocks in which the head of `archive` is.
#[must_use]
pub fn head_end(archive: &Archive, layout: &Layout) -> u64 {
    layout.block_at(archive.head_len() - 1).map_or(0, |block| layout.range(block).end)
}

/// Reads the head of an archive as its blocks are verified.
#[derive(Debug)]
pub struct Head {
    parser: Parser,
    at: u64,
}

/// What is known of a file by its first bytes.
#[derive(Debug)]
pub enum Found {
    /// Nothing yet, or that it is the archive of a folder: more bytes are needed.
    More,
    /// It is not the archive of a folder.
    File,
    /// It is the archive of a folder.
    Folder(Box<Archive>),
}

/// Why a head cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The archive is refused.
    #[error(transparent)]
    Refused(Refused),
    /// It cannot be read back.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Head {
    /// Of a file of `length` bytes. `None`: no folder has that length.
    #[must_use]
    pub fn of(length: u64) -> Option<Self> {
        // A tar archive has whole units.
        (length.is_multiple_of(512) && length > START_LEN)
            .then(|| Self { parser: Parser::new(length), at: 0 })
    }

    /// How far it has been read.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether it is known to be the head of a folder's archive, by what has been read.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.parser.head_len().is_some()
    }

    /// How far it must be read, as far as that is known.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.parser.head_len().unwrap_or(START_LEN)
    }

    /// Reads on up to `until`, the end of what is verified.
    ///
    /// # Errors
    /// Everything in [`HeadError`].
    pub fn read(mut self, data: &dyn Ground, until: u64) -> Result<(Found, Option<Self>), HeadError> {
        let mut buffer = vec![0; PIECE_LEN];
        while self.at < until && !self.parser.is_complete() {
            let len = usize::try_from(until - self.at).unwrap_or(PIECE_LEN).min(PIECE_LEN);
            let piece = buffer.get_mut(..len).unwrap_or_default();
            data.fill(piece, self.at)?;
            match self.parser.push(piece) {
                Ok(()) => self.at += len as u64,
                Err(Refused::NotAFolder) => return Ok((Found::File, None)),
                Err(refused) => return Err(HeadError::Refused(refused)),
            }
        }
        if !self.parser.is_complete() {
            return Ok((Found::More, Some(self)));
        }
        let archive = self.parser.finish().map_err(HeadError::Refused)?;
        Ok((Found::Folder(Box::new(archive)), None))
    }
}
