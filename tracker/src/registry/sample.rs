//! A random choice among a swarm's live members, without a copy of the swarm.

use super::swarm::{Shared, Swarm};
use super::{LIST_MAX, is_lapsed};
use cascade_format::tracker_wire::PeerEntry;
use std::net::SocketAddrV4;
use std::ops::Range;

/// Up to so many members, a choice looks at each of them; beyond, it draws positions at random.
const EXACT_MAX: u32 = 256;

/// Draws for one list. Only a swarm with far more lapsed members than live ones needs more than a few
/// dozen; its list may then be shorter than it could be, and shorter by less each time, as every
/// lapsed member that is drawn is removed.
const DRAWS_MAX: u32 = 256;

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    /// Left out of the list.
    pub(super) addr: SocketAddrV4,
    /// Seconds since the UNIX epoch.
    pub(super) now: u32,
}

/// The part of a swarm that a choice is made from.
#[derive(Debug, Clone, Copy)]
enum Rank {
    Good,
    Other,
}

impl Rank {
    fn positions(self, swarm: &Swarm) -> Range<u32> {
        match self {
            Self::Good => 0..swarm.good(),
            Self::Other => swarm.good()..swarm.len(),
        }
    }
}

/// Fills `list` with at most [`LIST_MAX`] entries: good peers first, random order within each rank.
/// Removes the lapsed members that it meets; returns how many.
pub(super) fn sample(
    swarm: &mut Swarm,
    asker: Asker,
    shared: &mut Shared,
    rng: &mut fastrand::Rng,
    list: &mut Vec<PeerEntry>,
) -> usize {
    let before = swarm.len();
    list.clear();
    for rank in [Rank::Good, Rank::Other] {
        draw(swarm, rank, asker, shared, rng, list);
    }
    (before - swarm.len()) as usize
}

/// Draws positions of a large rank at random; leaves a small one to [`choose`].
fn draw(
    swarm: &mut Swarm,
    rank: Rank,
    asker: Asker,
    shared: &mut Shared,
    rng: &mut fastrand::Rng,
    list: &mut Vec<PeerEntry>,
) {
    for _ in 0..DRAWS_MAX {
        let positions = rank.positions(swarm);
        if list.len() >= LIST_MAX {
            return;
        }
        if positions.end - positions.start <= EXACT_MAX {
            return choose(swarm, rank, asker, shared, rng, list);
        }
        let position = rng.u32(positions);
        if swarm.get(position, shared).is_some_and(|member| is_lapsed(member.subscribed(), asker.now)) {
            swarm.remove(position, shared);
        } else {
            add(swarm, rank, position, asker, shared, list);
        }
    }
}

/// Removes every lapsed member of a small rank, then takes the others in random order.
fn choose(
    swarm: &mut Swarm,
    rank: Rank,
    asker: Asker,
    shared: &mut Shared,
    rng: &mut fastrand::Rng,
    list: &mut Vec<PeerEntry>,
) {
    // Downwards: a removal puts only members in the hole that were looked at already.
    for position in rank.positions(swarm).rev() {
        if swarm.get(position, shared).is_some_and(|member| is_lapsed(member.subscribed(), asker.now)) {
            swarm.remove(position, shared);
        }
    }
    let mut order = [0; EXACT_MAX as usize];
    let mut len = 0;
    for (place, position) in order.iter_mut().zip(rank.positions(swarm)) {
        *place = position;
        len += 1;
    }
    // A shuffle that stops when the list is full.
    for taken in 0..len {
        if list.len() >= LIST_MAX {
            return;
        }
        order.swap(taken, rng.usize(taken..len));
        add(swarm, rank, order.get(taken).copied().unwrap_or(0), asker, shared, list);
    }
}

/// Adds the member at `position`, unless it asks itself or is on the list already.
fn add(swarm: &Swarm, rank: Rank, position: u32, asker: Asker, shared: &Shared, list: &mut Vec<PeerEntry>) {
    let Some(member) = swarm.get(position, shared) else { return };
    if member.addr != asker.addr && !list.iter().any(|entry| entry.addr == member.addr) {
        let good = matches!(rank, Rank::Good);
        list.push(PeerEntry { addr: member.addr, subscribed: member.subscribed(), good });
    }
}
