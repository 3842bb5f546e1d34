//! Opening what the command line names. Only regular files are read: a FIFO or a device may keep its
//! reader waiting, or never end.

use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Opens a regular file without waiting; returns it with its length in bytes.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    // Before it is opened: that alone makes some devices do something.
    regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // Somebody may have put a FIFO there since.
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    let file = options.open(path)?;
    let len = regular(&file.metadata()?)?;
    Ok((file, len))
}

/// The length of a regular file.
fn regular(metadata: &fs::Metadata) -> io::Result<u64> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(metadata.len());
    }
    let what = if kind.is_dir() { "a folder" } else { "a pipe or a device" };
    Err(io::Error::other(format!("it is {what}, not a regular file")))
}

/// What a file looks like from outside: where this is the same, its content is taken to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file behind a name, now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let (fifo, link) = (folder.path().join("fifo"), folder.path().join("link"));
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        // Nobody writes to the FIFO: to open it for reading would wait for ever.
        for (path, what) in [
            (fifo.as_path(), "a pipe or a device"),
            (&link, "a pipe or a device"),
            (Path::new("/dev/zero"), "a pipe or a device"),
            (folder.path(), "a folder"),
        ] {
            let error = open(path).unwrap_err().to_string();
            assert_eq!(error, format!("it is {what}, not a regular file"), "{}", path.display());
        }
        let file = folder.path().join("file");
        fs::write(&file, "four").unwrap();
        assert_eq!(open(&file).unwrap().1, 4);
        assert_eq!(open(Path::new("/no/such/file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
