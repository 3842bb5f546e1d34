//! Which blocks somebody has: one bit a block, and their count.

use crate::{Block, Layout};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// A set of blocks of one layout. Takes one bit a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Have {
    words: Vec<u64>,
    blocks: u64,
    count: u64,
}

impl Have {
    /// No block of `layout`.
    #[must_use]
    pub fn none(layout: &Layout) -> Self {
        let words = usize::try_from(layout.blocks().div_ceil(64)).unwrap_or(usize::MAX);
        Self { words: vec![0; words], blocks: layout.blocks(), count: 0 }
    }

    /// Every block of `layout`.
    #[must_use]
    pub fn all(layout: &Layout) -> Self {
        let mut have = Self::none(layout);
        have.words.fill(u64::MAX);
        if let (Some(last), rest @ 1..) = (have.words.last_mut(), layout.blocks() % 64) {
            *last = (1 << rest) - 1;
        }
        have.count = have.blocks;
        have
    }

    /// Every slice of the blocks of `have`, in the layout of slices `layout`.
    #[must_use]
    pub fn of_slices(layout: &Layout, have: &Self) -> Self {
        let mut slices = Self::none(layout);
        for block in layout.whole().iter().filter(|block| have.has(*block)) {
            layout.slices_of(block).filter_map(|slice| layout.block(slice)).for_each(|slice| {
                slices.insert(slice);
            });
        }
        slices
    }

    /// Number of blocks of the layout.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Number of blocks in the set.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether every block is in the set.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.count == self.blocks
    }

    /// Whether `block` is in the set.
    #[must_use]
    pub fn has(&self, block: Block) -> bool {
        let (word, bit) = place(block.number());
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// Adds `block`; tells whether it is new.
    pub fn insert(&mut self, block: Block) -> bool {
        let (word, bit) = place(block.number());
        match self.words.get_mut(word) {
            Some(w) if *w & bit == 0 && block.number() < self.blocks => {
                *w |= bit;
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Removes `block`; tells whether it was there.
    pub fn remove(&mut self, block: Block) -> bool {
        let (word, bit) = place(block.number());
        match self.words.get_mut(word) {
            Some(w) if *w & bit != 0 => {
                *w &= !bit;
                self.count -= 1;
                true
            }
            _ => false,
        }
    }

    /// The first block number in `range` that is in the set (`wanted` true) or not in it (false).
    #[must_use]
    pub fn find(&self, range: Range<u64>, wanted: bool) -> Option<u64> {
        self.find_in(range, |index| {
            let word = self.words.get(index).copied().unwrap_or(0);
            if wanted { word } else { !word }
        })
    }

    /// The first block number in `range` that is in this set and in `other`, a set of the same layout.
    #[must_use]
    pub fn find_common(&self, other: &Self, range: Range<u64>) -> Option<u64> {
        self.find_in(range, |index| {
            self.words.get(index).zip(other.words.get(index)).map_or(0, |(one, two)| one & two)
        })
    }

    /// The first block number in `range` whose bit is set in the words that `word` returns by their index.
    fn find_in(&self, range: Range<u64>, word: impl Fn(usize) -> u64) -> Option<u64> {
        let end = range.end.min(self.blocks);
        let mut at = range.start;
        while at < end {
            let word = word(place(at).0) >> (at % 64);
            if word != 0 {
                let found = at + u64::from(word.trailing_zeros());
                return (found < end).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    /// The set as bytes: block `i` is bit `7 - i % 8` of byte `i / 8`; spare bits are zero.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.words.iter().flat_map(|w| w.reverse_bits().to_be_bytes());
        bytes.take(usize::try_from(self.blocks.div_ceil(8)).unwrap_or(usize::MAX)).collect()
    }

    /// Reads what [`Have::to_bytes`] wrote. `None` when the length is not the layout's, or a bit past
    /// the last block is set.
    #[must_use]
    pub fn from_bytes(layout: &Layout, bytes: &[u8]) -> Option<Self> {
        if bytes.len() as u64 != layout.blocks().div_ceil(8) {
            return None;
        }
        let mut have = Self::none(layout);
        for (word, eight) in have.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded.iter_mut().zip(eight).for_each(|(to, from)| *to = *from);
            *word = u64::from_be_bytes(padded).reverse_bits();
            have.count += u64::from(word.count_ones());
        }
        let spare = Self::all(layout).words.last().copied().map_or(0, |mask| !mask);
        (have.words.last().copied().unwrap_or(0) & spare == 0).then_some(have)
    }
}

/// Word index and bit of block `number`.
const fn place(number: u64) -> (usize, u64) {
    #[allow(clippy::cast_possible_truncation, reason = "a wrong index on a 32-bit host finds no word")]
    ((number / 64) as usize, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(blocks: u64) -> Layout {
        Layout::new(blocks, 1).unwrap()
    }

    #[test]
    fn bytes_are_most_significant_bit_first() {
        let layout = layout(10);
        let mut have = Have::none(&layout);
        assert!(have.insert(layout.block(0).unwrap()));
        assert!(!have.insert(layout.block(0).unwrap()));
        assert!(have.insert(layout.block(9).unwrap()));
        assert_eq!(have.to_bytes(), [0x80, 0x40]);
        assert_eq!(Have::from_bytes(&layout, &[0x80, 0x40]), Some(have));
        assert_eq!(Have::from_bytes(&layout, &[0x80, 0x60]), None);
        assert_eq!(Have::from_bytes(&layout, &[0x80]), None);
    }

    #[test]
    fn all_is_complete_at_word_borders() {
        for blocks in [0, 1, 63, 64, 65, 128] {
            let have = Have::all(&layout(blocks));
            assert!(have.is_complete());
            assert_eq!(have.find(0..blocks, false), None, "{blocks} blocks");
            assert_eq!(Have::from_bytes(&layout(blocks), &have.to_bytes()), Some(have));
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(blocks in 1u64..300, steps in prop::collection::vec((any::<bool>(), 0u64..300), 0..200), from in 0u64..300) {
            let layout = layout(blocks);
            let (mut have, mut model) = (Have::none(&layout), alloc::collections::BTreeSet::new());
            for (insert, number) in steps {
                let Some(block) = layout.block(number) else { continue };
                if insert {
                    prop_assert_eq!(have.insert(block), model.insert(number));
                } else {
                    prop_assert_eq!(have.remove(block), model.remove(&number));
                }
            }
            prop_assert_eq!(have.count(), model.len() as u64);
            prop_assert_eq!(have.find(from..blocks, true), model.iter().copied().find(|n| *n >= from));
            prop_assert_eq!(have.find(from..blocks, false), (from..blocks).find(|n| !model.contains(n)));
            prop_assert_eq!(Have::from_bytes(&layout, &have.to_bytes()), Some(have));
        }

        #[test]
        fn what_is_common_is_in_both(one in prop::collection::btree_set(0u64..200, 0..60), two in prop::collection::btree_set(0u64..200, 0..60), from in 0u64..200, to in 0u64..300) {
            let layout = layout(200);
            let set = |numbers: &alloc::collections::BTreeSet<u64>| {
                let mut have = Have::none(&layout);
                numbers.iter().for_each(|number| assert!(have.insert(layout.block(*number).unwrap())));
                have
            };
            let expected = one.intersection(&two).copied().find(|number| (from..to).contains(number));
            prop_assert_eq!(set(&one).find_common(&set(&two), from..to), expected);
        }
    }
}
