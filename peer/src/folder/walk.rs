//! Everything below a folder, in the order of its archive. Of each folder on the way the names are held that are
//! still to come, and no more.

use super::beneath::{Beneath, is_gone, look};
use super::error::FolderError;
use super::mark::Mark;
use cascade_archive::limits::MAX_ENTRIES;
use cascade_archive::{BuildError, Entry, Kind, seconds};
use rustix::fs::{Dir, FileType, Stat};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What becomes of devices, pipes, sockets and links that leave the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// They are an error.
    Refuse,
    /// They are left out.
    Skip,
}

/// Folders on the way down that are kept open. Those above are opened again on the way back.
const MAX_OPEN_FOLDERS: usize = 16;

/// A walk.
pub(super) struct Walk<'a> {
    pub(super) below: &'a Beneath,
    /// Where the folder is, for messages.
    pub(super) root: &'a Path,
    pub(super) special: Special,
    pub(super) cancel: &'a AtomicBool,
}

/// A folder on the way.
struct Level {
    open: Option<OwnedFd>,
    /// Bytes of the path that are the folder's own.
    path_len: usize,
    /// Names that are still to come, the last one first.
    names: Vec<Box<str>>,
}

impl Walk<'_> {
    /// Tells `visit` of each entry and, if it is a file, by what it is known again.
    pub(super) fn run(
        &self,
        mut visit: impl FnMut(&Entry, Mark) -> Result<(), FolderError>,
    ) -> Result<(), FolderError> {
        let mut path = String::new();
        let mut waiting = 0;
        let mut levels = vec![self.enter(&path, &mut waiting)?];
        while let Some(level) = levels.last_mut() {
            path.truncate(level.path_len);
            let Some(name) = level.names.pop() else {
                levels.pop();
                continue;
            };
            waiting -= 1;
            let folder = match &level.open {
                Some(folder) => folder,
                None => level.open.insert(self.open(&path)?),
            };
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&name);
            let Some((entry, mark)) = self.look(folder, &name, &path)? else { continue };
            visit(&entry, mark)?;
            if matches!(entry.kind, Kind::Folder) {
                levels.push(self.enter(&path, &mut waiting)?);
                let above = levels.len().checked_sub(MAX_OPEN_FOLDERS + 1);
                if let Some(level) = above.and_then(|above| levels.get_mut(above)) {
                    level.open = None;
                }
            }
        }
        Ok(())
    }

    fn open(&self, path: &str) -> Result<OwnedFd, FolderError> {
        self.below.folder(path).map_err(|error| self.wrong(path, error))
    }

    /// Opens a folder and reads its names. `waiting` counts those of all folders.
    fn enter(&self, path: &str, waiting: &mut usize) -> Result<Level, FolderError> {
        let open = self.open(path)?;
        let mut names: Vec<Box<str>> = Vec::new();
        let most = usize::try_from(MAX_ENTRIES).unwrap_or(usize::MAX);
        for entry in Dir::read_from(&open).map_err(|error| self.wrong(path, error))? {
            let entry = entry.map_err(|error| self.wrong(path, error))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if *waiting == most {
                let source = BuildError::TooManyEntries;
                return Err(FolderError::Build { path: self.root.to_owned(), source });
            }
            let Ok(name) = name.to_str() else {
                use std::os::unix::ffi::OsStrExt;
                let name = std::ffi::OsStr::from_bytes(name.to_bytes());
                return Err(FolderError::NotText(self.at(path).join(name)));
            };
            names.push(name.into());
            *waiting += 1;
            if names.len().is_multiple_of(1024) {
                self.go_on()?;
            }
        }
        self.go_on()?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Level { open: Some(open), path_len: path.len(), names })
    }

    /// The entry at `name` in `folder`; `None` if it is left out.
    fn look(&self, folder: &OwnedFd, name: &str, path: &str) -> Result<Option<(Entry, Mark)>, FolderError> {
        let stat = look(folder.as_fd(), name).map_err(|error| self.wrong(path, error))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                Kind::File { size, executable: stat.st_mode & 0o100 != 0 }
            }
            FileType::Directory => Kind::Folder,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder, name, Vec::new());
                let target = target.map_err(|error| self.wrong(path, error))?;
                let target = target.into_string().map_err(|_| FolderError::NotText(self.at(path)))?;
                match cascade_archive::check_link(path, &target) {
                    Ok(()) => Kind::Link { target },
                    Err(_) if self.special == Special::Skip => return Ok(None),
                    Err(fault) => return Err(FolderError::Link { path: self.at(path), fault }),
                }
            }
            FileType::Fifo => return self.special(path, "a named pipe"),
            FileType::Socket => return self.special(path, "a socket"),
            FileType::CharacterDevice | FileType::BlockDevice => return self.special(path, "a device"),
            FileType::Unknown => return self.special(path, "neither a file nor a folder nor a link"),
        };
        let entry = Entry { path: path.into(), kind, mtime: seconds(mtime(&stat)) };
        Ok(Some((entry, Mark::of(&stat))))
    }

    fn special<T>(&self, path: &str, what: &'static str) -> Result<Option<T>, FolderError> {
        match self.special {
            Special::Skip => Ok(None),
            Special::Refuse => Err(FolderError::Special { path: self.at(path), what }),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.to_owned() } else { self.root.join(path) }
    }

    /// What was there a moment ago and is gone has changed.
    fn wrong(&self, path: &str, error: impl Into<std::io::Error>) -> FolderError {
        let error = error.into();
        if is_gone(&error) && !path.is_empty() {
            return FolderError::Changed(self.at(path));
        }
        FolderError::io(&self.at(path), error)
    }

    fn go_on(&self) -> Result<(), FolderError> {
        if self.cancel.load(Ordering::Relaxed) { Err(FolderError::Interrupted) } else { Ok(()) }
    }
}

/// When it was last changed, in whole seconds since 1970.
fn mtime(stat: &Stat) -> i64 {
    // Its type differs from system to system.
    i64::try_from(i128::from(stat.st_mtime)).unwrap_or(0)
}
