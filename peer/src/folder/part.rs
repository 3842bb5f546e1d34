//! A folder that is being downloaded: what is written to its archive goes to its files.

use super::beneath::{Beneath, is_gone};
use super::earlier::{self, Earlier};
use super::error::{FolderError, IN_THE_WAY};
use super::finish;
use super::flags::Flags;
use super::kept::Kept;
use super::looker::Looker;
use super::mark::{Mark, is_file};
use super::open_files::OpenFile;
use super::tree::Tree;
use super::update::{self, Clash};
use super::written::Written;
use crate::ground::disk::Disk;
use crate::ground::file::write_all_at;
use crate::ground::{Ground, Guarded, HaveMap, OnGround, Stamp};
use cascade_archive::{Archive, Entry, Kind, Segment};
use cascade_format::{Block, Have, Layout};
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The files of a folder as they come. Content goes to the files. Headers and zeroes are not written anywhere: they
/// are compared with what they must be.
#[derive(Debug)]
pub struct FolderPart {
    tree: Tree,
    layout: Layout,
    /// Slices that were written with other headers than the archive must have (where blocks are not divided, each is one
    /// slice). If such a slice is verified, the archive is hostile.
    odd: HaveMap,
    /// The files whose bytes were copied from an earlier version.
    taken: Flags,
    /// Keeps what is replaced in a folder that is brought up to date.
    kept: Option<Mutex<Kept>>,
    /// The file with the head of the archive, open and locked: only the process with the lock writes to the folder.
    _head: File,
}

/// A folder that has files of an earlier version, and is brought up to date.
#[derive(Debug)]
pub struct Outdated<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// What is known to be an earlier version.
    pub written: Written,
}

impl FolderPart {
    /// Opens the folder at `path`, to which `archive` is downloaded. If a folder is to be brought up to date, only the
    /// data that it lacks is downloaded. The content of the files is not known before it is [looked at](Ground::look).
    pub(crate) fn open(
        archive: Archive,
        path: &Path,
        head: File,
        layout: Layout,
        outdated: Option<Outdated<'_>>,
    ) -> io::Result<Self> {
        let slices = layout.sliced().unwrap_or(layout);
        let odd = HaveMap::new(slices, &Have::none(&slices));
        let taken = Flags::new(archive.count());
        let tree = Tree::part(archive, path, outdated.as_ref().map(|outdated| outdated.path))?;
        let kept = outdated.map(|outdated| Mutex::new(Kept::new(outdated.path, outdated.written)));
        Ok(Self { tree, layout, odd, taken, kept, _head: head })
    }

    /// What is in the way of the new version in the folder, which is at `path`.
    pub(crate) fn clash(&self, path: &Path) -> io::Result<Option<Clash>> {
        update::clash(&self.tree, path)
    }

    /// Copies what files below `old`, an earlier version, hold into those that are not there yet: much may be right.
    /// What of it is right is found by [looking](Ground::look) and checking.
    ///
    /// # Errors
    /// There is no folder; a file of ours cannot be made or written. A file that cannot be read is left out.
    pub(crate) fn copy_from(&self, path: &Path, cancel: &AtomicBool) -> io::Result<()> {
        if self.tree.base.is_some() {
            // A file that has its length already stays where it is.
            self.tree.look()?;
        }
        let old = Beneath::open(path)?;
        Earlier { below: &old, path, taken: &self.taken, cancel }.copy_to(&self.tree)
    }

