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

/// The length of a slice is at least this, in bytes.
pub const MIN_SLICE_LEN: u64 = 64 << 10;

/// A block is divided into at most this number of slices.
pub const MAX_SLICES_A_BLOCK: u64 = 64;

/// A file is divided into at most this number of slices.
pub const MAX_SLICES: u64 = 1 << 21;

/// Blocks of more than [`MAX_SLICES_A_BLOCK`] times this, in bytes, are not divided: a server that does not know the
/// states of a block yet must hash all of it for the first slice.
pub const MAX_SLICE_LEN: u64 = 256 << 10;

/// SHA-256 takes in this number of bytes at a time, so a slice begins at a multiple of it.
const HASH_STEP: u64 = 64;

/// The length and block size of a data file, checked, and everything that follows from them.
///
/// There are two kinds: how a `.cascade` file divides its data file into blocks ([`Layout::new`]), and how the
/// extension divides each of these into slices ([`Layout::sliced`]). In a layout of slices each slice is a [`Block`],
/// and the slices of one block are numbered from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    length: u64,
    block_size: u64,
    blocks: u64,
    slices_a_block: u64,
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
        Ok(Self { length, block_size, blocks, slices_a_block: 1 })
    }

    /// How the blocks of this layout are divided into slices; `None` if they are not: if a block is too short or too
    /// long for it, or its length cannot be divided evenly, or there is only one block. The protocol's rule is in
    /// `docs/protocol.md`, Slices.
    #[must_use]
    pub const fn sliced(&self) -> Option<Self> {
        if self.blocks < 2 || self.slices_a_block > 1 || self.block_size / MAX_SLICES_A_BLOCK > MAX_SLICE_LEN
        {
            return None;
        }
        let mut slices = MAX_SLICES_A_BLOCK;
        while slices > 1 {
            let slice_len = self.block_size / slices;
            let even = self.block_size.is_multiple_of(slices * HASH_STEP);
            let blocks = self.length.div_ceil(if slice_len == 0 { 1 } else { slice_len });
            if even && slice_len >= MIN_SLICE_LEN && blocks <= MAX_SLICES {
                let length = self.length;
                return Some(Self { length, block_size: slice_len, blocks, slices_a_block: slices });
            }
            slices /= 2;
        }
        None
    }

    /// The layout whose blocks this one divides into slices; of a layout of blocks, itself.
    #[must_use]
    pub const fn whole(&self) -> Self {
        let block_size = self.block_size.saturating_mul(self.slices_a_block);
        let blocks = self.length.div_ceil(block_size);
        Self { length: self.length, block_size, blocks, slices_a_block: 1 }
    }

    /// Number of slices of each block but perhaps the last; 1 in a layout of blocks.
    #[must_use]
    pub const fn slices_a_block(&self) -> u64 {
        self.slices_a_block
    }

    /// The block of [`Layout::whole`] that `slice` is a part of; in a layout of blocks, the block itself.
    #[must_use]
    pub const fn block_of(&self, slice: Block) -> Block {
        Block(slice.0 / self.slices_a_block)
    }

    /// The numbers of the slices of `block`, which is a block of [`Layout::whole`].
    #[must_use]
    pub const fn slices_of(&self, block: Block) -> Range<u64> {
        let start = block.0.saturating_mul(self.slices_a_block);
        let end = start.saturating_add(self.slices_a_block);
        start..if end < self.blocks { end } else { self.blocks }
    }

    /// The first slice of `block`, a block of [`Layout::whole`]: the one at its end, which is compared with its hash.
    #[must_use]
    pub const fn first_slice(&self, block: Block) -> Block {
        Block(block.0.saturating_mul(self.slices_a_block))
    }

    /// The slice of the same block that is verified before `slice`: the one behind it in the file. `None`: `slice` is
    /// the first one of its block, and is compared with the block's hash.
    #[must_use]
    pub const fn verified_before(&self, slice: Block) -> Option<Block> {
        if slice.0.is_multiple_of(self.slices_a_block) { None } else { Some(Block(slice.0 - 1)) }
    }

    /// Offset of the first byte of `slice` in its block.
    #[must_use]
    pub const fn offset_in_block(&self, slice: Block) -> u64 {
        self.start(slice) % self.block_size.saturating_mul(self.slices_a_block)
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
        if offset >= self.length {
            return None;
        }
        let at = offset / self.block_size;
        let slices = self.slices_of(Block(at / self.slices_a_block));
        // Slices are numbered from the end of their block.
        Some(Block(slices.start + (slices.end - 1 - at)))
    }

    /// The block after `block`, if there is one.
    #[must_use]
    pub const fn next(&self, block: Block) -> Option<Block> {
        self.block(block.0.saturating_add(1))
    }

    /// Offset of the first byte of `block` in the data file.
    #[must_use]
    pub const fn start(&self, block: Block) -> u64 {
        let slices = self.slices_of(self.block_of(block));
        (slices.start + (slices.end.saturating_sub(1).saturating_sub(block.0)))
            .saturating_mul(self.block_size)
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

    /// The blocks of which the first byte is in `range`, in the order of the file.
    pub fn starting_in(&self, range: &Range<u64>) -> impl Iterator<Item = Block> + use<> {
        let layout = *self;
        let places = range.start.div_ceil(layout.block_size)..range.end.div_ceil(layout.block_size);
        let offsets = places.map_while(move |place| place.checked_mul(layout.block_size));
        offsets.map_while(move |offset| layout.block_at(offset))
    }

    /// Every block, in order.
    pub fn iter(&self) -> impl Iterator<Item = Block> + use<> {
        (0..self.blocks).map(Block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
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

    #[test]
    fn only_blocks_that_can_be_divided_evenly_have_slices() {
        let slices = |length, block_size| {
            Layout::new(length, block_size)
                .unwrap()
                .sliced()
                .map(|layout| (layout.slices_a_block(), layout.block_size()))
        };
        assert_eq!(slices(32 << 20, 1 << 20), Some((16, 64 << 10)));
        assert_eq!(slices(32 << 20, 128 << 10), Some((2, 64 << 10)));
        assert_eq!(slices(64 << 20, 16 << 20), Some((64, 256 << 10)));
        assert_eq!(slices(3 << 20, 192 << 10), Some((2, 96 << 10)));
        assert_eq!(slices(32 << 20, 64 << 10), None, "it is short");
        assert_eq!(slices(64 << 20, 32 << 20), None, "it is long");
        assert_eq!(slices(1 << 20, 1 << 20), None, "there is one block");
        assert_eq!(slices(3_000_000, 1_000_000), None, "half of it is no multiple of 64");
        assert_eq!(slices(200 << 30, 1 << 20), Some((8, 128 << 10)), "there would be too many");
    }

    #[test]
    fn slices_are_numbered_from_the_end_of_their_block() {
        let layout = Layout::new((2 << 20) + 100_000, 1 << 20).unwrap();
        let slices = layout.sliced().unwrap();
        let starts: Vec<u64> = slices.iter().map(|slice| slices.start(slice) >> 16).collect();
        let down = |from: u64, to: u64| (from..=to).rev();
        assert_eq!(starts, down(0, 15).chain(down(16, 31)).chain(down(32, 33)).collect::<Vec<_>>());
        let last = slices.block(32).unwrap();
        assert_eq!((slices.len_of(last), slices.verified_before(last)), (100_000 - (64 << 10), None));
        assert_eq!(slices.verified_before(slices.block(33).unwrap()), Some(last));
        assert_eq!((slices.offset_in_block(last), slices.block_of(last).number()), (64 << 10, 2));
        assert_eq!((slices.whole(), slices.slices_of(layout.block(2).unwrap())), (layout, 32..34));
    }

    proptest! {
        #[test]
        fn slices_tile_their_blocks(length in 1u64..(5 << 20), quarter_slices in 1u64..40) {
            let layout = Layout::new(length, quarter_slices << 14).unwrap();
            if let Some(slices) = layout.sliced() {
                for block in layout.iter() {
                    let mut end = layout.range(block).end;
                    for slice in slices.slices_of(block).map(|number| slices.block(number).unwrap()) {
                        let range = slices.range(slice);
                        prop_assert_eq!(range.end, end);
                        prop_assert!(range.start < end && slices.offset_in_block(slice).is_multiple_of(64));
                        prop_assert_eq!(slices.block_at(range.start), Some(slice));
                        prop_assert_eq!(slices.block_at(range.end - 1), Some(slice));
                        prop_assert_eq!(slices.block_of(slice), block);
                        end = range.start;
                    }
                    prop_assert_eq!(end, layout.start(block));
                }
                prop_assert_eq!(slices.whole(), layout);
            }
        }

        #[test]
        fn blocks_of_which_the_first_byte_is_in_a_range_are_found_in_the_order_of_the_file(
            length in 1u64..(2 << 20), quarter_slices in 4u64..20, start in 0u64..(2 << 20), len in 0u64..(1 << 20),
        ) {
            let layout = Layout::new(length, quarter_slices << 14).unwrap();
            let range = start..start + len;
            for layout in [Some(layout), layout.sliced()].into_iter().flatten() {
                let mut expected: Vec<Block> =
                    layout.iter().filter(|block| range.contains(&layout.start(*block))).collect();
                expected.sort_by_key(|block| layout.start(*block));
                prop_assert_eq!(layout.starting_in(&range).collect::<Vec<_>>(), expected);
            }
        }

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
