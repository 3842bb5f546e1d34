//! What is offered next, and leaps over blocks that the subscribers seem to have.
//!
//! A seeder that was started again during a download does not know which blocks its subscribers have. They decline what they
//! have, but each block of a long file would take a round trip of its own, while nobody gets anything from this seeder. So
//! it leaps over as many offers as were declined in a row, but for the first few ([`Tuning::min_offers`]): as many may be
//! declined in any swarm, at blocks that others have given. As soon as the offer behind a leap is wanted, the blocks
//! that were leapt over are offered, too. Those that nobody offers count as given: who lacks one of them requests it when all
//! may ask for anything.

use super::*;

/// Blocks that were leapt over in front of an offer.
pub(super) type Leapt = Range<u64>;

impl Offers {
    /// The next blocks that nobody got or is offered; at most [`Tuning::offer_bytes`] of them, at least one. Slices are
    /// offered by whole blocks: each of them can be verified only after those before it.
    pub(super) fn next_run(&mut self) -> Option<Run> {
        let first = self.layout.block(self.given.find(self.next..self.layout.blocks(), false)?)?;
        self.next = first.number();
        let most = self.blocks_of_an_offer();
        let end = first.number() + most - first.number() % most;
        let end = self.given.find(first.number()..end, true).unwrap_or(end).min(self.layout.blocks());
        u32::try_from(end - first.number()).ok().map(|count| Run { first, count })
    }

    /// The same behind a leap, if offers were declined in a row.
    pub(super) fn next_run_after_leap(&mut self) -> Option<(Run, Leapt)> {
        let run = self.next_run()?;
        let (first, most) = (run.first.number(), self.blocks_of_an_offer());
        let leap = self.declined_in_a_row.saturating_sub(self.tuning.min_offers);
        let offers = (first / most).saturating_add(leap);
        // The last offer is never leapt over.
        let last = self.layout.blocks().saturating_sub(1) / most;
        let end = offers.min(last).saturating_mul(most);
        let end = self.given.find(first..end, true).unwrap_or(end);
        let leapt = first..end.max(first);
        self.set_given(&leapt, true);
        let Some(behind) = self.next_run() else {
            self.leap_back(&leapt);
            return Some((run, first..first));
        };
        Some((behind, leapt))
    }

    /// The offer behind a leap is wanted, or comes to nothing: what was leapt over is to be offered.
    pub(super) fn leap_back(&mut self, leapt: &Leapt) {
        if !leapt.is_empty() {
            self.set_given(leapt, false);
            self.next = self.next.min(leapt.start);
        }
    }

    fn set_given(&mut self, numbers: &Range<u64>, given: bool) {
        for block in numbers.clone().filter_map(|number| self.layout.block(number)) {
            if given {
                self.given.insert(block);
            } else {
                self.given.remove(block);
            }
        }
    }

    fn blocks_of_an_offer(&self) -> u64 {
        let slices = self.layout.slices_a_block();
        (self.tuning.offer_bytes / self.layout.block_size() / slices).max(1) * slices
    }
}
