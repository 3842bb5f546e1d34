//! Which blocks there are, at one moment.

use crate::ground::HaveMap;
use std::ops::Range;
use std::sync::Arc;

/// A set of blocks. To clone it is cheap, and a set of all blocks or of none takes no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSet {
    blocks: u64,
    count: u64,
    /// A bit for each block, least significant first; empty for all blocks or none.
    words: Arc<[u64]>,
}

impl BlockSet {
    /// No block of `blocks`.
    pub(crate) fn none(blocks: u64) -> Self {
        Self { blocks, count: 0, words: Arc::default() }
    }

    /// Every block of `blocks`.
    pub(crate) fn all(blocks: u64) -> Self {
        Self { blocks, count: blocks, words: Arc::default() }
    }

    /// The blocks that `map` has now.
    pub(crate) fn of(map: &HaveMap) -> Self {
        let blocks = map.layout().blocks();
        if map.is_complete() { Self::all(blocks) } else { Self::new(blocks, map.words()) }
    }

    /// The blocks whose bits are set in `words`, least significant first.
    pub(crate) fn new(blocks: u64, words: impl Iterator<Item = u64>) -> Self {
        let words: Arc<[u64]> = words.collect();
        let count = words.iter().map(|word| u64::from(word.count_ones())).sum();
        if count == 0 || count == blocks {
            return Self { blocks, count, words: Arc::default() };
        }
        Self { blocks, count, words }
    }

    /// Number of the blocks of the file.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Number of the blocks in the set.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether all blocks are in the set.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.count == self.blocks
    }

    /// Whether block `number` is in the set.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        if self.words.is_empty() {
            return number < self.blocks && self.count > 0;
        }
        let word = usize::try_from(number / 64).ok().and_then(|index| self.words.get(index));
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The blocks of the set as runs of neighbours, in order.
    pub fn runs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, true)?;
            at = self.next(start, false).unwrap_or(self.blocks);
            Some(start..at)
        })
    }

    /// How many of the blocks in `range` are in the set.
    #[must_use]
    pub fn count_in(&self, range: Range<u64>) -> u64 {
        let range = range.start.min(self.blocks)..range.end.min(self.blocks);
        if self.words.is_empty() {
            return if self.count > 0 { range.end.saturating_sub(range.start) } else { 0 };
        }
        let (mut count, mut at) = (0, range.start);
        while at < range.end {
            let (bit, left) = (at % 64, (range.end - at).min(64 - at % 64));
            let mask = if left == 64 { u64::MAX } else { ((1 << left) - 1) << bit };
            count += u64::from((self.word(at) & mask).count_ones());
            at += left;
        }
        count
    }

    /// The first block at or after `from` that is in the set, or is not.
    fn next(&self, from: u64, wanted: bool) -> Option<u64> {
        if self.words.is_empty() {
            return (from < self.blocks && wanted == (self.count > 0)).then_some(from);
        }
        let mut at = from;
        while at < self.blocks {
            let word = if wanted { self.word(at) } else { !self.word(at) } >> (at % 64);
            if word != 0 {
                return Some(at + u64::from(word.trailing_zeros())).filter(|found| *found < self.blocks);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    /// The word that has the bit of block `number`.
    fn word(&self, number: u64) -> u64 {
        usize::try_from(number / 64).ok().and_then(|index| self.words.get(index)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(blocks: u64, has: impl Fn(u64) -> bool) -> BlockSet {
        let word = |word: u64| {
            (0..64)
                .filter(|bit| word * 64 + bit < blocks && has(word * 64 + bit))
                .fold(0, |bits, bit| bits | 1 << bit)
        };
        BlockSet::new(blocks, (0..blocks.div_ceil(64)).map(word))
    }

    #[test]
    fn all_and_none_take_no_memory() {
        for (has, count) in [(true, 130), (false, 0)] {
            let set = set(130, |_| has);
            assert!(set.words.is_empty());
            assert_eq!(
                (set.count(), set.is_complete(), set.has(129), set.has(130)),
                (count, has, has, false)
            );
            assert_eq!(set.runs().next(), has.then_some(0..130));
            assert_eq!(set.count_in(100..200), if has { 30 } else { 0 });
        }
        assert_eq!(BlockSet::none(0).runs().count(), 0);
    }

    proptest! {
        #[test]
        fn runs_and_counts_are_those_of_a_set(blocks in 1u64..300, members in prop::collection::btree_set(0u64..300, 0..80), from in 0u64..320, to in 0u64..320) {
            let is_in = |number| number < blocks && members.contains(&number);
            let set = set(blocks, is_in);
            let numbers: Vec<u64> = set.runs().flatten().collect();
            prop_assert_eq!(&numbers, &(0..blocks).filter(|number| is_in(*number)).collect::<Vec<_>>());
            prop_assert_eq!(set.count(), numbers.len() as u64);
            prop_assert!((0..320).all(|number| set.has(number) == is_in(number)));
            prop_assert_eq!(set.count_in(from..to), (from..to).filter(|number| is_in(*number)).count() as u64);
        }
    }
}