    /// Makes a copy of each file that is in the folder that is brought up to date, and has a part of a block that
    /// `have` lacks: what is wrong is written there.
    ///
    /// # Errors
    /// A file of ours cannot be made or written.
    pub(crate) fn move_out(&self, have: &Have, cancel: &AtomicBool) -> io::Result<()> {
        if self.tree.base.is_none() {
            return Ok(());
        }
        for block in self.layout.iter().filter(|block| !have.has(*block)) {
            for segment in self.tree.archive().segments(self.layout.range(block)) {
                if let Segment::File { number, entry, .. } = segment
                    && self.tree.is_in_base(number)
                {
                    self.opened(number, &entry)?;
                }
                if cancel.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
        }
        Ok(())
    }

    /// How many bytes of the blocks in `have` are there because an earlier version had them, and are not in `came`.
    pub(crate) fn taken(&self, have: &Have, came: &Have) -> u64 {
        let is_taken = |block: &Block| {
            self.tree.archive().segments(self.layout.range(*block)).any(|segment| match segment {
                Segment::File { number, .. } => self.taken.has(number) || self.tree.is_in_base(number),
                Segment::Made(_) | Segment::Zero(_) => false,
            })
        };
        let there = self.layout.iter().filter(|block| have.has(*block) && !came.has(*block)).filter(is_taken);
        there.map(|block| self.layout.len_of(block)).sum()
    }

    /// How many bytes its files need on the disk in addition to those that they occupy. What is read from the folder that
    /// is brought up to date needs none.
    pub(crate) fn room_needed(&self) -> u64 {
        let mut here = Looker::new(&self.tree.below);
        let entries = (0..).zip(self.tree.archive().entries());
        let needed = entries.filter(|(number, _)| !self.tree.is_in_base(*number)).map(|(_, entry)| {
            let Kind::File { size, .. } = entry.kind else { return 0 };
            let blocks = here.look(&entry.path).and_then(|stat| u64::try_from(stat.st_blocks).ok());
            size.saturating_sub(blocks.unwrap_or(0).saturating_mul(512))
        });
        needed.fold(0, u64::saturating_add)
    }

    /// Whether the bytes that were written to `block` are ones that this archive can have there. Asked when the block has
    /// the right hash.
    pub(crate) fn is_canonical(&self, block: Block) -> bool {
        let slices = self.odd.layout();
        let mut numbers = slices.slices_of(block);
        numbers.all(|number| slices.block(number).is_none_or(|slice| self.is_canonical_slice(slice)))
    }

    /// The same of one slice. Asked when it is verified.
    pub(crate) fn is_canonical_slice(&self, slice: Block) -> bool {
        !self.odd.has(slice)
    }

    /// Everything is written and verified: makes what has no bytes, sets times and permissions, and compares all
    /// that there is with what there should be.
    ///
    /// # Errors
    /// Something is not as it should be.
    pub(crate) fn complete(&self, cancel: &AtomicBool) -> Result<(), FolderError> {
        finish::complete(&self.tree, cancel)
    }

    /// What the files look like that this process has written, when all are complete.
    pub(crate) fn written(&self) -> Written {
        self.tree.written()
    }

    /// Where files are kept that were replaced and may be the user's own work, and how many there are.
    pub(crate) fn kept(&self) -> Option<(PathBuf, u64)> {
        let kept = self.kept.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        kept.found().map(|(path, count)| (path.to_owned(), count)).filter(|(_, count)| *count > 0)
    }

    /// Gives what is complete the name `to`, which nobody has, in place of `from`; or brings the folder that has it up
    /// to date. `None`: the name did not lead here, or somebody has written to it.
    ///
    /// # Errors
    /// The file system's own.
    pub(crate) fn rename(&self, disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<Option<Stamp>> {
        // Times and permissions came last.
        self.tree.sync(disk)?;
        if !self.tree.is_ours() || !self.tree.is_at(from) {
            return Ok(None);
        }
        if let (Some(base), Some(kept)) = (&self.tree.base, &self.kept) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            update::keep(&self.tree, base, &mut kept)?;
            self.tree.sync(disk)?;
            if !update::merge(&self.tree, base, &mut kept)? {
                return Ok(None);
            }
            self.tree.sync(disk)?;
            let _ = std::fs::remove_dir(from);
            self.tree.completed(to);
            return if self.tree.is_at(to) { self.tree.stamp().map(Some) } else { Ok(None) };
        }
        finish::rename(from, to)?;
        if !self.tree.is_at(to) {
            return Ok(None);
        }
        self.tree.completed(to);
        self.tree.stamp().map(Some)
    }

    /// Copies a file of the folder that is brought up to date, so that it can be written to.
    fn take_out(&self, number: u32, entry: &Entry) -> io::Result<()> {
        if let Some(base) = &self.tree.base
            && let Ok(from) = base.below.file(&entry.path)
            && earlier::copy(&self.tree, entry, &from)?
        {
            self.taken.set(number, true);
        }
        self.tree.set_in_base(number, false);
        let there = self.tree.below.part(&entry.path).and_then(|file| Ok(rustix::fs::fstat(file)?));
        self.tree.set_mark(number, there.map_or(Mark::NONE, |stat| Mark::of(&stat)));
        Ok(())
    }

    fn write_content(
        &self,
        number: u32,
        entry: &Entry,
        slices: &mut [IoSlice<'_>],
        offset: u64,
    ) -> io::Result<()> {
        let open = self.opened(number, entry)?;
        {
            let mut writes = open.writes.lock().unwrap_or_else(PoisonError::into_inner);
            let len = slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
            let whole = offset == 0 && len == entry.kind.size();
            // One that was made a moment ago, and is written at once, needs no look.
            if *writes == 0 && !(whole && self.tree.mark(number) == Mark::NEW) {
                self.prepare(number, entry, &open.file)?;
            }
            *writes += 1;
        }
        let result = write_all_at(&open.file, slices, offset);
        let mut writes = open.writes.lock().unwrap_or_else(PoisonError::into_inner);
        *writes -= 1;
        if *writes == 0 {
            self.tree.set_mark(number, Mark::of(&rustix::fs::fstat(&open.file)?));
        }
        result
    }

    /// Looks at a file that nobody here writes to, before it is written to.
    fn prepare(&self, number: u32, entry: &Entry, file: &File) -> io::Result<()> {
        let stat = rustix::fs::fstat(file)?;
        let mark = self.tree.mark(number);
        if !matches!(mark, Mark::NONE | Mark::NEW) && Mark::of(&stat) != mark {
            // This is the answer to the question whether the folder is ours; the written data is checked then.
            let _ = self.tree.found_changed(entry);
        }
        if !is_file(&stat) || stat.st_nlink > 1 {
            // A second name would show our writes in another place; and what is no file takes none.
            let error = io::Error::new(io::ErrorKind::AlreadyExists, IN_THE_WAY);
            return Err(self.tree.of_file(entry, &error));
        }
        if u64::try_from(stat.st_size).ok() != Some(entry.kind.size()) {
            file.set_len(entry.kind.size())?;
        }
        Ok(())
    }

    fn opened(&self, number: u32, entry: &Entry) -> io::Result<Arc<OpenFile>> {
        let there = || self.tree.open.get(number).filter(|open| !open.in_base);
        if let Some(open) = there() {
            return Ok(open);
        }
        let _one = self.tree.opening(number);
        if let Some(open) = there() {
            return Ok(open);
        }
        if self.tree.is_in_base(number) {
            self.take_out(number, entry)?;
        }
        let file = self.open_or_create(number, entry).map_err(|error| self.tree.of_file(entry, &error))?;
        let open = OpenFile::new(file);
        self.tree.open.keep(number, &open);
        Ok(open)
    }

    fn open_or_create(&self, number: u32, entry: &Entry) -> io::Result<File> {
        if self.tree.mark(number) == Mark::NONE {
            match self.tree.below.create(&entry.path) {
                Ok(file) => {
                    self.tree.set_mark(number, Mark::NEW);
                    return Ok(file);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        match self.tree.below.part(&entry.path) {
            Err(error) if is_gone(&error) && self.tree.mark(number) != Mark::NONE => {
                let _ = self.tree.found_changed(entry);
                self.tree.below.create(&entry.path)
            }
            opened => opened,
        }
    }

    /// Notes the slices in which `written`, which belongs at `at`, differs from `made`, the bytes of the archive.
    fn note_odd(&self, at: u64, made: &[u8], written: &[IoSlice<'_>]) {
        let written = written.iter().flat_map(|part| part.iter());
        let mut noted = at..at;
        for ((_, offset), _) in written.zip(at..).zip(made).filter(|((is, _), made)| is != made) {
            if !noted.contains(&offset)
                && let Some(slice) = self.odd.layout().block_at(offset)
            {
                noted = self.odd.layout().range(slice);
                self.odd.publish(slice);
            }
        }
    }
}

/// Takes as many bytes as one wants from the front of slices.
struct Front<'a> {
    rest: Vec<&'a [u8]>,
}

impl<'a> Front<'a> {
    fn new(slices: &'a [IoSlice<'_>]) -> Self {
        Self { rest: slices.iter().rev().map(|slice| &**slice).collect() }
    }

    fn take(&mut self, mut len: u64) -> Vec<IoSlice<'a>> {
        let mut taken = Vec::new();
        while len > 0
            && let Some(slice) = self.rest.pop()
        {
            let (here, behind) = slice.split_at(usize::try_from(len).unwrap_or(usize::MAX).min(slice.len()));
            if !behind.is_empty() {
                self.rest.push(behind);
            }
            len -= here.len() as u64;
            taken.push(IoSlice::new(here));
        }
        taken
    }
}

impl Guarded for FolderPart {
    fn first_changed(&self) -> Option<PathBuf> {
        self.tree.first_changed()
    }

    fn is_ours(&self) -> bool {
        self.tree.is_ours()
    }

    fn last_stamp(&self) -> Option<Stamp> {
        self.tree.stamp().ok()
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let len = slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        let range = offset..offset.saturating_add(len);
        // These are written anew.
        for slice in self.odd.layout().starting_in(&range) {
            self.odd.withdraw(slice);
        }
        let (mut front, mut at) = (Front::new(slices), offset);
        for segment in self.tree.archive().segments(range) {
            let mut bytes = front.take(segment.len());
            let len = segment.len();
            match segment {
                Segment::Made(made) => self.note_odd(at, &made, &bytes),
                Segment::Zero(_) if bytes.iter().all(|slice| slice.iter().all(|byte| *byte == 0)) => {}
                Segment::Zero(len) => {
                    self.note_odd(at, &vec![0; usize::try_from(len).unwrap_or(0)], &bytes);
                }
                Segment::File { number, entry, offset, .. } => {
                    self.write_content(number, &entry, &mut bytes, offset)?;
                }
            }
            at += len;
        }
        Ok(())
    }

    /// Each file gets its length when it is made.
    fn set_length(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl OnGround for FolderPart {
    fn ground(&self) -> &impl Ground {
        &self.tree
    }
}
