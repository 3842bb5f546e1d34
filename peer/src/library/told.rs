//! What is told of a served folder.

use crate::session::Event;
use cascade_format::CascadeHash;
use std::path::PathBuf;

/// Something worth telling.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The folder was looked through: what is known from earlier runs is served, and clients may come.
    Ready(Tally),
    /// A file is served from now on, or another number of its blocks.
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
    /// Its data was changed: it is served again when it has been checked.
    Changed {
        /// The data.
        path: PathBuf,
    },
    /// It is not there any more, and not served.
    Removed {
        /// The data.
        path: PathBuf,
        /// Its name in the swarm.
        hash: CascadeHash,
    },
    /// A `.cascade` file or its data cannot be served; the others are.
    Problem {
        /// The `.cascade` file.
        path: PathBuf,
        /// What is wrong, with the name of the file.
        message: String,
    },
    /// A download of a file tells something.
    Download {
        /// The data.
        path: PathBuf,
        /// Its name in the swarm.
        hash: CascadeHash,
        /// What it tells.
        event: Event,
    },
    /// How many files a tracker has registered.
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

/// Numbers of a served folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files that are served.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
    /// Files that are to be checked before they are.
    pub unchecked: u64,
    /// Files without data.
    pub missing: u64,
    /// Of those that are served, files that an origin has.
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
    /// How that is known.
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
    /// By the record of an earlier check.
    Known,
    /// It was checked.
    Checked,
    /// It was downloaded.
    Downloaded,
    /// An origin has them all, as will be seen when somebody asks for the file.
    Origin,
}
