//! Why an origin is given up.

use crate::human::Name;
use cascade_format::units::Bytes;
use std::io;
use std::path::PathBuf;

/// Why an origin cannot be used, or stopped being usable.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The origin cannot even be asked.
    #[error("cannot ask {origin}: {why}")]
    Setup {
        /// The origin.
        origin: String,
        /// Why.
        why: String,
    },
    /// The origin refuses the requests.
    #[error("{origin}: {why}; check the address and the rights")]
    Refused {
        /// The origin.
        origin: String,
        /// What it says.
        why: String,
    },
    /// It gives whole files only.
    #[error(
        "{origin}: the server does not give parts of a file (no status 206 to a range request); keep the file on a server \
         that does, or get it as a whole and seed it without --origin"
    )]
    NoRanges {
        /// The origin.
        origin: String,
    },
    /// The object has another length than the file.
    #[error("{origin} has {length} bytes, and {} describes a file of {expected}; name the right object", Name(.metafile))]
    Length {
        /// The origin.
        origin: String,
        /// How long the object is.
        length: u64,
        /// How long it should be.
        expected: u64,
        /// The `.cascade` file.
        metafile: PathBuf,
    },
    /// It is not the object any more that it was.
    #[error(
        "{origin} was changed meanwhile; put the old object back, or make a new .cascade file of the new one"
    )]
    Changed {
        /// The origin.
        origin: String,
    },
    /// It gives wrong blocks.
    #[error(
        "{origin} gives wrong blocks, block {block} at last, so it is not what {} describes; put the right file there, or \
         name another origin", Name(.metafile)
    )]
    Wrong {
        /// The origin.
        origin: String,
        /// The last wrong block.
        block: u64,
        /// The `.cascade` file.
        metafile: PathBuf,
    },
    /// The cache is smaller than one block.
    #[error(
        "--cache {:#} holds no block of {}; give at least {:#} ({least} bytes)",
        Bytes(*.cache), Name(.metafile), Bytes(*.least)
    )]
    CacheTooSmall {
        /// The bound, in bytes.
        cache: u64,
        /// The `.cascade` file.
        metafile: PathBuf,
        /// What it must be.
        least: u64,
    },
    /// The whole file may be kept, and has no room.
    #[error(
        "no space for {}: it needs {} more, and its disk has {}; make room, or bound what is kept with --cache",
        Name(.path), Bytes(*.needed), Bytes(*.free)
    )]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Bytes to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The file system keeps what is dropped.
    #[error(
        "the file system of {} gives no room back inside a file ({source}), so that --cache has no effect there; name a \
         place on another one with --data, or leave --cache out", Name(.path)
    )]
    NoHoles {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder is where the bytes of the origin should be kept.
    #[error(
        "{} is a folder, and what comes from an origin is kept in one file; seed the folder without --origin, or name \
         another place with --data", Name(.0)
    )]
    Folder(PathBuf),
    /// A fetched block cannot be written.
    #[error("cannot write {}: {source}", Name(.path))]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl OriginError {
    /// Whether another object may be the right one.
    pub(crate) const fn is_of_the_object(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NoRanges { .. } | Self::Length { .. })
    }
}
