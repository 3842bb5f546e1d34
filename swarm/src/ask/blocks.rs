//! In which state each block is. Three states, always disjoint: missing (and asked of nobody), in
//! flight (asked of one link, which alone may write it), verified.

use super::links::LinkId;
use cascade_format::{Block, Have, Layout};
use core::ops::Range;
use hashbrown::HashMap;

#[derive(Debug)]
pub(super) struct Blocks {
    layout: Layout,
    missing: Have,
    in_flight: HashMap<Block, LinkId>,
    verified: u64,
    missing_bytes: u64,
    /// No block before this number is missing.
    low: u64,
}

impl Blocks {
    pub(super) fn new(layout: Layout, have: &Have) -> Self {
        let mut missing = Have::all(&layout);
        let mut missing_bytes = layout.length();
        for block in layout.iter().filter(|block| have.has(*block)) {
            missing.remove(block);
            missing_bytes -= layout.len_of(block);
        }
        let verified = layout.blocks() - missing.count();
        Self { layout, missing, in_flight: HashMap::new(), verified, missing_bytes, low: 0 }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn is_complete(&self) -> bool {
        self.verified == self.layout.blocks()
    }

    /// Number of blocks that this peer has.
    pub(super) fn verified(&self) -> u64 {
        self.verified
    }

    /// Number of blocks that nobody has been asked for.
    pub(super) fn missing(&self) -> u64 {
        self.missing.count()
    }

    /// Number of blocks that this peer does not have.
    pub(super) fn unverified(&self) -> u64 {
        self.layout.blocks() - self.verified
    }

    /// Bytes that nobody has been asked for.
    pub(super) fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    /// Blocks that are in flight, in no order.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = Block> + '_ {
        self.in_flight.keys().copied()
    }

    /// Whether this peer has it.
    pub(super) fn is_verified(&self, block: Block) -> bool {
        !self.missing.has(block) && !self.in_flight.contains_key(&block)
    }

    pub(super) fn is_missing(&self, block: Block) -> bool {
        self.missing.has(block)
    }

    /// The first missing block at or after number `from`.
    pub(super) fn missing_from(&self, from: u64) -> Option<Block> {
        let found = self.missing.find(from.max(self.low)..self.layout.blocks(), true)?;
        self.layout.block(found)
    }

    /// The missing blocks with numbers in `range`, of those in `have` (`None`: of all), in order.
    pub(super) fn find_missing<'a>(
        &'a self,
        have: Option<&'a Have>,
        range: Range<u64>,
    ) -> impl Iterator<Item = Block> + 'a {
        let mut at = range.start.max(self.low);
        core::iter::from_fn(move || {
            let found = match have {
                Some(have) => self.missing.find_common(have, at..range.end)?,
                None => self.missing.find(at..range.end, true)?,
            };
            at = found + 1;
            self.layout.block(found)
        })
    }

    /// The first missing block.
    pub(super) fn first_missing(&mut self) -> Option<Block> {
        let first = self.missing_from(0)?;
        self.low = first.number();
        Some(first)
    }

    /// Missing → in flight. Tells whether the block was missing.
    pub(super) fn take(&mut self, block: Block, link: LinkId) -> bool {
        let taken = self.missing.remove(block);
        if taken {
            self.missing_bytes -= self.layout.len_of(block);
            self.in_flight.insert(block, link);
        }
        taken
    }

    /// In flight on `link` → missing. Tells whether the block was in flight there.
    pub(super) fn give_back(&mut self, block: Block, link: LinkId) -> bool {
        let ours = self.in_flight.get(&block) == Some(&link);
        if ours {
            self.in_flight.remove(&block);
            self.missing.insert(block);
            self.missing_bytes += self.layout.len_of(block);
            self.low = self.low.min(block.number());
        }
        ours
    }

    /// Any state → verified. Tells whether that is new. (A block that is hashed while its link is
    /// closed was given back before: it is missing then, or in flight again.)
    pub(super) fn verify(&mut self, block: Block) -> bool {
        let was_missing = self.missing.remove(block);
        if was_missing {
            self.missing_bytes -= self.layout.len_of(block);
        }
        let new = was_missing | self.in_flight.remove(&block).is_some();
        self.verified += u64::from(new);
        new
    }

    /// Invariant *disjoint*: missing + in flight + verified = n.
    pub(super) fn assert_disjoint(&self) {
        debug_assert_eq!(
            self.missing.count() + self.in_flight.len() as u64 + self.verified,
            self.layout.blocks(),
            "every block is missing, in flight or verified"
        );
    }
}
