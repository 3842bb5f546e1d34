//! The blocks that are verified and on disk, as many threads see them.

use cascade_format::{Block, Have, Layout};
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of blocks that grows while others read it. A block is in it only when its bytes are at their
/// place in the data file and have the right hash; nothing else is ever served (invariant *have*).
#[derive(Debug)]
pub struct HaveMap {
    words: Box<[AtomicU64]>,
    count: AtomicU64,
    layout: Layout,
}

impl HaveMap {
    /// The map that says what `have` says.
    #[must_use]
    pub fn new(layout: Layout, have: &Have) -> Self {
        let words = usize::try_from(layout.blocks().div_ceil(64)).unwrap_or(usize::MAX);
        let map =
            Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), count: AtomicU64::new(0), layout };
        map.replace(have);
        map
    }

    /// Says from now on what `have` says. Used when a file is checked again; readers may see a mixture
    /// of old and new for a moment, so a caller that takes blocks away withdraws all of them first.
    pub fn replace(&self, have: &Have) {
        for block in self.layout.iter() {
            if have.has(block) {
                self.publish(block);
            }
        }
    }

    /// Adds a block that is verified and on disk; tells whether it is new.
    pub fn publish(&self, block: Block) -> bool {
        let Some((word, bit)) = self.place(block) else { return false };
        // Release: a thread that sees the bit sees the write of the block's bytes that came before it.
        let new = word.fetch_or(bit, Ordering::Release) & bit == 0;
        if new {
            self.count.fetch_add(1, Ordering::Release);
        }
        new
    }

    /// Takes `block` away; tells whether it was there.
    pub fn withdraw(&self, block: Block) -> bool {
        let Some((word, bit)) = self.place(block) else { return false };
        let was = word.fetch_and(!bit, Ordering::AcqRel) & bit != 0;
        if was {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        was
    }

    /// Takes every block away: the data file is not what it was.
    pub fn withdraw_all(&self) {
        for word in &self.words {
            let gone = word.swap(0, Ordering::AcqRel).count_ones();
            self.count.fetch_sub(u64::from(gone), Ordering::AcqRel);
        }
    }

    /// Whether `block` is verified and on disk.
    #[must_use]
    pub fn has(&self, block: Block) -> bool {
        self.place(block).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// How the file is divided into blocks.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Number of blocks that are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether all are.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.count() == self.layout.blocks()
    }

    /// The set as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Have {
        let mut have = Have::none(&self.layout);
        for block in self.layout.iter().filter(|block| self.has(*block)) {
            have.insert(block);
        }
        have
    }

    /// A bit for each block, least significant first.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().map(|word| word.load(Ordering::Acquire))
    }

    fn place(&self, block: Block) -> Option<(&AtomicU64, u64)> {
        let word = usize::try_from(block.number() / 64).ok()?;
        Some((self.words.get(word)?, 1 << (block.number() % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_snapshots() {
        let layout = Layout::new(130, 1).unwrap();
        let map = HaveMap::new(layout, &Have::none(&layout));
        let last = layout.block(129).unwrap();
        assert!(map.publish(last) && !map.publish(last));
        assert_eq!((map.count(), map.has(last)), (1, true));
        let snapshot = map.snapshot();
        assert!(snapshot.has(last) && snapshot.count() == 1);
        assert_eq!(map.words().collect::<Vec<_>>(), [0, 0, 2]);
        map.replace(&Have::all(&layout));
        assert!(map.is_complete());
        assert!(map.withdraw(last) && !map.withdraw(last));
        assert_eq!((map.count(), map.has(last)), (129, false));
        assert!(map.publish(last));
        map.withdraw_all();
        assert_eq!((map.count(), map.has(last)), (0, false));
    }
}
