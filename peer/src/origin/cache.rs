//! Which parts of a file are kept when not all of it may be.
//!
//! The file is divided into *stretches*: [`STRETCH_LEN`] of neighbouring blocks, or one larger block. A stretch counts
//! with all of its pages from the moment in which the first of its blocks is asked of the origin. So the bound holds at
//! any time, whatever comes of the request.

use crate::limits::MAX_STRETCHES;
use cascade_format::{Have, Layout};
use cascade_swarm::Time;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

/// The least that is asked of the origin and dropped at once, in bytes: a request costs about as much as this many.
pub const STRETCH_LEN: u64 = 256 << 10;

/// A stretch that has come, and that nobody has read yet, is not dropped for this long: those who wait for it would
/// wait again.
pub const UNREAD: Duration = Duration::from_secs(2);

/// What file systems take and give back, in bytes.
const PAGE_LEN: u64 = 4096;

/// What a file is divided into, to be asked for and dropped.
#[derive(Debug, Clone, Copy)]
pub struct Stretches {
    layout: Layout,
    blocks: u64,
}

/// Which stretches are kept within a bound, the one first that was used last.
#[derive(Debug)]
pub struct Cache {
    stretches: Stretches,
    bound: u64,
    used: u64,
    kept: HashMap<u64, Kept>,
    /// When it was used last, and which it is.
    order: BTreeMap<u64, u64>,
    uses: u64,
}

#[derive(Debug, Default)]
struct Kept {
    used_at: u64,
    /// Requests to the origin that bring a part of it.
    flights: u32,
    /// It has come, and was not read yet, until then.
    unread_until: Option<Time>,
}

impl Stretches {
    /// Of a file of which `bound` bytes may be kept.
    #[must_use]
    pub fn new(layout: Layout, bound: u64) -> Self {
        let len = STRETCH_LEN.max((bound / MAX_STRETCHES).next_power_of_two());
        Self { layout, blocks: (len / layout.block_size().max(1)).max(1) }
    }

    /// The stretch that `block` is in.
    #[must_use]
    pub fn of(&self, block: u64) -> u64 {
        block / self.blocks
    }

    /// The blocks of a stretch.
    #[must_use]
    pub fn blocks(&self, stretch: u64) -> Range<u64> {
        let start = stretch.saturating_mul(self.blocks).min(self.layout.blocks());
        start..start.saturating_add(self.blocks).min(self.layout.blocks())
    }

    /// The bytes of blocks.
    #[must_use]
    pub fn bytes(&self, blocks: &Range<u64>) -> Range<u64> {
        let start =
            |number| self.layout.block(number).map_or(self.layout.length(), |block| self.layout.start(block));
        start(blocks.start)..start(blocks.end)
    }

    /// The bytes of the pages that blocks lie in.
    fn pages(&self, blocks: &Range<u64>) -> Range<u64> {
        let bytes = self.bytes(blocks);
        bytes.start / PAGE_LEN * PAGE_LEN..bytes.end.div_ceil(PAGE_LEN) * PAGE_LEN
    }

    fn charge(&self, stretch: u64) -> u64 {
        let pages = self.pages(&self.blocks(stretch));
        pages.end - pages.start
    }

    /// What the largest stretch takes.
    #[must_use]
    pub fn largest(&self) -> u64 {
        (0..2).map(|stretch| self.charge(stretch)).max().unwrap_or(0)
    }
}

impl Cache {
    /// Keeps at most `bound` bytes.
    #[must_use]
    pub fn new(layout: Layout, bound: u64) -> Self {
        let stretches = Stretches::new(layout, bound);
        Self { stretches, bound, used: 0, kept: HashMap::new(), order: BTreeMap::new(), uses: 0 }
    }

    /// What the file is divided into.
    #[must_use]
    pub fn stretches(&self) -> &Stretches {
        &self.stretches
    }

    /// The most that it keeps, in bytes.
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// Bytes that it keeps.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The file holds these blocks and no others: gives the stretches of them that are too many.
    pub fn restore(&mut self, have: &Have) -> Vec<u64> {
        (self.kept, self.order, self.used) = (HashMap::new(), BTreeMap::new(), 0);
        let (mut at, mut beyond) = (0, Vec::new());
        while let Some(found) = have.find(at..have.blocks(), true) {
            let stretch = self.stretches.of(found);
            at = self.stretches.blocks(stretch).end;
            let charge = self.stretches.charge(stretch);
            if self.used + charge > self.bound {
                beyond.push(stretch);
            } else {
                self.keep(stretch, charge);
            }
        }
        beyond
    }

    /// A request to the origin is to bring blocks of `stretch`. Gives the stretches that are to be dropped before;
    /// `None`: there is no room now.
    pub fn take_off(&mut self, now: Time, stretch: u64) -> Option<Vec<u64>> {
        let mut dropped = Vec::new();
        if !self.kept.contains_key(&stretch) {
            let charge = self.stretches.charge(stretch);
            let mut room = self.bound.saturating_sub(self.used);
            for other in self.order.values() {
                if room >= charge {
                    break;
                }
                if self.kept.get(other).is_some_and(|kept| kept.is_free(now)) {
                    room += self.stretches.charge(*other);
                    dropped.push(*other);
                }
            }
            if room < charge {
                return None;
            }
            dropped.iter().for_each(|other| self.drop(*other));
            self.keep(stretch, charge);
        }
        if let Some(kept) = self.kept.get_mut(&stretch) {
            kept.flights += 1;
        }
        self.touch(stretch);
        Some(dropped)
    }

