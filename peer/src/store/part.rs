//! The part file of a target: choosing its name, locking it, giving it up.
//!
//! What has the part file's name may be somebody's trap or somebody's mistake: a link would lead our writes
//! to another file, and a second name would show them there. So only a regular file with one name is
//! written to, which is opened without following links; else another name is taken.

use super::error::{PrepareError, io_error};
use crate::ground::Ground;
use crate::ground::open::without_waiting;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names that are tried for a part file: `NAME.part`, then `NAME.part.2` and so on.
pub const MAX_PART_NAMES: u32 = 16;

/// Names that are tried for somebody else's file that is moved out of the way.
const MAX_ASIDE: u32 = 1000;

/// The part file of a target.
#[must_use]
pub fn part_path(target: &Path) -> PathBuf {
    with_ending(target, ".part")
}

/// The names that are tried for it, in their order.
pub(super) fn names(target: &Path) -> impl Iterator<Item = PathBuf> {
    let first = part_path(target);
    let others = (2..=MAX_PART_NAMES).map({
        let first = first.clone();
        move |number| with_ending(&first, &format!(".{number}"))
    });
    std::iter::once(first).chain(others)
}

/// The path with `ending` behind the name.
#[must_use]
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A part file that this process has locked.
#[derive(Debug)]
pub struct Part {
    /// Open to be read and written.
    pub file: File,
    /// Its name.
    pub path: PathBuf,
    /// Whether it was made a moment ago.
    pub new: bool,
}

impl Part {
    /// Opens or makes the part file of `target`, under the first name that can be used. Under another name
    /// than the first there may be a file that was moved out of the way: it is taken only if it is `ours`.
    ///
    /// # Errors
    /// Another process downloads there; no name is free; the file system says no; the error of `ours`.
    pub fn open(
        target: &Path,
        ours: &mut dyn FnMut(&Self) -> Result<bool, PrepareError>,
    ) -> Result<Self, PrepareError> {
        let first = part_path(target);
        match Self::at(first)? {
            Some(part) => Ok(part),
            None => Self::open_ours(target, ours),
        }
    }

    /// The same, but under no name is there a file that is taken and is not `ours`.
    ///
    /// # Errors
    /// Those of [`Part::open`].
    pub fn open_ours(
        target: &Path,
        ours: &mut dyn FnMut(&Self) -> Result<bool, PrepareError>,
    ) -> Result<Self, PrepareError> {
        let first = part_path(target);
        for number in 1..=MAX_PART_NAMES {
            let name = if number == 1 { first.clone() } else { with_ending(&first, &format!(".{number}")) };
            if let Some(part) = Self::at(name)?
                && (part.new || ours(&part)?)
            {
                return Ok(part);
            }
        }
        Err(PrepareError::InTheWay(first))
    }

    /// Opens or makes this one. `None`: it is not one that may be written to.
    pub(super) fn at(path: PathBuf) -> Result<Option<Self>, PrepareError> {
        // Twice: the file may go between the look and the opening.
        for _ in 0..2 {
            let there = match fs::symlink_metadata(&path) {
                Ok(there) => Some(there),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(io_error("look at", &path, error)),
            };
            if there.as_ref().is_some_and(|there| !is_plain(there)) {
                return Ok(None);
            }
            let new = there.is_none();
            if !new {
                refuse_busy(&path)?;
            }
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(new);
            without_waiting(&mut options, true);
            let file = match options.open(&path) {
                Ok(file) => file,
                Err(error) if changed_meanwhile(&error) => continue,
                Err(error) => return Err(io_error("create", &path, error)),
            };
            lock(&file, &path)?;
            let plain = file.metadata().map_err(|error| io_error("look at", &path, error))?;
            if is_plain(&plain) && file.is_at(&path) {
                return Ok(Some(Self { file, path, new }));
            }
        }
        Ok(None)
    }
}

/// A regular file with one name.
fn is_plain(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.nlink() == 1
}

/// What was there is gone, or something is there now, or it has become a link.
fn changed_meanwhile(error: &io::Error) -> bool {
    let link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    link || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
}

