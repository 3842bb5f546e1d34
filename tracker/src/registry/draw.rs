//! What every draw for a list needs: who asks, from which part of a swarm peers are drawn, and how one is added.

use super::address::Address;
use super::group::Member;
use super::network::Network;
use super::swarm::Swarm;
use std::ops::Range;

/// The asker, and when it asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<A> {
    /// Left out of the list, if it is of this family.
    pub(super) addr: Option<A>,
    /// Seconds of the registry's clock.
    pub(super) now: u32,
    /// The network whose peers are listed before others; `None`: nobody's.
    pub(super) network: Option<Network>,
}

/// The part of a swarm that a choice is made from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rank {
    Good,
    Other,
}

impl Rank {
    pub(super) fn positions<A: Address>(self, swarm: &Swarm<A>) -> Range<u32> {
        match self {
            Self::Good => 0..swarm.good(),
            Self::Other => swarm.good()..swarm.len(),
        }
    }
}

/// Adds a member, unless it asks itself or is on the list already.
pub(super) fn add<A: Address>(
    member: Option<Member<A>>,
    rank: Rank,
    asker: Asker<A>,
    list: &mut Vec<A::Entry>,
) {
    if let Some(member) = member.filter(|member| is_wanted(member.addr, asker, list)) {
        list.push(member.addr.entry(member.subscribed(), matches!(rank, Rank::Good)));
    }
}

/// Whether it neither asks itself nor is on the list already.
pub(super) fn is_wanted<A: Address>(addr: A, asker: Asker<A>, list: &[A::Entry]) -> bool {
    Some(addr) != asker.addr && !list.iter().any(|entry| A::of_entry(entry) == addr)
}

/// A random number below `len`; most groups have one member, and need none.
pub(super) fn below(rng: &mut fastrand::Rng, len: usize) -> usize {
    if len > 1 { rng.usize(..len) } else { 0 }
}
