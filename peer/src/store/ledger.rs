//! Which verified blocks are known to be on the disk.
//!
//! ```text
//!              published              sync begins             sync ends well
//!   (missing) ──────────► fresh ────────────────► covered ────────────────────► on the disk
//!                           │                        │
//!                           └───────── doubtful ◄────┘  a sync has failed
//! ```
//!
//! A failed sync does not tell what was lost, and the next one does not tell it again. So all that is not
//! on the disk by an earlier sync is doubtful then, and nothing new is taken in until it has been looked
//! at: a block whose bytes were written before the failure, and which is published after it, would be
//! believed by the next good sync.

use cascade_format::{Block, Have, Layout};

/// Failed syncs in a row, without one that went well for new blocks, until a disk is given up.
pub const MAX_FAILED_SYNCS: u32 = 5;

/// The state of one file's blocks.
#[derive(Debug)]
pub struct Ledger {
    layout: Layout,
    fresh: Have,
    covered: Have,
    /// What must be read again; nothing is taken in while this is set.
    doubtful: Option<Have>,
    failures: u32,
}

impl Ledger {
    /// No block is waiting to be synced.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let none = Have::none(&layout);
        Self { layout, fresh: none.clone(), covered: none, doubtful: None, failures: 0 }
    }

    /// `block` is verified and written. False while something is in doubt: then it must not be believed.
    #[must_use]
    pub fn published(&mut self, block: Block) -> bool {
        if self.doubtful.is_some() {
            return false;
        }
        self.fresh.insert(block);
        true
    }

    /// These blocks are right as the system shows them, and perhaps only there.
    pub fn found(&mut self, have: &Have) {
        for block in self.layout.iter().filter(|block| have.has(*block)) {
            self.fresh.insert(block);
        }
    }

    /// Whether there is something that a sync would make durable.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        self.fresh.count() + self.covered.count() > 0
    }

    /// A sync begins; there is one at a time.
    pub fn sync_begins(&mut self) {
        let none = Have::none(&self.layout);
        let fresh = std::mem::replace(&mut self.fresh, none);
        if self.covered.count() == 0 {
            self.covered = fresh;
        } else {
            merge(&self.layout, &mut self.covered, &fresh);
        }
    }

    /// It went well.
    pub fn sync_succeeded(&mut self) {
        if self.doubtful.is_none() && self.covered.count() > 0 {
            self.failures = 0;
        }
        self.covered = Have::none(&self.layout);
    }

    /// It did not: returns what is doubtful now.
    pub fn sync_failed(&mut self) -> &Have {
        self.failures = self.failures.saturating_add(1);
        self.doubt(None)
    }

    /// Somebody else has written to the file, or the disk returns other bytes: all is doubtful.
    pub fn doubt_all(&mut self) {
        let all = Have::all(&self.layout);
        self.doubt(Some(all));
    }

    fn doubt(&mut self, more: Option<Have>) -> &Have {
        let none = || Have::none(&self.layout);
        let (fresh, covered) =
            (std::mem::replace(&mut self.fresh, none()), std::mem::replace(&mut self.covered, none()));
        let doubtful = self.doubtful.get_or_insert_with(none);
        for set in [Some(fresh), Some(covered), more].into_iter().flatten() {
            merge(&self.layout, doubtful, &set);
        }
        doubtful
    }

    /// What must be read again; `None`: nothing is in doubt.
    #[must_use]
    pub fn doubtful(&self) -> Option<&Have> {
        self.doubtful.as_ref()
    }

    /// What was doubtful has been looked at. Where it was not read from the disk itself, `right` waits for
    /// a sync.
    pub fn settled(&mut self, right: &Have, from_disk: bool) {
        self.doubtful = None;
        if !from_disk {
            self.found(right);
        }
    }

    /// Whether the disk has failed too often.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.failures >= MAX_FAILED_SYNCS
    }
}

