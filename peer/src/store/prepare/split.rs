//! Blocks of which some slices came to a file, and others, since it was known that this is the archive of a folder, to the
//! folder. A run that ends before such a block is moved leaves it in both places.

use super::Preparation;
use crate::ground::Ground;
use crate::limits::PIECE_LEN;
use crate::store::DataFile;
use crate::store::error::{PrepareError, io_error};
use cascade_format::{Block, BlockHash, Have, Layout};
use cascade_hash::Sha256Stream;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::atomic::Ordering;

impl Preparation<'_> {
    /// Copies slices that are left in `head` to `data`, where these, together with what `data` holds of their block, have
    /// the block's hash. Whether a slice is left shows by the room that it takes in the head.
    pub(super) fn join(&self, head: &File, data: &DataFile, have: &mut Have) -> Result<(), PrepareError> {
        let Some(slices) = data.layout().sliced() else { return Ok(()) };
        let mut buffer = vec![0; PIECE_LEN];
        for block in data.layout().iter() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PrepareError::Interrupted);
            }
            if have.has(block) || head.is_hole(&data.layout().range(block)) {
                continue;
            }
            let parts = parts(head, &slices, block);
            // What is all in the head was checked there.
            if parts.iter().all(|(left, _)| *left) {
                continue;
            }
            let hash = self.metafile.hash_of(block).map_err(|e| io_error("read", self.metafile.path(), e))?;
            // A folder may lack files that nothing was written to.
            if hash_of(head, data, &parts, &mut buffer).is_ok_and(|found| found == hash) {
                let left = parts.iter().filter(|(left, _)| *left);
                left.map(|(_, range)| range)
                    .try_for_each(|range| copy(head, data, range.clone(), &mut buffer))
                    .map_err(|error| io_error("write", data.path(), error))?;
                if data.is_canonical(block) {
                    have.insert(block);
                }
            }
        }
        Ok(())
    }
}

/// The slices of `block` in the order of the file; `true`: it is left in the head.
fn parts(head: &File, slices: &Layout, block: Block) -> Vec<(bool, Range<u64>)> {
    let numbers = slices.slices_of(block).rev().filter_map(|number| slices.block(number));
    let ranges = numbers.map(|slice| slices.range(slice));
    ranges
        .map(|range| {
            // At its ends a slice shares pages with its neighbours.
            let quarter = (range.end - range.start) / 4;
            (!head.is_hole(&(range.start + quarter..range.end - quarter)), range)
        })
        .collect()
}

fn hash_of(
    head: &File,
    data: &DataFile,
    parts: &[(bool, Range<u64>)],
    buffer: &mut [u8],
) -> io::Result<BlockHash> {
    let mut hasher = Sha256Stream::new();
    for (left, range) in parts {
        for (at, len) in pieces(range.clone()) {
            let piece = buffer.get_mut(..len).unwrap_or_default();
            let ground: &dyn Ground = if *left { head } else { data.ground() };
            ground.fill(piece, at)?;
            hasher.update(piece);
        }
    }
    Ok(BlockHash(hasher.finish()))
}

fn copy(head: &File, data: &DataFile, range: Range<u64>, buffer: &mut [u8]) -> io::Result<()> {
    for (at, len) in pieces(range) {
        let piece = buffer.get_mut(..len).unwrap_or_default();
        head.fill(piece, at)?;
        data.write_all_at(&mut [IoSlice::new(piece)], at)?;
    }
    Ok(())
}

/// The offsets and lengths of the pieces of `range`.
fn pieces(mut range: Range<u64>) -> impl Iterator<Item = (u64, usize)> {
    std::iter::from_fn(move || {
        let at = range.start;
        let len = usize::try_from(range.end - at).unwrap_or(PIECE_LEN).min(PIECE_LEN);
        range.start += len as u64;
        (len > 0).then_some((at, len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metafile::MetafileOnDisk;
    use crate::store::Records;
    use cascade_format::{FileHash, Header, Metafile};
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_block_of_which_slices_are_in_both_places_is_found_and_one_that_is_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |offset: u64| usize::try_from(offset).unwrap();
        let layout = Layout::new((2 << 18) + 150_000, 256 << 10).unwrap();
        let slices = layout.sliced().unwrap();
        let mut bytes = vec![0; at(layout.length())];
        fastrand::Rng::with_seed(7).fill(&mut bytes);
        let hashes = bytes.chunks(256 << 10).map(BlockHash::of).collect();
        let header = Header { layout, file_hash: FileHash::of(&bytes) };
        let path = folder.path().join("x.cascade");
        std::fs::write(&path, Metafile::new(header, hashes).unwrap().encode()).unwrap();
        let metafile = MetafileOnDisk::open(&path).unwrap();
        let (head, there) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        head.set_len(layout.length()).unwrap();
        there.set_len(layout.length()).unwrap();
        // The even slices are in the head, and the odd ones in the folder. One of block 1 is wrong.
        for slice in slices.iter() {
            let (to, range) = (if slice.number() % 2 == 0 { &head } else { &there }, slices.range(slice));
            to.write_all_at(&bytes[at(range.start)..at(range.end)], range.start).unwrap();
        }
        let wrong = slices.start(slices.block(5).unwrap()) + 70;
        there.write_all_at(&[!bytes[at(wrong)]], wrong).unwrap();
        if !head.is_hole(&slices.range(slices.block(1).unwrap())) {
            return eprintln!("skipped: this file system tells no holes");
        }
        let data = DataFile::new(there.try_clone().unwrap(), &folder.path().join("x"), layout);
        let (records, cancel) = (Records::in_folder(folder.path()), AtomicBool::new(false));
        let mut have = Have::none(&layout);
        let preparation = Preparation::new(&metafile, &records, &cancel);
        preparation.join(&head, &data, &mut have).unwrap();
        let found: Vec<bool> = layout.iter().map(|block| have.has(block)).collect();
        assert_eq!(found, [true, false, true]);
        let mut now = vec![0; bytes.len()];
        there.read_exact_at(&mut now, 0).unwrap();
        for range in [0..256 << 10, 2 << 18..bytes.len()] {
            assert!(now[range.clone()] == bytes[range]);
        }
        let untouched = slices.range(slices.block(4).unwrap());
        let untouched = &now[at(untouched.start)..at(untouched.end)];
        assert!(untouched.iter().all(|byte| *byte == 0), "nothing is written of a wrong block");
        cancel.store(true, Ordering::Relaxed);
        let result = preparation.join(&head, &data, &mut have);
        assert!(matches!(result, Err(PrepareError::Interrupted)));
    }
}
