//! A file that is written to and guarded: what others write to it is told from what we write.

use super::Stamp;
use super::disk::Disk;
use super::ground::{AsFile, Ground, Guarded, Run};
use super::own_writes::OwnWrites;
use super::reserve::{punch, reserve};
use super::watch::Watch;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file, and what is known of who writes to it.
#[derive(Debug)]
pub(super) struct GuardedFile {
    file: File,
    guard: Mutex<Guard>,
}

#[derive(Debug, Default)]
struct Guard {
    own: OwnWrites,
    watch: Option<Watch>,
}

impl GuardedFile {
    pub(super) fn new(file: File) -> Self {
        Self { file, guard: Mutex::default() }
    }

    /// Does something to the file that moves its stamp.
    pub(super) fn as_ours<T>(&self, work: impl FnOnce() -> T) -> T {
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
}

impl AsFile for GuardedFile {
    fn as_file(&self) -> &File {
        &self.file
    }
}

impl Guarded for GuardedFile {
    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn guard(&self, stamp: Stamp) {
        let mut guard = self.lock();
        if guard.watch.is_none() {
            guard.watch = Watch::of(&self.file);
        }
        guard.own.guard(stamp);
    }

    fn end_guard(&self) {
        let mut guard = self.lock();
        guard.own.end_guard();
        guard.watch = None;
    }

    /// Costs one or two system calls.
    fn is_ours(&self) -> bool {
        let mut guard = self.lock();
        if guard.own.is_guarded() {
            guard.look(&self.file);
        }
        guard.own.is_ours()
    }

    fn is_uncertain(&self) -> bool {
        let mut guard = self.lock();
        guard.listen();
        guard.own.has_company() || guard.own.stamps_tell_nothing()
    }

    fn false_alarm(&self) {
        self.lock().own.false_alarm();
    }

    fn last_stamp(&self) -> Option<Stamp> {
        self.lock().own.last()
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.as_ours(|| positioned::write_all_at(&self.file, slices, offset))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        if self.file.metadata()?.len() == length { Ok(()) } else { self.file.set_len(length) }
    }

    fn reserve(&self, range: Range<u64>) -> bool {
        self.as_ours(|| reserve(&self.file, range))
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.as_ours(|| punch(&self.file, range))
    }
}

impl Ground for GuardedFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.fill(buffer, offset)
    }

    fn is_hole(&self, range: &Range<u64>) -> bool {
        self.file.is_hole(range)
    }

    fn will_need(&self, range: Range<u64>) {
        self.file.will_need(range);
    }

    fn look(&self) -> io::Result<Stamp> {
        self.file.look()
    }

    fn looks_like(&self, stamp: &Stamp) -> bool {
        self.file.looks_like(stamp)
    }

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        self.file.run_at(offset)
    }

    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        self.file.sync(disk)
    }

    fn drop_cache(&self, disk: &dyn Disk) {
        self.file.drop_cache(disk);
    }

    fn is_at(&self, path: &Path) -> bool {
        self.file.is_at(path)
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

/// Writes `slices` one after the other at `offset`, in one system call where the system can.
pub(crate) fn write_all_at(file: &File, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
    positioned::write_all_at(file, slices, offset)
}

mod positioned {
    use super::*;

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
            let mut read = vec![0; expected.len()];
            file.fill(&mut read, 0).unwrap();
            assert!(read == expected, "fast path {fast}");
            assert!(file.fill(&mut [0], expected.len() as u64).is_err());
        }
    }
}
