//! What an entry that was made gets in addition to its bytes.

use super::beneath::Beneath;
use cascade_archive::{Entry, Kind};
use rustix::fs::{RawMode, Stat, Timespec, Timestamps, UTIME_OMIT};
use std::io;
use std::os::fd::OwnedFd;

/// Everybody who may read a file that its owner may run may run it, too.
pub(super) fn wanted_mode(entry: &Entry, mode: RawMode) -> RawMode {
    let executable = matches!(entry.kind, Kind::File { executable: true, .. });
    if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 }
}

/// Whether a file has the time of its entry: whole seconds, as an archive has them.
pub(super) fn has_time(entry: &Entry, stat: &Stat) -> bool {
    cascade_archive::seconds(i64::try_from(i128::from(stat.st_mtime)).unwrap_or(0)) == entry.mtime
}

/// Whether a file has the time of its entry, and the permissions that it would get.
pub(super) fn is_as_wanted(entry: &Entry, stat: &Stat) -> bool {
    let mode = stat.st_mode & 0o777;
    has_time(entry, stat) && wanted_mode(entry, mode) == mode
}

/// The folder that the last entry was in.
pub(super) struct Parents<'a> {
    pub(super) below: &'a Beneath,
    last: Option<(String, OwnedFd)>,
}

impl<'a> Parents<'a> {
    pub(super) fn new(below: &'a Beneath) -> Self {
        Self { below, last: None }
    }

    pub(super) fn open(&mut self, path: &str) -> io::Result<&OwnedFd> {
        let open = match self.last.take() {
            Some((there, open)) if there == path => open,
            _ => self.below.folder(path)?,
        };
        Ok(&self.last.insert((path.to_owned(), open)).1)
    }
}

pub(super) fn times(entry: &Entry) -> Timestamps {
    let seconds = i64::try_from(entry.mtime).unwrap_or(0);
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
    }
}
