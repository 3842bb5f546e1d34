//! The groups of a large swarm by network: those of one network are a ring, and an index finds its head.
//!
//! ```text
//!  network ──heads (Index)──► position 7 ──► position 90 ──► position 3 ──┐
//!                                  ▲                                      │
//!                                  └──────────────────────────────────────┘
//! ```
//!
//! Each look at a ring begins where the last one ended, so that all of it have their turn. Whatever happens to a group
//! changes three links at most.

use super::index::Index;
use super::network::Network;
use super::pages::Pages;
use std::hash::{BuildHasher, RandomState};

/// A group's place in its ring, 12 bytes.
#[derive(Debug, Clone, Copy)]
struct Link {
    network: Network,
    next: u32,
    previous: u32,
}

/// The rings of one swarm.
#[derive(Debug)]
pub(super) struct Rings {
    /// By the positions of the groups.
    links: Pages<Link>,
    /// From a network to a position in its ring.
    heads: Index,
}

impl Rings {
    pub(super) fn new() -> Self {
        Self { links: Pages::new(), heads: Index::new() }
    }

    /// A group follows the last position.
    pub(super) fn push(&mut self, network: Network, keys: &RandomState) {
        let at = self.len();
        self.links.push(Link { network, next: at, previous: at });
        self.join(at, keys);
    }

    /// The group at the last position goes.
    pub(super) fn pop(&mut self, keys: &RandomState) {
        if let Some(last) = self.len().checked_sub(1) {
            self.leave(last, keys);
            self.links.pop();
        }
    }

    /// The group at a position belongs to this network now.
    pub(super) fn place(&mut self, at: u32, network: Network, keys: &RandomState) {
        if self.get(at).is_some_and(|link| link.network != network) {
            self.leave(at, keys);
            self.change(at, |link| link.network = network);
            self.join(at, keys);
        }
    }

    /// Two groups change places.
    pub(super) fn swap(&mut self, a: u32, b: u32, keys: &RandomState) {
        let (Some(at_a), Some(at_b)) = (self.get(a), self.get(b)) else { return };
        if a == b {
            return;
        }
        // Does nothing where they are no heads.
        self.heads.swap(keys.hash_one(at_a.network), a, keys.hash_one(at_b.network), b);
        let moved = |at: u32| match at {
            _ if at == a => b,
            _ if at == b => a,
            _ => at,
        };
        for (now, link) in [(b, at_a), (a, at_b)] {
            let (next, previous) = (moved(link.next), moved(link.previous));
            self.change(now, |place| *place = Link { network: link.network, next, previous });
            self.change(next, |other| other.previous = now);
            self.change(previous, |other| other.next = now);
        }
    }

    /// The next positions of a network's ring, in `order`; returns how many. The next look begins behind them.
    pub(super) fn turn(&mut self, network: Network, order: &mut [u32], keys: &RandomState) -> usize {
        let Some(head) = self.head(network, keys) else { return 0 };
        let (mut at, mut len) = (head, 0);
        for place in order {
            *place = at;
            len += 1;
            at = self.get(at).map_or(head, |link| link.next);
            if at == head {
                return len;
            }
        }
        self.heads.replace(keys.hash_one(network), head, at);
        len
    }

    fn len(&self) -> u32 {
        u32::try_from(self.links.len()).unwrap_or(u32::MAX)
    }

    fn get(&self, at: u32) -> Option<Link> {
        self.links.get(at as usize).copied()
    }

    fn change(&mut self, at: u32, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(at as usize) {
            change(link);
        }
    }

    fn head(&self, network: Network, keys: &RandomState) -> Option<u32> {
        self.heads.find(keys.hash_one(network), |at| self.get(at).is_some_and(|link| link.network == network))
    }

