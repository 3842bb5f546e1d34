//! In which state each block is. Three states, always disjoint: missing (and asked of nobody), in
//! flight (asked of one link, which alone may write it), verified.
//!
//! In a layout of slices each slice has its state. A whole block may be in flight, too: then all of its slices that were
//! missing are, on one link.

use super::links::LinkId;
use cascade_format::{Block, Have, Layout};
use core::ops::Range;
use hashbrown::HashMap;

/// Where a block was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InFlight {
    link: LinkId,
    /// It is a slice, and the whole block that it is a part of was asked for.
    whole: bool,
}

/// How many slices of a block are missing, and in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    missing: u64,
    in_flight: u64,
}

#[derive(Debug)]
pub(super) struct Blocks {
    layout: Layout,
    missing: Have,
    in_flight: HashMap<Block, InFlight>,
    /// Of each block that is divided into slices, by its first slice, once one of these was asked for, and until all are
    /// verified. A block may have very many slices, and in the endgame it is looked at for every one that arrives.
    parts: HashMap<Block, Part>,
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
        Self {
            layout,
            missing,
            in_flight: HashMap::new(),
            parts: HashMap::new(),
            verified,
            missing_bytes,
            low: 0,
        }
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

    /// Number of blocks that this peer does not have; of blocks that are divided into slices, those of which it lacks a
    /// slice.
    pub(super) fn incomplete(&self) -> u64 {
        if !self.are_sliced() {
            return self.layout.blocks() - self.verified;
        }
        let lacks = |block: &Block| {
            !self.meant(self.layout.first_slice(*block), true).all(|slice| self.is_verified(slice))
        };
        self.layout.whole().iter().filter(lacks).count() as u64
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

    /// Whether blocks are divided into slices.
    pub(super) fn are_sliced(&self) -> bool {
        self.layout.slices_a_block() > 1
    }

    /// Whether the link may be asked for `slice`: the slice that is verified before it is verified, or asked of the same
    /// link.
    pub(super) fn can_be_verified(&self, slice: Block, link: Option<LinkId>) -> bool {
        let Some(before) = self.layout.verified_before(slice) else { return true };
        match self.in_flight.get(&before) {
            Some(there) => Some(there.link) == link && !there.whole,
            None => !self.missing.has(before),
        }
    }

    /// Whether the block is asked of this link.
    pub(super) fn is_in_flight_on(&self, block: Block, link: LinkId) -> bool {
        self.in_flight.get(&block).is_some_and(|there| there.link == link)
    }

    /// The first slice of the block that `slice` is a part of that is not verified.
    pub(super) fn first_unverified(&self, slice: Block) -> Option<Block> {
        self.meant(slice, true).find(|slice| !self.is_verified(*slice))
    }

    /// Whether nothing is there of the block that `slice` is a part of, and nothing of it is in flight.
    pub(super) fn is_untouched(&self, slice: Block) -> bool {
        self.missing.find(self.slices_with(slice), false).is_none()
    }

    /// Whether nothing is in flight of the block that `slice` is a part of.
    pub(super) fn is_at_rest(&self, slice: Block) -> bool {
        if !self.are_sliced() {
            return !self.in_flight.contains_key(&slice);
        }
        self.parts.get(&self.name_of_whole(slice)).is_none_or(|part| part.in_flight == 0)
    }

    /// Whether no block is missing of which nothing is in flight.
    pub(super) fn none_at_rest(&self) -> bool {
        if self.missing_bytes == 0 {
            return true;
        }
        let begun_at_most = (self.in_flight.len() as u64).saturating_mul(self.layout.slices_a_block());
        self.are_sliced()
            && self.missing.count() <= begun_at_most
            && self.find_missing(None, 0..self.layout.blocks()).all(|slice| !self.is_at_rest(slice))
    }

    /// Bytes that are missing of the block that `slice`, which is in flight, is a part of.
    pub(super) fn missing_with(&self, slice: Block) -> u64 {
        let part = self.parts.get(&self.name_of_whole(slice));
        part.map_or(0, |part| part.missing.saturating_mul(self.layout.block_size()))
    }

    /// Changes what is counted of the block that `slice` is a part of. Call it before the slice's own state changes.
    fn count(&mut self, slice: Block, change: impl FnOnce(&mut Part)) {
        if !self.are_sliced() {
            return;
        }
        let name = self.name_of_whole(slice);
        let now = || {
            let missing = self.meant(name, true).filter(|slice| self.missing.has(*slice)).count();
            let in_flight = self.meant(name, true).filter(|slice| self.in_flight.contains_key(slice)).count();
            Part { missing: missing as u64, in_flight: in_flight as u64 }
        };
        let mut part = self.parts.get(&name).copied().unwrap_or_else(now);
        change(&mut part);
        if part == (Part { missing: 0, in_flight: 0 }) {
            self.parts.remove(&name);
        } else {
            self.parts.insert(name, part);
        }
    }

    /// Whether all slices of the block that `slice` is a part of are in `have`; `None` has all. The last one is there
    /// only if all others are.
    pub(super) fn is_all_in(&self, have: Option<&Have>, slice: Block) -> bool {
        let last = self.layout.block(self.slices_with(slice).end.saturating_sub(1));
        have.is_none_or(|have| last.is_some_and(|last| have.has(last)))
    }

    /// The first slice of the block that `slice` is a part of: it names that block.
    pub(super) fn name_of_whole(&self, slice: Block) -> Block {
        self.layout.first_slice(self.layout.block_of(slice))
    }

    /// By which number it is noted whether a peer lacks the block, or has sent it wrong. All of a block that is divided
    /// into slices (`whole`) is noted as its last slice: whoever has that one has all of them.
    pub(super) fn noted_as(&self, block: Block, whole: bool) -> Block {
        let last = || self.layout.block(self.slices_with(block).end.saturating_sub(1));
        if whole { last().unwrap_or(block) } else { block }
    }

    /// Bytes of the block that `slice` is a part of.
    pub(super) fn len_of_whole(&self, slice: Block) -> u64 {
        let whole = self.layout.whole();
        whole.len_of(self.layout.block_of(slice))
    }

    fn slices_with(&self, slice: Block) -> Range<u64> {
        self.layout.slices_of(self.layout.block_of(slice))
    }

    /// The missing blocks with numbers in `range`, of those in `have` (`None`: of all), in order; of each block that is
    /// divided into slices the first one.
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
            let found = self.layout.block(found)?;
            at = self.slices_with(found).end;
            Some(found)
        })
    }

    /// The block behind `block`; in a layout of slices, the first slice of the next block.
    pub(super) fn after(&self, block: Block) -> u64 {
        self.slices_with(block).end
    }

    /// The first missing block.
    pub(super) fn first_missing(&mut self) -> Option<Block> {
        let first = self.missing_from(0)?;
        self.low = first.number();
        Some(first)
    }

    /// Missing → in flight; with `whole`, all missing slices of the block that `block` is the first slice of.
    pub(super) fn take(&mut self, block: Block, link: LinkId, whole: bool) {
        for block in self.meant(block, whole) {
            if self.missing.has(block) {
                self.count(block, |part| {
                    part.missing -= 1;
                    part.in_flight += 1;
                });
                self.missing.remove(block);
                self.missing_bytes -= self.layout.len_of(block);
                self.in_flight.insert(block, InFlight { link, whole });
            }
        }
    }

    /// In flight on `link` → missing, as it was taken. Tells whether any of it was in flight there.
    pub(super) fn give_back(&mut self, block: Block, link: LinkId, whole: bool) -> bool {
        let mut any = false;
        for block in self.meant(block, whole) {
            if self.in_flight.get(&block) == Some(&InFlight { link, whole }) {
                self.count(block, |part| {
                    part.missing += 1;
                    part.in_flight -= 1;
                });
                self.in_flight.remove(&block);
                self.missing.insert(block);
                self.missing_bytes += self.layout.len_of(block);
                self.low = self.low.min(block.number());
                any = true;
            }
        }
        any
    }

    /// The block, or all slices of the one that it is the first slice of.
    fn meant(&self, block: Block, whole: bool) -> impl Iterator<Item = Block> + use<> {
        let (layout, number) = (self.layout, block.number());
        let numbers = if whole { self.slices_with(block) } else { number..number + 1 };
        numbers.filter_map(move |number| layout.block(number))
    }

    /// Any state → verified; with `whole`, all slices of the block that `block` is the first slice of. Returns the bytes
    /// of which that is new. (A block that is hashed while its link is closed was given back before: it is missing then,
    /// or in flight again.)
    pub(super) fn verify(&mut self, block: Block, whole: bool) -> u64 {
        let mut bytes = 0;
        for block in self.meant(block, whole) {
            bytes += if self.verify_one(block) { self.layout.len_of(block) } else { 0 };
        }
        bytes
    }

    fn verify_one(&mut self, block: Block) -> bool {
        if self.is_verified(block) {
            return false;
        }
        let was_missing = self.missing.has(block);
        self.count(block, |part| {
            *(if was_missing { &mut part.missing } else { &mut part.in_flight }) -= 1;
        });
        if was_missing {
            self.missing.remove(block);
            self.missing_bytes -= self.layout.len_of(block);
        }
        let new = was_missing | self.in_flight.remove(&block).is_some();
        self.verified += u64::from(new);
        new
    }

    /// What is counted of each block is what it has.
    #[cfg(test)]
    pub(super) fn assert_parts(&self) {
        for (name, part) in &self.parts {
            let missing = self.meant(*name, true).filter(|slice| self.missing.has(*slice)).count() as u64;
            let in_flight =
                self.meant(*name, true).filter(|slice| self.in_flight.contains_key(slice)).count();
            assert_eq!(*part, Part { missing, in_flight: in_flight as u64 }, "block of slice {name}");
        }
        let begun = self.in_flight.keys().filter(|_| self.are_sliced());
        begun.for_each(|slice| assert!(self.parts.contains_key(&self.name_of_whole(*slice)), "{slice}"));
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
