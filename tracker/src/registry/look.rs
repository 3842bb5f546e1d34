//! Looking at the registrations of a file, and ending one.

use super::address::Address;
use super::source::Source;
use super::swarm::Key;
use super::{Claim, Registry, Slot, is_lapsed};
use cascade_format::CascadeHash;

/// The most groups of a file whose registrations are counted: with more, the number is one below which it is not.
const MAX_COUNTED_GROUPS: u32 = 16_384;

/// The most registrations of a file that are looked at one by one.
const MAX_SEEN: usize = 1024;

impl<A: Address> Registry<A> {
    /// Ends a registration, if its source has made it.
    pub fn unsubscribe(&mut self, file: &CascadeHash, claim: Claim<A>) {
        let Some(slot) = self.find(file) else { return };
        let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize) else { return };
        for good in [true, false] {
            swarm.take(Key { source: claim.source, good }, claim.addr, &mut self.shared);
        }
        self.drop_if_empty(slot);
    }

    /// Number of registrations of a file, including those that have lapsed lately; a lower bound where there are very
    /// many.
    #[must_use]
    pub fn registered(&self, file: &CascadeHash, now: u32) -> u32 {
        let Some(Slot::Used(swarm)) = self.find(file).and_then(|slot| self.slots.get(slot as usize)) else {
            return 0;
        };
        let of_group = |position| {
            let Some(group) = swarm.get(position, &self.shared) else { return 0 };
            let crowd = group.crowd_index().and_then(|index| self.shared.crowds.get(index));
            match crowd {
                Some(crowd) => u32::try_from(crowd.members.len()).unwrap_or(u32::MAX),
                None => u32::from(!is_lapsed(group.member().subscribed(), now)),
            }
        };
        (0..swarm.len().min(MAX_COUNTED_GROUPS)).map(of_group).fold(0, u32::saturating_add)
    }

    /// Some registrations of a file that have not lapsed, with their sources and times: the first [`MAX_SEEN`].
    #[must_use]
    pub fn some(&self, file: &CascadeHash, now: u32) -> Vec<(Source, A, u32)> {
        let Some(Slot::Used(swarm)) = self.find(file).and_then(|slot| self.slots.get(slot as usize)) else {
            return Vec::new();
        };
        let all = (0..swarm.len()).flat_map(|position| {
            let source = swarm.get(position, &self.shared).map(super::group::Group::source);
            let members = swarm.members(position, &self.shared).iter();
            members.filter_map(move |member| Some((source?, member.addr, member.subscribed())))
        });
        all.take(MAX_SEEN).filter(|(.., subscribed)| !is_lapsed(*subscribed, now)).collect()
    }

    /// Files with registrations, at most `max` of them.
    #[must_use]
    pub fn files(&self, max: usize) -> Vec<CascadeHash> {
        // Of many free places not all are looked at.
        let slots = (0..self.slots.len()).take(max.saturating_mul(4)).filter_map(|at| self.slots.get(at));
        let used = slots.filter_map(|slot| match slot {
            Slot::Used(swarm) => Some(swarm.hash),
            Slot::Free { .. } => None,
        });
        used.take(max).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Bounds, Source};
    use std::net::{Ipv4Addr, SocketAddrV4};

    const FILE: CascadeHash = CascadeHash([1; 32]);

    fn claim(source: u8, port: u16) -> Claim {
        let ip = Ipv4Addr::new(10, 0, 0, source);
        Claim { addr: SocketAddrV4::new(ip, port), source: Source::of(ip.into()), good: port == 1 }
    }

    #[test]
    fn a_registration_is_ended_by_its_source_alone() {
        let mut registry = Registry::new(Bounds::default());
        for port in 1..=3 {
            registry.subscribe(&FILE, claim(1, port), 100).unwrap();
        }
        registry.subscribe(&FILE, claim(2, 9), 100).unwrap();
        registry.unsubscribe(&FILE, Claim { source: claim(2, 0).source, ..claim(1, 2) });
        assert_eq!((registry.peers(), registry.registered(&FILE, 100)), (4, 4));
        registry.unsubscribe(&FILE, claim(1, 1));
        registry.unsubscribe(&FILE, claim(1, 2));
        registry.unsubscribe(&FILE, claim(1, 2));
        let mut ports: Vec<u16> = registry.some(&FILE, 100).iter().map(|(_, addr, _)| addr.port()).collect();
        ports.sort_unstable();
        assert_eq!((registry.peers(), ports, registry.files(9)), (2, vec![3, 9], vec![FILE]));
        registry.unsubscribe(&FILE, claim(1, 3));
        registry.unsubscribe(&FILE, claim(2, 9));
        assert_eq!((registry.peers(), registry.swarms(), registry.files(9)), (0, 0, vec![]));
    }

    #[test]
    fn lapsed_ones_are_not_counted_and_looking_is_bounded() {
        let mut registry = Registry::new(Bounds::default());
        registry.subscribe(&FILE, claim(1, 9), 100).unwrap();
        assert_eq!((registry.registered(&FILE, 1900), registry.some(&FILE, 1900).len()), (1, 1));
        assert_eq!((registry.registered(&FILE, 1901), registry.some(&FILE, 1901).len()), (0, 0));
        for n in 0..20_000 {
            let ip = Ipv4Addr::from_bits(0x0a00_0000 + n);
            registry.subscribe(&FILE, Claim::own(SocketAddrV4::new(ip, 1)), 2000).unwrap();
        }
        assert_eq!(registry.registered(&FILE, 2000), MAX_COUNTED_GROUPS);
        assert_eq!(registry.some(&FILE, 2000).len(), MAX_SEEN);
    }
}
