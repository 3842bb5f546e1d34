//! What a check of a whole data file has found, for people and programs.

use super::together::check_together;
use super::{CheckOptions, check_with, file_hash};
use crate::create::Way;
use crate::ground::Ground;
use crate::metafile::MetafileOnDisk;
use cascade_format::{FileHash, Have, Layout};
use std::io;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the whole-file hash of the data is the one in the `.cascade` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeFile {
    /// It is.
    Right,
    /// It is another one, although every block is right: the `.cascade` file contradicts itself.
    Wrong,
    /// It was not computed, because the caller did not ask for it or because a block is not right.
    Unchecked,
}

/// The result of checking a data file.
#[derive(Debug)]
pub struct Findings {
    layout: Layout,
    /// Blocks that are right.
    right: Have,
    /// The data's length, in bytes.
    data_len: u64,
    /// The whole file's hash.
    pub whole_file: WholeFile,
}

impl Findings {
    /// Hashes all blocks and, if `whole_file` is set, the whole file at the same time. Either one pass feeds both
    /// hashes, or one core computes the whole-file hash while the others hash the blocks.
    ///
    /// # Errors
    /// Those of [`super::check`].
    pub fn of(
        data: &dyn Ground,
        metafile: &MetafileOnDisk,
        whole_file: bool,
        progress: &(dyn Fn(u64) + Sync),
        cancel: &AtomicBool,
    ) -> io::Result<Self> {
        let layout = *metafile.layout();
        let data_len = data.length()?;
        let known = known_by_blocks(metafile)?;
        // The hash of a file of another length cannot be right.
        let separate = whole_file && known.is_none() && data_len == layout.length();
        let (right, hash) = if separate {
            match Way::best() {
                Way::Together => check_together(data, metafile, progress, cancel)?,
                Way::Apart => check_both(data, metafile, progress, cancel)?,
            }
        } else {
            let right =
                check_with(CheckOptions::default(), data, metafile, 0..layout.blocks(), progress, cancel)?;
            (right, known)
        };
        let whole_file = match hash {
            Some(hash) if right.is_complete() && data_len == layout.length() => {
                if hash == metafile.file_hash() { WholeFile::Right } else { WholeFile::Wrong }
            }
            _ => WholeFile::Unchecked,
        };
        Ok(Self { layout, right, data_len, whole_file })
    }

    /// The findings for a `.cascade` file that is known not to contradict itself: if all blocks are right, the whole
    /// file is right, too.
    #[must_use]
    pub fn of_consistent_metafile(mut self) -> Self {
        if self.whole_file == WholeFile::Unchecked && self.is_right() {
            self.whole_file = WholeFile::Right;
        }
        self
    }

    /// Whether nothing wrong was found, as far as it was checked.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.right.is_complete() && self.extra_bytes() == 0 && self.whole_file != WholeFile::Wrong
    }

    /// Number of blocks that are right.
    #[must_use]
    pub const fn right(&self) -> u64 {
        self.right.count()
    }

    /// The number of blocks that are complete and have a wrong hash.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.layout.blocks() - self.right() - self.missing()
    }

    /// The number of blocks that lie at least partly behind the end of the data.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.layout.blocks() - self.whole_blocks()
    }

    /// The first and the last number of the missing blocks; `None` if no block is missing.
    #[must_use]
    pub fn missing_range(&self) -> Option<RangeInclusive<u64>> {
        (self.missing() > 0).then(|| self.whole_blocks()..=self.layout.blocks() - 1)
    }

    /// The wrong blocks as ranges of numbers, in order; both ends belong to a range.
    pub fn wrong_ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        let end = self.whole_blocks();
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = self.right.find(at..end, false)?;
            let after = self.right.find(first..end, true).unwrap_or(end);
            at = after;
            Some(first..=after - 1)
        })
    }

    /// The number of bytes behind the last block.
    #[must_use]
    pub const fn extra_bytes(&self) -> u64 {
        self.data_len.saturating_sub(self.layout.length())
    }

    /// Number of blocks of which every byte is there.
    fn whole_blocks(&self) -> u64 {
        let all = self.data_len >= self.layout.length();
        if all { self.layout.blocks() } else { self.data_len / self.layout.block_size() }
    }
}

/// The file hash, where the blocks' hashes tell it: there is one block, or none.
fn known_by_blocks(metafile: &MetafileOnDisk) -> io::Result<Option<FileHash>> {
    let layout = metafile.layout();
    match (layout.blocks(), layout.block(0)) {
        (0, _) => Ok(Some(FileHash::of(b""))),
        (1, Some(only)) => Ok(Some(FileHash(metafile.hash_of(only)?.0))),
        _ => Ok(None),
    }
}

/// The blocks on all cores but one, the whole file on that one.
pub(super) fn check_both(
    data: &dyn Ground,
    metafile: &MetafileOnDisk,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> io::Result<(Have, Option<FileHash>)> {
    let all = CheckOptions::default();
    let options =
        CheckOptions { threads: NonZeroUsize::new(all.threads.get() - 1).unwrap_or(all.threads), ..all };
    let layout = metafile.layout();
    // Either side stops the other: a hash that nobody needs any more could take hours.
    let stop = AtomicBool::new(false);
    let stopped = || cancel.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let whole = std::thread::Builder::new()
            .name("file hash".into())
            .spawn_scoped(scope, || file_hash(data, layout.length(), &|_| (), &stopped))?;
        let right = check_with(options, data, metafile, 0..layout.blocks(), progress, cancel);
        if !right.as_ref().is_ok_and(Have::is_complete) {
            stop.store(true, Ordering::Relaxed);
            // Whatever the other thread says, its result is of no use.
            let _ = whole.join();
            return right.map(|right| (right, None));
        }
        let hash = whole.join().map_err(|_| io::Error::other("the hashing thread ended early"))??;
        Ok((right?, Some(hash)))
    })
}
