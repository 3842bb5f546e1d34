//! The size of the blocks: chosen, or typed by the user.

use std::num::NonZeroU64;

/// The smallest default block size, in bytes.
const MIN_DEFAULT: u64 = 64 << 10;

/// The largest default block size, in bytes.
const MAX_DEFAULT: u64 = 4 << 20;

/// How many blocks the default aims at.
const AIM: u64 = 1024;

/// Why a text is no block size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockSizeError {
    /// No digits in front.
    #[error("a size is a number of bytes, or a number with KiB, MiB or GiB: 1048576, 100kib, 1MiB")]
    NoNumber,
    /// A decimal unit, or what some write for a binary one.
    #[error("kB, MB and GB mean one thing to some and another to others: write KiB, MiB or GiB")]
    Ambiguous,
    /// Something else behind the digits.
    #[error("unknown unit: it is KiB, MiB or GiB, or k, m or g for short")]
    Unit,
    /// No block is that short.
    #[error("a block has at least one byte")]
    Zero,
    /// More than 64 bits.
    #[error("a block size is below 2^64 bytes")]
    TooLarge,
}

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

/// Reads a block size: a number of bytes, alone or with `KiB`, `MiB`, `GiB` or their first letters, in
/// either case, with or without a space between.
///
/// # Errors
/// Everything in [`BlockSizeError`].
pub fn parse_block_size(text: &str) -> Result<NonZeroU64, BlockSizeError> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "kb" | "mb" | "gb" => return Err(BlockSizeError::Ambiguous),
        _ if digits.is_empty() => return Err(BlockSizeError::NoNumber),
        _ => return Err(BlockSizeError::Unit),
    };
    if digits.is_empty() {
        return Err(BlockSizeError::NoNumber);
    }
    // Only digits are left: the one way to fail is a number too large.
    let number: u64 = digits.parse().map_err(|_| BlockSizeError::TooLarge)?;
    let bytes = number.checked_mul(1 << shift).ok_or(BlockSizeError::TooLarge)?;
    NonZeroU64::new(bytes).ok_or(BlockSizeError::Zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_as_people_write_them() {
        let parse = |text| parse_block_size(text).map(NonZeroU64::get);
        assert_eq!(parse("1048576"), Ok(1 << 20));
        assert_eq!(parse("1MiB"), Ok(1 << 20));
        assert_eq!(parse("100kib"), Ok(100 << 10));
        assert_eq!(parse(" 2 GiB "), Ok(2 << 30));
        assert_eq!(parse("64K"), Ok(64 << 10));
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn wrong_sizes_are_named() {
        for (text, error) in [
            ("", BlockSizeError::NoNumber),
            ("MiB", BlockSizeError::NoNumber),
            ("-1", BlockSizeError::NoNumber),
            ("1MB", BlockSizeError::Ambiguous),
            ("1.5MiB", BlockSizeError::Unit),
            ("10 blocks", BlockSizeError::Unit),
            ("0", BlockSizeError::Zero),
            ("0GiB", BlockSizeError::Zero),
            ("18446744073709551616", BlockSizeError::TooLarge),
            ("17179869184GiB", BlockSizeError::TooLarge),
        ] {
            assert_eq!(parse_block_size(text), Err(error), "{text:?}");
        }
    }

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
        fn parsing_is_total(text: String) {
            let _ = parse_block_size(&text);
        }

        #[test]
        fn a_default_is_a_power_of_two_within_the_bounds(length: u64) {
            let size = default_block_size(length).get();
            prop_assert!(size.is_power_of_two() && (MIN_DEFAULT..=MAX_DEFAULT).contains(&size));
        }
    }
}
