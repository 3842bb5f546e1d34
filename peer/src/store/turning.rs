//! A part file that may turn out to be the archive of a folder while it is downloaded.
//!
//! From then on slices are written to the folder (where blocks are not divided, each is one slice). Those that were
//! begun before are finished in the file, and read from there. When their block is verified, they are moved; then the
//! file is cut. So nothing that is under way is disturbed: each slice has one place at any time, the file (its bit is
//! set) or the folder. Some slices of a block may be here and others there.

use super::guarded::GuardedFile;
use super::reserve::gaps;
use crate::folder::FolderPart;
use crate::ground::disk::Disk;
use crate::ground::{AsFile, Ground, Guarded, HaveMap, Run, Stamp};
use crate::limits::PIECE_LEN;
use cascade_format::{Block, BlockHash, Have, Layout};
use cascade_hash::Sha256Stream;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// Such a file.
#[derive(Debug)]
pub(super) struct TurningFile<F = FolderPart> {
    /// Whoever reads holds it, so that it is not cut meanwhile.
    file: Arc<GuardedFile>,
    folder: OnceLock<F>,
    /// The file keeps its first bytes, as many as this.
    head_len: OnceLock<u64>,
    /// Slices of which the first byte was written to the file.
    in_file: HaveMap,
    /// Held to read while something is written to a file that has not turned.
    turning: RwLock<()>,
    /// Held while a block is moved, or begun anew.
    moving: Mutex<()>,
    is_cut: AtomicBool,
    /// It is known that it does not turn.
    stays: AtomicBool,
}

impl<F: Guarded> TurningFile<F> {
    /// A file that holds the blocks of `have`, and may hold more.
    pub(super) fn new(file: File, layout: Layout, have: &Have) -> Self {
        let slices = layout.sliced().unwrap_or(layout);
        Self {
            file: Arc::new(GuardedFile::new(file)),
            folder: OnceLock::new(),
            head_len: OnceLock::new(),
            in_file: HaveMap::new(slices, &Have::of_slices(&slices, have)),
            turning: RwLock::default(),
            moving: Mutex::default(),
            is_cut: AtomicBool::new(false),
            stays: AtomicBool::new(false),
        }
    }

    /// How the file is divided into slices.
    fn layout(&self) -> &Layout {
        self.in_file.layout()
    }

    /// The folder, if all that is right is there.
    fn folder_alone(&self) -> Option<&F> {
        self.folder().filter(|_| self.in_file.count() == 0)
    }

    /// The folder, if it has turned.
    pub(super) fn folder(&self) -> Option<&F> {
        self.folder.get()
    }

    /// The file, if it may still be needed.
    fn file_needed(&self) -> Option<&GuardedFile> {
        self.folder_alone().is_none().then_some(&*self.file)
    }

    /// What answers for the whole: the file, until it turns.
    fn whole(&self) -> &dyn Guarded {
        self.folder().map_or(&*self.file, |folder| folder)
    }

    /// The file, which is not cut as long as this is held.
    fn held(&self) -> Arc<GuardedFile> {
        let file = Arc::clone(&self.file);
        // Whoever cuts looks at the bits first, and then whether the file is held.
        fence(Ordering::SeqCst);
        file
    }

    /// Where the slice with the byte at `offset` is, and its end.
    fn place(&self, offset: u64) -> (bool, u64) {
        let slice = self.layout().block_at(offset);
        let end = slice.map_or(u64::MAX, |slice| self.layout().range(slice).end);
        (slice.is_some_and(|slice| self.in_file.has(slice)), end)
    }

    /// The part of `range` at its start that is in one place, and whether that is the file.
    fn run(&self, range: &Range<u64>) -> (bool, Range<u64>) {
        let (in_file, mut end) = self.place(range.start);
        while end < range.end {
            let (next_in_file, next_end) = self.place(end);
            if next_in_file != in_file {
                break;
            }
            end = next_end;
        }
        (in_file, range.start..end.min(range.end))
    }

