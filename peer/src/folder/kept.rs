//! What is replaced when a folder is brought up to date, and may be the user's own work: it is kept beside the folder.

use super::beneath::{Beneath, split};
use super::mark::Mark;
use super::written::Written;
use crate::human::Name;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Folders that are tried for what is kept: `NAME.replaced`, then `NAME.replaced.2` and so on.
pub const MAX_KEPT_FOLDERS: u32 = 16;

/// Keeps it.
#[derive(Debug)]
pub(super) struct Kept {
    /// The folder that is brought up to date.
    root: PathBuf,
    written: Written,
    /// Those that were tried; `None`: something else has the name.
    folders: Vec<Option<(PathBuf, Beneath)>>,
    /// What was copied, where the file system has no second names.
    copied: HashSet<u64>,
    count: u64,
}

impl Kept {
    pub(super) fn new(root: &Path, written: Written) -> Self {
        Self { root: root.to_owned(), written, folders: Vec::new(), copied: HashSet::new(), count: 0 }
    }

    /// The first folder that something was kept in, and how much was kept in all.
    pub(super) fn found(&self) -> Option<(&Path, u64)> {
        let first = self.folders.iter().flatten().next()?;
        Some((&first.0, self.count))
    }

    /// Keeps the file or link at `path` below `base`, which looks like `stat`, unless we have written it. It has its
    /// old name, too, until another file gets that.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(super) fn keep(&mut self, base: &Beneath, path: &str, stat: &Stat) -> io::Result<()> {
        let mark = Mark::of_any(stat);
        if self.written.has(mark) || self.copied.contains(&mark.number()) {
            return Ok(());
        }
        for number in 1..=MAX_KEPT_FOLDERS {
            let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
            if self.folders.len() <= at {
                let folder = self.make(number)?;
                self.folders.push(folder);
            }
            let Some(Some((_, to))) = self.folders.get(at) else { continue };
            match keep_in(base, to, path, stat) {
                Ok(way) => {
                    self.count += u64::from(way != Way::Before);
                    if way == Way::Copied {
                        self.copied.insert(mark.number());
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let full = format!("what it replaces cannot be kept, {} is full; move it away", Name(&self.name(1)));
        Err(io::Error::new(io::ErrorKind::AlreadyExists, full))
    }

    fn name(&self, number: u32) -> PathBuf {
        let mut name = self.root.clone().into_os_string();
        name.push(".replaced");
        if number > 1 {
            name.push(format!(".{number}"));
        }
        name.into()
    }

    /// Makes a folder, or takes the one that is there. `None`: something else has its name.
    fn make(&self, number: u32) -> io::Result<Option<(PathBuf, Beneath)>> {
        let path = self.name(number);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Ok(None);
        }
        let below = Beneath::open(&path)?;
        Ok(Some((path, below)))
    }
}

/// How something came to be kept.
#[derive(PartialEq, Eq)]
enum Way {
    /// It is kept already.
    Before,
    Linked,
    Copied,
}

/// Gives the file a second name, or makes a copy where the file system has no second names.
fn keep_in(base: &Beneath, to: &Beneath, path: &str, stat: &Stat) -> io::Result<Way> {
    let (folder, name) = split(path);
    let from = base.folder(folder)?;
    make_folder(to, folder)?;
    let kept = to.folder(folder)?;
    match rustix::fs::linkat(&from, name, &kept, name, AtFlags::empty()) {
        Ok(()) => Ok(Way::Linked),
        Err(Errno::EXIST) => {
            let there = super::beneath::look(kept.as_fd(), name)?;
            let same = (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino);
            if same { Ok(Way::Before) } else { Err(io::ErrorKind::AlreadyExists.into()) }
        }
        Err(Errno::PERM | Errno::MLINK | Errno::NOTSUP | Errno::NOSYS) => {
            copy(base, to, path, stat).map(|()| Way::Copied)
        }
        Err(error) => Err(error.into()),
    }
}

/// A file that was kept may have the name of a folder.
fn make_folder(to: &Beneath, folder: &str) -> io::Result<()> {
    to.make_folder(folder).map_err(|error| {
        let taken = super::beneath::is_gone(&error);
        if taken { io::ErrorKind::AlreadyExists.into() } else { error }
    })
}

fn copy(base: &Beneath, to: &Beneath, path: &str, stat: &Stat) -> io::Result<()> {
    let (folder, name) = split(path);
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        let target = rustix::fs::readlinkat(base.folder(folder)?, name, Vec::new())?;
        return Ok(rustix::fs::symlinkat(target, to.folder(folder)?, name)?);
    }
    let (from, into) = (base.file(path)?, to.create(path)?);
    io::copy(&mut &from, &mut &into)?;
    into.set_modified(from.metadata()?.modified()?)?;
    into.sync_all()
}
