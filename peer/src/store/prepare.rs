//! Finding or making the file that a download writes to.
//!
//! Data arrives in `NAME.part` beside the target `NAME`. What the target holds already (an older
//! version, the work of another program) is used block by block, and the target itself is not touched
//! until everything is verified (invariant *untouched target*).

use super::disk::{Disk, SystemDisk, is_full};
use super::ledger::MAX_FAILED_SYNCS;
use super::open::{OpenError, open_regular};
use super::part::{self, Part, move_aside, part_path};
use super::{DataFile, Ground, Record, Records, Stamp};
use crate::check::{check, is_empty_of_data};
use crate::folder::{self, FolderError, FolderPart, Head, HeadError, HostileArchive, Special, Tree};
use crate::human::Name;
use crate::limits::PIECE_LEN;
use crate::metafile::MetafileOnDisk;
use cascade_archive::Archive;
use cascade_format::{Block, BlockHash, Have};
use cascade_hash::Sha256Stream;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The target's folder is missing.
    #[error("the folder {} does not exist; make it, or name another place with -o", .0.display())]
    NoFolder(PathBuf),
    /// Another process downloads to the same place.
    #[error("{} is being written by another peer; wait for it, or name another place with -o", .0.display())]
    Busy(PathBuf),
    /// The target is none of the things that can be replaced by a file.
    #[error("{} is {what}; name another place with -o", .path.display())]
    NotAFile {
        /// The target.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The folder's archive is refused.
    #[error(
        "{}: {why}; it is refused, get another .cascade file, or download it as one file with --tar",
        Name(target)
    )]
    Hostile {
        /// The target.
        target: PathBuf,
        /// Why.
        why: String,
    },
    /// What has the part file's name, and all other names that were tried, may not be written to.
    #[error("{} is in the way, and not a regular file with one name; move it away, or name another place with -o", .0.display())]
    InTheWay(PathBuf),
    /// The folder that is there cannot be read.
    #[error(transparent)]
    Folder(FolderError),
    /// The disk is too small.
    #[error("no space for {}: it needs {needed} more bytes, its disk has {free}; make room, or name another place with -o", .path.display())]
    NoSpace {
        /// The target.
        path: PathBuf,
        /// Bytes to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The disk does not keep what is written to it.
    #[error("the disk does not keep {}: {source}; check the disk, or name another place", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// The file system said no.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Place {
    /// In the target, complete.
    Target {
        /// What it looked like before it was checked.
        stamp: Stamp,
        /// Whether the whole-file hash is known to be right as well.
        file_hash_checked: bool,
    },
    /// In a part file, which this process has locked and guards.
    Part {
        /// Its path.
        path: PathBuf,
        /// Whether this process made it.
        new: bool,
        /// What the target looked like, if there was one.
        target: Option<Stamp>,
    },
}

/// A file that is ready to be downloaded to.
#[derive(Debug)]
pub struct Prepared {
    /// The open file.
    pub data: DataFile,
    /// What it holds.
    pub have: Have,
    /// Whether all of that is known to be on the disk.
    pub on_disk: bool,
    /// Where it is.
    pub place: Place,
    /// The name that it gets when it is complete.
    pub target: PathBuf,
}

/// What a preparation needs to know, beside the target.
#[derive(Clone, Copy)]
pub struct Preparation<'a> {
    /// Describes the file.
    pub metafile: &'a MetafileOnDisk,
    /// What was found in earlier runs.
    pub records: &'a Records,
    /// Hears of bytes that were checked.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Ends the preparation early.
    pub cancel: &'a AtomicBool,
    /// An earlier version of the file or folder, of which what is right is copied.
    pub from: Option<&'a Path>,
}

