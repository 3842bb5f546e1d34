//! A data file that is open only while it is read: there are thousands of them.

use super::handles::{Handle, Handles};
use crate::ground::disk::Disk;
use crate::ground::open::{OpenError, open_regular};
use crate::ground::{Ground, Guarded, Run, Stamp};
use rustix::io::Errno;
use std::fs::Metadata;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A file that nobody should write to. It is opened by its name when its bytes are wanted, and only if it is still the
/// file that had the name when it was checked.
#[derive(Debug)]
pub(crate) struct ClosedFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    number: u64,
    handles: Arc<Handles>,
    withdrawn: AtomicBool,
}

impl ClosedFile {
    /// The file at `path`, which looked like `stamp`.
    pub(crate) fn new(path: &Path, stamp: &Stamp, handles: &Arc<Handles>) -> Self {
        Self {
            path: path.to_owned(),
            identity: (stamp.device, stamp.inode),
            number: handles.number(),
            handles: Arc::clone(handles),
            withdrawn: AtomicBool::new(false),
        }
    }

    fn open(&self) -> io::Result<Arc<Handle>> {
        if self.withdrawn.load(Ordering::Acquire) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(open) = self.handles.get(self.number) {
            return Ok(open);
        }
        let opened = match open_regular(&self.path) {
            Err(OpenError::Io(error)) if is_shortage(&error) => {
                self.handles.clear();
                open_regular(&self.path)
            }
            opened => opened,
        };
        let (file, metadata) = opened.map_err(|error| match error {
            OpenError::Io(error) => error,
            OpenError::NotRegular(_) => replaced(),
        })?;
        if identity(&metadata) != self.identity {
            return Err(replaced());
        }
        Ok(self.handles.keep(self.number, file))
    }
}

impl Drop for ClosedFile {
    fn drop(&mut self) {
        self.handles.forget(self.number);
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    let stamp = Stamp::from_metadata(metadata);
    (stamp.device, stamp.inode)
}

fn replaced() -> io::Error {
    io::Error::other("another file has its name")
}

/// Whether the process, or the system, may open no more.
fn is_shortage(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| number == Some(errno.raw_os_error()))
}

impl Ground for ClosedFile {
    fn length(&self) -> io::Result<u64> {
        self.open()?.0.length()
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.open()?.0.fill(buffer, offset)
    }

    fn is_hole(&self, range: &Range<u64>) -> bool {
        self.open().is_ok_and(|open| open.0.is_hole(range))
    }

    fn will_need(&self, range: Range<u64>) {
        if let Ok(open) = self.open() {
            open.0.will_need(range);
        }
    }

    fn look(&self) -> io::Result<Stamp> {
        self.open()?.0.look()
    }

    /// Where it cannot be opened for want of descriptors, nothing is known to have changed; nor can it be read.
    fn looks_like(&self, stamp: &Stamp) -> bool {
        match self.open() {
            Ok(open) => open.0.looks_like(stamp),
            Err(error) => is_shortage(&error),
        }
    }

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        Some(Run::of_shared(self.open().ok()?, offset, u64::MAX - offset))
    }

    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        self.open()?.0.sync(disk)
    }

    fn drop_cache(&self, disk: &dyn Disk) {
        if let Ok(open) = self.open() {
            open.0.drop_cache(disk);
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        self.open().is_ok_and(|open| open.0.is_at(path))
    }
}

/// It is only read.
impl Guarded for ClosedFile {
    fn is_ours(&self) -> bool {
        true
    }

    fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
        self.handles.forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn stamp(path: &Path) -> Stamp {
        Stamp::from_metadata(&fs::metadata(path).unwrap())
    }

    #[test]
    fn it_is_open_while_it_is_read_and_only_the_file_that_was_checked() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("data"), folder.path().join("other"));
        fs::write(&path, b"0123456789").unwrap();
        fs::write(&other, b"x").unwrap();
        let handles = Handles::new(1);
        let (file, before) = (ClosedFile::new(&path, &stamp(&path), &handles), stamp(&path));
        let second = ClosedFile::new(&other, &stamp(&other), &handles);
        let mut bytes = [0; 4];
        file.fill(&mut bytes, 3).unwrap();
        assert_eq!(&bytes, b"3456");
        assert!(handles.get(file.number).is_some());
        assert_eq!(second.length().unwrap(), 1);
        assert!(handles.get(file.number).is_none(), "one is open at a time");
        assert!(file.looks_like(&before));

        let run = file.run_at(8).unwrap();
        file.withdraw();
        assert!(run.file().metadata().is_ok(), "who is sending it goes on with the piece");
        assert!(file.fill(&mut bytes, 0).is_err() && file.run_at(0).is_none() && !file.looks_like(&before));
        drop(run);

        let file = ClosedFile::new(&path, &before, &handles);
        fs::remove_file(&path).unwrap();
        assert!(!file.looks_like(&before) && file.fill(&mut bytes, 0).is_err());
        fs::rename(&other, &path).unwrap();
        assert_eq!(file.length().unwrap_err().to_string(), "another file has its name");
    }
}
