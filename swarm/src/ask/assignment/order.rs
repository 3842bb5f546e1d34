//! Which missing block is next.

use crate::ask::blocks::Blocks;
use crate::ask::known::Random;
use crate::ask::links::Rarity;
use crate::ask::tuning::Tuning;
use cascade_format::{Block, Have};

/// The order in which blocks are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In random order, so that leechers get different blocks and can help each other. A download that is so fast that
    /// random order would delay the whole-file hash draws from a narrow window and comes close to the order of the
    /// file.
    Random,
    /// From the first block to the last.
    Sequential,
}

/// Blocks that a peer lacks and that are passed over before the search ends.
const MAX_TRIES: usize = 32;

/// Blocks that are compared to find a rare one.
const MAX_CANDIDATES: usize = 2048;

/// A spread below this is not worth a second reading, in bytes.
const MIN_SPREAD: f64 = (16 << 20) as f64;

#[derive(Debug)]
pub(super) struct Picker {
    order: Order,
    tuning: &'static Tuning,
}

impl Picker {
    pub(super) fn new(order: Order, tuning: &'static Tuning) -> Self {
        Self { order, tuning }
    }

    /// A missing block for a link whose last one was `last`; `may_ask` tells which it may be asked for,
    /// and `scattered` that its peer lacked the last one. `rate` is that of all links, in bytes a second.
    ///
    /// A run goes on only while its blocks come: a peer that lacks them may be asked once a second, and a long run
    /// of what it lacks would keep it from being asked for what it has got meanwhile. By a draw it is asked for the
    /// first one, for it may get its blocks in order, or at any place, for it may never get the first ones.
    pub(super) fn pick(
        &self,
        blocks: &mut Blocks,
        may_ask: &dyn Fn(&Blocks, Block) -> bool,
        scattered: bool,
        last: Option<Block>,
        rate: f64,
        random: &mut Random,
    ) -> Option<Block> {
        if !scattered
            && let Some(next) = last.and_then(|last| self.next_of_run(blocks, last))
            && blocks.is_missing(next)
            && may_ask(blocks, next)
        {
            return Some(next);
        }
        let first = blocks.first_missing()?;
        let start = if scattered {
            if random().is_multiple_of(2) { first.number() } else { anywhere(blocks, first, random) }
        } else {
            let start = match self.order {
                Order::Sequential => first.number(),
                Order::Random => first.number() + random() % self.spread(blocks, first, rate),
            };
            // A peer that has what is asked is asked in runs.
            start - start % self.run_blocks(blocks)
        };
        search(blocks, may_ask, start).or_else(|| search(blocks, may_ask, 0))
    }
}

impl Picker {
    /// The rarest missing block of those in `have` (`None`: of all), for a link whose last one was
    /// `last`. Among equally rare ones the draw decides, so that leechers that see the same take
    /// different ones.
    #[allow(clippy::too_many_arguments, reason = "all that the choice depends on")]
    pub(super) fn rarest(
        &self,
        blocks: &mut Blocks,
        have: Option<&Have>,
        rarity: &Rarity,
        may_ask: &dyn Fn(&Blocks, Block) -> bool,
        last: Option<Block>,
        rate: f64,
        random: &mut Random,
    ) -> Option<Block> {
        let has = |blocks: &Blocks, block| have.is_none_or(|have| have.has(block)) && may_ask(blocks, block);
        if let Some(next) = last.and_then(|last| self.next_of_run(blocks, last))
            && blocks.is_missing(next)
            && has(blocks, next)
        {
            return Some(next);
        }
        let first = blocks.first_missing()?;
        let blocks = &*blocks;
        let find = |range| {
            blocks.find_missing(have, range).filter(|block| may_ask(blocks, *block)).take(MAX_CANDIDATES)
        };
        let all = blocks.layout().blocks();
        if self.order == Order::Sequential {
            return find(first.number()..all).next();
        }
        // Only where hashing is what is scarce does the file's hash matter more than variety.
        let spread = if rate < self.tuning.fast_rate {
            all - first.number()
        } else {
            self.spread(blocks, first, rate)
        };
        let start = first.number() + random() % spread.max(1);
        let start = start - start % self.run_blocks(blocks);
        let window = first.number().saturating_add(spread);
        let near = find(start..window).chain(find(0..start));
        // A fair draw among the rarest: the first one found would be the same for all leechers.
        let (mut best, mut equals): (Option<(u16, Block)>, u64) = (None, 0);
        for block in near.chain(find(window..all).take(1)) {
            let holders = rarity.of(block);
            if best.is_none_or(|(fewest, _)| holders < fewest) {
                (best, equals) = (Some((holders, block)), 1);
            } else if best.is_some_and(|(fewest, _)| holders == fewest) {
                equals += 1;
                if random().is_multiple_of(equals) {
                    best = Some((holders, block));
                }
            }
        }
        best.map(|(_, block)| block)
    }
}

/// The first block from `start` on that is missing and may be asked for.
fn search(blocks: &Blocks, may_ask: &dyn Fn(&Blocks, Block) -> bool, start: u64) -> Option<Block> {
    let mut at = start;
    for _ in 0..MAX_TRIES {
        let block = blocks.missing_from(at)?;
        if may_ask(blocks, block) {
            return Some(block);
        }
        at = blocks.after(block);
    }
    None
}

/// The number of some block, from the first missing one on.
fn anywhere(blocks: &Blocks, first: Block, random: &mut Random) -> u64 {
    let left = blocks.layout().blocks() - first.number();
    first.number() + random() % left.max(1)
}

impl Picker {
    /// Number of blocks, at least 1, from the first missing one, among which the next is drawn.
    fn spread(&self, blocks: &Blocks, first: Block, rate: f64) -> u64 {
        let all = blocks.layout().blocks() - first.number();
        if rate <= 0.0 {
            return all.max(1);
        }
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = blocks.missing_bytes() as f64 / rate * self.tuning.hash_lead;
        if bytes < MIN_SPREAD {
            return 1;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
        let spread = bytes as u64 / blocks.layout().block_size();
        spread.clamp(1, all.max(1))
    }

    fn run_blocks(&self, blocks: &Blocks) -> u64 {
        (self.tuning.run_len / blocks.layout().block_size()).max(1)
    }

    /// The block after `last`, if it belongs to the same run.
    fn next_of_run(&self, blocks: &Blocks, last: Block) -> Option<Block> {
        let next = blocks.layout().next(last)?;
        (!next.number().is_multiple_of(self.run_blocks(blocks))).then_some(next)
    }
}
