//! How many of the linked peers have each block.

use alloc::vec;
use alloc::vec::Vec;
use cascade_format::{Block, Have, Layout};

/// How many of the linked peers that have only some blocks have each block.
#[derive(Debug, Default)]
pub(in crate::ask) struct Rarity {
    /// Empty until the first such peer tells something.
    holders: Vec<u16>,
    /// Linked peers that have only some blocks.
    pub(in crate::ask) partial: usize,
}

impl Rarity {
    /// A peer has `block` now.
    pub(in crate::ask) fn more(&mut self, layout: &Layout, block: Block) {
        if self.holders.is_empty() {
            self.holders = vec![0; usize::try_from(layout.blocks()).unwrap_or(0)];
        }
        if let Some(holders) = index(block).and_then(|index| self.holders.get_mut(index)) {
            *holders = holders.saturating_add(1);
        }
    }

    /// A peer that had the blocks of `have` has left, or has everything now.
    pub(in crate::ask) fn leaves(&mut self, layout: &Layout, have: &Have) {
        self.partial = self.partial.saturating_sub(1);
        let mut at = 0;
        while let Some(number) = have.find(at..layout.blocks(), true) {
            if let Some(holders) = usize::try_from(number).ok().and_then(|index| self.holders.get_mut(index))
            {
                *holders = holders.saturating_sub(1);
            }
            at = number + 1;
        }
    }

    /// That number of each block; empty until the first such peer tells something.
    pub(in crate::ask) fn holders(&self) -> &[u16] {
        &self.holders
    }

    /// Number of linked peers that have `block`, not counting those that have all.
    pub(in crate::ask) fn of(&self, block: Block) -> u16 {
        index(block).and_then(|index| self.holders.get(index)).copied().unwrap_or(0)
    }
}

fn index(block: Block) -> Option<usize> {
    usize::try_from(block.number()).ok()
}
