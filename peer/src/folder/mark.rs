//! A few bytes for each file, by which a change of it is seen.

use rustix::fs::Stat;
use std::hash::{DefaultHasher, Hasher};

/// Device, inode, length and times of a file as one number: a folder of a million files takes 8 MB of them. An attacker
/// gains nothing by two that are equal: a user who can choose a file's times can write to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    /// Of what is not there, or is no regular file.
    pub(super) const NONE: Self = Self(0);

    /// Of a file that was made a moment ago, and not written to yet.
    pub(super) const NEW: Self = Self(1);

    /// Of a regular file.
    pub(super) fn of(stat: &Stat) -> Self {
        if is_file(stat) { Self::of_any(stat) } else { Self::NONE }
    }

    /// Of a file, or of anything else that there is.
    pub(super) fn of_any(stat: &Stat) -> Self {
        let mut hasher = DefaultHasher::new();
        // Their types differ from system to system: what they have in common is how they are shown.
        for number in [i128::from(stat.st_dev), i128::from(stat.st_ino), i128::from(stat.st_size)] {
            hasher.write_i128(number);
        }
        for number in [stat.st_mtime, stat.st_ctime] {
            hasher.write_i128(i128::from(number));
        }
        for number in [stat.st_mtime_nsec, stat.st_ctime_nsec] {
            hasher.write_i128(i128::from(number));
        }
        Self(hasher.finish().max(2))
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }

    pub(super) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// Whether it is a regular file.
pub(super) fn is_file(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
}
