//! Positioned reads and writes of the data file. No position is shared, so any thread may use it.

use super::Stamp;
use super::disk::{Disk, SystemDisk};
use super::own_writes::OwnWrites;
use super::reserve::reserve;
use super::watch::Watch;
use cascade_format::Layout;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open data file, complete or not, and its layout. What is written to a guarded one goes through
/// here, so that the writes of others can be told from ours.
#[derive(Debug)]
pub struct DataFile {
    file: File,
    path: PathBuf,
    layout: Layout,
    disk: Arc<dyn Disk>,
    guard: Mutex<Guard>,
}

#[derive(Debug, Default)]
struct Guard {
    own: OwnWrites,
    watch: Option<Watch>,
}

impl DataFile {
    /// Takes an open file; `path` is for messages.
    #[must_use]
    pub fn new(file: File, path: &Path, layout: Layout) -> Self {
        Self::on_disk(file, path, layout, Arc::new(SystemDisk))
    }

    /// The same, on a disk of any kind.
    #[must_use]
    pub fn on_disk(file: File, path: &Path, layout: Layout, disk: Arc<dyn Disk>) -> Self {
        Self { file, path: path.to_owned(), layout, disk, guard: Mutex::default() }
    }

    /// The file itself, for system calls that this type does not wrap.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the file was when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What makes it durable.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Whether [`DataFile::path`] still leads to this file, without a link between.
    #[must_use]
    pub fn has_its_name(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// From now on, another program that writes to the file is found out. It looked like `stamp` when its bytes
    /// were known.
    pub fn guard(&self, stamp: Stamp) {
        let mut guard = self.lock();
        if guard.watch.is_none() {
            guard.watch = Watch::of(&self.file);
        }
        guard.own.guard(stamp);
    }

    /// The file is not written to any more.
    pub fn end_guard(&self) {
        let mut guard = self.lock();
        guard.own.end_guard();
        guard.watch = None;
    }

    /// Whether nobody else has written to a guarded file, as far as can be seen; costs one or two system
    /// calls.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let mut guard = self.lock();
        if guard.own.is_guarded() {
            guard.look(&self.file);
        }
        guard.own.is_ours()
    }

    /// Whether a guarded file cannot be vouched for without reading it: somebody else has it open, and may
    /// write to it, or its stamps tell nothing.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        let mut guard = self.lock();
        guard.listen();
        guard.own.has_company() || guard.own.stamps_tell_nothing()
    }

    /// A guarded file was checked because its stamp had moved, and nothing was wrong.
    pub fn false_alarm(&self) {
        self.lock().own.false_alarm();
    }

    /// What a guarded file looked like after the last write to it.
    #[must_use]
    pub fn last_stamp(&self) -> Option<Stamp> {
        self.lock().own.last()
    }

    /// How the file is divided into blocks.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// The file system's own; `UnexpectedEof` where the file ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        positioned::read_exact_at(&self.file, buffer, offset)
    }

    /// Writes `slices` one after the other at `offset`, in one system call where the system can.
    ///
    /// # Errors
    /// The file system's own: no space, an I/O error.
    pub fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        if slices.is_empty() {
            return Ok(());
        }
        self.as_ours(|| positioned::write_all_at(&self.file, slices, offset))
    }

    /// Gives the file the length of its layout.
    ///
    /// # Errors
    /// The file system's own.
    pub fn set_full_length(&self) -> io::Result<()> {
        if self.file.metadata()?.len() == self.layout.length() {
            Ok(())
        } else {
            self.file.set_len(self.layout.length())
        }
    }

    /// Takes room on the disk for the bytes in `range`, where that costs next to nothing. False where it
    /// does not, or cannot be done: then a disk that fills up is found out by writing.
    #[must_use]
    pub fn reserve(&self, range: Range<u64>) -> bool {
        self.as_ours(|| reserve(&self.file, range))
    }

    /// Does something to the file that moves its stamp.
    fn as_ours<T>(&self, work: impl FnOnce() -> T) -> T {
        let guarded = {
            let mut guard = self.lock();
            let guarded = guard.own.is_guarded();
            if guarded {
                guard.own.begins(self.stamp());
            }
            guarded
        };
        let result = work();
        if guarded {
            self.lock().own.ends(self.stamp());
        }
        result
    }

    fn stamp(&self) -> Option<Stamp> {
        Stamp::of(&self.file).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts reading `range` from the disk in the background, where the system can.
    pub fn will_need(&self, range: Range<u64>) {
        crate::read_ahead::will_need(&self.file, range);
    }
}

impl Guard {
    fn look(&mut self, file: &File) {
        self.listen();
        self.own.compare(Stamp::of(file).ok());
    }

    fn listen(&mut self) {
        if let Some(watch) = &self.watch {
            watch.listen(&mut self.own);
        }
    }
}

/// Whether `path` is a name of the open `file`, and not of a link to it.
#[must_use]
pub fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(here), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    let (here, there) = (Stamp::from_metadata(&here), Stamp::from_metadata(&there));
    (here.device, here.inode) == (there.device, there.inode)
}

mod positioned {
    use super::*;
    use std::os::unix::fs::FileExt;

    pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(buffer, offset)
    }

    #[cfg(target_os = "linux")]
    pub(super) fn write_all_at(
        file: &File,
        mut slices: &mut [IoSlice<'_>],
        mut offset: u64,
    ) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let batch = slices.get(..MAX_SLICES).unwrap_or(slices);
            match rustix::io::pwritev(file, batch, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut slices, written);
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What one system call takes (`UIO_MAXIOV`).
    #[cfg(target_os = "linux")]
    const MAX_SLICES: usize = 1024;

    #[cfg(not(target_os = "linux"))]
    pub(super) use super::portable::write_all_at;
}

/// Works on every system; on Linux only its test uses it.
#[cfg(any(test, not(target_os = "linux")))]
mod portable {
    use super::*;

    pub(super) fn write_all_at(file: &File, slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        for slice in slices {
            file.write_all_at(slice, offset)?;
            offset += slice.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_give_the_same_file() {
        for fast in [true, false] {
            let file = tempfile::tempfile().unwrap();
            let parts: Vec<Vec<u8>> = (0..2000_usize).map(|i| vec![i.to_be_bytes()[7]; i % 7]).collect();
            let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
            if fast {
                positioned::write_all_at(&file, &mut slices, 5).unwrap();
            } else {
                portable::write_all_at(&file, &mut slices, 5).unwrap();
            }
            let expected = [vec![0; 5], parts.concat()].concat();
            let data = DataFile::new(file, Path::new("x"), Layout::new(1, 1).unwrap());
            let mut read = vec![0; expected.len()];
            data.read_exact_at(&mut read, 0).unwrap();
            assert!(read == expected, "fast path {fast}");
            assert!(data.read_exact_at(&mut [0], expected.len() as u64).is_err());
        }
    }
}
