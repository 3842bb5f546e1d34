//! The data file: its bytes, wherever they are, and how they are divided into blocks.

use super::guarded::GuardedFile;
use super::turning::TurningFile;
use crate::folder::{FolderError, FolderPart, HostileArchive, Written};
use crate::ground::disk::{Disk, SystemDisk};
use crate::ground::{Ground, Guarded, Run, Stamp};
use cascade_format::{Block, BlockHash, Have, Layout};
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// An open data file, complete or not, and its layout. What is written to a guarded one goes through
/// here, so that the writes of others can be told from ours. No position is shared, so any thread may use it.
#[derive(Debug)]
pub struct DataFile {
    medium: Medium,
    path: PathBuf,
    /// Where it is since it has turned into a folder.
    turned: OnceLock<PathBuf>,
    layout: Layout,
    disk: Arc<dyn Disk>,
}

/// What its bytes are on.
#[derive(Debug)]
enum Medium {
    /// A file, or a folder that is only read.
    There(Box<dyn Guarded>),
    /// A folder that is downloaded.
    Folder(Box<FolderPart>),
    /// A file that may turn out to be one, or has.
    Turning(Box<TurningFile>),
}

impl DataFile {
    /// Takes an open file; `path` is for messages.
    #[must_use]
    pub fn new(file: File, path: &Path, layout: Layout) -> Self {
        Self::on_disk(file, path, layout, Arc::new(SystemDisk))
    }

