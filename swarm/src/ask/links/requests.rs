//! The requests that are under way on one link.

use alloc::collections::VecDeque;
use cascade_format::Block;

/// What one request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ask) struct Asked {
    /// The block, or slice; of a whole block that is divided into slices, its first slice.
    pub(in crate::ask) block: Block,
    /// Whether it is such a whole block.
    pub(in crate::ask) whole: bool,
    /// Bytes of the answer's block or slice.
    pub(in crate::ask) length: u64,
}

/// A request. It stays in the queue when its block is asked of another link: its answer will come.
#[derive(Debug)]
struct Pending {
    asked: Asked,
    wanted: bool,
}

/// Requests in the order in which they were made and will be answered.
#[derive(Debug, Default)]
pub(in crate::ask) struct Requests {
    queue: VecDeque<Pending>,
    /// Entries of the queue that are not wanted any more.
    unwanted: usize,
    bytes: u64,
    /// Bytes that have arrived of the answers that are not complete.
    arrived: u64,
    /// More than one was under way at a time.
    pipelined: bool,
    last: Option<Block>,
}

impl Requests {
    /// A request leaves.
    pub(super) fn push(&mut self, asked: Asked) {
        self.queue.push_back(Pending { asked, wanted: true });
        self.pipelined |= self.queue.len() > 1;
        self.bytes += asked.length;
        self.last = Some(asked.block);
    }

    /// Bytes have arrived.
    pub(super) fn received(&mut self, bytes: u64) {
        self.arrived += bytes;
    }

    /// The answer for `block` is complete. Returns the request, and whether it was still wanted; `None`: it was not asked
    /// for.
    pub(super) fn answered(&mut self, block: Block) -> Option<(Asked, bool)> {
        let at = self.queue.iter().position(|pending| pending.asked.block == block)?;
        let Pending { asked, wanted } = self.queue.remove(at)?;
        self.unwanted -= usize::from(!wanted);
        self.bytes = self.bytes.saturating_sub(asked.length);
        // What else came between the answers must not add up.
        self.arrived = if self.queue.is_empty() { 0 } else { self.arrived.saturating_sub(asked.length) };
        Some((asked, wanted))
    }

    /// `block` is asked of another link now.
    pub(in crate::ask) fn taken_away(&mut self, block: Block) {
        let of_block = |pending: &&mut Pending| pending.asked.block == block && pending.wanted;
        if let Some(pending) = self.queue.iter_mut().find(of_block) {
            pending.wanted = false;
            self.unwanted += 1;
        }
    }

    /// Whether an answer is under way for `block` that is not wanted any more. It must be over before the
    /// block is asked of this link again: the two answers could not be told apart.
    pub(in crate::ask) fn owes_unwanted(&self, block: Block) -> bool {
        self.unwanted > 0 && self.queue.iter().any(|pending| pending.asked.block == block)
    }

    /// What is still wanted from this link, the next one first.
    pub(in crate::ask) fn wanted(&self) -> impl DoubleEndedIterator<Item = Asked> + '_ {
        self.queue.iter().filter(|pending| pending.wanted).map(|pending| pending.asked)
    }

    /// The block whose answer is the next.
    pub(in crate::ask) fn owed(&self) -> Option<Block> {
        self.queue.front().map(|pending| pending.asked.block)
    }

    /// The block that was asked for last.
    pub(in crate::ask) fn last(&self) -> Option<Block> {
        self.last
    }

    pub(in crate::ask) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(in crate::ask) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes under way.
    pub(in crate::ask) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that are still to arrive.
    pub(in crate::ask) fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.arrived)
    }

    /// Whether more than one was ever under way at a time.
    pub(in crate::ask) fn were_pipelined(&self) -> bool {
        self.pipelined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::Layout;

    #[test]
    fn a_block_that_is_asked_of_another_link_is_owed_until_its_answer_has_come() {
        let layout = Layout::new(30, 10).unwrap();
        let blocks: alloc::vec::Vec<Block> = layout.iter().collect();
        let mut requests = Requests::default();
        let asked = |at: usize| Asked { block: blocks[at], whole: false, length: 10 };
        (0..3).for_each(|at| requests.push(asked(at)));
        requests.taken_away(blocks[1]);
        assert!(requests.wanted().eq([asked(0), asked(2)]));
        assert!(requests.owes_unwanted(blocks[1]) && requests.were_pipelined());
        assert_eq!(requests.answered(blocks[0]), Some((asked(0), true)));
        assert_eq!((requests.owed(), requests.bytes()), (Some(blocks[1]), 20));
        assert_eq!(requests.answered(blocks[1]), Some((asked(1), false)));
        assert_eq!(requests.answered(blocks[1]), None, "it is answered already");
        assert!(!requests.owes_unwanted(blocks[1]));
        assert_eq!((requests.len(), requests.bytes()), (1, 10));
    }
}
