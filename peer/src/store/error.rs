//! Why a download cannot begin.

use crate::folder::{Clash, FolderError};
use crate::human::{Name, Why};
use cascade_format::units::Bytes;
use std::io;
use std::path::{Path, PathBuf};

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The target's folder is missing.
    #[error("the folder {} does not exist; make it, or name another place with -o", Name(.0))]
    NoFolder(PathBuf),
    /// Another process downloads to the same place.
    #[error("{} is being written by another peer; wait for it, or name another place with -o", Name(.0))]
    Busy(PathBuf),
    /// The target is none of the things that can be replaced by a file.
    #[error("{} is {what}; name another place with -o", Name(.path))]
    NotAFile {
        /// The target.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A folder has the name, which is not what is downloaded.
    #[error(
        "{} is a folder with other content; bring it up to date with --update, or name another place with -o", Name(.0)
    )]
    Outdated(PathBuf),
    /// A folder cannot be brought up to date.
    #[error("{} is {}, {}; move it away, or name another place with -o", Name(&.0.path), .0.old, .0.new)]
    Clash(Clash),
    /// The folder's archive is refused.
    #[error(
        "{}: {why}; it is refused, get another .cascade file, or download it as one file with --tar",
        Name(target)
    )]
    Hostile {
        /// The target.
        target: PathBuf,
        /// Why.
        why: String,
    },
    /// What has the name of the file for parts of an origin's file is not one.
    #[error("{} is in the way, and not what was kept of this file; move it away, or leave --cache out", Name(.0))]
    ForeignCache(PathBuf),
    /// What has the part file's name, and all other names that were tried, may not be written to.
    #[error("{} is in the way, and not a regular file with one name; move it away, or name another place with -o", Name(.0))]
    InTheWay(PathBuf),
    /// The folder that is there cannot be read.
    #[error(transparent)]
    Folder(FolderError),
    /// The disk is too small.
    #[error("no space for {}: it needs {} more, and its disk has {}; make room, or name another place with -o", Name(.path), Bytes(*.needed), Bytes(*.free))]
    NoSpace {
        /// The target.
        path: PathBuf,
        /// Bytes to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The disk does not keep what is written to it.
    #[error("the disk does not keep {}: {source}; check the disk, or name another place", Name(.path))]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// The file system said no.
    #[error("cannot {what} {}: {}{}", Name(.path), Why(.source), advice(.source))]
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

/// What the user can do about it.
fn advice(source: &io::Error) -> &'static str {
    let kind = source.kind();
    let refused = kind == io::ErrorKind::PermissionDenied || kind == io::ErrorKind::ReadOnlyFilesystem;
    if refused { "; get the right to do that, or name another place" } else { "" }
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> PrepareError {
    PrepareError::Io { what, path: path.to_owned(), source }
}
