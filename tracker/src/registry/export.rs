//! All registrations, one bounded part after the other, to be kept and to be brought back; and the end of a file.

use super::address::Address;
use super::index::Index;
use super::source::Source;
use super::{Claim, REMOVAL_COST, Registry, RegistryFull, Slot, Subscribed, is_lapsed};
use cascade_format::CascadeHash;

/// Where an export goes on. Between two parts the registry may change: a peer that is registered all the time is in
/// one part or in several, with one exception (see [`Registry::export`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    slot: u32,
    /// The groups of the slot from here on have been told of; `None`: none of them.
    below: Option<u32>,
}

/// A registration, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration<A> {
    /// The file.
    pub file: CascadeHash,
    /// The source that has made it.
    pub source: Source,
    /// Where the peer listens.
    pub addr: A,
    /// Seconds since the subscription.
    pub age: u32,
}

impl<A: Address> Registry<A> {
    /// Tells of registrations that have not lapsed, those of one file in a row. Returns where to go on, or `None` when
    /// all have been told of. One unit of `work` is a look at one peer or file; the last step may go beyond it by the
    /// peers of one source.
    ///
    /// Within a file it goes downwards, because a removal puts the last group in the hole: so a group moves only to
    /// where the export comes later, and is told of twice. The exception: the first registration of a good peer
    /// between two parts may move one other group behind the cursor, once for each.
    #[must_use]
    pub fn export(
        &self,
        cursor: Cursor,
        now: u32,
        work: u32,
        mut tell: impl FnMut(Registration<A>),
    ) -> Option<Cursor> {
        let (mut at, mut left) = (cursor, work);
        while (at.slot as usize) < self.slots.len() {
            if left == 0 {
                return Some(at);
            }
            if let Some(Slot::Used(swarm)) = self.slots.get(at.slot as usize) {
                let mut position = at.below.unwrap_or(u32::MAX).min(swarm.len());
                while position > 0 && left > 0 {
                    position -= 1;
                    let Some(group) = swarm.get(position, &self.shared) else { continue };
                    let members = swarm.members(position, &self.shared);
                    left = left.saturating_sub(u32::try_from(members.len()).unwrap_or(u32::MAX).max(1));
                    for member in members.iter().filter(|member| !is_lapsed(member.subscribed(), now)) {
                        let age = now.saturating_sub(member.subscribed());
                        tell(Registration {
                            file: swarm.hash,
                            source: group.source(),
                            addr: member.addr,
                            age,
                        });
                    }
                }
                if position > 0 {
                    return Some(Cursor { below: Some(position), ..at });
                }
            }
            left = left.saturating_sub(1);
            at = Cursor { slot: at.slot + 1, below: None };
        }
        None
    }

