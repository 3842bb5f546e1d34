//! The end of a folder's download: what is no file's content, and the name.

use super::beneath::{look, split};
use super::error::{FolderError, IN_THE_WAY};
use super::looker::Looker;
use super::made::{Parents, times, wanted_mode};
use super::mark::{Mark, is_file};
use super::tree::{Base, Tree};
use super::update;
use super::walk::Special;
use cascade_archive::{Entry, Kind};
use rustix::fs::{AtFlags, CWD, Mode, Stat, fchmod, futimens, readlinkat, utimensat};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Makes empty files, folders and links, and gives everything its time, and files that may be run that permission.
/// Then everything is looked at: nothing else may be there, and nothing may have changed.
///
/// Where a folder is brought up to date, only what is new is made and looked at: [`update::merge`] does the rest.
pub(super) fn complete(tree: &Tree, cancel: &AtomicBool) -> Result<(), FolderError> {
    tree.open.clear();
    update::drop_copies(tree).map_err(|(entry, error)| FolderError::io(&tree.at(&entry), error))?;
    let mut parents = Parents::new(&tree.below);
    let mut there = tree.base.as_ref().map(|base| Looker::new(&base.below));
    for (number, entry) in (0..).zip(tree.archive().entries()) {
        let old = there.as_mut().and_then(|there| there.look(&entry.path));
        let done = match &entry.kind {
            Kind::File { .. } if tree.is_in_base(number) => is_the_same(tree, number, &entry, old.as_ref()),
            Kind::File { .. } => file(tree, &mut parents, number, &entry, old.as_ref()),
            // It is made in the folder that is brought up to date.
            Kind::Folder if tree.base.is_some() => Ok(()),
            Kind::Folder => tree.below.make_folder(&entry.path),
            Kind::Link { target } if is_link_to(tree.base.as_ref(), &entry.path, target) => Ok(()),
            Kind::Link { target } => link(&mut parents, &entry, target),
        };
        done.map_err(|error| FolderError::io(&tree.at(&entry), error))?;
    }
    if tree.base.is_some() {
        return update::check_part(tree, cancel);
    }
    // What is made in a folder changes its time.
    for entry in tree.archive().entries().filter(|entry| matches!(entry.kind, Kind::Folder)) {
        let timed = tree.below.folder(&entry.path).and_then(|open| Ok(futimens(&open, &times(&entry))?));
        timed.map_err(|error| FolderError::io(&tree.at(&entry), error))?;
    }
    tree.check_unchanged(Special::Refuse, cancel)
}

fn is_the_same(tree: &Tree, number: u32, entry: &Entry, stat: Option<&Stat>) -> io::Result<()> {
    let same = stat.is_some_and(|stat| Mark::of(stat) == tree.mark(number));
    if same { Ok(()) } else { Err(tree.found_changed(entry).into()) }
}

/// Whether the folder that is brought up to date has this very link.
fn is_link_to(base: Option<&Base>, path: &str, target: &str) -> bool {
    let Some(base) = base else { return false };
    let (folder, name) = split(path);
    let found = base.below.folder(folder).ok().and_then(|folder| readlinkat(&folder, name, Vec::new()).ok());
    found.is_some_and(|found| found.as_bytes() == target.as_bytes())
}

/// What `entry` gets in addition to its bytes. The permissions are those of the `old` version, if there is one.
fn file(
    tree: &Tree,
    parents: &mut Parents<'_>,
    number: u32,
    entry: &Entry,
    old: Option<&Stat>,
) -> io::Result<()> {
    let (folder, name) = split(&entry.path);
    if entry.kind.size() == 0 && tree.base.is_some() {
        // Nobody writes to an empty file, so its folder may not be there yet.
        tree.below.make_folder(folder)?;
    }
    let folder = parents.open(folder)?.as_fd();
    let mut stat = look(folder, name);
    if stat.err() == Some(Errno::NOENT) && entry.kind.size() == 0 {
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
    let wanted = wanted_mode(entry, old.filter(|old| is_file(old)).map_or(mode, |old| old.st_mode & 0o777));
    let longer = u64::try_from(stat.st_size).ok() != Some(entry.kind.size());
    // A reader that sees the new time sees the new mark, too.
    let _one = tree.opening(number);
    if mode != wanted || longer {
        let file = tree.below.part(&entry.path)?;
        file.set_len(entry.kind.size())?;
        fchmod(&file, Mode::from_raw_mode(wanted))?;
    }
    utimensat(folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?;
    tree.set_mark(number, Mark::of(&look(folder, name)?));
    Ok(())
}

fn link(parents: &mut Parents<'_>, entry: &Entry, target: &str) -> io::Result<()> {
    let (folder, name) = split(&entry.path);
    parents.below.make_folder(folder)?;
    let folder = parents.open(folder)?;
    match rustix::fs::symlinkat(target, folder, name) {
        // One of an earlier run is right, or found when everything is looked at.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(utimensat(folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Gives the file or folder `from` the name `to`, which nobody has.
///
/// # Errors
/// The file system's own. Something has the name: then nothing is changed.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(CWD, from, CWD, to, rustix::fs::RenameFlags::NOREPLACE) {
        // The file system, or the system, has no such call.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
        result => return Ok(result?),
    }
    look_and_rename(from, to)
}

/// The same where no call does it: whoever takes the name between the two calls loses it. A second name instead, which
/// replaces nothing, is no way for folders; and on NFS the first name of a file that is open would stay, as `.nfs…`.
fn look_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::lstat(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(Errno::NOENT) => Ok(rustix::fs::renameat(CWD, from, CWD, to)?),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn both_ways_to_rename_replace_nothing() {
        for rename in [rename, look_and_rename] {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            for name in ["file", "mine"] {
                fs::write(at(name), name).unwrap();
            }
            for name in ["folder", "empty"] {
                fs::create_dir(at(name)).unwrap();
            }
            std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
            for (from, to) in [("file", "mine"), ("file", "link"), ("folder", "empty"), ("folder", "mine")] {
                let error = rename(&at(from), &at(to)).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{from} to {to}");
            }
            assert_eq!(fs::read(at("mine")).unwrap(), b"mine");
            assert!(at("link").is_symlink() && at("folder").is_dir());
            for (from, to) in [("file", "new"), ("folder", "new folder")] {
                rename(&at(from), &at(to)).unwrap();
                assert!(at(to).exists() && !at(from).exists());
            }
        }
    }
}
