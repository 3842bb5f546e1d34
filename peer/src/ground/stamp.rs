//! A cheap proof that a file has not changed since it was checked.
//!
//! What it proves: no write, truncation or replacement went through the file system since, because
//! each of them moves the change time, which no ordinary program can set back. What it does not: a
//! disk that returns other bytes than were written, a program with the right to set the system clock
//! or to write to the device below the file system, a write through a memory mapping whose page was
//! dirty already, and a change within one tick of the kernel's clock (4 ms or less) of the stamp.

use std::fs::{File, Metadata};
use std::io;

/// Identity, length and times of a file, as its file system tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// Device that holds the file.
    pub device: u64,
    /// Number of the file on it.
    pub inode: u64,
    /// Length, in bytes.
    pub length: u64,
    /// When its bytes last changed: nanoseconds since the UNIX epoch.
    pub modified_ns: i128,
    /// When its bytes or attributes last changed: nanoseconds since the UNIX epoch.
    pub changed_ns: i128,
    /// Of a folder: what all of its files look like. Length is that of its archive then, and no time is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
}

/// What all files below a folder look like: a digest of its index, and of a number for each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Files([u8; 32]);

impl From<[u8; 32]> for Files {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl Stamp {
    /// Whether the bytes are the same, although the file has got another name or other permissions since.
    #[must_use]
    pub fn has_bytes_of(&self, earlier: &Self) -> bool {
        Self { changed_ns: earlier.changed_ns, ..*self } == *earlier
    }

    /// The stamp of an open file.
    ///
    /// # Errors
    /// The file system's own.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_metadata(&file.metadata()?))
    }

    /// The stamp in what the file system told.
    pub(crate) fn from_metadata(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let ns =
            |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            files: None,
        }
    }
}
