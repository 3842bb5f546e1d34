//! What a peer said to lack, and how often it is asked after many refusals.

use crate::Time;
use crate::ask::tuning::Tuning;
use alloc::collections::VecDeque;
use cascade_format::Block;
use core::time::Duration;
use hashbrown::HashMap;

/// Lacking blocks remembered of one peer.
const MAX_LACKS: usize = 1024;

/// The refusals of one peer.
#[derive(Debug)]
pub(in crate::ask) struct Refusals {
    tuning: &'static Tuning,
    /// Until when a block is believed to be lacking.
    lacks: HashMap<Block, Time>,
    order: VecDeque<Block>,
    in_a_row: u32,
    /// It has lacked a block: it is a leecher.
    any: bool,
    pause_until: Time,
    /// When the first of the blocks that it lacked is believed to be lacking no more.
    recheck_at: Time,
    /// When the last of them is. A look at it in between may pass over all that it may be asked for; this one does not.
    lacks_until: Time,
}

impl Refusals {
    pub(super) fn none(tuning: &'static Tuning, now: Time) -> Self {
        Self {
            tuning,
            lacks: HashMap::new(),
            order: VecDeque::new(),
            in_a_row: 0,
            any: false,
            pause_until: now,
            recheck_at: now,
            lacks_until: now,
        }
    }

    /// The peer said that it lacks `block`, which may change: it is believed for this long.
    pub(in crate::ask) fn add(&mut self, now: Time, block: Block, believed: Duration) {
        let end = now + believed.min(self.tuning.lack_believed());
        if self.lacks.insert(block, end).is_none() {
            self.order.push_back(block);
        }
        if self.order.len() > MAX_LACKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.lacks.remove(&oldest);
        }
        (self.in_a_row, self.any) = (self.in_a_row + 1, true);
        self.recheck_at = if self.recheck_at > now { self.recheck_at.min(end) } else { end };
        self.lacks_until = self.lacks_until.max(end);
        if self.in_a_row >= self.tuning.many_refusals {
            // A refusal is cheap, and one block that it has pays for many.
            self.pause_until = now + self.next_pause();
        }
    }

    /// The pause grows with the square of the refusals: slowly at first.
    fn next_pause(&self) -> Duration {
        let many = self.tuning.many_refusals;
        let part = f64::from((self.in_a_row - many).min(many)) / f64::from(many);
        self.tuning.pause.mul_f64(part * part)
    }

    /// The peer gave a block.
    pub(super) fn end_row(&mut self) {
        self.in_a_row = 0;
    }

    /// The peer told that it has `block` now.
    pub(in crate::ask) fn gained(&mut self, block: Block) {
        self.lacks.remove(&block);
        self.in_a_row = 0;
        self.pause_until = Time::ZERO;
    }

    /// The peer told that it has every block, and gives any.
    pub(in crate::ask) fn lacks_nothing(&mut self) {
        self.lacks.clear();
        self.order.clear();
        self.in_a_row = 0;
        self.pause_until = Time::ZERO;
    }

    /// Whether it is believed that the peer lacks `block`.
    pub(super) fn lacks(&self, now: Time, block: Block) -> bool {
        self.lacks.get(&block).is_some_and(|until| *until > now)
    }

    /// Whether there are blocks that it said to lack.
    pub(super) fn lacks_anything(&self) -> bool {
        !self.lacks.is_empty()
    }

    /// Whether the peer is not asked for the moment because of its refusals.
    pub(in crate::ask) fn is_paused(&self, now: Time) -> bool {
        now < self.pause_until
    }

    /// Until when it is not.
    pub(super) fn pause_until(&self) -> Time {
        self.pause_until
    }

    /// Refusals since the last block that it gave or told of.
    pub(in crate::ask) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Whether it has ever refused a block: it is a leecher.
    pub(in crate::ask) fn any(&self) -> bool {
        self.any
    }

    /// When the peer may be asked for more than now.
    pub(super) fn wakeups(&self) -> [Time; 3] {
        [self.pause_until, self.recheck_at, self.lacks_until]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::Layout;

    #[test]
    fn lacking_blocks_are_bounded_and_a_block_that_was_gained_ends_the_pause() {
        let layout = Layout::new(4096, 1).unwrap();
        let tuning = &Tuning::DEFAULT;
        let mut refusals = Refusals::none(tuning, Time::ZERO);
        layout.iter().for_each(|block| refusals.add(Time::ZERO, block, Duration::MAX));
        assert_eq!((refusals.lacks.len(), refusals.order.len()), (MAX_LACKS, MAX_LACKS));
        assert!(refusals.is_paused(tuning.pause / 2) && !refusals.is_paused(tuning.pause));
        let last = layout.block(4095).unwrap();
        assert!(refusals.lacks(Time::ZERO, last) && !refusals.lacks(tuning.lack_believed(), last));
        refusals.gained(last);
        assert!(!refusals.lacks(Time::ZERO, last) && !refusals.is_paused(Time::ZERO));
    }
}