    /// The parts of `range` one after the other, each in one place; `true`: in the file.
    fn runs(&self, mut range: Range<u64>) -> impl Iterator<Item = (bool, Range<u64>)> {
        std::iter::from_fn(move || {
            let run = (!range.is_empty()).then(|| self.run(&range))?;
            range.start = run.1.end;
            Some(run)
        })
    }

    /// The slices of `block` that are in the file.
    fn left_of(&self, block: Block) -> impl Iterator<Item = Block> {
        let slices = self.layout().slices_of(block).filter_map(|number| self.layout().block(number));
        slices.filter(|slice| self.in_file.has(*slice))
    }

    /// Writes to the file, unless it has turned.
    fn write_before(&self, slices: &mut [IoSlice<'_>], range: &Range<u64>) -> Option<io::Result<()>> {
        if self.folder().is_some() {
            return None;
        }
        let _not_now = self.turning.read().unwrap_or_else(PoisonError::into_inner);
        if self.folder().is_some() {
            return None;
        }
        for slice in self.layout().starting_in(range) {
            let _ = self.in_file.publish(slice);
        }
        Some(self.file.write_all_at(slices, range.start))
    }

    /// Gives back the room of slices that will not come here, or were moved. Where that cannot be done, it waits for the
    /// cut.
    fn give_back(&self) {
        let (layout, head_len) = (self.layout(), self.head_len.get().copied().unwrap_or(0));
        let slices = layout.starting_in(&(0..layout.length()));
        let there = slices.filter(|slice| self.in_file.has(*slice)).map(|slice| layout.range(slice));
        let _ = gaps(head_len..layout.length(), there).try_for_each(|gap| self.file.punch(gap));
    }

    /// Whether nobody reads slices that are not in the file any more.
    fn is_free(&self) -> bool {
        fence(Ordering::SeqCst);
        // Whoever takes it from now on sees which slices are in the folder.
        Arc::strong_count(&self.file) == 1 && !self.is_cut.load(Ordering::Acquire)
    }

    /// Gives back the room of blocks that were moved, if nobody reads the file. They must be on the disk in their new
    /// place.
    pub(super) fn thin(&self) {
        let _nobody_moves = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if self.folder().is_some() && self.is_free() {
            self.give_back();
        }
    }

    /// Copies what of a block is in the file to the folder; whether the block has this hash.
    fn copy(&self, folder: &F, block: Block, hash: BlockHash) -> io::Result<bool> {
        let mut hasher = Sha256Stream::new();
        let mut buffer = vec![0; PIECE_LEN];
        for (in_file, mut run) in self.runs(self.layout().whole().range(block)) {
            while !run.is_empty() {
                let len = usize::try_from(run.end - run.start).unwrap_or(PIECE_LEN).min(PIECE_LEN);
                let piece = buffer.get_mut(..len).unwrap_or_default();
                if in_file {
                    self.file.fill(piece, run.start)?;
                    folder.write_all_at(&mut [IoSlice::new(piece)], run.start)?;
                } else {
                    folder.fill(piece, run.start)?;
                }
                hasher.update(piece);
                run.start += len as u64;
            }
        }
        Ok(BlockHash(hasher.finish()) == hash)
    }

    /// See [`super::DataFile::turn`].
    pub(super) fn turn(&self, head_len: u64, into: impl FnOnce(&File) -> io::Result<F>) -> io::Result<()> {
        // It gets another name, which others could have given it as well.
        let folder = self.file.as_ours(|| into(self.file.as_file()))?;
        let _nobody_writes = self.turning.write().unwrap_or_else(PoisonError::into_inner);
        let _ = self.head_len.set(head_len);
        if self.folder.set(folder).is_ok() {
            self.give_back();
        }
        Ok(())
    }

    /// Whether a slice of `block` is still in the file that has turned.
    pub(super) fn is_left(&self, block: Block) -> bool {
        self.folder().is_some() && self.left_of(block).next().is_some()
    }

    /// Whether `slice` is still in the file that has turned.
    pub(super) fn is_slice_left(&self, slice: Block) -> bool {
        self.folder().is_some() && self.in_file.has(slice)
    }

    /// Whether the file that has turned may be longer than its head.
    pub(super) fn has_left(&self) -> bool {
        self.folder().is_some() && !self.is_cut.load(Ordering::Acquire)
    }

    /// See [`super::DataFile::stay`].
    pub(super) fn stay(&self) {
        self.stays.store(true, Ordering::Release);
    }

    /// See [`super::DataFile::loses`].
    pub(super) fn loses(&self, offset: u64) -> bool {
        match self.folder() {
            Some(_) => self.place(offset).0,
            None => !self.stays.load(Ordering::Acquire),
        }
    }

    /// Moves a verified block out of the file that has turned, if it is there, and if it `fits`. `false`: it has not this
    /// hash, and stays.
    pub(super) fn move_over(
        &self,
        block: Block,
        hash: BlockHash,
        fits: impl FnOnce(&F) -> io::Result<()>,
    ) -> io::Result<bool> {
        let _one = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = self.folder().filter(|_| self.is_left(block)) else { return Ok(true) };
        if !self.copy(folder, block, hash)? {
            return Ok(false);
        }
        fits(folder)?;
        for slice in self.left_of(block) {
            self.in_file.withdraw(slice);
        }
        Ok(true)
    }

    /// Cuts the file that has turned, if nothing is left in it and nobody reads it.
    pub(super) fn cut(&self) -> io::Result<()> {
        let Some(head_len) = self.head_len.get().filter(|_| self.folder_alone().is_some()) else {
            return Ok(());
        };
        if self.is_free() {
            self.file.end_guard();
            self.file.set_length(*head_len)?;
            self.is_cut.store(true, Ordering::Release);
        }
        Ok(())
    }
}

/// The bytes of `slices` that are `range` of them.
fn part_of<'a>(slices: &'a [IoSlice<'_>], range: &Range<u64>) -> Vec<IoSlice<'a>> {
    let (mut start, mut parts) = (0, Vec::new());
    for slice in slices {
        let end = start + slice.len() as u64;
        let (from, to) = (range.start.clamp(start, end) - start, range.end.clamp(start, end) - start);
        let within = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let part = within.and_then(|(from, to)| slice.get(from..to)).unwrap_or_default();
        if !part.is_empty() {
            parts.push(IoSlice::new(part));
        }
        start = end;
    }
    parts
}

impl<F: Guarded> Guarded for TurningFile<F> {
    fn file(&self) -> Option<&File> {
        if self.folder().is_some() { None } else { self.file.file() }
    }

    fn first_changed(&self) -> Option<PathBuf> {
        self.whole().first_changed()
    }

    fn guard(&self, stamp: Stamp) {
        let Some(folder) = self.folder() else { return self.file.guard(stamp) };
        folder.guard(stamp);
        if let Some(Ok(stamp)) = self.file_needed().map(Ground::look) {
            self.file.guard(stamp);
        }
    }

    fn end_guard(&self) {
        self.file.end_guard();
        self.folder().into_iter().for_each(F::end_guard);
    }

    fn is_ours(&self) -> bool {
        self.file_needed().is_none_or(Guarded::is_ours) && self.folder().is_none_or(F::is_ours)
    }

    /// A block is hashed again when it is moved: nobody needs to vouch for the file then.
    fn is_uncertain(&self) -> bool {
        self.whole().is_uncertain()
    }

    fn false_alarm(&self) {
        self.file.false_alarm();
        self.folder().into_iter().for_each(F::false_alarm);
    }

    fn withdraw(&self) {
        self.whole().withdraw();
    }

    /// While some slices are in the file and others in the folder, no stamp tells what there is.
    fn last_stamp(&self) -> Option<Stamp> {
        match self.folder() {
            Some(_) if self.in_file.count() > 0 => None,
            Some(folder) => folder.last_stamp(),
            None => self.file.last_stamp(),
        }
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let len = slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        let range = offset..offset.saturating_add(len);
        if let Some(written) = self.write_before(slices, &range) {
            return written;
        }
        let folder = self.whole();
        if self.in_file.count() == 0 {
            return folder.write_all_at(slices, offset);
        }
        for slice in self.layout().starting_in(&range).filter(|slice| self.in_file.has(*slice)) {
            let _not_moved = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
            self.in_file.withdraw(slice);
        }
        for (in_file, run) in self.runs(range) {
            let mut part = part_of(slices, &(run.start - offset..run.end - offset));
            let to: &dyn Guarded = if in_file { &*self.file } else { folder };
            to.write_all_at(&mut part, run.start)?;
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.folder().map_or(Ok(()), |folder| folder.set_length(length))?;
        self.file_needed().map_or(Ok(()), |file| file.set_length(length))
    }

    fn reserve(&self, range: Range<u64>) -> bool {
        let _not_now = self.turning.read().unwrap_or_else(PoisonError::into_inner);
        self.whole().reserve(range)
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.whole().punch(range)
    }
}

impl<F: Guarded> Ground for TurningFile<F> {
    fn length(&self) -> io::Result<u64> {
        self.whole().length()
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if let Some(folder) = self.folder_alone() {
            return folder.fill(buffer, offset);
        }
        let file = self.held();
        let Some(folder) = self.folder() else { return file.fill(buffer, offset) };
        let mut rest = buffer;
        for (in_file, run) in self.runs(offset..offset + rest.len() as u64) {
            let len = usize::try_from(run.end - run.start).unwrap_or(usize::MAX).min(rest.len());
            let (here, behind) = rest.split_at_mut(len);
            if in_file {
                file.fill(here, run.start)?;
            } else {
                folder.fill(here, run.start)?;
            }
            rest = behind;
        }
        Ok(())
    }

    fn is_hole(&self, range: &Range<u64>) -> bool {
        if let Some(folder) = self.folder_alone() {
            return folder.is_hole(range);
        }
        let file = self.held();
        let Some(folder) = self.folder() else { return file.is_hole(range) };
        self.runs(range.clone())
            .all(|(in_file, run)| if in_file { file.is_hole(&run) } else { folder.is_hole(&run) })
    }

    fn will_need(&self, range: Range<u64>) {
        let Some(folder) = self.folder() else { return self.file.will_need(range) };
        for (in_file, run) in self.runs(range) {
            if in_file { self.file.will_need(run) } else { folder.will_need(run) }
        }
    }

    fn look(&self) -> io::Result<Stamp> {
        self.whole().look()
    }

    fn looks_like(&self, stamp: &Stamp) -> bool {
        self.whole().looks_like(stamp)
    }

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        if let Some(folder) = self.folder_alone() {
            return folder.run_at(offset);
        }
        let file = self.held();
        let Some(folder) = self.folder() else {
            return Some(Run::of_shared(file, offset, u64::MAX - offset));
        };
        // Up to the end of the block at most: a run of a whole file would take long to find.
        let end = self.layout().whole().block_at(offset).map(|block| self.layout().whole().range(block).end);
        let (in_file, run) = self.run(&(offset..end.unwrap_or(u64::MAX)));
        let len = run.end - run.start;
        if in_file {
            return Some(Run::of_shared(file, offset, len));
        }
        folder.run_at(offset).map(|run| run.up_to(len))
    }

    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        self.file_needed().map_or(Ok(()), |file| file.sync(disk))?;
        self.folder().map_or(Ok(()), |folder| folder.sync(disk))
    }

    fn drop_cache(&self, disk: &dyn Disk) {
        self.file.drop_cache(disk);
        self.folder().into_iter().for_each(|folder| folder.drop_cache(disk));
    }

    fn is_at(&self, path: &Path) -> bool {
        self.whole().is_at(path)
    }
}

#[cfg(test)]
mod tests;
