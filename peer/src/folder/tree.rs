//! The bytes of a folder's archive, read from its files.

mod reading;

use super::beneath::{Beneath, is_gone};
use super::error::{Changed, FolderError};
use super::flags::Flags;
use super::looker::Looker;
use super::mark::Mark;
use super::open_files::{OpenFile, OpenFiles};
use super::stays::Stays;
use super::walk::{Special, Walk};
use super::written::Written;
use crate::ground::{Guarded, Stamp, stamp::Files};
use crate::human::Name;
use cascade_archive::{Archive, Builder, Entry, Kind, Segment};
use cascade_hash::Sha256Stream;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Files that are opened at the same time, to be kept.
const OPENINGS: usize = 16;

/// A folder as the archive that it makes.
///
/// Each file has a [`Mark`], which is compared before any byte of it is given out. The archive stays what it was
/// when the folder was walked: a file that has changed since is not what the archive says, and its bytes are errors
/// until it is [looked at](crate::ground::Ground::look) again.
#[derive(Debug)]
pub struct Tree {
    archive: Archive,
    pub(super) below: Beneath,
    /// The folder that is brought up to date, if there is one. A file that is right there already stays there.
    pub(super) base: Option<Base>,
    path: RwLock<PathBuf>,
    /// Of each entry; [`Mark::NONE`] of those that are no files, or not there yet.
    marks: Box<[AtomicU64]>,
    /// Of everything in front of the first entry: all that is known of the folder, but for its files' bytes.
    head: [u8; 32],
    pub(super) open: OpenFiles,
    /// It is being downloaded: its files come one after the other, and are written to by this process.
    is_part: AtomicBool,
    opening: [Mutex<()>; OPENINGS],
    any_opening: Mutex<()>,
    changed: AtomicBool,
    /// The first file that was seen to have changed.
    first_changed: Mutex<Option<PathBuf>>,
}

/// A folder that has files of an earlier version.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) below: Beneath,
    /// Of each entry: whether its bytes are read from here.
    used: Flags,
}

impl Tree {
    /// Walks the folder at `path`.
    ///
    /// # Errors
    /// Everything in [`FolderError`].
    pub fn walk(path: &Path, special: Special, cancel: &AtomicBool) -> Result<Self, FolderError> {
        let below = Beneath::open(path).map_err(|error| FolderError::io(path, error))?;
        let (mut builder, mut marks) = (Builder::default(), Vec::new());
        let build = |source| FolderError::Build { path: path.to_owned(), source };
        let walk = Walk { below: &below, root: path, special, cancel };
        walk.run(|entry, mark| {
            builder.push(entry).map_err(build)?;
            marks.push(AtomicU64::new(mark.number()));
            Ok(())
        })?;
        let archive = builder.finish().map_err(build)?;
        Ok(Self::new(archive, below, path, marks.into_boxed_slice(), false))
    }

    /// The folder at `path`, in which files of `archive` may be missing. It is only read.
    pub(crate) fn unfinished(archive: Archive, path: &Path) -> io::Result<Self> {
        let tree = Self::part(archive, path, None)?;
        tree.is_part.store(false, Ordering::Release);
        Ok(tree)
    }

    /// The folder at `path` to which `archive` is downloaded, in order to bring `base` up to date if there is one.
    pub(super) fn part(archive: Archive, path: &Path, base: Option<&Path>) -> io::Result<Self> {
        let marks = (0..archive.count()).map(|_| AtomicU64::new(Mark::NONE.number())).collect();
        let used = Flags::new(archive.count());
        let base = base.map(|base| Beneath::open(base).map(|below| Base { below, used })).transpose()?;
        Ok(Self { base, ..Self::new(archive, Beneath::open(path)?, path, marks, true) })
    }

    fn new(archive: Archive, below: Beneath, path: &Path, marks: Box<[AtomicU64]>, is_part: bool) -> Self {
        Self {
            head: digest_of_head(&archive),
            archive,
            below,
            base: None,
            path: RwLock::new(path.to_owned()),
            marks,
            open: OpenFiles::default(),
            is_part: AtomicBool::new(is_part),
            opening: Default::default(),
            any_opening: Mutex::default(),
            changed: AtomicBool::new(false),
            first_changed: Mutex::default(),
        }
    }

    /// From now on the folder is complete, has this name, and nobody writes to it.
    pub(super) fn completed(&self, path: &Path) {
        path.clone_into(&mut self.path.write().unwrap_or_else(PoisonError::into_inner));
        self.open.clear();
        self.is_part.store(false, Ordering::Release);
    }

    /// Whether the bytes of the entry `number` are read from the folder that is brought up to date.
    pub(super) fn is_in_base(&self, number: u32) -> bool {
        self.base.as_ref().is_some_and(|base| base.used.has(number))
    }

