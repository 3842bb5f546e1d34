//! The right of a link to write blocks.
//!
//! A block that stalls on one link is asked of another. Then the first must never write it again: its
//! late bytes, right or wrong, would land on top of what the second has verified. So each write is done
//! under the link's lease, and taking a block away waits for the write that is under way (one piece).
//! A block that was published before is not taken away: it is there.

use crate::ground::HaveMap;
use cascade_format::Block;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The blocks that a link was asked for and must not write any more.
///
/// Two locks, because a write takes long and a publication must not wait for it: the session that takes a
/// block away first says so (`terms`), and then waits until the write that may not know it is over (`writing`).
#[derive(Debug, Default)]
pub struct Lease {
    terms: Mutex<Terms>,
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Terms {
    closed: bool,
    revoked: Vec<Block>,
}

impl Terms {
    fn allow(&self, block: Block) -> bool {
        !self.closed && (self.revoked.is_empty() || !self.revoked.contains(&block))
    }
}

/// No block is taken away while this lives. Keep it for a moment only.
#[derive(Debug)]
pub struct Held<'a>(MutexGuard<'a, Terms>);

/// A write is under way; what is taken away meanwhile may still be written by it.
#[derive(Debug)]
pub struct Writing<'a> {
    lease: &'a Lease,
    _writing: MutexGuard<'a, ()>,
}

impl Lease {
    /// Holds the lease for one publication.
    pub fn hold(&self) -> Held<'_> {
        Held(self.terms.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a write; ask it which blocks may be written.
    pub fn write(&self) -> Writing<'_> {
        Writing { lease: self, _writing: self.wait_for_write() }
    }

    /// Takes `block` away; when this returns, the link writes nothing of it any more. False when it is
    /// published already.
    pub fn revoke(&self, block: Block, have: &HaveMap) -> bool {
        {
            let mut held = self.hold();
            if have.has(block) {
                return false;
            }
            if !held.0.revoked.contains(&block) {
                held.0.revoked.push(block);
            }
        }
        drop(self.wait_for_write());
        true
    }

    /// Takes all blocks away: the link is given up. When this returns, it writes nothing any more.
    pub fn close(&self) {
        self.hold().0.closed = true;
        drop(self.wait_for_write());
    }

    fn wait_for_write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing<'_> {
    /// Whether the link may still write `block`.
    #[must_use]
    pub fn allows(&self, block: Block) -> bool {
        self.lease.hold().allows(block)
    }
}

impl Held<'_> {
    /// Whether the link may still write and publish `block`.
    #[must_use]
    pub fn allows(&self, block: Block) -> bool {
        self.0.allow(block)
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

    #[test]
    fn a_revocation_waits_for_the_write_under_way() {
        let layout = Layout::new(1, 1).unwrap();
        let have = HaveMap::new(layout, &Have::none(&layout));
        let (block, lease) = (layout.block(0).unwrap(), Lease::default());
        std::thread::scope(|scope| {
            let writing = lease.write();
            assert!(writing.allows(block));
            let revoking = scope.spawn(|| lease.revoke(block, &have));
            while writing.allows(block) {
                std::thread::yield_now();
            }
            assert!(!revoking.is_finished(), "the write is not over");
            drop(writing);
            assert!(revoking.join().unwrap());
        });
        assert!(!lease.write().allows(block));
    }
}