    /// A request to the origin brings nothing more of `stretch`.
    pub fn land(&mut self, stretch: u64) {
        if let Some(kept) = self.kept.get_mut(&stretch) {
            kept.flights = kept.flights.saturating_sub(1);
        }
    }

    /// A block of `stretch` has come for which somebody waits.
    pub fn awaited(&mut self, now: Time, stretch: u64) {
        if let Some(kept) = self.kept.get_mut(&stretch) {
            kept.unread_until = Some(now + UNREAD);
        }
    }

    /// A block of `stretch` is read.
    pub fn read(&mut self, stretch: u64) {
        if let Some(kept) = self.kept.get_mut(&stretch) {
            kept.unread_until = None;
        }
        self.touch(stretch);
    }

    /// The bytes on the disk that nobody needs when `stretch` is dropped: also those of a page that it shares with a
    /// neighbour that is not kept either.
    #[must_use]
    pub fn hole(&self, stretch: u64) -> Range<u64> {
        let blocks = self.stretches.blocks(stretch);
        let (bytes, pages) = (self.stretches.bytes(&blocks), self.stretches.pages(&blocks));
        let is_kept = |other: u64| self.kept.contains_key(&other);
        let before = stretch.checked_sub(1).is_some_and(is_kept);
        let start = if before { bytes.start } else { pages.start };
        start..if is_kept(stretch + 1) { bytes.end } else { pages.end }
    }

    fn keep(&mut self, stretch: u64, charge: u64) {
        self.used += charge;
        self.kept.insert(stretch, Kept::default());
        self.touch(stretch);
    }

    fn drop(&mut self, stretch: u64) {
        if let Some(kept) = self.kept.remove(&stretch) {
            self.order.remove(&kept.used_at);
            self.used -= self.stretches.charge(stretch);
        }
    }

    fn touch(&mut self, stretch: u64) {
        let Some(kept) = self.kept.get_mut(&stretch) else { return };
        self.order.remove(&kept.used_at);
        self.uses += 1;
        kept.used_at = self.uses;
        self.order.insert(self.uses, stretch);
    }
}

impl Kept {
    fn is_free(&self, now: Time) -> bool {
        self.flights == 0 && self.unread_until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Time = Duration::from_secs(1);

    fn cache(length: u64, block: u64, bound: u64) -> Cache {
        Cache::new(Layout::new(length, block).unwrap(), bound)
    }

    #[test]
    fn the_stretch_that_was_used_least_recently_makes_room() {
        let mut cache = cache(4 << 20, 64 << 10, 3 * STRETCH_LEN);
        for stretch in 0..3 {
            assert_eq!(cache.take_off(SECOND, stretch), Some(vec![]));
            cache.land(stretch);
        }
        cache.read(0);
        assert_eq!(cache.take_off(SECOND, 3), Some(vec![1]));
        assert_eq!(cache.used(), cache.bound());
        // What comes, and what nobody has read yet, stays.
        cache.awaited(SECOND, 3);
        cache.land(3);
        assert_eq!(cache.take_off(SECOND, 4), Some(vec![2]));
        assert_eq!(cache.take_off(SECOND, 5), Some(vec![0]));
        assert_eq!(cache.take_off(SECOND, 6), None);
        assert_eq!(cache.take_off(SECOND + UNREAD, 6), Some(vec![3]));
    }

    #[test]
    fn what_is_there_beyond_the_bound_is_told() {
        let mut cache = cache(4 << 20, 64 << 10, 2 * STRETCH_LEN);
        let layout = Layout::new(4 << 20, 64 << 10).unwrap();
        let mut have = Have::none(&layout);
        for number in [1, 9, 40, 63] {
            have.insert(layout.block(number).unwrap());
        }
        assert_eq!(cache.restore(&have), [10, 15]);
        assert_eq!(cache.used(), cache.bound());
    }

    proptest! {
        /// Whatever is asked for, read and dropped: the pages that may be in use are never more than the bound.
        #[test]
        fn the_bound_holds(
            (length, block, bound) in (1u64..8 << 20, 1u64..700_000, 600_000u64..4 << 20),
            steps in prop::collection::vec((0u8..3, 0u64..40), 1..200),
        ) {
            let mut cache = cache(length, block, bound.max(block + 2 * PAGE_LEN));
            let stretches = length.div_ceil(block).div_ceil(cache.stretches.blocks);
            let (mut flying, mut now) = (Vec::new(), SECOND);
            for (step, number) in steps {
                let stretch = number % stretches;
                now += UNREAD / 4;
                match step {
                    0 => if let Some(dropped) = cache.take_off(now, stretch) {
                        prop_assert!(dropped.iter().all(|other| !flying.contains(other)));
                        flying.push(stretch);
                    },
                    1 => cache.read(stretch),
                    _ => if let Some(other) = flying.pop() {
                        cache.awaited(now, other);
                        cache.land(other);
                    },
                }
                let kept: u64 = cache.kept.keys().map(|stretch| cache.stretches.charge(*stretch)).sum();
                prop_assert_eq!(kept, cache.used());
                prop_assert!(kept <= cache.bound());
                prop_assert_eq!(cache.order.len(), cache.kept.len());
            }
        }
    }
}
