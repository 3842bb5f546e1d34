//! Why a download cannot begin.

use crate::folder::{Clash, FolderError};
use crate::human::Name;
use cascade_format::units::Bytes;
use std::io;
use std::path::{Path, PathBuf};

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The target's folder is missing.
    #[error("the folder {} does not exist; make it, or name another place with -o", .0.display())]
    NoFolder(PathBuf),
    /// Another process downloads to the same place.
    #[error("{} is being written by another peer; wait for it, or name another place with -o", .0.display())]
    Busy(PathBuf),
    /// The target is none of the things that can be replaced by a file.
    #[error("{} is {what}; name another place with -o", .path.display())]
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
    #[error("{} is in the way, and not what was kept of this file; move it away, or leave --cache out", .0.display())]
    ForeignCache(PathBuf),
    /// What has the part file's name, and all other names that were tried, may not be written to.
    #[error("{} is in the way, and not a regular file with one name; move it away, or name another place with -o", .0.display())]
    InTheWay(PathBuf),
    /// The folder that is there cannot be read.
    #[error(transparent)]
    Folder(FolderError),
    /// The disk is too small.
    #[error("no space for {}: it needs {} more, and its disk has {}; make room, or name another place with -o", .path.display(), Bytes(*.needed), Bytes(*.free))]
    NoSpace {
        /// The target.
        path: PathBuf,
        /// Bytes to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The disk does not keep what is written to it.
    #[error("the disk does not keep {}: {source}; check the disk, or name another place", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
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

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> PrepareError {
    PrepareError::Io { what, path: path.to_owned(), source }
}
