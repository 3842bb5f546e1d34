//! Positioned reads and writes of the data file. No position is shared, so any thread may use it.

use cascade_format::Layout;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An open data file, complete or not, and its layout.
#[derive(Debug)]
pub struct DataFile {
    file: File,
    path: PathBuf,
    layout: Layout,
}

impl DataFile {
    /// Takes an open file; `path` is for messages.
    #[must_use]
    pub fn new(file: File, path: &Path, layout: Layout) -> Self {
        Self { file, path: path.to_owned(), layout }
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
        positioned::write_all_at(&self.file, slices, offset)
    }

    /// Starts reading `range` from the disk in the background, where the system can.
    pub fn will_need(&self, range: Range<u64>) {
        crate::read_ahead::will_need(&self.file, range);
    }
}

#[cfg(unix)]
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

    #[cfg(unix)]
    pub(super) fn write_all_at(file: &File, slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        for slice in slices {
            file.write_all_at(slice, offset)?;
            offset += slice.len() as u64;
        }
        Ok(())
    }
}

#[cfg(windows)]
mod positioned {
    use super::*;
    use std::os::windows::fs::FileExt;

    pub(super) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match file.seek_read(buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                    offset += read as u64;
                }
            }
        }
        Ok(())
    }

    pub(super) fn write_all_at(file: &File, slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        for slice in slices {
            let mut bytes: &[u8] = slice;
            while !bytes.is_empty() {
                let written = file.seek_write(bytes, offset)?;
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
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
