//! Peers of the asker's own network, for up to half of a list.
//!
//! They are drawn over sources as all are ([`super::sample`]): of a small swarm from all of its groups, of a large one
//! from the next groups of the network's ring ([`super::rings`]).

use super::address::Address;
use super::draw::{self, Rank, add, below, is_wanted};
use super::group::Member;
use super::network::{Network, Networks};
use super::swarm::{Shared, Swarm, TURN};
use super::{LIST_MAX, Registry};
use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;

/// The most peers of a list that are in it because they are near.
const NEAR_MAX: usize = LIST_MAX / 2;

/// Members that are looked at for one list, below 0.1 ms; only sources with many peers come near it.
const LOOKS: u32 = 4096;

/// Who asks for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker<A = SocketAddrV4> {
    /// Left out of the list, if it is of this family.
    pub addr: Option<A>,
    /// Peers in the network of this address are preferred, where the registry knows networks; `None`: nobody is.
    pub host: Option<IpAddr>,
}

impl<A: Address> From<A> for Asker<A> {
    fn from(addr: A) -> Self {
        Some(addr).into()
    }
}

impl<A: Address> From<Option<A>> for Asker<A> {
    fn from(addr: Option<A>) -> Self {
        Self { addr, host: addr.map(Address::host) }
    }
}

impl<A: Address> Registry<A> {
    /// The same registry, which lists peers near the asker first. It must be empty. Each registration in a swarm of more
    /// than 32 sources takes 12 bytes more, and each network of such a swarm 7.
    #[must_use]
    pub fn with_networks(mut self, networks: Option<Arc<Networks>>) -> Self {
        self.shared.networks = networks;
        self
    }

    /// Other networks from now on, where it knows networks at all. Peers of large swarms are found in their new network
    /// from their next subscription on.
    pub fn set_networks(&mut self, networks: &Arc<Networks>) {
        if let Some(known) = &mut self.shared.networks {
            *known = Arc::clone(networks);
        }
    }
}

/// Adds peers of the asker's network to `list`, at most [`NEAR_MAX`]; good ones are in it already, as far as there is
/// room for them.
pub(super) fn draw<A: Address>(
    swarm: &mut Swarm<A>,
    network: Network,
    asker: draw::Asker<A>,
    shared: &Shared<A>,
    rng: &mut fastrand::Rng,
    list: &mut Vec<A::Entry>,
) {
    let Some(networks) = shared.networks.as_deref() else { return };
    let most = LIST_MAX.min(list.len() + NEAR_MAX);
    let (mut order, mut left) = ([0; TURN], LOOKS);
    let mut len = swarm.near(network, &mut order, shared);
    // In each round one peer of each source.
    while len > 0 {
        let mut kept = 0;
        for at in 0..len {
            if list.len() >= most || left == 0 {
                return;
            }
            order.swap(at, rng.usize(at..len));
            let position = order.get(at).copied().unwrap_or(0);
            if position < swarm.good() {
                continue;
            }
            let members = swarm.members(position, shared);
            if let Some(member) = choose(members, (networks, network), asker, &mut left, rng, list) {
                add(Some(member), Rank::Other, asker, list);
                if members.len() > 1 {
                    order.swap(kept, at);
                    kept += 1;
                }
            }
        }
        len = kept;
    }
}

/// A live member in this network that is not on the list yet, the first from a random one on.
fn choose<A: Address>(
    members: &[Member<A>],
    (networks, network): (&Networks, Network),
    asker: draw::Asker<A>,
    left: &mut u32,
    rng: &mut fastrand::Rng,
    list: &[A::Entry],
) -> Option<Member<A>> {
    let (before, from) = members.split_at_checked(below(rng, members.len()))?;
    for member in from.iter().chain(before) {
        *left = left.checked_sub(1)?;
        let is_near = || networks.of(member.addr.host()) == network;
        if member.is_live(asker.now) && is_near() && is_wanted(member.addr, asker, list) {
            return Some(*member);
        }
    }
    None
}

/// Puts the others between the near ones, which are the first `near` of the list: so whoever takes only the start of a
/// list takes no more than half of it from one network. Their order among themselves is random before and after.
pub(super) fn mix<E>(list: &mut [E], near: usize) {
    for at in 0..near.min(list.len().saturating_sub(near)) {
        list.swap(2 * at + 1, near + at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ones_and_others_take_turns() {
        for near in 0..=10 {
            for others in 0..=20 - near {
                let mut list: Vec<bool> = (0..near + others).map(|at| at < near).collect();
                mix(&mut list, near);
                assert_eq!(list.iter().filter(|is_near| **is_near).count(), near);
                let turns = near.min(others);
                for (at, is_near) in list.iter().take(2 * turns).enumerate() {
                    assert_eq!(*is_near, at % 2 == 0, "{near} near, {others} others: {list:?}");
                }
            }
        }
    }
}
