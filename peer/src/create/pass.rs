//! The one pass over the data file.
//!
//! ```text
//!  this thread:  read ► block hashes ──full──► file hash  :second thread
//!                 ▲                                │
//!                 └────────────free────────────────┘
//! ```
//!
//! The file hash is one serial stream: it sets the pace, and has a core for itself. Reading and the
//! block hashes, which go two at a time, fit beside it on another. [`PIECES`] buffers go round.

use super::block_hasher::BlockHasher;
use cascade_format::{BlockHash, FileHash, Layout};
use cascade_hash::Sha256Stream;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Buffers in use: one is filled, one is waiting, one is hashed.
const PIECES: usize = 3;

/// The usual length of a piece, in bytes: small enough for the second-level cache.
const PIECE_LEN: u64 = 256 << 10;

/// The longest piece, in bytes: so that two blocks of a mebibyte are there together.
const MAX_PIECE_LEN: u64 = 2 << 20;

/// Why the pass ended early.
pub(super) enum PassError {
    Read(io::Error),
    Write(io::Error),
    /// The file ended before its stated length.
    Short,
    Cancelled,
}

/// A buffer and how much of it is filled.
type Piece = (Vec<u8>, usize);

/// Reads all of `file` once, gives `write` the hash of each block, in order, and returns the file hash.
/// `progress` is told how many bytes are done since it was last told.
pub(super) fn hash_all(
    file: &File,
    layout: &Layout,
    mut write: impl FnMut(BlockHash) -> io::Result<()>,
    progress: &dyn Fn(u64),
    cancel: &AtomicBool,
) -> Result<FileHash, PassError> {
    let (full_sender, full) = sync_channel::<Piece>(PIECES);
    let (free_sender, free) = sync_channel::<Vec<u8>>(PIECES);
    std::thread::scope(|scope| {
        let hasher = std::thread::Builder::new()
            .name("file hash".into())
            .spawn_scoped(scope, move || hash_file(&full, &free_sender))
            .map_err(PassError::Read)?;
        let reader = Reader { file, layout, progress, cancel };
        reader.run(full_sender, &free, &mut write)?;
        hasher.join().map_err(|_| PassError::Read(io::Error::other("the hashing thread ended early")))
    })
}

/// The second thread: hashes what comes, gives the buffers back, ends with the channel.
fn hash_file(full: &Receiver<Piece>, free: &SyncSender<Vec<u8>>) -> FileHash {
    let mut stream = Sha256Stream::new();
    for (buffer, len) in full {
        stream.update(buffer.get(..len).unwrap_or_default());
        // The reader may be gone already: then nobody needs the buffer.
        let _ = free.send(buffer);
    }
    FileHash(stream.finish())
}

struct Reader<'a> {
    file: &'a File,
    layout: &'a Layout,
    progress: &'a dyn Fn(u64),
    cancel: &'a AtomicBool,
}

impl Reader<'_> {
    /// Fills buffers to the end of the file; dropping `full` ends the second thread.
    #[allow(clippy::needless_pass_by_value, reason = "the channel has to be dropped")]
    fn run(
        &self,
        full: SyncSender<Piece>,
        free: &Receiver<Vec<u8>>,
        write: &mut impl FnMut(BlockHash) -> io::Result<()>,
    ) -> Result<(), PassError> {
        let mut blocks = BlockHasher::new(self.layout.block_size());
        let piece_len = piece_len(self.layout);
        let (mut at, mut made) = (0, 0);
        while at < self.layout.length() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PassError::Cancelled);
            }
            let mut buffer = if made < PIECES {
                made += 1;
                vec![0; piece_len]
            } else {
                free.recv()
                    .map_err(|_| PassError::Read(io::Error::other("the hashing thread ended early")))?
            };
            let len =
                usize::try_from(self.layout.length() - at).map_or(piece_len, |left| left.min(piece_len));
            let piece = buffer.get_mut(..len).unwrap_or_default();
            self.file.read_exact_at(piece, at).map_err(|error| {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    PassError::Short
                } else {
                    PassError::Read(error)
                }
            })?;
            blocks.feed(piece, write).map_err(PassError::Write)?;
            at += len as u64;
            (self.progress)(len as u64);
            // The second thread ends only with this channel; if it broke, its join tells.
            let _ = full.send((buffer, len));
        }
        blocks.finish(write).map_err(PassError::Write)
    }
}

/// Twice the block size where that is possible, so that two blocks are hashed at once; as many pairs of
/// small blocks as [`PIECE_LEN`] holds; no more than the file has.
fn piece_len(layout: &Layout) -> usize {
    let pair = layout.block_size().saturating_mul(2);
    let len = if pair <= MAX_PIECE_LEN { (PIECE_LEN / pair).max(1) * pair } else { PIECE_LEN };
    usize::try_from(len.min(layout.length())).unwrap_or(0)
}