    /// The same, on a disk of any kind.
    #[must_use]
    pub fn on_disk(file: File, path: &Path, layout: Layout, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..Self::of(Box::new(GuardedFile::new(file)), path, layout) }
    }

    /// Takes what the bytes are on.
    #[must_use]
    pub fn of(ground: Box<dyn Guarded>, path: &Path, layout: Layout) -> Self {
        Self::at(Medium::There(ground), path, layout)
    }

    /// Takes a folder that is downloaded.
    #[must_use]
    pub fn of_folder(folder: FolderPart, path: &Path, layout: Layout) -> Self {
        Self::at(Medium::Folder(Box::new(folder)), path, layout)
    }

    fn at(medium: Medium, path: &Path, layout: Layout) -> Self {
        Self { medium, path: path.to_owned(), turned: OnceLock::new(), layout, disk: Arc::new(SystemDisk) }
    }

    /// Takes a part file that holds `have`, and may turn out to be the archive of a folder.
    #[must_use]
    pub fn that_may_turn(file: File, path: &Path, layout: Layout, have: &Have) -> Self {
        Self::at(Medium::Turning(Box::new(TurningFile::new(file, layout, have))), path, layout)
    }

    fn guarded(&self) -> &dyn Guarded {
        match &self.medium {
            Medium::There(there) => &**there,
            Medium::Folder(folder) => &**folder,
            Medium::Turning(file) => &**file,
        }
    }

    /// The folder that is downloaded, if it is one.
    fn folder(&self) -> Option<&FolderPart> {
        match &self.medium {
            Medium::There(_) => None,
            Medium::Folder(folder) => Some(folder),
            Medium::Turning(file) => file.folder(),
        }
    }

    fn turning(&self) -> Option<&TurningFile> {
        match &self.medium {
            Medium::Turning(file) => Some(file),
            Medium::There(_) | Medium::Folder(_) => None,
        }
    }

    /// The file is the archive of a folder, which is at `files`: blocks that are begun from now on go to what `into` makes
    /// of it, and the file keeps its first `head_len` bytes when all others have been [moved](Self::move_over).
    ///
    /// # Errors
    /// Those of `into`; then nothing has changed here. It is no file that [may turn](Self::that_may_turn).
    pub fn turn(
        &self,
        files: &Path,
        head_len: u64,
        into: impl FnOnce(&File) -> io::Result<FolderPart>,
    ) -> io::Result<()> {
        self.turning().ok_or(io::ErrorKind::Unsupported)?.turn(head_len, into)?;
        let _ = self.turned.set(files.to_owned());
        Ok(())
    }

    /// It is known that the file is not the archive of a folder, or is kept as one file: it does not turn.
    pub fn stay(&self) {
        self.turning().into_iter().for_each(TurningFile::stay);
    }

    /// Whether the byte at `offset` is in a file that has turned, or may still turn. It is moved out of the file then, and
    /// the file is cut: its pages, which may be larger than a block, become zeroes, in a socket, too.
    #[must_use]
    pub fn loses(&self, offset: u64) -> bool {
        self.turning().is_some_and(|file| file.loses(offset))
    }

    /// Whether some of `block` is still in the file that has turned.
    #[must_use]
    pub fn is_left(&self, block: Block) -> bool {
        self.turning().is_some_and(|file| file.is_left(block))
    }

    /// Whether the file that has turned may be longer than its head.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.turning().is_some_and(TurningFile::has_left)
    }

    /// Moves what is there of a verified block out of the file that has turned. `false`: it has not this hash, and stays.
    ///
    /// # Errors
    /// The file system's own; [`HostileArchive`].
    pub fn move_over(&self, block: Block, hash: BlockHash) -> io::Result<bool> {
        let Some(file) = self.turning() else { return Ok(true) };
        let fits = |folder: &FolderPart| match folder.is_canonical(block) {
            true => Ok(()),
            false => Err(io::Error::other(HostileArchive(block))),
        };
        file.move_over(block, hash, fits)
    }

    /// Gives back the room of blocks that were moved out of the file that has turned, if nobody reads it. They must be
    /// on the disk in their new place.
    pub fn thin(&self) {
        self.turning().into_iter().for_each(TurningFile::thin);
    }

    /// Cuts the file that has turned, if nothing is left in it and nobody reads it.
    ///
    /// # Errors
    /// The file system's own.
    pub fn cut(&self) -> io::Result<()> {
        self.turning().map_or(Ok(()), TurningFile::cut)
    }

    /// What its bytes are read from.
    #[must_use]
    pub fn ground(&self) -> &dyn Ground {
        self.guarded()
    }

    /// The file itself, for system calls that nothing here wraps; `None`: it is a folder.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        self.guarded().file()
    }

    /// Where the file was when it was opened, or where the folder is into which it has turned.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.turned.get().unwrap_or(&self.path)
    }

    /// The file that has changed, where it is known: one below a folder.
    #[must_use]
    pub fn changed_path(&self) -> PathBuf {
        self.guarded().first_changed().unwrap_or_else(|| self.path().to_owned())
    }

    /// What makes it durable.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// Some of it did not get there; which is not told.
    pub fn sync(&self) -> io::Result<()> {
        self.guarded().sync(&*self.disk)
    }

    /// Lets the system forget what it keeps of it in memory and has on the disk.
    pub fn drop_cache(&self) {
        self.guarded().drop_cache(&*self.disk);
    }

    /// Whether [`DataFile::path`] still leads to this file, without a link between.
    #[must_use]
    pub fn has_its_name(&self) -> bool {
        self.guarded().is_at(self.path())
    }

    /// From now on, another program that writes to the file is found out. It looked like `stamp` when its bytes
    /// were known.
    pub fn guard(&self, stamp: Stamp) {
        self.guarded().guard(stamp);
    }

    /// The file is not written to any more.
    pub fn end_guard(&self) {
        self.guarded().end_guard();
    }

    /// It is read no more: what is open is closed as soon as nobody reads it, where that can be.
    pub(crate) fn withdraw(&self) {
        self.guarded().withdraw();
    }

    /// Whether nobody else has written to a guarded file, as far as can be seen.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.guarded().is_ours()
    }

    /// Whether a guarded file cannot be vouched for without reading it: somebody else has it open, and may
    /// write to it, or its stamps tell nothing.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.guarded().is_uncertain()
    }

    /// A guarded file was checked because its stamp had moved, and nothing was wrong.
    pub fn false_alarm(&self) {
        self.guarded().false_alarm();
    }

    /// What a guarded file looked like after the last write to it.
    #[must_use]
    pub fn last_stamp(&self) -> Option<Stamp> {
        self.guarded().last_stamp()
    }

    /// How the file is divided into blocks.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// Those of [`Ground::fill`].
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.guarded().fill(buffer, offset)
    }

    /// The file in which the bytes from `offset` on lie as they are, if they do.
    #[must_use]
    pub fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        self.guarded().run_at(offset)
    }

    /// Writes `slices` one after the other at `offset`, in one system call where the system can.
    ///
    /// # Errors
    /// The file system's own: no space, an I/O error.
    pub fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        if slices.is_empty() { Ok(()) } else { self.guarded().write_all_at(slices, offset) }
    }

    /// Whether what was written to `block` is what this archive can have there; always, where it is no archive of a
    /// folder. Asked when the block has the right hash.
    #[must_use]
    pub fn is_canonical(&self, block: Block) -> bool {
        let slices = self.layout.sliced().unwrap_or(self.layout);
        let mut numbers = slices.slices_of(block);
        numbers.all(|number| slices.block(number).is_none_or(|slice| self.is_canonical_slice(slice)))
    }

    /// The same of one slice, in the numbers of [`Layout::sliced`] (where blocks are not divided, of one block). Asked when
    /// the slice is verified.
    #[must_use]
    pub fn is_canonical_slice(&self, slice: Block) -> bool {
        // Of a slice that is left in a file, that is found out when it is moved.
        let is_left = || self.turning().is_some_and(|file| file.is_slice_left(slice));
        self.folder().is_none_or(|folder| is_left() || folder.is_canonical_slice(slice))
    }

    /// Makes what a complete folder has besides its files' bytes, and compares all that there is.
    ///
    /// # Errors
    /// Something is not as it should be.
    pub fn complete(&self, cancel: &AtomicBool) -> Result<(), FolderError> {
        self.folder().map_or(Ok(()), |folder| folder.complete(cancel))
    }

    /// What the files of a complete folder look like that this process has written.
    #[must_use]
    pub fn written(&self) -> Option<Written> {
        self.folder().map(FolderPart::written)
    }

    /// Where files are kept that were replaced and may be the user's own work, and how many there are.
    #[must_use]
    pub fn kept(&self) -> Option<(PathBuf, u64)> {
        self.folder()?.kept()
    }

    /// Gives a complete folder the name `to`, which nobody has, or brings the folder that has it up to date. `None`: it
    /// was taken away, or written to.
    ///
    /// # Errors
    /// The file system's own.
    pub fn rename(&self, to: &Path) -> io::Result<Option<Stamp>> {
        self.folder().ok_or(io::ErrorKind::Unsupported)?.rename(&*self.disk, self.path(), to)
    }

    /// Gives the file the length of its layout.
    ///
    /// # Errors
    /// The file system's own.
    pub fn set_full_length(&self) -> io::Result<()> {
        self.guarded().set_length(self.layout.length())
    }

    /// Takes room on the disk for the bytes in `range`, where that costs next to nothing. False where it
    /// does not, or cannot be done: then a disk that fills up is found out by writing.
    #[must_use]
    pub fn reserve(&self, range: Range<u64>) -> bool {
        self.guarded().reserve(range)
    }

    /// How many bytes the files of a folder need on the disk in addition to those that they occupy. `None`: it is no folder
    /// that is downloaded.
    #[must_use]
    pub(crate) fn room_needed(&self) -> Option<u64> {
        self.folder().map(FolderPart::room_needed)
    }

    /// Gives the room of `range` back: it reads as zeroes then.
    ///
    /// # Errors
    /// The file system cannot do that, or not now.
    pub fn punch(&self, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() { Ok(()) } else { self.guarded().punch(range) }
    }

    /// Starts reading `range` from the disk in the background, where the system can.
    pub fn will_need(&self, range: Range<u64>) {
        self.guarded().will_need(range);
    }
}
