//! What the files that are ready to be given take together, and may.

use super::inspect::Checked;
use super::limits::{MAX_AWAKE, MAX_AWAKE_DESCRIPTORS, MAX_AWAKE_LEN};
use crate::folder;
use crate::metafile::RESIDENT_HASHES;
use crate::store::slices::STATES_LEN;
use cascade_format::Layout;
use cascade_format::extension::field::STATE_LEN;

/// Memory that a file takes besides its blocks.
const FILE_LEN: u64 = 16 << 10;

/// Memory for each block: its hash, and what is remembered of who was offered it.
const BLOCK_LEN: u64 = 48;

/// Memory for each slice that is given to others: the state of SHA-256 in front of it.
const SLICE_LEN: u64 = STATE_LEN as u64;

/// What a file takes while it is awake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    files: usize,
    bytes: u64,
    descriptors: usize,
}

impl Cost {
    pub(super) fn of(checked: &Checked) -> Self {
        let layout = &checked.described.layout;
        let descriptors =
            if checked.stamp.files.is_some() { folder::DESCRIPTORS } else { hashes_on_disk(layout) };
        let slices = layout.sliced().map_or(0, |sliced| sliced.blocks().saturating_mul(SLICE_LEN));
        let without = Self::new(layout, descriptors);
        Self { bytes: without.bytes.saturating_add(slices.min(STATES_LEN as u64)), ..without }
    }

    /// Of a file that is fetched from an origin: what is kept of it is open, and its slices are not given.
    pub(super) fn of_fetched(layout: &Layout) -> Self {
        Self::new(layout, 1 + hashes_on_disk(layout))
    }

    fn new(layout: &Layout, descriptors: usize) -> Self {
        // Of a longer list of hashes a few pages are in memory.
        let block_len = if hashes_on_disk(layout) > 0 { BLOCK_LEN / 2 } else { BLOCK_LEN };
        let hashes = layout.blocks().saturating_mul(block_len);
        Self { files: 1, bytes: FILE_LEN + hashes, descriptors }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes.saturating_add(other.bytes),
            descriptors: self.descriptors + other.descriptors,
        }
    }

    /// One file is awake in any case.
    pub(super) const fn fits(self) -> bool {
        self.files <= 1
            || (self.files <= MAX_AWAKE
                && self.bytes <= MAX_AWAKE_LEN
                && self.descriptors <= MAX_AWAKE_DESCRIPTORS)
    }
}

/// Descriptors for the list of hashes.
fn hashes_on_disk(layout: &Layout) -> usize {
    usize::from(layout.blocks() > RESIDENT_HASHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awake_is_bounded_in_number_memory_and_descriptors() {
        let one = Cost { files: 1, bytes: FILE_LEN, descriptors: 0 };
        let times = |count: usize, one: Cost| (0..count).fold(Cost::default(), |sum, _| sum.plus(one));
        assert!(times(MAX_AWAKE, one).fits() && !times(MAX_AWAKE + 1, one).fits());
        let large = Cost { bytes: MAX_AWAKE_LEN, ..one };
        assert!(large.fits() && !large.plus(one).fits());
        assert!(Cost { bytes: u64::MAX, ..one }.fits(), "the only one");
        let folder = Cost { descriptors: folder::DESCRIPTORS, ..one };
        let most = MAX_AWAKE_DESCRIPTORS / folder::DESCRIPTORS;
        assert!(times(most, folder).fits() && !times(most + 1, folder).fits());
    }
}