    /// Brings a registration back that was exported, `now` with the age that it has by now. `good` is what the
    /// operator's list says today. One that has lapsed is left out.
    ///
    /// # Errors
    /// The bounds are those of [`Registry::subscribe`].
    pub fn restore(&mut self, kept: Registration<A>, good: bool, now: u32) -> Result<bool, RegistryFull> {
        let Registration { file, source, addr, age } = kept;
        match now.checked_sub(age) {
            Some(subscribed) if !is_lapsed(subscribed, now) => {
                let subscribed = self.subscribe(&file, Claim { addr, source, good }, subscribed)?;
                Ok(subscribed == Subscribed::New)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// An empty registry makes itself ready for this number of files, as far as its bounds go.
    pub fn expect(&mut self, files: usize) {
        if self.swarms == 0 {
            self.directory = Index::with_room(files.min(self.bounds.swarms));
        }
    }

    /// Whether one more registration may find room without any other's end.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.peers() < self.bounds.peers && self.swarms < self.bounds.swarms
    }

    /// Ends registrations of a file, of any source, for at most `work` units of [`Registry::sweep`], which it
    /// lowers. Returns whether none is left.
    pub fn end(&mut self, file: &CascadeHash, work: &mut u32) -> bool {
        let Some(slot) = self.find(file) else { return true };
        let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize) else { return true };
        while swarm.len() > 0 {
            if *work == 0 {
                return false;
            }
            let ended = swarm.end_last(&mut self.shared);
            *work = work.saturating_sub(ended.max(REMOVAL_COST));
        }
        self.drop_if_empty(slot);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{AddressV6, Bounds, LIFETIME_SECS};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

    fn file(n: u8) -> CascadeHash {
        CascadeHash([n; 32])
    }

    fn claim(source: u32, port: u16, good: bool) -> Claim {
        let ip = Ipv4Addr::from_bits(0x0a00_0000 + source);
        Claim { addr: SocketAddrV4::new(ip, port), source: Source::of(ip.into()), good }
    }

    fn all(registry: &Registry, now: u32, work: u32) -> Vec<Registration<SocketAddrV4>> {
        let (mut told, mut cursor) = (Vec::new(), Some(Cursor::default()));
        while let Some(at) = cursor {
            cursor = registry.export(at, now, work, |one| told.push(one));
        }
        told
    }

    fn set(told: &[Registration<SocketAddrV4>]) -> BTreeSet<([u8; 32], [u8; 4], SocketAddrV4, u32)> {
        told.iter().map(|one| (one.file.0, one.source.to_bytes(), one.addr, one.age)).collect()
    }

    fn filled() -> Registry {
        let mut registry = Registry::new(Bounds::default());
        for n in 0..3000 {
            let (at, file) = (2000 + n % 100, file(u8::try_from(n % 7).unwrap()));
            registry.subscribe(&file, claim(n, 1, n % 50 == 0), at).unwrap();
        }
        for port in 1..=300 {
            registry.subscribe(&file(9), claim(1, port, false), 2050).unwrap();
        }
        registry
    }

    #[test]
    fn all_are_told_of_in_parts_of_bounded_work_and_come_back_with_their_ages() {
        let registry = filled();
        let (mut cursor, mut parts, mut told) = (Some(Cursor::default()), 0, Vec::new());
        while let Some(at) = cursor {
            let before = told.len();
            cursor = registry.export(at, 2200, 100, |one| told.push(one));
            assert!(told.len() - before <= 100 + 300);
            parts += 1;
        }
        assert!(parts > 30);
        assert_eq!((told.len(), set(&told).len()), (3300, 3300));
        let mut again = Registry::new(Bounds::default());
        let (later, away) = (5000, 60);
        for one in &told {
            let good = one.addr.ip().to_bits().is_multiple_of(50) && one.addr.port() == 1;
            assert_eq!(again.restore(Registration { age: one.age + away, ..*one }, good, later), Ok(true));
            // A second time changes nothing.
            assert_eq!(again.restore(Registration { age: one.age + away, ..*one }, good, later), Ok(false));
        }
        assert_eq!(set(&all(&again, later - away, 7)), set(&told));
        assert_eq!((again.peers(), again.swarms()), (registry.peers(), registry.swarms()));
        // They lapse when they would have.
        again.sweep(later + LIFETIME_SECS, u32::MAX);
        assert_eq!(again.peers(), 0);
    }

    #[test]
    fn what_has_lapsed_is_neither_told_of_nor_brought_back() {
        let registry = filled();
        assert_eq!(all(&registry, 2099 + LIFETIME_SECS, 50).len(), 30);
        assert_eq!(all(&registry, 2100 + LIFETIME_SECS, 50), []);
        let mut again = Registry::<SocketAddrV4>::new(Bounds::default());
        let Claim { addr, source, .. } = claim(1, 1, false);
        for (age, kept) in [(LIFETIME_SECS, true), (LIFETIME_SECS + 1, false), (u32::MAX, false)] {
            let one = Registration { file: file(1), source, addr, age };
            assert_eq!(again.restore(one, false, 1900), Ok(kept), "{age}");
        }
    }

    #[test]
    fn one_that_is_older_than_its_crowd_lapses_in_time() {
        let mut registry =
            Registry::<SocketAddrV4>::new(Bounds { source_swarm_peers: 2, ..Bounds::default() });
        let mut restore = |port, age| {
            let Claim { addr, source, .. } = claim(1, port, false);
            registry.restore(Registration { file: file(1), source, addr, age }, false, 5000).unwrap();
        };
        restore(1, 10);
        restore(2, 10);
        // In the place of one of them; and one of them, told of again.
        restore(3, 1500);
        restore(2, 1600);
        assert_eq!(registry.sweep(5000 + 301, 1000), 2);
    }

    #[test]
    fn the_bounds_hold_for_what_is_brought_back() {
        let bounds = Bounds { peers: 10, swarms: 5, source_peers: 7, ..Bounds::default() };
        let mut registry = Registry::new(bounds);
        for n in 0..100u8 {
            let Claim { addr, source, .. } = claim(u32::from(n / 50), u16::from(n) + 1, false);
            let one = Registration { file: file(n % 6), source, addr, age: 5 };
            let _ = registry.restore(one, false, 1900);
        }
        assert!(registry.peers() <= 10 && registry.swarms() <= 5 && !registry.has_room());
    }

    #[test]
    fn a_file_ends_in_steps() {
        let mut registry = filled();
        let (before, mut steps) = (registry.peers(), 0);
        while !registry.end(&file(9), &mut 16) || !registry.end(&file(3), &mut 160) {
            steps += 1;
        }
        assert!(steps > 10, "{steps}");
        let of_three = (0..3000).filter(|n| n % 7 == 3).count();
        assert_eq!((registry.peers(), registry.swarms()), (before - 300 - of_three, 6));
        assert!(all(&registry, 2200, 100).iter().all(|one| ![file(3), file(9)].contains(&one.file)));
        assert_eq!(registry.shared.ledger.total(), registry.peers());
    }

    #[test]
    fn both_families_are_written_and_read() {
        let addr: SocketAddr = "[2001:db8::7]:80".parse().unwrap();
        let v6 = AddressV6::of(addr.into()).unwrap();
        let mut bytes = Vec::new();
        v6.write(&mut bytes);
        assert_eq!((bytes.len(), AddressV6::read(&bytes)), (AddressV6::LEN, Some(v6)));
        assert_eq!(AddressV6::read(&bytes[1..]), None);
        let v4: SocketAddrV4 = "1.2.3.4:5".parse().unwrap();
        bytes.clear();
        v4.write(&mut bytes);
        assert_eq!((bytes.len(), SocketAddrV4::read(&bytes)), (SocketAddrV4::LEN, Some(v4)));
        assert_eq!(SocketAddrV4::read(&bytes[1..]), None);
    }

    proptest! {
        /// A peer that is registered all the time is exported, whatever comes and goes between the parts.
        #[test]
        fn who_stays_is_told_of(
            steps in prop::collection::vec((0u32..400, any::<bool>()), 0..600),
            work in 1u32..60,
        ) {
            let mut registry = Registry::new(Bounds::default());
            let one = |n: u32| (file(u8::from(n.is_multiple_of(9))), claim(n / 2, 1 + u16::try_from(n % 2).unwrap(), false));
            for n in 0..400 {
                let (file, claim) = one(n);
                registry.subscribe(&file, claim, 100).unwrap();
            }
            let (mut stays, mut told) = (BTreeSet::from_iter(0..400u32), BTreeSet::new());
            let (mut cursor, mut steps) = (Some(Cursor::default()), steps.into_iter());
            while let Some(at) = cursor {
                cursor = registry.export(at, 100, work, |one| {
                    told.insert((one.file, one.addr));
                });
                for (n, comes) in steps.by_ref().take(20) {
                    let (file, claim) = one(n);
                    if comes {
                        registry.subscribe(&file, claim, 100).unwrap();
                    } else {
                        stays.remove(&n);
                        registry.unsubscribe(&file, claim);
                    }
                }
            }
            for n in stays {
                let (file, claim) = one(n);
                prop_assert!(told.contains(&(file, claim.addr)), "{n} is lost");
            }
        }
    }
}
