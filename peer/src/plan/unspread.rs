//! Blocks that this peer got first, and that nobody has got from it yet.

use super::Time;
use cascade_format::Block;
use std::collections::VecDeque;
use std::time::Duration;

/// With so many of them, a leecher takes no more first copies from the seeder: others, whose uplinks are
/// free, can spread them sooner.
const ENOUGH: usize = 3;

/// After so long a block counts no more: perhaps nobody wants it, or those who do are gone.
const EXPIRE: Duration = Duration::from_secs(3);

/// The latest first copies, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Unspread {
    blocks: VecDeque<(Block, Time)>,
}

impl Unspread {
    /// `block` was verified here, and no other leecher is known to have it.
    pub(super) fn insert(&mut self, now: Time, block: Block) {
        self.expire(now);
        self.blocks.push_back((block, now + EXPIRE));
    }

    /// Another leecher has `block`; tells whether it was one of these.
    pub(super) fn remove(&mut self, block: Block) -> bool {
        let before = self.blocks.len();
        self.blocks.retain(|(other, _)| *other != block);
        self.blocks.len() < before
    }

    /// Whether no more first copies should be taken.
    pub(super) fn is_enough(&mut self, now: Time) -> bool {
        self.expire(now);
        self.blocks.len() >= ENOUGH
    }

    /// When that may change by time alone.
    pub(super) fn next_wakeup(&self) -> Option<Time> {
        self.blocks.front().map(|(_, expires)| *expires)
    }

    fn expire(&mut self, now: Time) {
        while self.blocks.front().is_some_and(|(_, expires)| *expires <= now) {
            self.blocks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::Layout;

    #[test]
    fn first_copies_count_until_another_has_them_or_time_is_over() {
        let layout = Layout::new(10, 1).unwrap();
        let mut unspread = Unspread::default();
        let at = Duration::from_secs;
        for number in 0..3 {
            assert!(!unspread.is_enough(at(1)));
            unspread.insert(at(1), layout.block(number).unwrap());
        }
        assert!(unspread.is_enough(at(2)));
        assert!(unspread.remove(layout.block(1).unwrap()));
        assert!(!unspread.is_enough(at(2)));
        unspread.insert(at(2), layout.block(5).unwrap());
        assert!(unspread.is_enough(at(3)));
        assert_eq!(unspread.next_wakeup(), Some(at(4)));
        assert!(!unspread.is_enough(at(4)));
    }
}
