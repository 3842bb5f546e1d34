//! What makes data durable, behind a trait: a test can make any of it fail.
//!
//! What is known of Linux, and used here: after a failed writeback the pages that did not reach the disk
//! count as clean, keep their bytes, and the error is told once to each open file. So a second sync
//! "succeeds", and reading returns what is not on the disk, until the pages are dropped. Clean pages are
//! dropped by `POSIX_FADV_DONTNEED`; the next read is of the disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// The calls whose failure decides what may be believed.
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Waits until the bytes of `file`, and what is needed to find them, are on the disk.
    ///
    /// # Errors
    /// Some of them did not get there; which is not told.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Waits until all that was written to the file system of the open `folder` is on the disk.
    ///
    /// # Errors
    /// Some of it did not get there; which is not told.
    fn sync_file_system(&self, folder: &File) -> io::Result<()>;

    /// Waits until the names in `folder` are on the disk. Where a file system cannot, nothing happens.
    ///
    /// # Errors
    /// They did not get there.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Lets the system forget what it keeps of `file` in memory and has on the disk.
    fn drop_cache(&self, file: &File);
}

/// The disks of this system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data().or_else(ignore_unable)
    }

    fn sync_file_system(&self, folder: &File) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return rustix::fs::syncfs(folder).map_err(io::Error::from).or_else(ignore_unable);
        #[cfg(not(target_os = "linux"))]
        {
            let _ = folder;
            rustix::fs::sync();
            Ok(())
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder) {
            Ok(folder) => folder.sync_all().or_else(ignore_unable),
            // A folder in which one may write, but not list: it cannot be opened to be synced.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn drop_cache(&self, file: &File) {
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        #[cfg(not(target_os = "linux"))]
        let _ = file;
    }
}

/// A file system that has no such call loses a name with the power, at worst, but no byte.
fn ignore_unable(error: io::Error) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, ReadOnlyFilesystem, Unsupported};
    if matches!(error.kind(), InvalidInput | ReadOnlyFilesystem | Unsupported) { Ok(()) } else { Err(error) }
}

/// Whether room is all that is missing: then waiting helps.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A disk whose syncs fail where `fails` says so, counted from 0; files and folders together.
    #[derive(Debug)]
    pub(crate) struct FailingDisk {
        pub(crate) syncs: AtomicU32,
        pub(crate) dropped: AtomicU32,
        pub(crate) fails: fn(u32) -> bool,
    }

    impl FailingDisk {
        pub(crate) fn new(fails: fn(u32) -> bool) -> Self {
            Self { syncs: AtomicU32::new(0), dropped: AtomicU32::new(0), fails }
        }

        fn next(&self) -> io::Result<()> {
            let number = self.syncs.fetch_add(1, Ordering::Relaxed);
            if (self.fails)(number) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        }
    }

    impl Disk for FailingDisk {
        fn sync(&self, _: &File) -> io::Result<()> {
            self.next()
        }

        fn sync_file_system(&self, _: &File) -> io::Result<()> {
            self.next()
        }

        fn sync_folder(&self, _: &Path) -> io::Result<()> {
            self.next()
        }

        fn drop_cache(&self, _: &File) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_full_disks_and_quotas_are_full() {
        for (number, full) in [(28, true), (122, true), (5, false), (27, false), (30, false)] {
            assert_eq!(is_full(&io::Error::from_raw_os_error(number)), full, "{number}");
        }
    }

    #[test]
    fn folders_are_synced_and_missing_ones_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        SystemDisk.sync_folder(folder.path()).unwrap();
        SystemDisk.sync_folder(Path::new("/proc/self")).unwrap();
        assert!(SystemDisk.sync_folder(&folder.path().join("nothing")).is_err());
    }
}
