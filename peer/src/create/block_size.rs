//! The size of the blocks, where the user names none.

use std::num::NonZeroU64;

/// The smallest default block size, in bytes.
const MIN_DEFAULT: u64 = 64 << 10;

/// The largest default block size, in bytes.
const MAX_DEFAULT: u64 = 4 << 20;

/// How many blocks the default aims at.
const AIM: u64 = 1024;

/// The most blocks that a folder gets in order to have small ones: a `.cascade` file of 2 MiB.
const MAX_OF_FOLDER: u64 = 65_536;

/// The default block size for a file of `length` bytes: the power of two nearest to length/1024, at least 64 KiB and at
/// most 4 MiB.
#[must_use]
pub fn default_block_size(length: u64) -> NonZeroU64 {
    nearest(length / AIM)
}

/// The default block size for a folder whose archive has `length` bytes and this number of `entries`. Every block that
/// a changed file touches must be downloaded again. So a block is about as large as an entry is on average, but never
/// larger than the default for a file of that length; and small blocks are made larger until there are no more than
/// 65,536 of them.
#[must_use]
pub fn default_block_size_of_folder(length: u64, entries: u32) -> NonZeroU64 {
    let of_entry = nearest(length / u64::from(entries.max(1)));
    let least = nearest(length.div_ceil(MAX_OF_FOLDER).min(MAX_DEFAULT).next_power_of_two());
    of_entry.max(least).min(default_block_size(length))
}

/// The power of two nearest to `wanted`, within the bounds.
fn nearest(wanted: u64) -> NonZeroU64 {
    let wanted = wanted.clamp(MIN_DEFAULT, MAX_DEFAULT);
    // Within the bounds neither power overflows.
    let above = wanted.next_power_of_two();
    let below = above / 2;
    let nearest = if wanted - below < above - wanted { below } else { above };
    NonZeroU64::new(nearest.max(MIN_DEFAULT)).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn defaults_at_the_borders() {
        let default = |length| default_block_size(length).get();
        assert_eq!(default(0), 64 << 10);
        assert_eq!(default(1 << 20), 64 << 10);
        assert_eq!(default(95 << 20), 64 << 10);
        assert_eq!(default(97 << 20), 128 << 10);
        assert_eq!(default(1 << 30), 1 << 20);
        assert_eq!(default((1 << 30) * 14 / 10), 1 << 20);
        assert_eq!(default((1 << 30) * 16 / 10), 2 << 20);
        assert_eq!(default(4 << 30), 4 << 20);
        assert_eq!(default(u64::MAX), 4 << 20);
    }

    #[test]
    fn a_folder_of_many_files_has_blocks_like_its_files() {
        let default = |length, entries| default_block_size_of_folder(length, entries).get();
        // A few large files: as one file.
        assert_eq!(default(1 << 30, 8), 1 << 20);
        assert_eq!(default(1 << 30, 8000), 128 << 10);
        assert_eq!(default(1 << 30, 1_000_000), 64 << 10);
        assert_eq!(default(0, 0), 64 << 10);
        // 100 GiB of 100 KiB each: no more than 65,536 blocks.
        assert_eq!(default(100 << 30, 1_000_000), 2 << 20);
        assert_eq!(default(u64::MAX, u32::MAX), 4 << 20);
    }

    proptest! {
        #[test]
        fn blocks_of_a_folder_are_no_larger_than_those_of_a_file(length: u64, entries: u32) {
            let size = default_block_size_of_folder(length, entries);
            prop_assert!(size <= default_block_size(length) && size.get() >= MIN_DEFAULT);
            let blocks = length.div_ceil(size.get());
            prop_assert!(blocks <= MAX_OF_FOLDER || size == default_block_size(length));
        }

        #[test]
        fn a_default_is_a_power_of_two_within_the_bounds(length: u64) {
            let size = default_block_size(length).get();
            prop_assert!(size.is_power_of_two() && (MIN_DEFAULT..=MAX_DEFAULT).contains(&size));
        }
    }
}
