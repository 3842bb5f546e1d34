//! Which parts of files are kept when not all of them may be (pure).
//!
//! A file is divided into *stretches*: [`STRETCH_LEN`] of neighbouring blocks, or one larger block. A stretch counts
//! with all of its pages from the moment in which the first of its blocks is asked of the origin. So the bound holds at
//! any time, whatever comes of the request.
//!
//! All files of a process have one bound, and of all their parts the one goes first that was used least recently. To take
//! something from a file that sleeps, as nobody asks for it, it must be opened. So more of it is dropped at once then.

use crate::limits::MAX_STRETCHES;
use cascade_format::{Have, Layout};
use cascade_swarm::Time;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{Range, RangeInclusive};
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

/// A part of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The file's number.
    pub file: u32,
    /// The stretch, or [`WHOLE`].
    pub stretch: u64,
}

/// A part of the file that is kept no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The blocks.
    pub blocks: Range<u64>,
    /// What the disk can have back, in bytes.
    pub hole: Range<u64>,
}

/// All that is kept of a file that sleeps, where nobody knows which blocks that is.
pub const WHOLE: u64 = u64::MAX;

/// Where something is taken from a file that sleeps, at least this share of the bound is.
const SLEEPING_SHARE: u64 = 64;

/// Which parts are kept within a bound, the one first that was used last.
#[derive(Debug)]
pub struct Cache {
    bound: u64,
    used: u64,
    kept: BTreeMap<Part, Kept>,
    /// When it was used last, and which it is.
    order: BTreeMap<u64, Part>,
    uses: u64,
    /// Dropped, but still on the disk for a moment: they are not fetched again meanwhile.
    leaving: HashSet<Part>,
    resting: HashMap<u32, Rest>,
}

/// A file that is not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Asleep,
    /// It is being opened, or read again: nothing is taken from it.
    Waking,
}

#[derive(Debug, Default)]
struct Kept {
    /// What it takes, in bytes.
    charge: u64,
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

