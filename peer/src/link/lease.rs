//! The right of a link to write blocks and slices.
//!
//! A block or a slice that stalls on one link is asked of another. Then the first must never write it again: its
//! late bytes, right or wrong, would land on top of what the second has verified. So each write is done
//! under the link's lease, and taking a block away waits for the write that is under way (one piece).
//! A block that was published before is not taken away: it is there.

use super::unit::Unit;
use crate::store::Shared;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The blocks and slices that a link was asked for and must not write any more.
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
    revoked: Vec<Unit>,
}

impl Terms {
    fn allow(&self, unit: Unit) -> bool {
        !self.closed && (self.revoked.is_empty() || !self.revoked.contains(&unit))
    }
}

/// Nothing is taken away while this lives. Keep it for a moment only.
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

    /// Begins a write; ask it what may be written.
    pub fn write(&self) -> Writing<'_> {
        Writing { lease: self, _writing: self.wait_for_write() }
    }

    /// Takes `unit` away; when this returns, the link writes nothing of it any more. False when it is
    /// published already.
    pub fn revoke(&self, unit: Unit, shared: &Shared) -> bool {
        {
            let mut held = self.hold();
            let published = match unit {
                Unit::Block(block) => shared.have().has(block),
                Unit::Slice(slice) => shared.has_slice(slice),
            };
            if published {
                return false;
            }
            if !held.0.revoked.contains(&unit) {
                held.0.revoked.push(unit);
            }
        }
        drop(self.wait_for_write());
        true
    }

    /// Takes everything away: the link is given up. When this returns, it writes nothing any more.
    pub fn close(&self) {
        self.hold().0.closed = true;
        drop(self.wait_for_write());
    }

    fn wait_for_write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing<'_> {
    /// Whether the link may still write `unit`.
    #[must_use]
    pub fn allows(&self, unit: Unit) -> bool {
        self.lease.hold().allows(unit)
    }
}

impl Held<'_> {
    /// Whether the link may still write and publish `unit`.
    #[must_use]
    pub fn allows(&self, unit: Unit) -> bool {
        self.0.allow(unit)
    }

    /// Forgets that `unit` was taken away: its answer is over, and it may be asked for again.
    pub fn forget(&mut self, unit: Unit) {
        self.0.revoked.retain(|revoked| *revoked != unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::HaveMap;
    use crate::store::DataFile;
    use cascade_format::{CascadeHash, Have, Layout};
    use std::path::Path;

    /// Of two blocks with two slices each.
    fn shared() -> Shared {
        let layout = Layout::new(256 << 10, 128 << 10).unwrap();
        let data = DataFile::new(tempfile::tempfile().unwrap(), Path::new("x"), layout);
        Shared::new(CascadeHash([1; 32]), data, HaveMap::new(layout, &Have::none(&layout)), None)
    }

    #[test]
    fn a_published_block_cannot_be_revoked_and_a_revoked_one_not_written() {
        let (shared, lease) = (shared(), Lease::default());
        let [first, second] = [0, 1].map(|number| shared.layout().block(number).unwrap());
        shared.publish(first);
        let [first, second] = [first, second].map(Unit::Block);
        assert!(!lease.revoke(first, &shared));
        assert!(lease.revoke(second, &shared) && lease.revoke(second, &shared));
        assert!(lease.hold().allows(first) && !lease.hold().allows(second));
        lease.hold().forget(second);
        assert!(lease.hold().allows(second));
    }

    #[test]
    fn a_slice_is_another_thing_than_the_block_of_its_number() {
        let (shared, lease) = (shared(), Lease::default());
        let [first, second] = [0, 1].map(|number| shared.slices().unwrap().layout().block(number).unwrap());
        assert_eq!(shared.publish_slice(first, [1; 32]), None);
        assert!(!lease.revoke(Unit::Slice(first), &shared), "it is published");
        assert!(lease.revoke(Unit::Slice(second), &shared));
        assert!(!lease.write().allows(Unit::Slice(second)) && lease.write().allows(Unit::Block(second)));
        assert!(lease.revoke(Unit::Block(second), &shared));
        lease.hold().forget(Unit::Slice(second));
        assert!(lease.write().allows(Unit::Slice(second)) && !lease.write().allows(Unit::Block(second)));
        // The last slice of a block is the block, too.
        assert!(shared.publish_slice(second, [2; 32]).is_some());
        assert!(!lease.revoke(Unit::Slice(second), &shared));
        assert!(!lease.revoke(Unit::Block(shared.layout().block(0).unwrap()), &shared));
    }

    #[test]
    fn a_revocation_waits_for_the_write_under_way() {
        let (shared, lease) = (shared(), Lease::default());
        let block = Unit::Block(shared.layout().block(0).unwrap());
        std::thread::scope(|scope| {
            let writing = lease.write();
            assert!(writing.allows(block));
            let revoking = scope.spawn(|| lease.revoke(block, &shared));
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
