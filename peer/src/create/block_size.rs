//! The size of the blocks, where the user names none.

use std::num::NonZeroU64;

/// The smallest default block size, in bytes.
const MIN_DEFAULT: u64 = 64 << 10;

/// The largest default block size, in bytes.
const MAX_DEFAULT: u64 = 4 << 20;

/// How many blocks the default aims at.
const AIM: u64 = 1024;

/// The block size for a file of `length` bytes: the power of two nearest to a thousandth (1024th) of
/// it, at least 64 KiB and at most 4 MiB.
#[must_use]
pub fn default_block_size(length: u64) -> NonZeroU64 {
    let wanted = (length / AIM).clamp(MIN_DEFAULT, MAX_DEFAULT);
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

    proptest! {
        #[test]
        fn a_default_is_a_power_of_two_within_the_bounds(length: u64) {
            let size = default_block_size(length).get();
            prop_assert!(size.is_power_of_two() && (MIN_DEFAULT..=MAX_DEFAULT).contains(&size));
        }
    }
}
