//! Why a download fails.

use crate::human::{Name, Why};
use crate::limits::MAX_BEGINNINGS;
use crate::store::PrepareError;
use crate::store::ledger::MAX_FAILED_SYNCS;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a download has failed. The verified blocks are kept for the next run.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The download could not begin, or its file is a folder that cannot be written.
    #[error(transparent)]
    Prepare(PrepareError),
    /// A complete folder has something in it that was not downloaded.
    #[error("{} is not what was downloaded; move it away, and run the same command again", Name(.0))]
    Stranger(PathBuf),
    /// An entry of the folder could not be made, or could not get its time or permissions.
    #[error("cannot finish {}: {}", Name(path), Why(source))]
    Finish {
        /// What cannot be made, or get its time or permissions.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The part file could not be written.
    #[error("cannot write {}: {}; the verified blocks are kept, run the same command again when that is mended", Name(.path), Why(.source))]
    Disk {
        /// The part file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk repeatedly failed to keep what was written to it.
    #[error("the disk did not keep what was written to {}: {source} ({MAX_FAILED_SYNCS} times in a row); check that disk, or name another place with -o", Name(.path))]
    Sync {
        /// The part file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// The disk repeatedly failed to keep the name of the file.
    #[error("the disk did not keep the name of {}: cannot sync its folder: {source} ({MAX_FAILED_SYNCS} times in a row); check that disk, or name another place with -o", Name(.path))]
    Folder {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// Other programs have repeatedly taken the part file away.
    #[error("another program took away or replaced {} {MAX_BEGINNINGS} times; stop it, or name another place with -o", Name(.0))]
    Meddled(PathBuf),
    /// The data could not be read back for the whole-file hash.
    #[error("cannot read {} back: {source}", Name(.path))]
    ReadBack {
        /// The part file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Every block has the right hash, and the whole file has a wrong one.
    #[error("{}: every block has its hash, but the file's hash is not what {} says; the .cascade file is wrong, get another from its author", Name(.path), Name(.metafile))]
    FileHash {
        /// The part file.
        path: PathBuf,
        /// The `.cascade` file.
        metafile: PathBuf,
    },
    /// The complete file could not get its name.
    #[error("cannot rename {} to {}: {source}", Name(.part), Name(.target))]
    Rename {
        /// The complete part file.
        part: PathBuf,
        /// The name that it should get.
        target: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no peer to download from, and the user does not want to wait.
    #[error("no peer to download {} from ({why}); start a seeder, or leave out --no-wait", Name(.target))]
    NoPeers {
        /// The file.
        target: PathBuf,
        /// What trackers and peers said.
        why: String,
    },
    /// The blocks that are left have come wrong again and again.
    #[error("cannot complete {}: block {block} came wrong {times} times, from {from}, and nobody else has it; blocks missing: {left}; the verified ones are kept, run the same command again when there is another seeder", Name(.target))]
    WrongBlocks {
        /// The file.
        target: PathBuf,
        /// Number of a block that came wrong.
        block: u64,
        /// How often.
        times: u32,
        /// Who sent it.
        from: String,
        /// Blocks that are missing.
        left: u64,
    },
    /// The system cannot start another thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<PrepareError> for DownloadError {
    fn from(error: PrepareError) -> Self {
        if matches!(error, PrepareError::Interrupted) { Self::Interrupted } else { Self::Prepare(error) }
    }
}