    /// The stretches that some of these blocks are in.
    pub fn with(&self, have: &Have) -> impl Iterator<Item = u64> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let stretch = self.of(have.find(at..have.blocks(), true)?);
            at = self.blocks(stretch).end;
            Some(stretch)
        })
    }

    /// The bytes of blocks.
    #[must_use]
    pub fn bytes(&self, blocks: &Range<u64>) -> Range<u64> {
        let start =
            |number| self.layout.block(number).map_or(self.layout.length(), |block| self.layout.start(block));
        start(blocks.start)..start(blocks.end)
    }

    /// The bytes of the pages that blocks lie in.
    #[must_use]
    pub fn pages(&self, blocks: &Range<u64>) -> Range<u64> {
        let bytes = self.bytes(blocks);
        bytes.start / PAGE_LEN * PAGE_LEN..bytes.end.div_ceil(PAGE_LEN) * PAGE_LEN
    }

    /// What a stretch takes, in bytes.
    #[must_use]
    pub fn charge(&self, stretch: u64) -> u64 {
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
    pub fn new(bound: u64) -> Self {
        let (kept, order) = (BTreeMap::new(), BTreeMap::new());
        let (leaving, resting) = (HashSet::new(), HashMap::new());
        Self { bound, used: 0, kept, order, uses: 0, leaving, resting }
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

    /// Whether a part is kept.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        self.kept.contains_key(&part)
    }

    /// A part is on the disk already. False: there is no room for it.
    pub fn restore(&mut self, part: Part, charge: u64) -> bool {
        let fits = self.used + charge <= self.bound && !self.leaving.contains(&part);
        if fits {
            self.keep(part, charge);
        }
        fits
    }

    /// A file wakes up, or is read again: nothing is taken from it before it is told what there is. False: something of it is being dropped.
    pub fn wake(&mut self, file: u32) -> bool {
        let wakes = self.leaving.iter().all(|part| part.file != file);
        if wakes {
            self.resting.insert(file, Rest::Waking);
        }
        wakes
    }

    /// A file is awake: something may be taken from it.
    pub fn begin(&mut self, file: u32) {
        self.resting.remove(&file);
    }

    /// A file is awake, and it is told next what there is of it.
    pub fn forget(&mut self, file: u32) {
        self.begin(file);
        self.parts_of(file).into_iter().for_each(|part| self.drop(part));
    }

    /// A file falls asleep, or wakes up in vain.
    pub fn sleep(&mut self, file: u32) {
        self.resting.insert(file, Rest::Asleep);
        for part in self.parts_of(file) {
            if let Some(kept) = self.kept.get_mut(&part) {
                (kept.flights, kept.unread_until) = (0, None);
            }
        }
    }

    /// A request to the origin is to bring blocks of `part`, which takes `charge` bytes. Gives the parts that are to be
    /// dropped before; those of other files have [`left`](Self::left) then. `None`: there is no room now.
    pub fn take_off(&mut self, now: Time, part: Part, charge: u64) -> Option<Vec<Part>> {
        let mut dropped = Vec::new();
        if !self.kept.contains_key(&part) {
            if self.leaving.contains(&part) {
                return None;
            }
            dropped = self.room_for(now, charge)?;
            dropped.iter().for_each(|other| self.drop(*other));
            self.leaving.extend(dropped.iter().filter(|other| other.file != part.file));
            self.keep(part, charge);
        }
        if let Some(kept) = self.kept.get_mut(&part) {
            kept.flights += 1;
        }
        self.touch(part);
        Some(dropped)
    }

    /// What must be dropped to make room for this number of bytes.
    fn room_for(&self, now: Time, charge: u64) -> Option<Vec<Part>> {
        let (mut after, mut extra) = (self.used + charge, 0);
        let (mut dropped, mut asleep) = (Vec::new(), HashSet::new());
        for part in self.order.values() {
            let enough = after <= self.bound;
            if enough && (asleep.is_empty() || extra >= self.bound / SLEEPING_SHARE) {
                break;
            }
            if enough && !asleep.contains(&part.file) {
                continue;
            }
            let rest = self.resting.get(&part.file);
            let Some(kept) = self.kept.get(part).filter(|kept| kept.is_free(now)) else { continue };
            if rest == Some(&Rest::Waking) {
                continue;
            }
            if rest == Some(&Rest::Asleep) {
                asleep.insert(part.file);
                extra += kept.charge;
            }
            after = after.saturating_sub(kept.charge);
            dropped.push(*part);
        }
        (after <= self.bound).then_some(dropped)
    }

    /// A part that is not kept is still on the disk until it has [`left`](Self::left).
    pub fn leave(&mut self, part: Part) {
        self.leaving.insert(part);
    }

    /// Whether a file sleeps and nothing of it is on the disk.
    #[must_use]
    pub fn is_gone(&self, file: u32) -> bool {
        self.resting.get(&file) == Some(&Rest::Asleep)
            && self.leaving.iter().all(|part| part.file != file)
            && self.kept.range(all_parts(file)).next().is_none()
    }

    /// A part of another file that was dropped is not on the disk any more.
    pub fn left(&mut self, part: Part) {
        self.leaving.remove(&part);
    }

    /// A request to the origin brings nothing more of `part`.
    pub fn land(&mut self, part: Part) {
        if let Some(kept) = self.kept.get_mut(&part) {
            kept.flights = kept.flights.saturating_sub(1);
        }
    }

    /// A block of `part` has come for which somebody waits.
    pub fn awaited(&mut self, now: Time, part: Part) {
        if let Some(kept) = self.kept.get_mut(&part) {
            kept.unread_until = Some(now + UNREAD);
        }
    }

    /// A block of `part` is read.
    pub fn read(&mut self, part: Part) {
        if let Some(kept) = self.kept.get_mut(&part) {
            kept.unread_until = None;
        }
        self.touch(part);
    }

    fn parts_of(&self, file: u32) -> Vec<Part> {
        self.kept.range(all_parts(file)).map(|(part, _)| *part).collect()
    }

    fn keep(&mut self, part: Part, charge: u64) {
        self.drop(part);
        self.used += charge;
        self.kept.insert(part, Kept { charge, ..Kept::default() });
        self.touch(part);
    }

    fn drop(&mut self, part: Part) {
        if let Some(kept) = self.kept.remove(&part) {
            self.order.remove(&kept.used_at);
            self.used -= kept.charge;
        }
    }

    fn touch(&mut self, part: Part) {
        let Some(kept) = self.kept.get_mut(&part) else { return };
        self.order.remove(&kept.used_at);
        self.uses += 1;
        kept.used_at = self.uses;
        self.order.insert(self.uses, part);
    }
}

fn all_parts(file: u32) -> RangeInclusive<Part> {
    Part { file, stretch: 0 }..=Part { file, stretch: WHOLE }
}

impl Kept {
    fn is_free(&self, now: Time) -> bool {
        self.flights == 0 && self.unread_until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests;
