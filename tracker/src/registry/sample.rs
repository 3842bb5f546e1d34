//! A random choice among a swarm's live members, without a copy of the swarm.
//!
//! It goes by source first: a source that has registered a thousand peers is drawn no oftener than one that
//! has registered one. Only when every source has its turn behind it do second peers of a source follow.

use super::LIST_MAX;
use super::address::Address;
use super::draw::{Asker, Rank, add, below};
use super::group::Member;
use super::near;
use super::swarm::{Shared, Swarm};

/// The most groups of which a choice looks at each; among more, it draws positions at random.
const EXACT_MAX: u32 = 256;

/// Draws for one list. Only a swarm with far more lapsed members than live ones needs more than a few
/// dozen; its list may then be shorter than it could be, and shorter by less each time, as every
/// lapsed member that is drawn is removed.
const DRAWS_MAX: u32 = 256;

/// Fills `list` with at most [`LIST_MAX`] entries: good peers first, random order within each rank. Of the others, up to
/// half of a list are of the asker's network, where it prefers that. Removes the lapsed members that it meets.
pub(super) fn sample<A: Address>(
    swarm: &mut Swarm<A>,
    asker: Asker<A>,
    shared: &mut Shared<A>,
    rng: &mut fastrand::Rng,
    list: &mut Vec<A::Entry>,
) {
    list.clear();
    draw(swarm, Rank::Good, asker, shared, rng, list);
    let good = list.len();
    if let Some(network) = asker.network {
        near::draw(swarm, network, asker, shared, rng, list);
    }
    let near = list.len() - good;
    draw(swarm, Rank::Other, asker, shared, rng, list);
    near::mix(list.get_mut(good..).unwrap_or_default(), near);
}

/// Draws groups of a large rank at random; leaves a small one to [`choose`].
fn draw<A: Address>(
    swarm: &mut Swarm<A>,
    rank: Rank,
    asker: Asker<A>,
    shared: &mut Shared<A>,
    rng: &mut fastrand::Rng,
    list: &mut Vec<A::Entry>,
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
        if let Some(member) = live_member(swarm, position, asker, shared) {
            add(Some(member), rank, asker, list);
        } else if !swarm.purge(position, asker.now, shared).gone {
            let members = swarm.members(position, shared);
            let member = members.get(below(rng, members.len())).copied();
            add(member, rank, asker, list);
        }
    }
}

/// Removes every lapsed member of a small rank, then takes the others in random order: one of each
/// group, then a second one of each, until the list is full.
fn choose<A: Address>(
    swarm: &mut Swarm<A>,
    rank: Rank,
    asker: Asker<A>,
    shared: &mut Shared<A>,
    rng: &mut fastrand::Rng,
    list: &mut Vec<A::Entry>,
) {
    // Downwards: a removal puts only groups in the hole that were looked at already.
    for position in rank.positions(swarm).rev() {
        if live_member(swarm, position, asker, shared).is_none() {
            swarm.purge(position, asker.now, shared);
        }
    }
    let mut order = [0; EXACT_MAX as usize];
    let mut len = 0;
    for (place, position) in order.iter_mut().zip(rank.positions(swarm)) {
        *place = position;
        len += 1;
    }
    // In round n each group has n members behind it, which stand first.
    let mut round = 0;
    while len > 0 {
        let mut kept = 0;
        for at in 0..len {
            // A shuffle that stops when the list is full.
            if list.len() >= LIST_MAX {
                return;
            }
            order.swap(at, rng.usize(at..len));
            let position = order.get(at).copied().unwrap_or(0);
            if let Some(member) = live_member(swarm, position, asker, shared) {
                add(Some(member), rank, asker, list);
                continue;
            }
            let members = swarm.members_mut(position, shared);
            let Some(left) = members.len().checked_sub(round).filter(|left| *left > 0) else { continue };
            members.swap(round, round + below(rng, left));
            add(members.get(round).copied(), rank, asker, list);
            if left > 1 {
                order.swap(kept, at);
                kept += 1;
            }
        }
        len = kept;
        round += 1;
    }
}

/// The only member of a group, if it has one member and that is live.
fn live_member<A: Address>(
    swarm: &Swarm<A>,
    position: u32,
    asker: Asker<A>,
    shared: &Shared<A>,
) -> Option<Member<A>> {
    swarm.get(position, shared)?.live_member(asker.now)
}
