//! A file changed through a shared mapping, which its file system may not notice.

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::path::Path;
use std::ptr;

/// A writable mapping of a whole file, shared with all who read it.
#[derive(Debug)]
pub struct Mapping {
    start: *mut c_void,
    length: usize,
}

impl Mapping {
    /// Maps `path`.
    ///
    /// # Panics
    /// It cannot be mapped.
    #[must_use]
    #[allow(unsafe_code, reason = "there is no other way to map a file")]
    pub fn of(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path).expect("a file to map");
        let length = usize::try_from(file.metadata().expect("its length").len()).expect("a small file");
        // SAFETY: the system chooses a free place, so no other memory is replaced. It stays mapped until the
        // value is dropped, and is reached through `write` and nothing else.
        let start = unsafe {
            mmap(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)
        };
        Self { start: start.expect("a mapping"), length }
    }

    /// Writes one byte.
    ///
    /// # Panics
    /// It is not in the file.
    #[allow(unsafe_code, reason = "the bytes are others', too, so there is no reference to them")]
    pub fn write(&mut self, at: usize, byte: u8) {
        assert!(at < self.length, "byte {at} of {}", self.length);
        // SAFETY: inside the mapping, which is writable; the file keeps its length while tests run. Volatile,
        // since other processes see the byte.
        unsafe { self.start.cast::<u8>().add(at).write_volatile(byte) };
    }
}

impl Drop for Mapping {
    #[allow(unsafe_code, reason = "there is no other way to end a mapping")]
    fn drop(&mut self) {
        // SAFETY: it is this value's own, and nobody reaches it any more.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}
