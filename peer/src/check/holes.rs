//! Holes of sparse files: ranges that were never written, and read as zeroes.

use std::fs::File;
use std::ops::Range;

/// Whether no byte of `range`, which lies inside the file, was ever written. `false` where the file
/// system cannot tell. Moves the file's cursor.
#[cfg(target_os = "linux")]
pub(crate) fn is_hole(file: &File, range: &Range<u64>) -> bool {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(range.start)) {
        Ok(data) => data >= range.end,
        // No data from here to the end of the file.
        Err(rustix::io::Errno::NXIO) => true,
        Err(_) => false,
    }
}

/// The portable answer: no hole is known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_hole(_file: &File, _range: &Range<u64>) -> bool {
    false
}

/// Whether nothing was ever written to `file`. `false` where the file system cannot tell.
#[must_use]
pub fn is_empty_of_data(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| is_hole(file, &(0..metadata.len())))
}