impl Preparation<'_> {
    /// Finds what there is of `target` and opens the file to write to. Makes no file when it fails.
    ///
    /// # Errors
    /// Everything in [`PrepareError`].
    pub fn run(&self, target: &Path) -> Result<Prepared, PrepareError> {
        // A target that is a link stays one: the file it points to is replaced.
        let target = match fs::canonicalize(target) {
            Ok(target) => target,
            Err(_) if target.is_symlink() => {
                let what = "a symbolic link that leads nowhere";
                return Err(PrepareError::NotAFile { path: target.to_owned(), what });
            }
            Err(_) => target.to_owned(),
        };
        let folder = folder_of(&target);
        if !folder.is_dir() {
            return Err(PrepareError::NoFolder(folder.to_owned()));
        }
        if target.is_dir() {
            return self.complete_folder(&target);
        }
        if let Some(prepared) = self.folder_part(&target)? {
            return Ok(prepared);
        }
        let old = match self.old_target(&target)? {
            Some(Old::Complete(prepared)) => {
                self.remove_leftover(&target);
                return Ok(*prepared);
            }
            Some(Old::Partial(file, have)) => Some((file, have)),
            None => None,
        };
        let old_stamp = old.as_ref().and_then(|(file, _)| Stamp::of(file).ok());
        let old = match (old, self.from.filter(|from| !from.is_dir())) {
            (None, Some(from)) => Some(self.earlier(from)?),
            (old, _) => old,
        };
        let (part, mut have, on_disk) = self.open_part(&target, folder)?;
        let stamp = Stamp::of(&part.file).map_err(|error| io_error("look at", &part.path, error))?;
        let data = DataFile::new(part.file, &part.path, *self.metafile.layout());
        data.guard(stamp);
        let copied = match old {
            Some((old, old_have)) => self.copy(&old, &old_have, &data, &mut have, &target)?,
            None => false,
        };
        let place = Place::Part { path: part.path, new: part.new, target: old_stamp };
        Ok(Prepared { data, have, on_disk: on_disk && !copied, place, target })
    }

    /// What the target itself holds.
    fn old_target(&self, target: &Path) -> Result<Option<Old>, PrepareError> {
        let (file, metadata) = match open_regular(target) {
            Ok(opened) => opened,
            Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(OpenError::Io(error)) => return Err(io_error("open", target, error)),
            Err(OpenError::NotRegular(what)) => {
                return Err(PrepareError::NotAFile { path: target.to_owned(), what });
            }
        };
        let right_length = metadata.len() == self.metafile.layout().length();
        let mut found = self.known_or_checked(target, &file)?;
        if right_length && found.have.is_complete() && !found.on_disk {
            let mut first = Some(found);
            found = durable(&SystemDisk, target, &file, || {
                first.take().map_or_else(|| self.known_or_checked(target, &file), Ok)
            })?;
        }
        if !right_length || !found.have.is_complete() {
            return Ok(Some(Old::Partial(file, found.have)));
        }
        let data = DataFile::new(file, target, *self.metafile.layout());
        let Found { have, stamp, file_hash_checked, on_disk } = found;
        let place = Place::Target { stamp, file_hash_checked };
        Ok(Some(Old::Complete(Box::new(Prepared { data, have, on_disk, place, target: target.to_owned() }))))
    }

    /// What an earlier version of the file holds.
    fn earlier(&self, from: &Path) -> Result<(File, Have), PrepareError> {
        let (file, _) = open_regular(from).map_err(|error| match error {
            OpenError::Io(error) => io_error("open", from, error),
            OpenError::NotRegular(what) => PrepareError::NotAFile { path: from.to_owned(), what },
        })?;
        let found = self.known_or_checked(from, &file)?;
        Ok((file, found.have))
    }

    /// The target is complete, perhaps by another program's work: a part file of ours, which holds a block of
    /// it or nothing at all, is of no use.
    fn remove_leftover(&self, target: &Path) {
        let path = part_path(target);
        if fs::symlink_metadata(&path).is_ok_and(|there| there.is_file())
            && let Ok(Some(part)) = Part::at(path)
            && (is_empty_of_data(&part.file) || self.holds_something(&part).unwrap_or(false))
        {
            part::remove(&part.file, &part.path);
        }
    }

    fn holds_something(&self, part: &Part) -> Result<bool, PrepareError> {
        Ok(self.known_or_checked(&part.path, &part.file)?.have.count() > 0)
    }

    /// What an existing file holds: by the record of an earlier run, or by hashing it.
    pub(crate) fn known_or_checked(&self, path: &Path, file: &dyn Ground) -> Result<Found, PrepareError> {
        let stamp = file.look().map_err(|error| io_error("look at", path, error))?;
        let layout = self.metafile.layout();
        if let Some(record) = self.records.load(self.metafile.cascade_hash(), path, stamp, layout) {
            (self.progress)(layout.length());
            let Record { have, file_hash_checked } = record;
            return Ok(Found { have, stamp, file_hash_checked, on_disk: true });
        }
        self.checked_at(path, file, stamp)
    }

    /// What a file holds, by its bytes.
    fn checked(&self, path: &Path, file: &dyn Ground) -> Result<Found, PrepareError> {
        let stamp = file.look().map_err(|error| io_error("look at", path, error))?;
        self.checked_at(path, file, stamp)
    }

    fn checked_at(&self, path: &Path, file: &dyn Ground, stamp: Stamp) -> Result<Found, PrepareError> {
        let layout = self.metafile.layout();
        let have = check(file, self.metafile, 0..layout.blocks(), self.progress, self.cancel);
        if self.cancel.load(Ordering::Relaxed) {
            return Err(PrepareError::Interrupted);
        }
        let have = have.map_err(|error| io_error("read", path, error))?;
        Ok(Found { have, stamp, file_hash_checked: false, on_disk: false })
    }

    /// What a finished file holds on the disk, for sure. If the disk refuses to keep it, the system's memory
    /// is not believed: the file is read again.
    ///
    /// # Errors
    /// The disk refuses [`MAX_FAILED_SYNCS`] times; the file cannot be read.
    pub(crate) fn durable(
        &self,
        path: &Path,
        file: &dyn Ground,
        trust: Trust,
    ) -> Result<Found, PrepareError> {
        let (disk, mut trust) = (SystemDisk, trust);
        // A page that is clean cannot be written to through a mapping without the file system noticing: the
        // change time moves, and the stamp shows it. In a page that is dirty already it would not. (Where
        // there is no disk, as with tmpfs, pages are never clean.)
        if file.sync(&disk).is_err() {
            file.drop_cache(&disk);
            trust = Trust::Bytes;
        }
        durable(&disk, path, file, || match trust {
            Trust::Record => self.known_or_checked(path, file),
            Trust::Bytes => self.checked(path, file),
        })
    }

    /// Opens, locks and checks the part file, or makes it; tells whether what it holds is known to be on the
    /// disk. Makes no file when it fails.
    fn open_part(&self, target: &Path, folder: &Path) -> Result<(Part, Have, bool), PrepareError> {
        let mut part = Part::open(target, &mut |part| self.holds_something(part))?;
        let (mut have, mut on_disk) = (Have::none(self.metafile.layout()), true);
        let result = self.check_room(&part, folder).and_then(|()| {
            let known = part.file.metadata().map_err(|error| io_error("look at", &part.path, error))?.len();
            if !part.new && known > 0 {
                let found = self.known_or_checked(&part.path, &part.file)?;
                (have, on_disk) = (found.have, found.on_disk);
                if have.count() == 0 && known != self.metafile.layout().length() {
                    // Of another length, and no block of it is right: none of ours.
                    move_aside(&part.path).map_err(|error| io_error("move aside", &part.path, error))?;
                    let first = Part::at(part.path.clone())?;
                    part = first.ok_or_else(|| PrepareError::InTheWay(part.path.clone()))?;
                }
            }
            set_length(&part.file, self.metafile.layout().length())
                .map_err(|error| io_error("make room for", &part.path, error))
        });
        if let (true, Err(_)) = (part.new, &result) {
            part::remove(&part.file, &part.path);
        }
        result.map(|()| (part, have, on_disk))
    }

    fn check_room(&self, part: &Part, folder: &Path) -> Result<(), PrepareError> {
        let taken = part.file.metadata().map_or(0, |metadata| allocated(&metadata));
        let needed = self.metafile.layout().length().saturating_sub(taken);
        match free_space(folder) {
            Some(free) if free < needed => {
                Err(PrepareError::NoSpace { path: part.path.clone(), needed, free })
            }
            _ => Ok(()),
        }
    }

    /// A folder that is there already.
    fn complete_folder(&self, target: &Path) -> Result<Prepared, PrepareError> {
        let other =
            "a directory with other content (an older version is used with --from when it is renamed)";
        let differs = || PrepareError::NotAFile { path: target.to_owned(), what: other };
        let tree = match Tree::walk(target, Special::Skip, self.cancel) {
            Ok(tree) if tree.archive().total_len() == self.metafile.layout().length() => tree,
            Ok(_) => return Err(differs()),
            Err(FolderError::Interrupted) => return Err(PrepareError::Interrupted),
            Err(error) => return Err(PrepareError::Folder(error)),
        };
        let found = self.durable(target, &tree, Trust::Record)?;
        if !found.have.is_complete() {
            return Err(differs());
        }
        for part in part::names(target) {
            if let Some(place) = folder::Place::at(&part)
                && let Ok(Some(_)) = Part::at(place.head())
            {
                place.remove();
            }
        }
        let data = DataFile::of(Box::new(tree), target, *self.metafile.layout());
        let Found { have, stamp, file_hash_checked, on_disk } = found;
        let place = Place::Target { stamp, file_hash_checked };
        Ok(Prepared { data, have, on_disk, place, target: target.to_owned() })
    }

    /// A folder that is being downloaded: its `NAME.part/`, if there is one.
    fn folder_part(&self, target: &Path) -> Result<Option<Prepared>, PrepareError> {
        for part in part::names(target) {
            let Some(place) = folder::Place::at(&part) else { continue };
            let Some(head) = Part::at(place.head())? else { continue };
            let Some(archive) = self.read_head(&head.file, target)? else { continue };
            if fs::symlink_metadata(target).is_ok() {
                return Err(PrepareError::NotAFile { path: target.to_owned(), what: "there already" });
            }
            return self.open_folder_part(&place, &head.file, archive, target).map(Some);
        }
        Ok(None)
    }

    /// The archive whose verified head is in a file; `None`: it is another's, or damaged.
    fn read_head(&self, file: &File, target: &Path) -> Result<Option<Archive>, PrepareError> {
        let layout = self.metafile.layout();
        let mut reader = Head::of(layout.length());
        while let Some(head) = reader.take() {
            let read = |error| io_error("read", target, error);
            let blocks = layout.block_at(head.end() - 1).map_or(layout.blocks(), |last| last.number() + 1);
            let have = check(file, self.metafile, 0..blocks, &|_| (), self.cancel).map_err(read)?;
            if have.count() < blocks {
                return Ok(None);
            }
            let end = head.end();
            match head.read(file, end) {
                Ok((folder::Found::More, more)) => reader = more,
                Ok((folder::Found::File, _)) => return Ok(None),
                Ok((folder::Found::Folder(archive), _)) => return Ok(Some(*archive)),
                Err(HeadError::Refused(refused)) => {
                    return Err(PrepareError::Hostile {
                        target: target.to_owned(),
                        why: refused.to_string(),
                    });
                }
                Err(HeadError::Io(error)) => return Err(read(error)),
            }
        }
        Ok(None)
    }

    fn open_folder_part(
        &self,
        place: &folder::Place,
        head: &File,
        archive: Archive,
        target: &Path,
    ) -> Result<Prepared, PrepareError> {
        let (files, layout) = (place.files(), *self.metafile.layout());
        let head_end = layout.block_at(archive.head_len() - 1).map_or(0, |block| layout.range(block).end);
        let failed = |error| io_error("open", &files, error);
        if !files.is_dir() {
            fs::create_dir(&files).map_err(failed)?;
        }
        let lock = head.try_clone().map_err(failed)?;
        let part = FolderPart::open(archive, &files, lock, layout).map_err(failed)?;
        if let Some(from) = self.from {
            part.copy_from(from, self.cancel).map_err(|error| self.interrupted_or("copy", from, error))?;
        }
        let data = DataFile::of(Box::new(part), &files, layout);
        let found = self.known_or_checked(&files, data.ground())?;
        let (mut have, mut on_disk) = (found.have, found.on_disk);
        self.check_room_for(&have, &files)?;
        // What came before it was known that it is a folder.
        let came = check(head, self.metafile, 0..layout.blocks(), &|_| (), self.cancel);
        let came = came.map_err(|error| self.interrupted_or("read", &place.head(), error))?;
        match self.copy(head, &came, &data, &mut have, target) {
            Ok(copied) => {
                on_disk &= !copied;
                head.set_len(head_end).map_err(|error| io_error("cut", &place.head(), error))?;
            }
            // What finds no room is fetched again when there is some, or copied by the next run.
            Err(PrepareError::Io { source, .. }) if is_full(&source) => on_disk = false,
            Err(error) => return Err(error),
        }
        let place = Place::Part { path: files, new: false, target: None };
        Ok(Prepared { data, have, on_disk, place, target: target.to_owned() })
    }

    fn check_room_for(&self, have: &Have, files: &Path) -> Result<(), PrepareError> {
        let layout = self.metafile.layout();
        let missing = layout.iter().filter(|block| !have.has(*block));
        let needed = missing.map(|block| layout.len_of(block)).sum();
        match free_space(files) {
            Some(free) if free < needed => {
                Err(PrepareError::NoSpace { path: files.to_owned(), needed, free })
            }
            _ => Ok(()),
        }
    }

    fn interrupted_or(&self, what: &'static str, path: &Path, error: io::Error) -> PrepareError {
        let interrupted = self.cancel.load(Ordering::Relaxed);
        if interrupted { PrepareError::Interrupted } else { io_error(what, path, error) }
    }

    /// Copies blocks that the old target has and the part file has not; verifies what it copies. Tells
    /// whether there were any.
    fn copy(
        &self,
        old: &File,
        old_have: &Have,
        data: &DataFile,
        have: &mut Have,
        target: &Path,
    ) -> Result<bool, PrepareError> {
        let old = DataFile::new(
            old.try_clone().map_err(|e| io_error("open", data.path(), e))?,
            data.path(),
            *data.layout(),
        );
        let (mut buffer, mut any) = (vec![0; PIECE_LEN], false);
        for block in data.layout().iter() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PrepareError::Interrupted);
            }
            if old_have.has(block) && !have.has(block) {
                let copied = self.copy_block(&old, data, block, &mut buffer);
                if copied.map_err(|error| io_error("write", data.path(), error))? {
                    if !data.is_canonical(block) {
                        let why = HostileArchive(block).to_string();
                        return Err(PrepareError::Hostile { target: target.to_owned(), why });
                    }
                    any |= have.insert(block);
                }
            }
        }
        Ok(any)
    }

    fn copy_block(
        &self,
        old: &DataFile,
        data: &DataFile,
        block: Block,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        let (mut hasher, range) = (Sha256Stream::new(), data.layout().range(block));
        let mut at = range.start;
        while at < range.end {
            let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..length).unwrap_or_default();
            old.read_exact_at(piece, at)?;
            hasher.update(piece);
            data.write_all_at(&mut [IoSlice::new(piece)], at)?;
            at += length as u64;
        }
        Ok(BlockHash(hasher.finish()) == self.metafile.hash_of(block)?)
    }
}

