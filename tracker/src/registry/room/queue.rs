//! Records in the order in which they have come, each with links to its neighbours.

use super::record::{Links, Record};
use super::slab::{NONE, Slab};

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    first: u32,
    last: u32,
    len: usize,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The one that has waited longest.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Adds a record, which is in no queue.
    pub(super) fn push(&mut self, at: u32, records: &mut Slab<Record>) {
        let previous = std::mem::replace(&mut self.last, at);
        if let Some(record) = records.get_mut(at) {
            record.links = Links { previous, next: NONE };
        }
        match records.get_mut(previous) {
            Some(record) => record.links.next = at,
            None => self.first = at,
        }
        self.len += 1;
    }

    /// Takes out a record, which is in this queue.
    pub(super) fn remove(&mut self, at: u32, records: &mut Slab<Record>) {
        let Some(Links { previous, next }) = records.get(at).map(|record| record.links) else { return };
        match records.get_mut(previous) {
            Some(record) => record.links.next = next,
            None => self.first = next,
        }
        match records.get_mut(next) {
            Some(record) => record.links.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
    }
}
