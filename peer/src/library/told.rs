//! What is told of a served folder.

use crate::session::Event;
use cascade_format::CascadeHash;
use std::path::PathBuf;

/// Something that a served folder reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The folder has been looked through. Files that are known from earlier runs are being served, and clients are
    /// answered.
    Ready(Tally),
    /// A file is being served since now, or the number of its verified blocks has changed.
    Serving(Serving),
    /// A file is being checked.
    Checking {
        /// Its data.
        path: PathBuf,
        /// Bytes that were read.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// The data of a file has changed. It is served again when it has been checked.
    Changed {
        /// The data.
        path: PathBuf,
    },
    /// A file is gone, and is served no longer.
    Removed {
        /// The data.
        path: PathBuf,
        /// Its name in the swarm.
        hash: CascadeHash,
    },
    /// One `.cascade` file or its data cannot be served. The other files are served.
    Problem {
        /// The `.cascade` file.
        path: PathBuf,
        /// What is wrong, with the name of the file.
        message: String,
    },
    /// An event of the download of one file.
    Download {
        /// The data.
        path: PathBuf,
        /// Its name in the swarm.
        hash: CascadeHash,
        /// What it tells.
        event: Event,
    },
    /// How many files a tracker has registered so far.
    Tracker {
        /// Its address, as it was given.
        tracker: String,
        /// Files that it has registered.
        registered: u64,
        /// Of how many.
        files: u64,
        /// Why it has not registered the last one that it was asked to.
        error: Option<String>,
    },
    /// Something that the user may want to mend, and that concerns no single file.
    Warning(String),
}

/// The numbers of files in a served folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files that are served.
    pub files: u64,
    /// The sum of their lengths, in bytes.
    pub bytes: u64,
    /// Files that must still be checked before they are served.
    pub unchecked: u64,
    /// Files without data.
    pub missing: u64,
    /// How many of the files that are served come from an origin.
    pub remote: u64,
}

/// A file that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Its data: a file or a folder.
    pub path: PathBuf,
    /// Its `.cascade` file.
    pub metafile: PathBuf,
    /// Its name in the swarm.
    pub hash: CascadeHash,
    /// Length of the data.
    pub length: u64,
    /// Verified blocks.
    pub blocks_done: u64,
    /// All blocks.
    pub blocks: u64,
    /// How it is known which blocks are right.
    pub how: How,
}

impl Serving {
    /// Whether every block is there.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.blocks_done == self.blocks
    }
}

/// How it is known which blocks of a file are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// From the record of an earlier check.
    Known,
    /// The data was read and checked in this run.
    Checked,
    /// The data was downloaded in this run.
    Downloaded,
    /// An origin is expected to have every block. Whether it does is found out when a client requests the file.
    Origin,
}