/// What a check may rely on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust {
    /// The record of an earlier check, if the file's stamp is what it was.
    Record,
    /// The bytes alone.
    Bytes,
}

/// What a file was found to hold.
#[derive(Debug)]
pub(crate) struct Found {
    /// The blocks that are right.
    pub(crate) have: Have,
    /// What the file looked like before they were read.
    pub(crate) stamp: Stamp,
    /// Whether the whole-file hash is known to be right as well.
    pub(crate) file_hash_checked: bool,
    /// Whether the blocks are known to be on the disk, not only in the system's memory.
    pub(crate) on_disk: bool,
}

enum Old {
    Complete(Box<Prepared>),
    Partial(File, Have),
}

/// What `look` finds in `file`, as soon as a sync after it has gone well.
fn durable(
    disk: &dyn Disk,
    path: &Path,
    file: &dyn Ground,
    mut look: impl FnMut() -> Result<Found, PrepareError>,
) -> Result<Found, PrepareError> {
    let mut failures = 0;
    loop {
        let found = look()?;
        let Err(source) = (if found.on_disk { Ok(()) } else { file.sync(disk) }) else {
            return Ok(Found { on_disk: true, ..found });
        };
        file.drop_cache(disk);
        failures += 1;
        if failures == MAX_FAILED_SYNCS {
            return Err(PrepareError::Disk { path: path.to_owned(), source });
        }
    }
}

