//! Taking room on the disk for bytes that are still to come, and giving it back.

use std::fs::File;
use std::io;
use std::ops::Range;

/// Takes room for `range` of `file`, which is not longer afterwards; what was never written still reads as
/// zeroes, and counts as a hole when the file is checked. False where the system cannot, or has no room.
///
/// Not where files live in memory (tmpfs, ramfs): there it takes as long as writing (0.4 s for a gigabyte),
/// and takes memory for blocks that may never come.
#[cfg(target_os = "linux")]
pub(super) fn reserve(file: &File, range: Range<u64>) -> bool {
    use rustix::fs::{FallocateFlags, fallocate, fstatfs};
    /// Of the file systems in memory.
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58f6;
    // Its type differs from machine to machine.
    let kind = fstatfs(file).ok().and_then(|stat| u32::try_from(stat.f_type).ok());
    let in_memory = matches!(kind, Some(TMPFS | RAMFS));
    let length = range.end.saturating_sub(range.start);
    !in_memory && length > 0 && fallocate(file, FallocateFlags::KEEP_SIZE, range.start, length).is_ok()
}

/// The portable answer.
#[cfg(not(target_os = "linux"))]
pub(super) fn reserve(_: &File, _: Range<u64>) -> bool {
    false
}

/// The parts of `all` between those that are `needed`, which are in their order.
pub(super) fn gaps(
    all: Range<u64>,
    needed: impl Iterator<Item = Range<u64>>,
) -> impl Iterator<Item = Range<u64>> {
    let mut from = all.start;
    let gaps = needed.chain(std::iter::once(all.end..all.end)).map(move |needed| {
        let gap = from..needed.start;
        from = from.max(needed.end);
        gap
    });
    gaps.filter(|gap| !gap.is_empty())
}

/// Gives the room of `range` of `file` back, which reads as zeroes then; pages that lie in it in part are only emptied.
///
/// # Errors
/// The file system cannot do that.
#[cfg(target_os = "linux")]
pub(super) fn punch(file: &File, range: Range<u64>) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, flags, range.start, range.end.saturating_sub(range.start))?)
}

/// The portable answer.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(super) fn punch(_: &File, _: Range<u64>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn gaps_are_all_that_is_not_needed() {
        let found = |needed: &[(u64, u64)]| {
            let needed = needed.iter().map(|(start, end)| *start..*end);
            gaps(10..100, needed).map(|gap| (gap.start, gap.end)).collect::<Vec<_>>()
        };
        assert_eq!(found(&[]), [(10, 100)]);
        assert_eq!(found(&[(0, 10), (20, 30), (30, 40), (90, 100)]), [(10, 20), (40, 90)]);
        assert_eq!(found(&[(0, 5), (5, 15), (50, 60)]), [(15, 50), (60, 100)]);
        assert_eq!(found(&[(10, 100)]), []);
    }

    #[test]
    fn room_is_taken_and_the_file_still_has_only_holes() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 << 20).unwrap();
        if !reserve(&file, 0..4 << 20) {
            eprintln!("skipped: no room can be reserved here");
            return;
        }
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 4 << 20);
        assert!(metadata.blocks() * 512 >= 4 << 20);
        let data = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0));
        assert_eq!(data, Err(rustix::io::Errno::NXIO), "what was never written is a hole");
        assert!(!reserve(&file, 7..7));
    }

    #[test]
    fn room_is_given_back_and_reads_as_zeroes() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; 1 << 20], 0).unwrap();
        let before = file.metadata().unwrap().blocks();
        if punch(&file, 4096..(1 << 20) - 4096).is_err() {
            eprintln!("skipped: no room can be given back here");
            return;
        }
        let after = file.metadata().unwrap();
        assert!(after.blocks() < before / 2 && after.len() == 1 << 20);
        let mut read = [1; 8192];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read[..4096].iter().all(|byte| *byte == 7) && read[4096..].iter().all(|byte| *byte == 0));
    }
}
