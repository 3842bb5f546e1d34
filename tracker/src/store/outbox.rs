//! Changes that wait to be written. No I/O.

use crate::others::{Change, Fate, Record};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The last change of each registration that has one, in the order of files, so that a batch has few of them.
#[derive(Debug)]
pub(crate) struct Outbox {
    pending: BTreeMap<Record, (Fate, u32)>,
    /// The last batch ended here: the next one goes on behind, so that every file has its turn.
    last: Option<Record>,
    max: usize,
}

impl Outbox {
    pub(crate) const fn new(max: usize) -> Self {
        Self { pending: BTreeMap::new(), last: None, max }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Adds a change, in the place of an earlier one of the same registration. Returns whether there was room.
    pub(crate) fn put(&mut self, change: Change) -> bool {
        let Change { record, fate, at } = change;
        if self.pending.len() >= self.max && !self.pending.contains_key(&record) {
            return false;
        }
        self.pending.insert(record, (fate, at));
        true
    }

    /// Takes out a change of the same registration.
    pub(crate) fn forget(&mut self, record: &Record) {
        self.pending.remove(record);
    }

    /// Takes out at most `max` changes.
    pub(crate) fn take(&mut self, max: usize) -> Vec<Change> {
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let records = self.pending.range((behind, Bound::Unbounded));
        let before = self.last.map(|last| self.pending.range(..=last)).into_iter().flatten();
        let records: Vec<Record> = records.chain(before).map(|(record, _)| *record).take(max).collect();
        self.last = records.last().copied();
        let change = |record| {
            let (fate, at) = self.pending.remove(&record)?;
            Some(Change { record, fate, at })
        };
        records.into_iter().filter_map(change).collect()
    }

    /// Puts a goodbye back that was not written, unless something has happened since. Returns whether nothing is lost.
    pub(crate) fn put_back(&mut self, change: Change) -> bool {
        self.pending.contains_key(&change.record) || self.put(change)
    }

    /// Drops all but the goodbyes; the others are in the registry.
    pub(crate) fn keep_goodbyes(&mut self) {
        self.pending.retain(|_, (fate, _)| *fate == Fate::Left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Source;
    use cascade_format::CascadeHash;
    use std::collections::BTreeSet;
    use std::net::SocketAddrV4;

    fn change(n: u8, fate: Fate, at: u32) -> Change {
        let addr = SocketAddrV4::new([10, 0, 0, n].into(), 1);
        let source = Source::of((*addr.ip()).into());
        Change { record: Record { file: CascadeHash([n / 4; 32]), source, addr: addr.into() }, fate, at }
    }

    const HERE: Fate = Fate::Here { good: false };

    #[test]
    fn the_last_change_of_a_registration_counts() {
        let mut outbox = Outbox::new(10);
        for change in
            [change(1, HERE, 5), change(1, Fate::Left, 6), change(2, Fate::Left, 6), change(2, HERE, 7)]
        {
            assert!(outbox.put(change));
        }
        // What comes back is older than what is there.
        assert!(outbox.put_back(change(1, HERE, 1)));
        assert_eq!(outbox.take(9), [change(1, Fate::Left, 6), change(2, HERE, 7)]);
        assert_eq!(outbox.len(), 0);
        assert!(outbox.put_back(change(1, Fate::Left, 1)));
        assert_eq!(outbox.take(9), [change(1, Fate::Left, 1)]);
    }

    #[test]
    fn every_file_has_its_turn() {
        let mut outbox = Outbox::new(100);
        let mut seen = BTreeSet::new();
        for round in 0..13 {
            // Those of the first files come again and again.
            (0..50).for_each(|n| {
                outbox.put(change(n, HERE, round));
            });
            let batch = outbox.take(4);
            assert_eq!(batch.len(), 4);
            seen.extend(batch.iter().map(|change| change.record));
        }
        assert_eq!(seen.len(), 50);
    }

    #[test]
    fn it_is_bounded_and_keeps_goodbyes() {
        let mut outbox = Outbox::new(3);
        assert!((0..3).all(|n| outbox.put(change(n, HERE, 1))));
        assert!(!outbox.put(change(3, HERE, 1)) && !outbox.put_back(change(3, Fate::Left, 1)));
        assert!(outbox.put(change(1, Fate::Left, 2)));
        outbox.keep_goodbyes();
        assert_eq!(outbox.take(9), [change(1, Fate::Left, 2)]);
        outbox.put(change(2, Fate::Left, 2));
        outbox.forget(&change(2, HERE, 0).record);
        assert_eq!(outbox.len(), 0);
    }
}
