//! Giving a complete part file its name.

use super::DataFile;
use super::part::with_ending;
use crate::folder::rename_to_free;
use crate::ground::Ground;
use crate::ground::Stamp;
use crate::human::Name;
use crate::limits::MAX_REPLACED_NAMES;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What became of a part file.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished {
    /// It has the name.
    Named {
        /// What it looks like.
        stamp: Stamp,
        /// Where the file is now that had the name and was not the one that may be replaced.
        kept: Option<PathBuf>,
    },
    /// The part file's name did not lead to it, or it was written to meanwhile: whatever has the name now
    /// must be looked at.
    Meddled,
}

/// Renames the complete and verified `part`, whose bytes are on the disk, to `target`. The name is not on
/// the disk before the folder is synced. It takes the place of the file that looks like `old`; any other file may
/// be the user's work of the meantime, and is kept under another name.
///
/// # Errors
/// The file system's own; the part file is still there then.
pub fn finish(data: &DataFile, part: &Path, target: &Path, old: Option<Stamp>) -> io::Result<Finished> {
    let Some(file) = data.file() else { return Ok(Finished::Meddled) };
    let before = Stamp::of(file)?;
    if !file.is_at(part) || !data.is_ours() {
        return Ok(Finished::Meddled);
    }
    if let Ok(there) = fs::symlink_metadata(target)
        && Some(Stamp::from_metadata(&there)) == old
    {
        // A newer version keeps the permissions that its reader gave to the older one.
        let _ = file.set_permissions(there.permissions());
    }
    let kept = rename_over(part, target, old)?;
    let after = Stamp::of(file)?;
    // Between the look and the renaming, the name may have got another file.
    let named = file.is_at(target) && after.has_bytes_of(&before);
    Ok(if named { Finished::Named { stamp: after, kept } } else { Finished::Meddled })
}

/// Gives the file at `part` the name `target`. Tells where the file is that had the name and did not look like `old`.
fn rename_over(part: &Path, target: &Path, old: Option<Stamp>) -> io::Result<Option<PathBuf>> {
    loop {
        let there = match fs::symlink_metadata(target) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => match rename_to_free(part, target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => return result.map(|()| None),
            },
            Err(error) => return Err(error),
        };
        if there.is_dir() || Some(Stamp::from_metadata(&there)) == old {
            return fs::rename(part, target).map(|()| None);
        }
        let kept = keep(target)?;
        return match fs::rename(part, target) {
            Ok(()) => Ok(Some(kept.name)),
            Err(error) => Err(kept.give_back(target, error)),
        };
    }
}

/// A file that had the name of a target.
struct Kept {
    /// Where it is now.
    name: PathBuf,
    /// The name is its second one: it had the other one, too, when it got this one.
    is_second: bool,
}

impl Kept {
    /// It has its old name again, and no second one, since its place cannot be taken for this `error`. Tells where it is
    /// if it cannot have its old name.
    fn give_back(&self, target: &Path, error: io::Error) -> io::Error {
        if rename_to_free(&self.name, target).is_ok() {
            return error;
        }
        // Whatever has the old name by now, the last name of a file is never removed.
        if self.is_second && is_same_file(&self.name, target) && fs::remove_file(&self.name).is_ok() {
            return error;
        }
        let text = format!("{error}; what had the name is now {}", Name(&self.name));
        io::Error::new(error.kind(), text)
    }
}