fn merge(layout: &Layout, into: &mut Have, from: &Have) {
    let mut at = 0;
    while let Some(found) = from.find(at..layout.blocks(), true) {
        at = found + 1;
        if let Some(block) = layout.block(found) {
            into.insert(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout() -> Layout {
        Layout::new(8, 1).unwrap()
    }

    fn block(number: u64) -> Block {
        layout().block(number).unwrap()
    }

    fn numbers(have: &Have) -> Vec<u64> {
        layout().iter().filter(|block| have.has(*block)).map(|block| block.number()).collect()
    }

    #[test]
    fn a_failed_sync_doubts_what_came_since_the_last_good_one_and_no_more() {
        let mut ledger = Ledger::new(layout());
        assert!(ledger.published(block(0)));
        ledger.sync_begins();
        ledger.sync_succeeded();
        assert!(ledger.published(block(1)));
        ledger.sync_begins();
        assert!(ledger.published(block(2)));
        assert_eq!(numbers(ledger.sync_failed()), [1, 2]);
        assert!(!ledger.published(block(3)), "written before the failure, perhaps");
        // The next sync goes well, and proves nothing.
        ledger.sync_begins();
        ledger.sync_succeeded();
        assert_eq!(ledger.doubtful().map(numbers), Some(vec![1, 2]));
        ledger.settled(&Have::none(&layout()), true);
        assert!(ledger.published(block(3)) && ledger.doubtful().is_none());
    }

    #[test]
    fn what_is_covered_when_a_sync_ends_is_not_what_came_meanwhile() {
        let mut ledger = Ledger::new(layout());
        ledger.sync_begins();
        assert!(ledger.published(block(4)));
        ledger.sync_succeeded();
        ledger.sync_begins();
        assert_eq!(numbers(ledger.sync_failed()), [4]);
    }

    #[test]
    fn failures_in_a_row_are_counted_until_new_blocks_are_on_the_disk() {
        let mut ledger = Ledger::new(layout());
        for round in 1..=MAX_FAILED_SYNCS {
            assert!(!ledger.is_hopeless());
            assert!(ledger.published(block(1)));
            ledger.sync_begins();
            let _ = ledger.sync_failed();
            // A second try goes well, as ever; the block is lost, and fetched again.
            ledger.sync_begins();
            ledger.sync_succeeded();
            ledger.settled(&Have::none(&layout()), true);
            // A sync of nothing proves nothing either.
            ledger.sync_begins();
            ledger.sync_succeeded();
            assert_eq!(ledger.is_hopeless(), round == MAX_FAILED_SYNCS);
        }
        let mut ledger = Ledger::new(layout());
        for _ in 0..2 * MAX_FAILED_SYNCS {
            ledger.sync_begins();
            let _ = ledger.sync_failed();
            ledger.settled(&Have::none(&layout()), true);
            assert!(ledger.published(block(2)));
            ledger.sync_begins();
            ledger.sync_succeeded();
            assert!(!ledger.is_hopeless());
        }
    }

    proptest! {
        /// Against a model: whatever happens, no block is believed that was not covered by a good sync,
        /// or read from the disk, after its publication.
        #[test]
        fn nothing_is_believed_that_no_good_sync_covers(
            steps in prop::collection::vec((0u8..5, 0u64..8), 0..60)
        ) {
            let mut ledger = Ledger::new(layout());
            // Blocks that the model does not believe yet, and those of them that the running sync covers.
            let (mut waiting, mut running) = (vec![], None::<Vec<u64>>);
            for (step, number) in steps {
                match step {
                    0 | 1 if ledger.published(block(number)) => waiting.push(number),
                    2 if running.is_none() => {
                        ledger.sync_begins();
                        running = Some(waiting.clone());
                    }
                    3 => if let Some(covered) = running.take() {
                        ledger.sync_succeeded();
                        waiting.retain(|number| !covered.contains(number));
                    },
                    4 if running.take().is_some() => {
                        let doubtful = numbers(ledger.sync_failed());
                        for number in waiting.drain(..) {
                            prop_assert!(doubtful.contains(&number), "{number} is believed");
                        }
                        ledger.settled(&Have::none(&layout()), true);
                    }
                    _ => {}
                }
            }
        }
    }
}