/// Asks for the lock without opening the file for writing: the process that holds it would take that for a change.
fn refuse_busy(path: &Path) -> Result<(), PrepareError> {
    let mut options = OpenOptions::new();
    options.read(true);
    without_waiting(&mut options, true);
    // Whatever else is wrong shows when it is opened to be written.
    options.open(path).map_or(Ok(()), |file| lock(&file, path))
}

fn lock(file: &File, path: &Path) -> Result<(), PrepareError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(PrepareError::Busy(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path, error)),
    }
}

/// Gives somebody else's file the first free name of `NAME.part.1`, `NAME.part.2`, …
pub(crate) fn move_aside(part: &Path) -> io::Result<()> {
    for number in 1..MAX_ASIDE {
        match fs::hard_link(part, with_ending(part, &format!(".{number}"))) {
            Ok(()) => return fs::remove_file(part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Gives a file another name, unless something has that. Whether it did is seen by whoever looks there next.
pub fn move_to(from: &Path, to: &Path) {
    let moved =
        fs::hard_link(from, to).is_ok() || fs::symlink_metadata(to).is_err() && fs::rename(from, to).is_ok();
    if moved {
        let _ = fs::remove_file(from);
    }
}

/// Removes the part file, if its name still leads to `file`.
pub fn remove(file: &File, path: &Path) {
    if file.is_at(path) {
        // A file that cannot be removed can still be used.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_planted_part_file_is_left_alone_and_another_name_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (target, precious) = (folder.path().join("x"), folder.path().join("precious"));
        fs::write(&precious, b"precious").unwrap();
        let plant: [&dyn Fn(&Path); 5] = [
            &|part| symlink(&precious, part).unwrap(),
            &|part| symlink("nowhere", part).unwrap(),
            &|part| fs::hard_link(&precious, part).unwrap(),
            &|part| fs::create_dir(part).unwrap(),
            &|part| {
                use rustix::fs::{CWD, FileType, Mode, mknodat};
                mknodat(CWD, part, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
            },
        ];
        for (number, plant) in plant.iter().enumerate() {
            let part = part_path(&target);
            plant(&part);
            let opened = Part::open(&target, &mut |_| Ok(false)).unwrap();
            assert_eq!(opened.path, folder.path().join("x.part.2"), "{number}");
            assert!(opened.new);
            opened.file.set_len(10).unwrap();
            assert_eq!(fs::read(&precious).unwrap(), b"precious", "{number}");
            assert!(!folder.path().join("nowhere").exists());
            remove(&opened.file, &opened.path);
            assert!(!opened.path.exists());
            let _ = fs::remove_file(&part).or_else(|_| fs::remove_dir(&part));
        }
    }

    #[test]
    fn there_are_so_many_names_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        symlink("nowhere", part_path(&target)).unwrap();
        for number in 2..MAX_PART_NAMES {
            fs::write(with_ending(&part_path(&target), &format!(".{number}")), b"somebody's").unwrap();
        }
        let last = with_ending(&part_path(&target), &format!(".{MAX_PART_NAMES}"));
        assert_eq!(Part::open(&target, &mut |_| Ok(false)).unwrap().path, last);
        fs::write(&last, b"somebody's").unwrap();
        let ours = Part::open(&target, &mut |part| Ok(part.path == last)).unwrap();
        assert!(!ours.new && ours.path == last);
        drop(ours);
        assert!(
            matches!(Part::open(&target, &mut |_| Ok(false)), Err(PrepareError::InTheWay(path)) if path == part_path(&target))
        );
    }

    #[test]
    fn a_second_process_finds_it_busy_and_a_name_that_was_given_away_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        let part = Part::open(&target, &mut |_| Ok(false)).unwrap();
        assert!(part.new);
        assert!(matches!(Part::open(&target, &mut |_| Ok(false)), Err(PrepareError::Busy(_))));
        fs::rename(&part.path, folder.path().join("moved")).unwrap();
        fs::write(&part.path, b"another").unwrap();
        remove(&part.file, &part.path);
        assert_eq!(fs::read(&part.path).unwrap(), b"another");
    }
}
