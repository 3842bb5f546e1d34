//! The order in which blocks came, so that each subscriber is told what is new for it.

use crate::limits::HAVE_LOG_LEN;
use alloc::collections::VecDeque;
use cascade_format::Block;

/// The latest blocks. If a subscriber has not been told blocks that are forgotten here, it is told the whole have map
/// again.
#[derive(Debug, Default)]
pub struct HaveLog {
    blocks: VecDeque<Block>,
    base: u64,
}

impl HaveLog {
    /// Appends a block that is new.
    pub fn push(&mut self, block: Block) {
        self.blocks.push_back(block);
        if self.blocks.len() > HAVE_LOG_LEN {
            self.blocks.pop_front();
            self.base += 1;
        }
    }

    /// The number of blocks that were ever appended.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.base + self.blocks.len() as u64
    }

    /// Block number `at` of the log; `None` if it is forgotten, or not appended yet.
    #[must_use]
    pub fn get(&self, at: u64) -> Option<Block> {
        let index = usize::try_from(at.checked_sub(self.base)?).ok()?;
        self.blocks.get(index).copied()
    }

    /// Whether block number `at` of the log is forgotten.
    #[must_use]
    pub fn has_forgotten(&self, at: u64) -> bool {
        at < self.base
    }
}
