//! The end of a folder's download: what is no file's content, and the name.

use super::beneath::look;
use super::error::FolderError;
use super::mark::{Mark, is_file};
use super::part::IN_THE_WAY;
use super::tree::Tree;
use super::walk::Special;
use cascade_archive::{Entry, Kind};
use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, UTIME_OMIT, fchmod, futimens, utimensat};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Makes empty files, folders and links, and gives everything its time, and files that may be run that permission.
/// Then everything is looked at: nothing else may be there, and nothing may have changed.
pub(super) fn complete(tree: &Tree, cancel: &AtomicBool) -> Result<(), FolderError> {
    tree.open.clear();
    let mut parents = Parents::default();
    for (number, entry) in (0..).zip(tree.archive().entries()) {
        let done = match &entry.kind {
            Kind::File { executable, .. } => file(tree, &mut parents, number, &entry, *executable),
            Kind::Folder => tree.below.make_folder(&entry.path),
            Kind::Link { target } => link(tree, &mut parents, &entry, target),
        };
        done.map_err(|error| FolderError::io(&tree.at(&entry), error))?;
    }
    // What is made in a folder changes its time.
    for entry in tree.archive().entries().filter(|entry| matches!(entry.kind, Kind::Folder)) {
        let timed = tree.below.folder(&entry.path).and_then(|open| Ok(futimens(&open, &times(&entry))?));
        timed.map_err(|error| FolderError::io(&tree.at(&entry), error))?;
    }
    tree.check_unchanged(Special::Refuse, cancel)
}

fn file(tree: &Tree, parents: &mut Parents, number: u32, entry: &Entry, executable: bool) -> io::Result<()> {
    let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
    let folder = parents.open(tree, folder)?.as_fd();
    let mut stat = look(folder, name);
    if stat.err() == Some(Errno::NOENT) && entry.kind.size() == 0 {
        // Nobody writes to an empty file.
        stat = Ok(rustix::fs::fstat(tree.below.create(&entry.path)?)?);
        tree.set_mark(number, stat.as_ref().map_or(Mark::NONE, Mark::of));
    }
    let stat = match stat {
        Ok(stat) if Mark::of(&stat) == tree.mark(number) => stat,
        Err(error) if error != Errno::NOENT => return Err(error.into()),
        Ok(_) | Err(_) => return Err(tree.found_changed(entry).into()),
    };
    if !is_file(&stat) || stat.st_nlink != 1 {
        // It may be somebody's file in another place, too.
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, IN_THE_WAY));
    }
    let mode = stat.st_mode & 0o777;
    // Whoever may read it may run it.
    let wanted = if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
    let longer = u64::try_from(stat.st_size).ok() != Some(entry.kind.size());
    if mode != wanted || longer {
        let file = tree.below.part(&entry.path)?;
        file.set_len(entry.kind.size())?;
        fchmod(&file, Mode::from_raw_mode(wanted))?;
    }
    utimensat(folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?;
    tree.set_mark(number, Mark::of(&look(folder, name)?));
    Ok(())
}

fn link(tree: &Tree, parents: &mut Parents, entry: &Entry, target: &str) -> io::Result<()> {
    let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
    let folder = parents.open(tree, folder)?;
    match rustix::fs::symlinkat(target, folder, name) {
        // One of an earlier run is right, or found when everything is looked at.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(utimensat(folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The folder that the last entry was in.
#[derive(Default)]
struct Parents(Option<(String, OwnedFd)>);

impl Parents {
    fn open(&mut self, tree: &Tree, path: &str) -> io::Result<&OwnedFd> {
        let open = match self.0.take() {
            Some((there, open)) if there == path => open,
            _ => tree.below.folder(path)?,
        };
        Ok(&self.0.insert((path.to_owned(), open)).1)
    }
}

fn times(entry: &Entry) -> Timestamps {
    let seconds = i64::try_from(entry.mtime).unwrap_or(0);
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
    }
}

/// Gives the folder `from` the name `to`, which nobody has.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::CWD;
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(CWD, from, CWD, to, rustix::fs::RenameFlags::NOREPLACE) {
        // The file system, or the system, has no such call.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
        result => return Ok(result?),
    }
    // A folder takes the place of an empty folder at most.
    Ok(rustix::fs::renameat(CWD, from, CWD, to)?)
}
