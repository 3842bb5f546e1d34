//! How many registrations there are: all together, and by source.

use super::source::Source;
use std::hash::{BuildHasher, RandomState};

/// Counters that all sources share, 256 KiB. A table with an exact count for each of ten million
/// sources would take as much memory as their registrations. So a source that meets its bound stops
/// one in 65,536 others too; which ones, nobody can know or choose.
const COUNTERS: usize = 1 << 16;

/// The counts.
#[derive(Debug)]
pub(super) struct Ledger {
    total: usize,
    counters: Vec<u32>,
    keys: RandomState,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { total: 0, counters: vec![0; COUNTERS], keys: RandomState::new() }
    }

    /// Number of all registrations.
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// Number of registrations that `source` has, at most: sources that share its counter count too.
    pub(super) fn of(&self, source: Source) -> usize {
        self.counters.get(self.counter(source)).map_or(0, |count| *count as usize)
    }

    /// A registration of `source` is added.
    pub(super) fn add(&mut self, source: Source) {
        let counter = self.counter(source);
        if let Some(count) = self.counters.get_mut(counter) {
            *count = count.saturating_add(1);
        }
        self.total += 1;
    }

    /// Registrations of `source` are removed.
    pub(super) fn remove(&mut self, source: Source, number: u32) {
        let counter = self.counter(source);
        if let Some(count) = self.counters.get_mut(counter) {
            *count = count.saturating_sub(number);
        }
        self.total = self.total.saturating_sub(number as usize);
    }

    fn counter(&self, source: Source) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "16 bits are left")]
        let counter = (self.keys.hash_one(source) >> 48) as usize;
        counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_reached_and_none_is_missed() {
        let mut ledger = Ledger::new();
        let source = |n: u32| Source::of(std::net::Ipv4Addr::from_bits(n).into());
        (0..200_000).for_each(|n| ledger.add(source(n)));
        assert_eq!(ledger.counters.iter().map(|count| *count as usize).sum::<usize>(), 200_000);
        // On average three sources share a counter.
        assert!(ledger.counters.iter().max() < Some(&30));
        assert!(ledger.counters.iter().filter(|count| **count > 0).count() > COUNTERS / 2);
        (0..200_000).for_each(|n| ledger.remove(source(n), 1));
        assert_eq!((ledger.total(), ledger.of(source(7))), (0, 0));
    }
}
