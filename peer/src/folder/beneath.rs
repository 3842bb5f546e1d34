//! Opening what is below a folder. No symbolic link is followed on the way, and `..` is not taken: whatever
//! others put in the place of a folder meanwhile, nothing outside is opened.

use rustix::fs::{CWD, Mode, OFlags, Stat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What every opening has in common: it never waits, and follows no link.
const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// How a folder is opened to be gone through.
const FOLDER: OFlags = PLAIN.union(OFlags::DIRECTORY);

/// An open folder.
#[derive(Debug)]
pub(super) struct Beneath {
    root: OwnedFd,
}

impl Beneath {
    /// Opens the folder that the user has named; if it is a link, the one that it leads to.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = openat(CWD, path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the folder at `path`, components with a `/` between two; an empty path is this folder.
    pub(super) fn folder(&self, path: &str) -> io::Result<OwnedFd> {
        self.at(if path.is_empty() { "." } else { path }, FOLDER)
    }

    /// Opens the file at `path` to be read. It may be anything but a link.
    pub(super) fn file(&self, path: &str) -> io::Result<File> {
        self.at(path, PLAIN).map(File::from)
    }

    /// Opens the file at `path`, which is being downloaded to, to be read and written.
    pub(super) fn part(&self, path: &str) -> io::Result<File> {
        self.at(path, PLAIN | OFlags::RDWR).map(File::from)
    }

    /// Makes the file at `path`, and the folders that it is in. There is none yet.
    pub(super) fn create(&self, path: &str) -> io::Result<File> {
        let new = PLAIN | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        match self.at(path, new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folder(path.rsplit_once('/').map_or("", |(folder, _)| folder))?;
                self.at(path, new).map(File::from)
            }
            opened => opened.map(File::from),
        }
    }

    /// Makes the folder at `path`, and those that it is in, as far as they are missing.
    pub(super) fn make_folder(&self, path: &str) -> io::Result<()> {
        let mut here: Option<OwnedFd> = None;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let folder = here.as_ref().map_or(self.root(), AsFd::as_fd);
            match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            here = Some(step(folder, name, FOLDER)?);
        }
        Ok(())
    }

    fn at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        match at_once(self.root(), path, flags) {
            // The system has no such call, or a filter that does not know it; the path is too long for one
            // call; somebody renames folders at this moment.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG | Errno::AGAIN) => {
                Ok(step_by_step(self.root(), path, flags)?)
            }
            opened => Ok(opened?),
        }
    }
}

#[cfg(target_os = "linux")]
fn at_once(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags, mode(flags), resolve)
}

#[cfg(not(target_os = "linux"))]
fn at_once(_: BorrowedFd<'_>, _: &str, _: OFlags) -> rustix::io::Result<OwnedFd> {
    Err(Errno::NOSYS)
}

/// One component after the other; works on every system.
fn step_by_step(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut folder: Option<OwnedFd> = None;
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    for component in folders.split('/').filter(|component| !component.is_empty()) {
        let here = folder.as_ref().map_or(root, AsFd::as_fd);
        folder = Some(step(here, component, FOLDER)?);
    }
    step(folder.as_ref().map_or(root, AsFd::as_fd), name, flags)
}

fn step(folder: BorrowedFd<'_>, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    if name == ".." { Err(Errno::XDEV) } else { openat(folder, name, flags, mode(flags)) }
}

/// The permissions of a new file, of which the process's mask takes off what the user does not want.
fn mode(flags: OFlags) -> Mode {
    if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() }
}

/// The entry at `name` in `folder`: of a link the link itself, and not its target.
pub(super) fn look(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Stat> {
    rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether there is no such file any more, nor a way to it.
pub(super) fn is_gone(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .iter()
        .any(|gone| error.raw_os_error() == Some(gone.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    #[test]
    fn both_ways_open_what_is_below_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/file"), "inside").unwrap();
        symlink(outside.path(), at("a/out")).unwrap();
        symlink("b", at("a/in")).unwrap();
        symlink("file", at("a/b/link")).unwrap();
        let beneath = Beneath::open(folder.path()).unwrap();
        type Way = fn(BorrowedFd<'_>, &str, OFlags) -> rustix::io::Result<OwnedFd>;
        for way in [at_once as Way, step_by_step] {
            let mut text = String::new();
            match way(beneath.root(), "a/b/file", PLAIN) {
                // An old system, or one that forbids the call.
                Err(Errno::NOSYS | Errno::PERM) => continue,
                opened => File::from(opened.unwrap()).read_to_string(&mut text).unwrap(),
            };
            assert_eq!(text, "inside");
            for path in ["a/out/secret", "a/in/file", "a/b/link", "a/../a/b/file", "..", "a/b/none"] {
                if path.starts_with("a/../a") && way as usize == at_once as Way as usize {
                    // It stays below, and the system says so.
                    continue;
                }
                assert!(way(beneath.root(), path, PLAIN).is_err(), "{path}");
            }
        }
        assert!(beneath.folder("").is_ok() && beneath.folder("a/b").is_ok());
        assert!(beneath.folder("a/in").is_err() && beneath.folder("a/b/file").is_err());
    }

    #[test]
    fn a_path_of_any_length_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let beneath = Beneath::open(folder.path()).unwrap();
        let name = "n".repeat(255);
        let mut path = String::new();
        // Made step by step, for no call takes as long a path.
        for _ in 0..16 {
            let parent = beneath.folder(&path).unwrap();
            rustix::fs::mkdirat(&parent, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
            path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        }
        assert_eq!(path.len(), 4095);
        beneath.folder(&path).unwrap();
    }
}
