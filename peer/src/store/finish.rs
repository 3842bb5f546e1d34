//! Giving a complete part file its name.

use super::DataFile;
use crate::ground::Ground;
use crate::ground::Stamp;
use std::fs;
use std::io;
use std::path::Path;

/// What became of a part file.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished {
    /// It has the name, and this stamp.
    Named(Stamp),
    /// The part file's name did not lead to it, or it was written to meanwhile: whatever has the name now
    /// must be looked at.
    Meddled,
}

/// Renames the complete and verified `part`, whose bytes are on the disk, to `target`. The name is not on
/// the disk before the folder is synced.
///
/// # Errors
/// The file system's own; the part file is still there then.
pub fn finish(data: &DataFile, part: &Path, target: &Path) -> io::Result<Finished> {
    let Some(file) = data.file() else { return Ok(Finished::Meddled) };
    let before = Stamp::of(file)?;
    if !file.is_at(part) || !data.is_ours() {
        return Ok(Finished::Meddled);
    }
    if let Ok(old) = fs::symlink_metadata(target)
        && old.is_file()
    {
        // A newer version keeps the permissions that its reader gave to the older one.
        let _ = file.set_permissions(old.permissions());
    }
    fs::rename(part, target)?;
    let after = Stamp::of(file)?;
    // Between the look and the renaming, the name may have got another file.
    let named = file.is_at(target) && after.has_bytes_of(&before);
    Ok(if named { Finished::Named(after) } else { Finished::Meddled })
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
        assert_eq!(finish(&data, &part, &target).unwrap(), Finished::Meddled);
        assert!(!target.exists());

        let data = open();
        fs::write(&part, b"wrong").unwrap();
        assert_eq!(finish(&data, &part, &target).unwrap(), Finished::Meddled);
        assert!(!target.exists());

        let data = open();
        let done = finish(&data, &part, &target).unwrap();
        assert_eq!(done, Finished::Named(data.ground().look().unwrap()));
        assert_eq!(fs::read(&target).unwrap(), b"right");
    }
}