    /// From now on they are, or they are not.
    pub(super) fn set_in_base(&self, number: u32, value: bool) {
        self.base.iter().for_each(|base| base.used.set(number, value));
    }

    /// The folder that is complete, or becomes so.
    fn root(&self) -> BorrowedFd<'_> {
        match &self.base {
            Some(base) if !self.is_part() => base.below.root(),
            _ => self.below.root(),
        }
    }

    pub(super) fn is_part(&self) -> bool {
        self.is_part.load(Ordering::Acquire)
    }

    /// What the folder is as a data file.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Where the folder is.
    pub(super) fn path(&self) -> PathBuf {
        self.path.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where an entry is.
    pub(super) fn at(&self, entry: &Entry) -> PathBuf {
        self.path.read().unwrap_or_else(PoisonError::into_inner).join(&entry.path)
    }

    /// Walks the folder once more, and compares all that there is with what there was.
    ///
    /// # Errors
    /// Something is not what it was; or everything else in [`FolderError`].
    pub fn check_unchanged(&self, special: Special, cancel: &AtomicBool) -> Result<(), FolderError> {
        let (mut entries, mut marks) = (self.archive.entries(), self.marks.iter());
        let root = self.path();
        let walk = Walk { below: &self.below, root: &root, special, cancel };
        walk.run(|entry, mark| {
            let same = entries.next().is_some_and(|there| there == *entry)
                && marks.next().is_some_and(|there| there.load(Ordering::Relaxed) == mark.number());
            if same { Ok(()) } else { Err(FolderError::Changed(self.at(entry))) }
        })?;
        match entries.next() {
            Some(gone) => Err(FolderError::Changed(self.at(&gone))),
            None => Ok(()),
        }
    }

    /// Reads content of the entry `number`.
    fn read(&self, number: u32, entry: &Entry, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        // A small file is read once, and its descriptor is of no use to others.
        let whole = offset == 0 && buffer.len() as u64 == entry.kind.size() && !self.is_part();
        let open = self.same(number, entry, || {
            if whole { self.open(number, entry) } else { self.opened(number, entry) }
        })?;
        open.file.read_exact_at(buffer, offset).map_err(|error| {
            // It was as short when it was looked at: nothing new.
            let short = error.kind() == io::ErrorKind::UnexpectedEof;
            if short { Changed(self.at(entry)).into() } else { self.of_file(entry, &error) }
        })
    }

    /// The open file of an entry, which stays open for the next reader.
    fn opened(&self, number: u32, entry: &Entry) -> io::Result<Arc<OpenFile>> {
        if let Some(open) = self.open.get(number) {
            return Ok(open);
        }
        let _one = self.opening(number);
        if let Some(open) = self.open.get(number) {
            return Ok(open);
        }
        let open = self.open(number, entry)?;
        self.open.keep(number, &open);
        Ok(open)
    }

    /// What `open` opens, if it is still the file that it was.
    fn same(
        &self,
        number: u32,
        entry: &Entry,
        open: impl Fn() -> io::Result<Arc<OpenFile>>,
    ) -> io::Result<Arc<OpenFile>> {
        let mut file = open()?;
        // We ourselves may move a file from one folder to the other meanwhile, which happens twice at most.
        for _ in 0..2 {
            if self.compare(number, entry, &file)? {
                return Ok(file);
            }
            self.open.forget(number);
            file = open()?;
        }
        if self.compare(number, entry, &file)? { Ok(file) } else { Err(self.found_changed(entry).into()) }
    }

    /// Held while a file is opened to be kept: no file is kept twice. And held while a file gets another time, other
    /// permissions or another name, until its mark is that of what it looks like then.
    pub(super) fn opening(&self, number: u32) -> MutexGuard<'_, ()> {
        let lock = self.opening.get(number as usize % OPENINGS).unwrap_or(&self.any_opening);
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, number: u32, entry: &Entry) -> io::Result<Arc<OpenFile>> {
        self.open_plain(number, entry).map_err(|error| match is_gone(&error) {
            // What was not there when it was looked at has not changed.
            true if self.mark(number) == Mark::NONE => Changed(self.at(entry)).into(),
            true => self.found_changed(entry).into(),
            false => self.of_file(entry, &error),
        })
    }

    fn open_plain(&self, number: u32, entry: &Entry) -> io::Result<Arc<OpenFile>> {
        let in_base = self.is_in_base(number);
        let file = match &self.base {
            Some(base) if in_base => base.below.file(&entry.path),
            _ if self.is_part() => self.below.part(&entry.path),
            _ => self.below.file(&entry.path),
        };
        Ok(OpenFile::opened(file?, in_base))
    }

    /// Whether it is still the file that it was. `false`: its bytes are in the other folder by now.
    fn compare(&self, number: u32, entry: &Entry, open: &OpenFile) -> io::Result<bool> {
        if self.is_unchanged(number, open)? {
            return Ok(true);
        }
        // We ourselves may have given it another time a moment ago, or another name: who does that notes what it looks
        // like then before this lock is free again.
        let _one = self.opening(number);
        if self.is_unchanged(number, open)? {
            return Ok(true);
        }
        if open.in_base != self.is_in_base(number) {
            return Ok(false);
        }
        if self.is_part() && matches!(self.mark(number), Mark::NONE | Mark::NEW) {
            return Err(Changed(self.at(entry)).into());
        }
        // Another file may have its name by now.
        self.open.forget(number);
        Err(self.found_changed(entry).into())
    }

    /// Whether it looks as it did, or changes because we write to it.
    fn is_unchanged(&self, number: u32, open: &OpenFile) -> io::Result<bool> {
        let writes = open.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.mark(number);
        let now = Mark::of(&rustix::fs::fstat(&open.file)?);
        Ok(*writes > 0 || (now == mark && mark != Mark::NONE))
    }

    pub(super) fn set_mark(&self, number: u32, mark: Mark) {
        if let Some(place) = usize::try_from(number).ok().and_then(|number| self.marks.get(number)) {
            place.store(mark.number(), Ordering::Release);
        }
    }

    pub(super) fn mark(&self, number: u32) -> Mark {
        let mark = usize::try_from(number).ok().and_then(|number| self.marks.get(number));
        mark.map_or(Mark::NONE, |mark| Mark::from_number(mark.load(Ordering::Acquire)))
    }

    pub(super) fn found_changed(&self, entry: &Entry) -> Changed {
        let path = self.at(entry);
        self.first_changed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| path.clone());
        self.changed.store(true, Ordering::Release);
        Changed(path)
    }

    /// The error with the name of the file.
    pub(super) fn of_file(&self, entry: &Entry, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", Name(&self.at(entry))))
    }

    /// What everything but folders looks like now, which we have written.
    pub(super) fn written(&self) -> Written {
        let below = self.base.as_ref().map_or(&self.below, |base| &base.below);
        let mut there = Looker::new(below);
        let entries = (0..).zip(self.archive.entries()).filter(|(_, entry)| entry.kind != Kind::Folder);
        Written::of(entries.filter_map(|(number, entry)| match entry.kind {
            // If it is another one by now, somebody else has written it.
            Kind::File { .. } => Some(self.mark(number)).filter(|mark| *mark != Mark::NONE),
            Kind::Folder | Kind::Link { .. } => there.look(&entry.path).map(|stat| Mark::of_any(&stat)),
        }))
    }

    /// What all files looked like when they were looked at or written to last.
    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        let mut stream = Sha256Stream::new();
        stream.update(&self.head);
        for (entry, mark) in self.archive.entries().zip(&self.marks) {
            if matches!(entry.kind, Kind::File { .. }) {
                stream.update(&mark.load(Ordering::Acquire).to_be_bytes());
            }
        }
        let root = Stamp::of(&File::from(self.root().try_clone_to_owned()?))?;
        Ok(Stamp {
            device: root.device,
            inode: root.inode,
            length: self.archive.total_len(),
            modified_ns: 0,
            changed_ns: 0,
            files: Some(Files::from(stream.finish())),
        })
    }

    /// Goes through all files, as they are now, and tells of each whether it is in the folder that is brought up to
    /// date.
    pub(super) fn marks_now(&self, mut tell: impl FnMut(u32, Mark, bool)) {
        let (mut here, mut there) =
            (Looker::new(&self.below), self.base.as_ref().map(|base| Looker::new(&base.below)));
        let outdated = self.base.as_ref().filter(|_| self.is_part());
        let stays = outdated.map(|base| Stays::look(self, base));
        for (number, entry) in (0..).zip(self.archive.entries()) {
            if !matches!(entry.kind, Kind::File { .. }) {
                continue;
            }
            if let Some(stat) = here.look(&entry.path) {
                tell(number, Mark::of(&stat), false);
                continue;
            }
            let found = there.as_mut().and_then(|there| there.look(&entry.path));
            match found.filter(|stat| stays.as_ref().is_none_or(|stays| stays.has(&entry, stat))) {
                Some(stat) => tell(number, Mark::of(&stat), true),
                // What cannot be looked at cannot be read: then it counts as not there.
                None => tell(number, Mark::NONE, self.base.is_some() && !self.is_part()),
            }
        }
    }
}

fn digest_of_head(archive: &Archive) -> [u8; 32] {
    let mut stream = Sha256Stream::new();
    for segment in archive.segments(0..archive.head_len()) {
        if let Segment::Made(bytes) = segment {
            stream.update(&bytes);
        }
    }
    stream.finish()
}

/// A folder that is shared is only read.
impl Guarded for Tree {
    fn first_changed(&self) -> Option<PathBuf> {
        self.first_changed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_ours(&self) -> bool {
        !self.changed.load(Ordering::Acquire)
    }
}
