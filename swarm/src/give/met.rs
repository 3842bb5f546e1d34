//! Peers that have shown themselves to this one, so that they can be told of to others: only what was
//! seen first-hand is passed on, never hearsay.

use crate::ask::address;
use crate::limits::{MAX_MET, MAX_MET_A_HOST};
use alloc::collections::VecDeque;
use cascade_format::PeerAddr;
use hashbrown::HashMap;

/// A peer that has had a connection with this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquaintance {
    /// Where it listens.
    pub addr: PeerAddr,
    /// Whether it has shown that it knows the extension.
    pub extended: bool,
}

/// The peers that were met last, in the order of their first appearance.
#[derive(Debug, Default)]
pub struct Met {
    peers: VecDeque<Acquaintance>,
    /// Whether each of them has shown that it knows the extension.
    known: HashMap<PeerAddr, bool>,
    /// Number of those that were forgotten.
    base: u64,
}

impl Met {
    /// Adds a peer; returns whether it is new. When the table is full, the oldest peer is forgotten.
    pub fn insert(&mut self, peer: Acquaintance) -> bool {
        let Acquaintance { addr, extended } = peer;
        let known = self.known.get(&addr).is_some_and(|known| *known || !extended);
        if !addr.is_somewhere() || known || self.is_crowd(addr) {
            return false;
        }
        self.known.insert(addr, extended);
        self.peers.push_back(peer);
        if self.peers.len() > MAX_MET
            && let Some(oldest) = self.peers.pop_front()
        {
            // One that has shown the extension since is remembered a second time.
            if self.known.get(&oldest.addr) == Some(&oldest.extended) {
                self.known.remove(&oldest.addr);
            }
            self.base += 1;
        }
        true
    }

    /// Whether the host has shown as many ports as one host may. A port is a claim; on this
    /// machine itself there may be a whole swarm.
    fn is_crowd(&self, addr: PeerAddr) -> bool {
        let host = address::host(addr.ip());
        let ports = self.known.keys().filter(|known| address::host(known.ip()) == host).count();
        !addr.ip().is_loopback() && ports >= MAX_MET_A_HOST
    }

    /// Whether the peer that listens at `addr` is among them.
    pub(super) fn knows(&self, addr: PeerAddr) -> bool {
        self.known.contains_key(&addr)
    }

    /// The number of peers that were ever added.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.base + self.peers.len() as u64
    }

    /// The peer that was added as number `at` or, if that is forgotten, the oldest one after it; with its number.
    #[must_use]
    pub fn get(&self, at: u64) -> Option<(u64, Acquaintance)> {
        let at = at.max(self.base);
        let index = usize::try_from(at - self.base).ok()?;
        self.peers.get(index).map(|peer| (at, *peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    #[test]
    fn the_oldest_are_forgotten_and_numbers_go_on() {
        let peer = |port: usize| Acquaintance {
            addr: PeerAddr::new(IpAddr::from([127, 0, 0, 1]), u16::try_from(port).unwrap()),
            extended: false,
        };
        let mut met = Met::default();
        assert!(!met.insert(peer(0)), "port 0 listens nowhere");
        for port in 1..=MAX_MET + 2 {
            assert!(met.insert(peer(port)));
        }
        assert!(!met.insert(peer(5)));
        assert_eq!(met.get(0), Some((2, peer(3))));
        assert_eq!(met.end(), MAX_MET as u64 + 2);
        assert_eq!(met.get(met.end()), None);
        let extended = Acquaintance { extended: true, ..peer(5) };
        assert!(met.insert(extended) && !met.insert(extended) && !met.insert(peer(5)));
    }

    #[test]
    fn an_ipv6_network_is_one_host_and_link_local_addresses_are_nothing_for_others() {
        let mut met = Met::default();
        let insert = |met: &mut Met, last: u16| {
            let addr = PeerAddr::new(IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]), 7001);
            met.insert(Acquaintance { addr, extended: true })
        };
        let most = u16::try_from(MAX_MET_A_HOST).unwrap();
        assert!((1..=most).all(|last| insert(&mut met, last)) && !insert(&mut met, most + 1));
        let link_local = "[fe80::1]:7001".parse().unwrap();
        assert!(!met.insert(Acquaintance { addr: link_local, extended: true }));
    }

    #[test]
    fn a_host_with_many_ports_is_told_of_so_many_times() {
        let mut met = Met::default();
        for port in 1..=u16::try_from(MAX_MET_A_HOST).unwrap() + 1 {
            let addr = PeerAddr::new(IpAddr::from([10, 0, 0, 1]), port);
            let new = met.insert(Acquaintance { addr, extended: true });
            assert_eq!(new, usize::from(port) <= MAX_MET_A_HOST, "port {port}");
        }
    }
}
