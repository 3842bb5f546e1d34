//! The one pass over the data file.
//!
//! Where two streams cost little more than one, this thread does everything: it reads a piece into a buffer that
//! is hot in its cache, and feeds block hash and file hash from it. A second thread that reads would cost more
//! than it saves: what one core writes and the other reads goes through the memory that they share. But a thread of
//! its own asks the disk ahead: of a file that is not in memory, finding pages for it takes the system as long as
//! hashing does.
//!
//! Elsewhere the file hash, a serial stream that sets the pace, gets a thread of its own:
//!
//! ```text
//!  this thread:  read ► block hashes ──full──► file hash  :second thread
//!                 ▲                                │
//!                 └────────────free────────────────┘
//! ```

use super::block_hasher::BlockHasher;
use crate::ground::Ground;
use crate::page_buffer::PageBuffer;
use crate::read_ahead::{READ_AHEAD_WINDOW, ReadAhead};
use cascade_format::{BlockHash, FileHash, Layout};
use cascade_hash::Sha256Stream;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Buffers in use with a second thread: one is filled, one is waiting, one is hashed.
const PIECES: usize = 3;

/// The length of a piece, in bytes: small enough to stay in a core's second-level cache.
const PIECE_LEN: usize = 128 << 10;

/// Why the pass ended early.
pub(crate) enum PassError {
    Read(io::Error),
    Write(io::Error),
    /// The file ended before its stated length.
    Short,
    Cancelled,
}

/// A buffer and how much of it is filled.
type Piece = (PageBuffer, usize);

/// How to hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Both streams in one thread.
    Together,
    /// The file hash in a thread of its own.
    Apart,
}

impl Way {
    /// The faster one on this machine.
    pub(crate) fn best() -> Self {
        if cascade_hash::has_pair_kernel() { Self::Together } else { Self::Apart }
    }
}

/// Reads all of `data` once, gives `write` the hash of each block, in order, and returns the file hash.
/// `progress` is told how many bytes are done since it was last told.
pub(crate) fn hash_all(
    way: Way,
    data: &dyn Ground,
    layout: &Layout,
    mut write: impl FnMut(BlockHash) -> io::Result<()>,
    progress: &dyn Fn(u64),
    cancel: &AtomicBool,
) -> Result<FileHash, PassError> {
    let blocks = BlockHasher::new(layout.block_size(), way == Way::Together);
    let (reached, places) = sync_channel(1);
    // The channels move in: dropped, they end the threads, whichever way this ends.
    std::thread::scope(move |scope| {
        let ahead = ReadAhead::of(data, layout.length());
        std::thread::Builder::new()
            .name("read ahead".into())
            .spawn_scoped(scope, move || ahead.follow(&places))
            .map_err(PassError::Read)?;
        let pass = Pass { data, length: layout.length(), reached, progress, cancel };
        if way == Way::Together {
            let hash = pass.run(blocks, &mut write, |buffer, _| Some(buffer))?;
            return hash.map(FileHash).ok_or_else(ended_early);
        }
        let (full, pieces) = sync_channel::<Piece>(PIECES);
        let (free_sender, free) = sync_channel::<PageBuffer>(PIECES);
        let hasher = std::thread::Builder::new()
            .name("file hash".into())
            .spawn_scoped(scope, move || hash_file(&pieces, &free_sender))
            .map_err(PassError::Read)?;
        let mut made = 1;
        pass.run(blocks, &mut write, |buffer, len| {
            full.send((buffer, len)).ok()?;
            if made < PIECES {
                made += 1;
                return Some(PageBuffer::new(PIECE_LEN));
            }
            free.recv().ok()
        })?;
        drop(full);
        hasher.join().map_err(|_| ended_early())
    })
}

struct Pass<'a> {
    data: &'a dyn Ground,
    length: u64,
    /// Tells how far the file has been read.
    reached: SyncSender<u64>,
    progress: &'a dyn Fn(u64),
    cancel: &'a AtomicBool,
}

