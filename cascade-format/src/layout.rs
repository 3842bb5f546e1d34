//! How a data file is divided into blocks (protocol §1). All offset arithmetic of the project is here:
//! a [`Block`] exists only after a bounds check, so its range always lies inside the file.

use crate::metafile::HEADER_LEN;
use core::fmt;
use core::ops::Range;

/// The longest data file, in bytes: file offsets are signed 64-bit numbers on every system we know.
pub const MAX_LENGTH: u64 = i64::MAX as u64;

/// Why a length and a block size describe no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The block size is zero.
    #[error("the block size is 0")]
    ZeroBlockSize,
    /// No file system can hold such a file.
    #[error("a length of {0} bytes is more than any file can have")]
    TooLong(u64),
    /// The hashes of this number of blocks fit in no file.
    #[error("{0} blocks are more than any .cascade file can describe")]
    TooManyBlocks(u64),
}

/// The length and block size of a data file, checked, and everything that follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    length: u64,
    block_size: u64,
    blocks: u64,
}

/// The number of a block that exists in some [`Layout`]. Made by [`Layout::block`] alone; use it only
/// with the layout that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block(u64);

impl Block {
    /// The block's number, from 0.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Layout {
    /// Checks a length and a block size, both in bytes, as they stand in a `.cascade` file.
    ///
    /// # Errors
    /// A block size of 0, and sizes whose offsets do not fit in a file.
    pub const fn new(length: u64, block_size: u64) -> Result<Self, LayoutError> {
        if block_size == 0 {
            return Err(LayoutError::ZeroBlockSize);
        }
        if length > MAX_LENGTH {
            return Err(LayoutError::TooLong(length));
        }
        // floor((length + block size - 1) / block size), without the overflow.
        let blocks = length.div_ceil(block_size);
        if blocks > (MAX_LENGTH - HEADER_LEN as u64) / 32 {
            return Err(LayoutError::TooManyBlocks(blocks));
        }
        Ok(Self { length, block_size, blocks })
    }

    /// Length of the data file, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Length of every block but perhaps the last, in bytes; never 0.
    #[must_use]
    pub const fn block_size(&self) -> u64 {
        self.block_size
    }

    /// Number of blocks; 0 for an empty file.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Length of the `.cascade` file that describes this layout, in bytes.
    #[must_use]
    pub const fn metafile_len(&self) -> u64 {
        HEADER_LEN as u64 + 32 * self.blocks
    }

    /// Block `number`, if there is one.
    #[must_use]
    pub const fn block(&self, number: u64) -> Option<Block> {
        if number < self.blocks { Some(Block(number)) } else { None }
    }

    /// The block that holds the byte at `offset`, if there is one.
    #[must_use]
    pub const fn block_at(&self, offset: u64) -> Option<Block> {
        if offset < self.length { Some(Block(offset / self.block_size)) } else { None }
    }

    /// The block after `block`, if there is one.
    #[must_use]
    pub const fn next(&self, block: Block) -> Option<Block> {
        self.block(block.0.saturating_add(1))
    }

    /// Offset of the first byte of `block` in the data file.
    #[must_use]
    pub const fn start(&self, block: Block) -> u64 {
        block.0.saturating_mul(self.block_size)
    }

    /// Length of `block` in bytes: the block size, but for the last block what remains.
    #[must_use]
    pub const fn len_of(&self, block: Block) -> u64 {
        let left = self.length.saturating_sub(self.start(block));
        if left < self.block_size { left } else { self.block_size }
    }

    /// The bytes of `block` in the data file.
    #[must_use]
    pub const fn range(&self, block: Block) -> Range<u64> {
        let start = self.start(block);
        start..start + self.len_of(block)
    }

    /// Every block, in order.
    pub fn iter(&self) -> impl Iterator<Item = Block> + use<> {
        (0..self.blocks).map(Block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_specification_s_example() {
        let layout = Layout::new(1000, 64).unwrap();
        assert_eq!(layout.blocks(), 16);
        assert_eq!(layout.metafile_len(), 576);
        assert_eq!(layout.len_of(layout.block(15).unwrap()), 40);
        assert_eq!(layout.block(16), None);
    }

    #[test]
    fn a_length_that_divides_evenly_has_a_full_last_block() {
        let layout = Layout::new(128, 64).unwrap();
        assert_eq!(layout.blocks(), 2);
        assert_eq!(layout.range(layout.block(1).unwrap()), 64..128);
    }

    #[test]
    fn an_empty_file_has_no_block() {
        let layout = Layout::new(0, 64).unwrap();
        assert_eq!((layout.blocks(), layout.metafile_len()), (0, 64));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert_eq!(Layout::new(1, 0), Err(LayoutError::ZeroBlockSize));
        assert_eq!(Layout::new(u64::MAX, 1), Err(LayoutError::TooLong(u64::MAX)));
        let blocks = MAX_LENGTH;
        assert_eq!(Layout::new(MAX_LENGTH, 1), Err(LayoutError::TooManyBlocks(blocks)));
        // A block size far beyond the length is legal: the sum in the formula must not overflow.
        assert_eq!(Layout::new(5, u64::MAX).unwrap().blocks(), 1);
    }

    proptest! {
        #[test]
        #[allow(clippy::manual_div_ceil, reason = "the protocol's own formula")]
        fn blocks_tile_the_file(length in 0u64..5000, block_size in 1u64..700) {
            let layout = Layout::new(length, block_size).unwrap();
            prop_assert_eq!(layout.blocks(), (length + block_size - 1) / block_size);
            let mut at = 0;
            for block in layout.iter() {
                let range = layout.range(block);
                prop_assert_eq!(range.start, at);
                prop_assert!(range.end > range.start);
                prop_assert_eq!(layout.block_at(range.end - 1), Some(block));
                at = range.end;
            }
            prop_assert_eq!(at, length);
        }

        #[test]
        fn any_numbers_give_ranges_inside_the_file(length: u64, block_size: u64, number: u64) {
            if let Ok(layout) = Layout::new(length, block_size) {
                let number = number.checked_rem(layout.blocks()).unwrap_or(0);
                if let Some(block) = layout.block(number) {
                    let range = layout.range(block);
                    prop_assert!(range.start < range.end && range.end <= length);
                }
            }
        }
    }
}
