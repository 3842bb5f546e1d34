//! Which blocks of a data file are right, found out on all cores.
//!
//! Threads take ranges of blocks from a common cursor, read them in pieces and hash two blocks at a
//! time. Memory is [`BUFFER_LEN`] and some hashes a thread, whatever the block size: a block of a byte
//! is one of thousands in a read, a block of a gigabyte is read in thousands of pieces. Blocks in a
//! hole of a sparse file are not read at all.

mod checker;
mod cursor;
mod findings;
mod together;
mod whole;
mod zeroes;

pub use findings::{Findings, WholeFile};
pub use whole::file_hash;

use crate::ground::Ground;
use crate::metafile::MetafileOnDisk;
use cascade_format::Have;
use checker::Checker;
use cursor::Cursor;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use zeroes::Zeroes;

/// The size of the buffer of each thread, in bytes. Two blocks that are hashed together have a half each. The buffer
/// stays in the second-level cache between reading and hashing.
pub const BUFFER_LEN: usize = 256 << 10;

/// The most threads that hash at the same time. With more of them, the disk is the limit.
pub const MAX_THREADS: usize = 32;

/// Options of a check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions<'a> {
    /// Check only these blocks.
    pub only: Option<&'a Have>,
    /// Threads to hash on, at most [`MAX_THREADS`].
    pub threads: NonZeroUsize,
    /// Whether to ask the file system where the holes of the file are. If not, the zeroes in them are read.
    pub find_holes: bool,
}

impl Default for CheckOptions<'_> {
    /// All cores; holes are found.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { only: None, threads, find_holes: true }
    }
}

/// Hashes the blocks whose numbers are in `within` and tells which are right, on all cores.
///
/// `data` may be shorter than the layout says (what is missing is not had) or longer (what is too much
/// is not looked at). `progress` is told, by any of the threads, how many bytes are done since it was
/// last told; in the end the sum is the length of all blocks in `within`. The file's cursor is moved:
/// use positioned reads beside it.
///
/// # Errors
/// The data or a long list of hashes cannot be read; `Interrupted` when `cancel` became true.
pub fn check(
    data: &dyn Ground,
    metafile: &MetafileOnDisk,
    within: Range<u64>,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> io::Result<Have> {
    check_with(CheckOptions::default(), data, metafile, within, progress, cancel)
}

/// [`check`], on a chosen number of threads or without asking for holes.
///
/// # Errors
/// Those of [`check`].
pub fn check_with(
    options: CheckOptions<'_>,
    data: &dyn Ground,
    metafile: &MetafileOnDisk,
    within: Range<u64>,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> io::Result<Have> {
    let layout = metafile.layout();
    let data_len = data.length()?;
    let within = within.start..within.end.min(layout.blocks());
    let whole = whole_blocks(metafile, data_len, &within);
    let threads = options.threads.get().min(MAX_THREADS);
    let job = Job {
        data,
        metafile,
        only: options.only,
        find_holes: options.find_holes,
        cursor: Cursor::new(whole.clone(), layout.block_size(), threads),
        zeroes: Zeroes::default(),
        progress,
        cancel,
        failed: AtomicBool::new(false),
        have: Mutex::new(Have::none(layout)),
    };
    std::thread::scope(|scope| {
        // Where the system has no thread left, fewer do the work.
        let others: Vec<_> = (1..threads)
            .map_while(|_| {
                std::thread::Builder::new().name("check".into()).spawn_scoped(scope, || job.work()).ok()
            })
            .collect();
        let mine = job.work();
        others.into_iter().fold(mine, |result, thread| match thread.join() {
            Ok(other) => result.and(other),
            Err(_) => Err(io::Error::other("a hashing thread ended early")),
        })
    })?;
    progress(bytes_of(metafile, whole.end.max(within.start)..within.end));
    Ok(job.have.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A file that was longer when its check began.
fn became_shorter() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read")
}

/// The blocks of `within` of which every byte is there.
fn whole_blocks(metafile: &MetafileOnDisk, data_len: u64, within: &Range<u64>) -> Range<u64> {
    let layout = metafile.layout();
    let whole = if data_len >= layout.length() { layout.blocks() } else { data_len / layout.block_size() };
    within.start..within.end.min(whole).max(within.start)
}

/// The length of a range of blocks, in bytes.
fn bytes_of(metafile: &MetafileOnDisk, blocks: Range<u64>) -> u64 {
    let layout = metafile.layout();
    let offset = |number| layout.block(number).map_or(layout.length(), |block| layout.start(block));
    offset(blocks.end).saturating_sub(offset(blocks.start))
}

/// What the threads of one check share.
struct Job<'a> {
    data: &'a dyn Ground,
    metafile: &'a MetafileOnDisk,
    only: Option<&'a Have>,
    find_holes: bool,
    cursor: Cursor,
    zeroes: Zeroes,
    progress: &'a (dyn Fn(u64) + Sync),
    cancel: &'a AtomicBool,
    /// Some thread has an error: the others may stop.
    failed: AtomicBool,
    /// Locked once for each range of blocks, by the thread that has hashed them.
    have: Mutex<Have>,
}

impl Job<'_> {
    /// What each thread does.
    fn work(&self) -> io::Result<()> {
        let result = Checker::new(self).run();
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// To be asked between any two pieces.
    fn go_on(&self) -> io::Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