impl Pass<'_> {
    /// Reads and hashes to the end of the file. `next` takes each piece and gives the buffer of the next one.
    fn run(
        &self,
        mut blocks: BlockHasher,
        write: &mut impl FnMut(BlockHash) -> io::Result<()>,
        mut next: impl FnMut(PageBuffer, usize) -> Option<PageBuffer>,
    ) -> Result<Option<[u8; 32]>, PassError> {
        let mut buffer = PageBuffer::new(PIECE_LEN);
        let (mut at, mut tell_at) = (0, 0);
        while at < self.length {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PassError::Cancelled);
            }
            // Where the other thread is behind it is told later.
            if at >= tell_at && self.reached.try_send(at).is_ok() {
                tell_at = at + READ_AHEAD_WINDOW;
            }
            let len = usize::try_from(self.length - at).map_or(PIECE_LEN, |left| left.min(PIECE_LEN));
            let piece = buffer.get_mut(..len).unwrap_or_default();
            self.data.fill(piece, at).map_err(|error| {
                let short = error.kind() == io::ErrorKind::UnexpectedEof;
                if short { PassError::Short } else { PassError::Read(error) }
            })?;
            blocks.feed(piece, write).map_err(PassError::Write)?;
            at += len as u64;
            (self.progress)(len as u64);
            buffer = next(buffer, len).ok_or_else(ended_early)?;
        }
        blocks.finish(write).map_err(PassError::Write)
    }
}

fn ended_early() -> PassError {
    PassError::Read(io::Error::other("the hashing thread ended early"))
}

/// The second thread: hashes what comes, gives the buffers back, ends with the channel.
fn hash_file(full: &Receiver<Piece>, free: &SyncSender<PageBuffer>) -> FileHash {
    let mut stream = Sha256Stream::new();
    for (buffer, len) in full {
        stream.update(buffer.get(..len).unwrap_or_default());
        // The reader may be gone already: then nobody needs the buffer.
        let _ = free.send(buffer);
    }
    FileHash(stream.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_early_end_ends_the_threads_too() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 * PIECE_LEN as u64).unwrap();
        let layout = Layout::new(64 * PIECE_LEN as u64, 1000).unwrap();
        for way in [Way::Together, Way::Apart] {
            let full_disk = |_| Err(io::Error::other("full"));
            let run =
                |cancel: bool| hash_all(way, &file, &layout, full_disk, &|_| (), &AtomicBool::new(cancel));
            assert!(matches!(run(false), Err(PassError::Write(_))), "{way:?}");
            assert!(matches!(run(true), Err(PassError::Cancelled)), "{way:?}");
            let longer = Layout::new(65 * PIECE_LEN as u64, 1000).unwrap();
            let cancel = AtomicBool::new(false);
            let short = hash_all(way, &file, &longer, |_| Ok(()), &|_| (), &cancel);
            assert!(matches!(short, Err(PassError::Short)), "{way:?}");
        }
    }

    #[test]
    fn both_ways_give_the_same_hashes() {
        let mut bytes = vec![0; 9 * PIECE_LEN + 77];
        fastrand::Rng::with_seed(3).fill(&mut bytes);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        for block_size in [1000, 1 << 16, 3 << 18] {
            let layout = Layout::new(bytes.len() as u64, block_size).unwrap();
            let expected: Vec<_> =
                bytes.chunks(usize::try_from(block_size).unwrap()).map(BlockHash::of).collect();
            for way in [Way::Together, Way::Apart] {
                let mut hashes = Vec::new();
                let write = |hash| {
                    hashes.push(hash);
                    Ok(())
                };
                let cancel = AtomicBool::new(false);
                let Ok(hash) = hash_all(way, &file, &layout, write, &|_| (), &cancel) else {
                    panic!("{way:?} failed")
                };
                assert_eq!((hash, &hashes), (FileHash::of(&bytes), &expected), "{way:?}, {block_size}");
            }
        }
    }
}
