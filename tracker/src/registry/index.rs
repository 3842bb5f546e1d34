//! A hash table of `u32`s that grows and shrinks in small steps.
//!
//! It is linear hashing (Litwin, 1980): many small tables, of which one is split in two whenever the
//! average load passes a target, and the last is merged back when the load falls. No insertion or
//! removal ever moves more than one small table, however many millions of values there are.

use hashbrown::HashTable;

/// Average number of values in a part at which the next part is split. Parts that wait for their
/// split hold up to twice as many: 360 and their scatter still fit the 448 values of a table of 512
/// places.
const SPLIT_LOAD: usize = 180;

/// Average number of values in a part below which the last part is merged into its origin.
const MERGE_LOAD: usize = 60;

/// Values (not `u32::MAX`) found by their hash; what a value stands for, only the caller knows: it passes the hash, and
/// a function that gives the hash of a value that is already there.
#[derive(Debug)]
pub(super) struct Index {
    parts: Vec<HashTable<u32>>,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { parts: vec![HashTable::new()], len: 0 }
    }

    /// An empty one, in the form that it has with this number of values: 7 bytes for each. Values come into it at half
    /// the price.
    pub(super) fn with_room(values: usize) -> Self {
        let parts = (values / SPLIT_LOAD).max(1);
        Self { parts: (0..parts).map(|_| HashTable::with_capacity(SPLIT_LOAD)).collect(), len: 0 }
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The value with `hash` for which `is_it` holds.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.parts.get(self.part_of(hash))?.find(hash, |value| is_it(*value)).copied()
    }

    /// Adds `value`, which is not in the table.
    pub(super) fn insert(&mut self, hash: u64, value: u32, hash_of: impl Fn(u32) -> u64) {
        let at = self.part_of(hash);
        if let Some(part) = self.parts.get_mut(at) {
            part.insert_unique(hash, value, |value| hash_of(*value));
            self.len += 1;
        }
        if self.len > self.parts.len() * SPLIT_LOAD {
            self.split(hash_of);
        }
    }

    /// Removes `value`.
    pub(super) fn remove(&mut self, hash: u64, value: u32, hash_of: impl Fn(u32) -> u64) {
        let at = self.part_of(hash);
        let Some(part) = self.parts.get_mut(at) else { return };
        if let Ok(entry) = part.find_entry(hash, |there| *there == value) {
            entry.remove();
            self.len -= 1;
        }
        if self.parts.len() > 1 && self.len < self.parts.len() * MERGE_LOAD {
            self.merge(hash_of);
        }
    }

    /// Exchanges two values that are in the table, with their hashes.
    pub(super) fn swap(&mut self, hash_a: u64, a: u32, hash_b: u64, b: u32) {
        // Through a value that stands for nothing: the two may be in one part with equal tags, where
        // only the value tells them apart.
        self.replace(hash_a, a, u32::MAX);
        self.replace(hash_b, b, a);
        self.replace(hash_a, u32::MAX, b);
    }

    /// Puts `new` in the place of `old`, under the same hash.
    fn replace(&mut self, hash: u64, old: u32, new: u32) {
        let at = self.part_of(hash);
        if let Some(value) = self.parts.get_mut(at).and_then(|p| p.find_mut(hash, |there| *there == old)) {
            *value = new;
        }
    }

    /// The part that holds values with `hash`. Uses bits of the hash that the parts themselves do not
    /// (they use the lowest for the place and the topmost seven for the tag).
    fn part_of(&self, hash: u64) -> usize {
        let parts = self.parts.len();
        let width = parts.next_power_of_two();
        let at = selector(hash) & (width - 1);
        if at < parts { at } else { at & (width / 2 - 1) }
    }

    /// Adds a part, and moves into it the values that now belong there: all from one other part.
    fn split(&mut self, hash_of: impl Fn(u32) -> u64) {
        let new = self.parts.len();
        let old = origin(new);
        let width = (new + 1).next_power_of_two();
        let Some(source) = self.parts.get_mut(old).map(std::mem::take) else { return };
        let hashed: Vec<_> = source.into_iter().map(|value| (hash_of(value), value)).collect();
        let moves = |hash: u64| selector(hash) & (width - 1) == new;
        let moving = hashed.iter().filter(|(hash, _)| moves(*hash)).count();
        let mut kept = HashTable::with_capacity(hashed.len() - moving);
        let mut moved = HashTable::with_capacity(moving);
        for (hash, value) in hashed {
            let part = if moves(hash) { &mut moved } else { &mut kept };
            part.insert_unique(hash, value, |value| hash_of(*value));
        }
        if let Some(part) = self.parts.get_mut(old) {
            *part = kept;
        }
        self.parts.push(moved);
    }

    /// Undoes the last split.
    fn merge(&mut self, hash_of: impl Fn(u32) -> u64) {
        let Some(last) = self.parts.pop() else { return };
        let into = origin(self.parts.len());
        if let Some(part) = self.parts.get_mut(into) {
            part.reserve(last.len(), |value| hash_of(*value));
            for value in last {
                part.insert_unique(hash_of(value), value, |value| hash_of(*value));
            }
        }
    }
}

