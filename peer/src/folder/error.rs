//! Why a folder cannot be shared, or read.

use crate::human::{Name, Why};
use cascade_archive::{BuildError, Fault};
use cascade_format::Block;
use std::io;
use std::path::{Path, PathBuf};

/// What is said of what has the name of a file and is none that may be written to.
pub(super) const IN_THE_WAY: &str = "it is in the way, and not a regular file with one name; move it away";

/// Why a folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system said no.
    #[error("cannot read {}: {}", Name(path), Why(source))]
    Io {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device, a pipe, a socket.
    #[error(
        "{} is {what}, which cannot be shared; remove it, or leave out all such with --skip-special",
        Name(path)
    )]
    Special {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A symbolic link that leaves the folder.
    #[error("{}: {fault}; remove it, or leave out all such with --skip-special", Name(path))]
    Link {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A name, or a link's target, that is no text.
    #[error("{}: its name or target is not UTF-8, so it cannot be shared; rename it", Name(.0))]
    NotText(PathBuf),
    /// It has no archive.
    #[error("cannot share {}: {source}{}", Name(path), advice(source))]
    Build {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: BuildError,
    },
    /// Something changed while it was read.
    #[error("{} changed while it was read; try again when nothing writes to it", Name(.0))]
    Changed(PathBuf),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

impl FolderError {
    pub(super) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), source: source.into() }
    }
}

/// What the user can do about it.
fn advice(source: &BuildError) -> &'static str {
    let BuildError::Entry { fault, .. } = source else { return "" };
    let is_of_name = matches!(
        fault,
        Fault::Control(_)
            | Fault::Direction(_)
            | Fault::Invisible(_)
            | Fault::ComponentTooLong(_)
            | Fault::PathTooLong(_)
            | Fault::Twin(_)
    );
    if is_of_name { "; rename it" } else { "" }
}

/// A file below a folder is not what it was: the cause of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{} is not what it was", Name(.0))]
pub struct Changed(pub PathBuf);

impl From<Changed> for io::Error {
    fn from(changed: Changed) -> Self {
        Self::other(changed)
    }
}

/// A block with the right hash has other tar headers than the folder's archive can have.
#[derive(Debug, thiserror::Error)]
#[error("block {} has a tar header that is not what the folder's index says", .0.number())]
pub struct HostileArchive(pub Block);

/// The file that is not what it was, if that is the error's cause.
#[must_use]
pub fn changed(error: &io::Error) -> Option<&Changed> {
    error.get_ref()?.downcast_ref()
}