fn set_length(file: &File, length: u64) -> io::Result<()> {
    if file.metadata()?.len() == length { Ok(()) } else { file.set_len(length) }
}

/// The folder that holds `path`.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> PrepareError {
    PrepareError::Io { what, path: path.to_owned(), source }
}

/// Free bytes on the disk of `folder`, where the system tells.
fn free_space(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    // Some file systems tell nothing at all.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of the disk that a file occupies already.
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.blocks().saturating_mul(512)
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::FailingDisk;
    use super::*;
    use cascade_format::Layout;
    use std::cell::Cell;

    fn found(on_disk: bool) -> Result<Found, PrepareError> {
        let file = tempfile::tempfile().map_err(|error| io_error("make", Path::new("x"), error))?;
        let stamp = Stamp::of(&file).map_err(|error| io_error("look at", Path::new("x"), error))?;
        let have = Have::all(&Layout::new(1, 1).unwrap());
        Ok(Found { have, stamp, file_hash_checked: false, on_disk })
    }

    #[test]
    fn what_a_failed_sync_leaves_in_memory_is_dropped_and_read_again() {
        let (file, path) = (tempfile::tempfile().unwrap(), Path::new("x"));
        let looks = Cell::new(0);
        let mut look = || {
            looks.set(looks.get() + 1);
            found(false)
        };
        let disk = FailingDisk::new(|number| number < 2);
        assert!(durable(&disk, path, &file, &mut look).unwrap().on_disk);
        assert_eq!((looks.get(), disk.dropped.load(Ordering::Relaxed)), (3, 2));

        looks.set(0);
        let dead = FailingDisk::new(|_| true);
        let error = durable(&dead, path, &file, &mut look).unwrap_err();
        assert!(error.to_string().contains("the disk does not keep x"), "{error}");
        assert_eq!(looks.get(), MAX_FAILED_SYNCS);

        // What an earlier run has seen on the disk needs no sync.
        assert!(durable(&dead, path, &file, || found(true)).unwrap().on_disk);
    }
}
