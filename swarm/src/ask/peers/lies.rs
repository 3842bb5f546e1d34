//! The wrong blocks that one peer sent.

use crate::Time;
use crate::ask::earliest::Earliest;
use crate::ask::tuning::Tuning;
use cascade_format::Block;
use core::time::Duration;
use hashbrown::HashMap;

/// With this number of wrong blocks a peer is left alone for good. One wrong block may be a bad sector of
/// an honest peer, whose other blocks may be needed.
pub(super) const MAX_LIES: usize = 4;

/// A block that a peer sent wrong.
#[derive(Debug, Clone, Copy)]
struct Lie {
    times: u32,
    /// When it may be asked of this peer again, where nobody else has it.
    again: Option<Time>,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::ask) struct Lies {
    lies: HashMap<Block, Lie>,
    /// Since the last right block.
    in_a_row: u32,
}

impl Lies {
    /// The peer sent `block` wrong.
    pub(super) fn add(&mut self, block: Block) {
        let lie = self.lies.entry(block).or_insert(Lie { times: 0, again: None });
        *lie = Lie { times: lie.times.saturating_add(1), again: None };
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// The peer gave a right block.
    pub(super) fn end_row(&mut self) {
        self.in_a_row = 0;
    }

    /// Nobody else has `block`: it is asked of this peer again after `pause`, and others after the time that this
    /// returns.
    pub(super) fn ask_again(
        &mut self,
        tuning: &Tuning,
        now: Time,
        block: Block,
        pause: Duration,
    ) -> Duration {
        if let Some(lie) = self.lies.get_mut(&block) {
            lie.again = Some(now + pause);
        }
        tuning.back_off(self.in_a_row.saturating_sub(1))
    }

    /// Somebody else may have `block`: it is not asked of this peer again.
    pub(in crate::ask) fn ask_no_more(&mut self, block: Block) {
        if let Some(lie) = self.lies.get_mut(&block) {
            lie.again = None;
        }
    }

    /// Whether `block` may be asked of the peer now.
    pub(super) fn may_ask(&self, now: Time, block: Block) -> bool {
        self.lies.is_empty()
            || self.lies.get(&block).is_none_or(|lie| lie.again.is_some_and(|again| again <= now))
    }

    /// Whether `block`, which the peer sent wrong, is asked of it again at some time.
    pub(in crate::ask) fn has_another_try(&self, block: Block) -> bool {
        self.lies.get(&block).is_some_and(|lie| lie.again.is_some())
    }

    /// Whether any block is asked of it again at some time.
    pub(super) fn any_other_try(&self) -> bool {
        self.lies.values().any(|lie| lie.again.is_some())
    }

    /// The blocks that it sent wrong.
    pub(in crate::ask) fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        self.lies.keys().copied()
    }

    /// Whether it sent `block` wrong.
    pub(in crate::ask) fn contains(&self, block: Block) -> bool {
        self.lies.contains_key(&block)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lies.is_empty()
    }

    /// Wrong blocks that it sent.
    pub(super) fn count(&self) -> u64 {
        self.lies.values().map(|lie| u64::from(lie.times)).sum()
    }

    /// Whether they are too many for an honest peer.
    pub(super) fn too_many(&self) -> bool {
        !self.lies.is_empty() && self.count() >= MAX_LIES as u64
    }

    /// When a block may be asked for again.
    pub(super) fn wakeups(&self, next: &mut Earliest) {
        self.lies.values().filter_map(|lie| lie.again).for_each(|again| next.passes(again));
    }
}
