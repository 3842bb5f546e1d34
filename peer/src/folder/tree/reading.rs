//! Reading the bytes of the archive from the files of a folder.

use super::Tree;
use crate::ground::disk::Disk;
use crate::ground::{Ground, Run, Stamp};
use cascade_archive::Segment;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// Files of at least this number of bytes are asked of the disk ahead of the reader; opening smaller ones for it would cost
/// more than it saves.
const AHEAD_LEN: u64 = 1 << 20;

impl Ground for Tree {
    fn length(&self) -> io::Result<u64> {
        Ok(self.archive.total_len())
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.archive.total_len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = buffer;
        for segment in self.archive.segments(offset..end) {
            let len = usize::try_from(segment.len()).unwrap_or(usize::MAX);
            let Some((here, behind)) = std::mem::take(&mut rest).split_at_mut_checked(len) else { break };
            match segment {
                Segment::Made(bytes) => here.copy_from_slice(&bytes),
                Segment::Zero(_) => here.fill(0),
                Segment::File { number, entry, offset, .. } => self.read(number, &entry, here, offset)?,
            }
            rest = behind;
        }
        Ok(())
    }

    /// Nobody asks the file system: a block has a header in it, mostly.
    fn is_hole(&self, _: &Range<u64>) -> bool {
        false
    }

    fn will_need(&self, range: Range<u64>) {
        for segment in self.archive.segments(range) {
            if let Segment::File { number, entry, offset, len } = segment
                && entry.kind.size() >= AHEAD_LEN
                && let Ok(open) = self.opened(number, &entry)
            {
                open.file.will_need(offset..offset + len);
            }
        }
    }

    /// From now on each file counts as unchanged as long as it looks as it does now.
    fn look(&self) -> io::Result<Stamp> {
        self.changed.store(false, Ordering::Release);
        *self.first_changed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.open.clear();
        self.marks_now(|number, mark, in_base| {
            self.set_in_base(number, in_base);
            self.set_mark(number, mark);
        });
        self.stamp()
    }

    fn looks_like(&self, _: &Stamp) -> bool {
        !self.changed.load(Ordering::Acquire)
    }

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        let segment = self.archive.segments(offset..self.archive.total_len()).next()?;
        let Segment::File { number, entry, offset, len } = segment else { return None };
        let open = self.same(number, &entry, || self.opened(number, &entry)).ok()?;
        Some(Run::of_shared(open, offset, len))
    }

    fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.sync_file_system(&File::from(self.root().try_clone_to_owned()?))
    }

    /// Of a folder's files nobody knows which ones have pages that the disk refused, so all are asked for.
    fn drop_cache(&self, disk: &dyn Disk) {
        for (number, entry) in (0..).zip(self.archive.entries()).filter(|(_, entry)| entry.kind.size() > 0) {
            if let Ok(open) = self.open_plain(number, &entry) {
                disk.drop_cache(&open.file);
            }
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        let Ok(there) = std::fs::symlink_metadata(path) else { return false };
        let (there, here) = (Stamp::from_metadata(&there), rustix::fs::fstat(self.root()));
        here.is_ok_and(|here| (here.st_dev, here.st_ino) == (there.device, there.inode))
    }
}