    /// Adds a group to its network's ring: it has its turn after all others.
    fn join(&mut self, at: u32, keys: &RandomState) {
        let Some(Link { network, .. }) = self.get(at) else { return };
        if let Some(head) = self.head(network, keys)
            && let Some(Link { previous: last, .. }) = self.get(head)
        {
            self.change(at, |link| (link.next, link.previous) = (head, last));
            self.change(last, |link| link.next = at);
            self.change(head, |link| link.previous = at);
        } else {
            self.change(at, |link| (link.next, link.previous) = (at, at));
            let links = &self.links;
            self.heads.insert(keys.hash_one(network), at, |head| hash_at(links, head, keys));
        }
    }

    fn leave(&mut self, at: u32, keys: &RandomState) {
        let Some(Link { network, next, previous }) = self.get(at) else { return };
        let hash = keys.hash_one(network);
        if next == at {
            let links = &self.links;
            return self.heads.remove(hash, at, |head| hash_at(links, head, keys));
        }
        self.change(previous, |link| link.next = next);
        self.change(next, |link| link.previous = previous);
        // Does nothing where it is no head.
        self.heads.replace(hash, at, next);
    }
}

fn hash_at(links: &Pages<Link>, at: u32, keys: &RandomState) -> u64 {
    links.get(at as usize).map_or(0, |link| keys.hash_one(link.network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::network::Networks;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    fn network(n: u32) -> Network {
        Networks::default().of(Ipv4Addr::from_bits(n << 8).into())
    }

    /// Every position of a network, in the order of the ring.
    fn ring(rings: &mut Rings, n: u32, keys: &RandomState) -> Vec<u32> {
        let mut order = vec![0; rings.links.len() + 1];
        let len = rings.turn(network(n), &mut order, keys);
        order.truncate(len);
        order
    }

    proptest! {
        #[test]
        fn rings_are_what_a_list_of_networks_says(
            steps in prop::collection::vec((0u8..5, 0u32..4, 0usize..60, 0usize..60), 0..300),
        ) {
            let keys = RandomState::new();
            let (mut rings, mut model) = (Rings::new(), Vec::<u32>::new());
            for (what, n, a, b) in steps {
                let (a, b) = (a % model.len().max(1), b % model.len().max(1));
                match what {
                    0 if !model.is_empty() => {
                        rings.pop(&keys);
                        model.pop();
                    }
                    1 if !model.is_empty() => {
                        rings.swap(u32::try_from(a).unwrap(), u32::try_from(b).unwrap(), &keys);
                        model.swap(a, b);
                    }
                    2 if !model.is_empty() => {
                        rings.place(u32::try_from(a).unwrap(), network(n), &keys);
                        model[a] = n;
                    }
                    _ => {
                        rings.push(network(n), &keys);
                        model.push(n);
                    }
                }
                // Somebody looks meanwhile.
                rings.turn(network(n), &mut [0; 3], &keys);
            }
            for n in 0..4 {
                let positions = (0u32..).zip(&model).filter(|(_, network)| **network == n).map(|(at, _)| at);
                let found = ring(&mut rings, n, &keys);
                prop_assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), positions.collect::<BTreeSet<_>>());
                // Backwards it is the same ring.
                for (one, next) in found.iter().zip(found.iter().cycle().skip(1)) {
                    prop_assert_eq!(rings.get(*next).unwrap().previous, *one);
                }
            }
            let networks: BTreeSet<u32> = model.iter().copied().collect();
            prop_assert_eq!(rings.heads.len(), networks.len());
        }
    }

    #[test]
    fn all_of_a_ring_have_their_turn() {
        let keys = RandomState::new();
        let mut rings = Rings::new();
        (0..1000).for_each(|n| rings.push(network(n % 10), &keys));
        let (mut order, mut seen) = ([0; 7], Vec::<u32>::new());
        while seen.len() < 300 {
            let len = rings.turn(network(3), &mut order, &keys);
            seen.extend(&order[..len]);
        }
        let first: BTreeSet<_> = seen.iter().take(100).collect();
        assert_eq!(first.len(), 100, "each once before any is there twice");
        assert_eq!(seen[..100], seen[100..200]);
        assert_eq!(rings.turn(network(77), &mut order, &keys), 0);
    }
}