/// Whether both are names of one file, or of one link.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::symlink_metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// Gives the file at `target` a second name, `NAME.replaced` or the next one that is free; where the file system knows
/// no second names, it loses the first one.
fn keep(target: &Path) -> io::Result<Kept> {
    let first = with_ending(target, ".replaced");
    for number in 1..=MAX_REPLACED_NAMES {
        let name = if number == 1 { first.clone() } else { with_ending(&first, &format!(".{number}")) };
        let kept = match fs::hard_link(target, &name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                rename_to_free(target, &name).map(|()| false)
            }
            result => result.map(|()| true),
        };
        match kept {
            Ok(is_second) => return Ok(Kept { name, is_second }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let full = format!("what has the name cannot be kept as {}; move it away", Name(&first));
    Err(io::Error::new(io::ErrorKind::AlreadyExists, full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::Layout;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn only_the_file_that_was_written_gets_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let (part, target) = (folder.path().join("x.part"), folder.path().join("x"));
        let open = || {
            let file = File::create(&part).unwrap();
            (&file).write_all(b"right").unwrap();
            let data = DataFile::new(file, &part, Layout::new(5, 5).unwrap());
            data.guard(data.ground().look().unwrap());
            data
        };
        let data = open();
        fs::remove_file(&part).unwrap();
        fs::write(&part, b"wrong").unwrap();
        assert_eq!(finish(&data, &part, &target, None).unwrap(), Finished::Meddled);
        assert!(!target.exists());

        let data = open();
        fs::write(&part, b"wrong").unwrap();
        assert_eq!(finish(&data, &part, &target, None).unwrap(), Finished::Meddled);
        assert!(!target.exists());

        let data = open();
        let done = finish(&data, &part, &target, None).unwrap();
        assert_eq!(done, Finished::Named { stamp: data.ground().look().unwrap(), kept: None });
        assert_eq!(fs::read(&target).unwrap(), b"right");
    }
    #[test]
    fn only_the_file_that_may_be_replaced_is_replaced_and_any_other_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (part, target) = (at("x.part"), at("x"));
        let name = |old: Option<Stamp>| {
            fs::write(&part, b"right").unwrap();
            let file = File::options().read(true).write(true).open(&part).unwrap();
            let data = DataFile::new(file, &part, Layout::new(5, 5).unwrap());
            data.guard(data.ground().look().unwrap());
            match finish(&data, &part, &target, old).unwrap() {
                Finished::Named { kept, .. } => kept,
                Finished::Meddled => panic!("nobody has meddled"),
            }
        };
        let look = || Stamp::of(&File::open(&target).unwrap()).unwrap();
        assert_eq!(name(None), None);

        fs::write(&target, b"older version").unwrap();
        assert_eq!(name(Some(look())), None);
        assert!(!at("x.replaced").exists(), "it was to be replaced");

        fs::write(&target, b"mine").unwrap();
        assert_eq!(name(None), Some(at("x.replaced")), "it came up meanwhile");
        fs::write(&target, b"older").unwrap();
        let old = look();
        fs::remove_file(&target).unwrap();
        fs::write(&target, b"mine, too").unwrap();
        assert_eq!(name(Some(old)), Some(at("x.replaced.2")), "it was changed meanwhile");
        fs::remove_file(&target).unwrap();
        std::os::unix::fs::symlink("elsewhere", &target).unwrap();
        assert_eq!(name(None), Some(at("x.replaced.3")));
        assert_eq!(fs::read_link(at("x.replaced.3")).unwrap(), Path::new("elsewhere"));
        let kept = ["x.replaced", "x.replaced.2", "x"].map(|name| fs::read(at(name)).unwrap());
        assert_eq!(kept, [b"mine".to_vec(), b"mine, too".to_vec(), b"right".to_vec()]);
    }

    #[test]
    fn what_cannot_be_kept_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (part, target) = (folder.path().join("x.part"), folder.path().join("x"));
        fs::write(&part, b"right").unwrap();
        fs::write(&target, b"mine").unwrap();
        let kept = with_ending(&target, ".replaced");
        fs::write(&kept, b"1").unwrap();
        for number in 2..=MAX_REPLACED_NAMES {
            fs::write(with_ending(&kept, &format!(".{number}")), b"more").unwrap();
        }
        let error = rename_over(&part, &target, None).unwrap_err();
        assert!(error.to_string().contains("x.replaced"), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"mine");
        assert_eq!(fs::read(&part).unwrap(), b"right");
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(rename_over(&part, &folder.path().join("folder"), None).is_err(), "a folder is no file");
        assert_eq!(fs::read(&part).unwrap(), b"right");
    }

    #[test]
    fn what_was_kept_gets_its_name_back_and_its_last_name_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let target = at("x");
        fs::write(&target, b"mine").unwrap();
        assert!(rename_over(&at("no part"), &target, None).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"mine");
        assert!(!at("x.replaced").exists(), "it has one name again");

        // As after a renaming, where the file system knows no second names.
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let renamed = Kept { name: at("x.replaced"), is_second: false };
        fs::rename(&target, &renamed.name).unwrap();
        assert_eq!(renamed.give_back(&target, full()).to_string(), full().to_string());
        assert_eq!(fs::read(&target).unwrap(), b"mine");

        for is_second in [true, false] {
            // Somebody else has taken the name.
            let kept = Kept { is_second, ..keep(&target).unwrap() };
            fs::remove_file(&target).unwrap();
            fs::write(&target, b"another").unwrap();
            let error = kept.give_back(&target, full());
            assert!(error.to_string().ends_with("x.replaced"), "{error}");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert_eq!(fs::read(&kept.name).unwrap(), b"mine");
            fs::rename(&kept.name, &target).unwrap();
        }
    }
}
