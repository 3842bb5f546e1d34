//! A file as ground: what is read of it and written to it goes to the system directly.

use super::disk::Disk;
use super::{Ground, Run, Stamp};
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

impl Ground for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn is_hole(&self, range: &Range<u64>) -> bool {
        is_hole(self, range)
    }

    fn will_need(&self, range: Range<u64>) {
        will_need(self, range);
    }

    fn look(&self) -> io::Result<Stamp> {
        Stamp::of(self)
    }

    fn looks_like(&self, stamp: &Stamp) -> bool {
        Stamp::of(self).is_ok_and(|now| now == *stamp)
    }

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        Some(Run::of_file(self, offset))
    }

    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.sync(self)
    }

    fn drop_cache(&self, disk: &dyn Disk) {
        disk.drop_cache(self);
    }

    fn is_at(&self, path: &Path) -> bool {
        let (Ok(here), Ok(there)) = (self.metadata(), fs::symlink_metadata(path)) else { return false };
        let (here, there) = (Stamp::from_metadata(&here), Stamp::from_metadata(&there));
        (here.device, here.inode) == (there.device, there.inode)
    }
}

/// Starts reading `range` from the disk in the background, where the system can.
fn will_need(file: &File, range: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let Some(length) = std::num::NonZeroU64::new(range.end.saturating_sub(range.start)) {
        // Only a hint: a file system that cannot take it changes nothing.
        let _ = rustix::fs::fadvise(file, range.start, Some(length), rustix::fs::Advice::WillNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, range);
}

/// Whether no byte of `range`, which lies inside the file, was ever written. `false` where the file
/// system cannot tell. Moves the file's cursor.
#[cfg(target_os = "linux")]
fn is_hole(file: &File, range: &Range<u64>) -> bool {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(range.start)) {
        Ok(data) => data >= range.end,
        // No data from here to the end of the file.
        Err(rustix::io::Errno::NXIO) => true,
        Err(_) => false,
    }
}

/// The portable answer: no hole is known.
#[cfg(not(target_os = "linux"))]
fn is_hole(_file: &File, _range: &Range<u64>) -> bool {
    false
}

/// Whether nothing was ever written to `file`. `false` where the file system cannot tell.
#[must_use]
pub(crate) fn is_empty_of_data(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| is_hole(file, &(0..metadata.len())))
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