/// The bits of a hash that select the part.
fn selector(hash: u64) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "25 bits fit: bits 32 to 56 of the hash")]
    ((hash >> 32 & 0x01ff_ffff) as usize)
}

/// The part that part `new` is split from: `new` without its highest bit.
const fn origin(new: usize) -> usize {
    if new == 0 { 0 } else { new & !(1 << new.ilog2()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn behaves_like_a_set_while_it_grows_and_shrinks() {
        let keys = RandomState::new();
        let hash_of = |value: u32| keys.hash_one(value);
        let (mut index, mut model) = (Index::new(), BTreeSet::new());
        let mut rng = fastrand::Rng::with_seed(1);
        // Up to about 20,000 values (more than 64 parts), and down to none.
        for round in 0..120_000u32 {
            let value = rng.u32(..40_000);
            let add = if round < 60_000 { rng.u32(..4) > 0 } else { rng.u32(..8) == 0 };
            if add && model.insert(value) {
                index.insert(hash_of(value), value, hash_of);
            } else if !add && model.remove(&value) {
                index.remove(hash_of(value), value, hash_of);
            }
            assert_eq!(index.len(), model.len(), "after step {round}");
        }
        for value in 0..40_000 {
            let found = index.find(hash_of(value), |there| there == value);
            assert_eq!(found, model.get(&value).copied());
        }
        let values: Vec<u32> = model.into_iter().collect();
        assert!(index.parts.len() > 8, "only {} parts", index.parts.len());
        for value in values {
            index.remove(hash_of(value), value, hash_of);
        }
        assert_eq!((index.len(), index.parts.len()), (0, 1));
    }

    #[test]
    fn parts_stay_small_and_evenly_filled() {
        let keys = RandomState::new();
        let hash_of = |value: u32| keys.hash_one(value);
        let mut index = Index::new();
        for value in 0..100_000 {
            index.insert(hash_of(value), value, hash_of);
        }
        let largest = index.parts.iter().map(HashTable::len).max();
        assert!(largest < Some(600), "a part of {largest:?} values");
    }

    #[test]
    fn values_with_equal_hashes_are_swapped_under_their_own() {
        for hash_b in [7, 8, 7 | 1 << 40] {
            let mut index = Index::new();
            index.insert(7, 1, |_| 7);
            index.insert(hash_b, 2, |value| if value == 1 { 7 } else { hash_b });
            index.swap(7, 1, hash_b, 2);
            assert_eq!(index.find(7, |value| value == 2), Some(2), "hash {hash_b}");
            assert_eq!(index.find(hash_b, |value| value == 1), Some(1), "hash {hash_b}");
        }
    }

    #[test]
    fn one_with_room_is_like_any_other() {
        let hash = |value: u32| u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for room in [0, 1000, 100_000] {
            let mut index = Index::with_room(room);
            for value in 0..50_000 {
                index.insert(hash(value), value, hash);
            }
            assert!((0..50_000).all(|value| index.find(hash(value), |there| there == value) == Some(value)));
            for value in 0..50_000 {
                index.remove(hash(value), value, hash);
            }
            assert_eq!((index.len(), index.parts.len()), (0, 1), "room is given back");
        }
    }
}
