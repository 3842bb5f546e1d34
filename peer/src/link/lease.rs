//! The right of a link to write blocks.
//!
//! A block that stalls on one link is asked of another. Then the first must never write it again: its
//! late bytes, right or wrong, would land on top of what the second has verified. So each write is done
//! under the link's lease, and taking a block away waits for the write that is under way (one piece).
//! A block that was published before is not taken away: it is there.

use crate::store::HaveMap;
use cascade_format::Block;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The blocks that a link was asked for and must not write any more.
#[derive(Debug, Default)]
pub struct Lease {
    terms: Mutex<Terms>,
}

#[derive(Debug, Default)]
struct Terms {
    closed: bool,
    revoked: Vec<Block>,
}

/// No block is taken away while this lives.
#[derive(Debug)]
pub struct Held<'a>(MutexGuard<'a, Terms>);

impl Lease {
    /// Holds the lease for one write or one publication.
    pub fn hold(&self) -> Held<'_> {
        Held(self.terms.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes `block` away. False when it is published already.
    pub fn revoke(&self, block: Block, have: &HaveMap) -> bool {
        let mut held = self.hold();
        if have.has(block) {
            return false;
        }
        if !held.0.revoked.contains(&block) {
            held.0.revoked.push(block);
        }
        true
    }
}

impl Lease {
    /// Takes all blocks away: the link is given up.
    pub fn close(&self) {
        self.hold().0.closed = true;
    }
}

impl Held<'_> {
    /// Whether the link may still write `block`.
    #[must_use]
    pub fn allows(&self, block: Block) -> bool {
        !self.0.closed && (self.0.revoked.is_empty() || !self.0.revoked.contains(&block))
    }

    /// Forgets that `block` was taken away: its answer is over, and it may be asked for again.
    pub fn forget(&mut self, block: Block) {
        self.0.revoked.retain(|revoked| *revoked != block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::{Have, Layout};

    #[test]
    fn a_published_block_cannot_be_revoked_and_a_revoked_one_not_written() {
        let layout = Layout::new(2, 1).unwrap();
        let have = HaveMap::new(layout, &Have::none(&layout));
        let (first, second) = (layout.block(0).unwrap(), layout.block(1).unwrap());
        let lease = Lease::default();
        have.publish(first);
        assert!(!lease.revoke(first, &have));
        assert!(lease.revoke(second, &have) && lease.revoke(second, &have));
        assert!(lease.hold().allows(first) && !lease.hold().allows(second));
        lease.hold().forget(second);
        assert!(lease.hold().allows(second));
    }
}
