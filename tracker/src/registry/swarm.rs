//! The sources that have registered peers for one file, each with a group of them.
//!
//! ```text
//!  position  0 ............ good ............................ len
//!            │ groups of good │ groups of other peers          │
//! ```
//!
//! A small swarm is a [`Chain`], searched from end to end; a large one is [`Pages`] with an [`Index`]
//! from source to position. Both have positions, so that a random group is one look-up. What happens
//! to the peers of a group is in [`super::members`]. Where near peers are preferred, a large swarm has [`Rings`], too.

use super::address::Address;
use super::chain::{Chain, Chains};
use super::group::{Crowds, Group};
use super::index::Index;
use super::ledger::Ledger;
use super::network::{Network, Networks};
use super::pages::Pages;
use super::rings::Rings;
use super::source::Source;
use cascade_format::CascadeHash;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// The most groups that are searched one by one, without an index.
const SMALL_MAX: u32 = 32;

/// Groups that one list of near peers is drawn from: all of a small swarm, or the next ones of a ring.
pub(super) const TURN: usize = 64;

const _: () = assert!(SMALL_MAX as usize <= TURN, "a small swarm is one turn");

/// What all swarms share.
#[derive(Debug)]
pub(super) struct Shared<A = SocketAddrV4> {
    /// The groups of small swarms.
    chains: Chains<A>,
    /// The members of groups of more than one.
    pub(super) crowds: Crowds<A>,
    /// How many members there are, by source.
    pub(super) ledger: Ledger,
    /// Keys of the hash tables: a client, which chooses addresses and hashes, must not be able to choose
    /// collisions. They decide where things are stored, never what is answered.
    pub(super) keys: RandomState,
    /// Which addresses are near each other; `None`: nobody asks.
    pub(super) networks: Option<Arc<Networks>>,
}

impl<A: Address> Shared<A> {
    pub(super) fn new() -> Self {
        Self {
            chains: Chains::new(),
            crowds: Crowds::new(),
            ledger: Ledger::new(),
            keys: RandomState::new(),
            networks: None,
        }
    }
}

/// Which group: a source has one of good peers, and one of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) source: Source,
    pub(super) good: bool,
}

/// The groups of one swarm. None is empty.
#[derive(Debug)]
pub(super) struct Swarm<A = SocketAddrV4> {
    pub(super) hash: CascadeHash,
    good: u32,
    groups: Groups<A>,
}

#[derive(Debug)]
enum Groups<A = SocketAddrV4> {
    Small(Chain),
    Large(Box<Large<A>>),
}

#[derive(Debug)]
struct Large<A = SocketAddrV4> {
    pages: Pages<Group<A>>,
    index: Index,
    rings: Option<Box<Rings>>,
}

impl<A: Address> Swarm<A> {
    pub(super) const fn new(hash: CascadeHash) -> Self {
        Self { hash, good: 0, groups: Groups::Small(Chain::new()) }
    }

    /// Number of groups.
    pub(super) fn len(&self) -> u32 {
        match &self.groups {
            Groups::Small(chain) => chain.len(),
            Groups::Large(large) => large.len(),
        }
    }

    /// Number of groups of good peers: they have the first positions.
    pub(super) const fn good(&self) -> u32 {
        self.good
    }

    pub(super) fn get<'s>(&'s self, position: u32, shared: &'s Shared<A>) -> Option<&'s Group<A>> {
        match &self.groups {
            Groups::Small(chain) => shared.chains.get(chain, position),
            Groups::Large(large) => large.pages.get(position as usize),
        }
    }

    /// A group to be changed; its source must stay the same.
    pub(super) fn get_mut<'s>(
        &'s mut self,
        position: u32,
        shared: &'s mut Shared<A>,
    ) -> Option<&'s mut Group<A>> {
        match &mut self.groups {
            Groups::Small(chain) => shared.chains.get_mut(chain, position),
            Groups::Large(large) => large.pages.get_mut(position as usize),
        }
    }

    /// The position of a group.
    pub(super) fn find(&self, key: Key, shared: &Shared<A>) -> Option<u32> {
        if key.good && self.good == 0 {
            return None;
        }
        let is_it = |at: u32, group: &Group<A>| group.source() == key.source && (at < self.good) == key.good;
        match &self.groups {
            Groups::Small(chain) => shared.chains.find(chain, is_it),
            Groups::Large(large) => large.index.find(hash_of(key.source, &shared.keys), |at| {
                large.pages.get(at as usize).is_some_and(|group| is_it(at, group))
            }),
        }
    }

    /// Adds a group, which is not in the swarm yet.
    pub(super) fn insert(&mut self, group: Group<A>, good: bool, shared: &mut Shared<A>) {
        let last = self.len();
        self.push(group, shared);
        if good {
            self.swap(self.good, last, shared);
            self.good += 1;
        }
    }

    /// Removes the group at `position`. The last group takes its place (two move if it is good).
    pub(super) fn remove(&mut self, mut position: u32, shared: &mut Shared<A>) {
        let Some(last) = self.len().checked_sub(1) else { return };
        if position < self.good {
            self.good -= 1;
            self.swap(position, self.good, shared);
            position = self.good;
        }
        self.swap(position, last, shared);
        self.pop(shared);
    }

    /// Positions of groups of a network, in `order`; returns how many. Others are among them, where the swarm is small,
    /// and where a source has peers in several networks. A large swarm tells of other ones the next time.
    pub(super) fn near(&mut self, network: Network, order: &mut [u32; TURN], shared: &Shared<A>) -> usize {
        match &mut self.groups {
            Groups::Small(chain) => {
                let positions = self.good..chain.len();
                let len = positions.len().min(order.len());
                order.iter_mut().zip(positions).for_each(|(place, position)| *place = position);
                len
            }
            Groups::Large(large) => {
                large.rings.as_mut().map_or(0, |rings| rings.turn(network, order, &shared.keys))
            }
        }
    }

    /// The group at `position` has a member of this address: it is found in its network from now on.
    pub(super) fn place(&mut self, position: u32, addr: A, shared: &Shared<A>) {
        if let Groups::Large(large) = &mut self.groups
            && let (Some(rings), Some(networks)) = (&mut large.rings, &shared.networks)
        {
            rings.place(position, networks.of(addr.host()), &shared.keys);
        }
    }

    fn push(&mut self, group: Group<A>, shared: &mut Shared<A>) {
        if matches!(&self.groups, Groups::Small(chain) if chain.len() == SMALL_MAX) {
            self.enlarge(shared);
        }
        match &mut self.groups {
            Groups::Small(chain) => shared.chains.push(chain, group),
            Groups::Large(large) => large.push(group, shared),
        }
    }

    fn pop(&mut self, shared: &mut Shared<A>) {
        match &mut self.groups {
            Groups::Small(chain) => shared.chains.pop(chain),
            Groups::Large(large) => large.pop(&shared.keys),
        }
        // Half of the bound: a swarm at the bound must not change its form with every group.
        if matches!(&self.groups, Groups::Large(large) if large.len() <= SMALL_MAX / 2) {
            self.reduce(shared);
        }
    }

    /// From a chain to pages and index.
    fn enlarge(&mut self, shared: &mut Shared<A>) {
        let rings = shared.networks.as_ref().map(|_| Box::new(Rings::new()));
        let mut large = Box::new(Large { pages: Pages::new(), index: Index::new(), rings });
        for position in 0..self.len() {
            if let Some(group) = self.get(position, shared) {
                large.push(*group, shared);
            }
        }
        if let Groups::Small(mut chain) = std::mem::replace(&mut self.groups, Groups::Large(large)) {
            (0..chain.len()).for_each(|_| shared.chains.pop(&mut chain));
        }
    }

    /// From pages and index to a chain.
    fn reduce(&mut self, shared: &mut Shared<A>) {
        let mut chain = Chain::new();
        for position in 0..self.len() {
            if let Some(group) = self.get(position, shared).copied() {
                shared.chains.push(&mut chain, group);
            }
        }
        self.groups = Groups::Small(chain);
    }

    fn swap(&mut self, a: u32, b: u32, shared: &mut Shared<A>) {
        let (Some(&at_a), Some(&at_b)) = (self.get(a, shared), self.get(b, shared)) else { return };
        if a == b {
            return;
        }
        for (position, group) in [(a, at_b), (b, at_a)] {
            if let Some(place) = self.get_mut(position, shared) {
                *place = group;
            }
        }
        if let Groups::Large(large) = &mut self.groups {
            let hash = |group: Group<A>| hash_of(group.source(), &shared.keys);
            large.index.swap(hash(at_a), a, hash(at_b), b);
            if let Some(rings) = &mut large.rings {
                rings.swap(a, b, &shared.keys);
            }
        }
    }
}

impl<A: Address> Large<A> {
    fn len(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, group: Group<A>, shared: &Shared<A>) {
        let (position, keys) = (self.len(), &shared.keys);
        self.pages.push(group);
        if let (Some(rings), Some(networks)) = (&mut self.rings, &shared.networks) {
            // Of a crowd, that of its first member.
            let crowd = group.crowd_index().and_then(|index| shared.crowds.get(index));
            let member = crowd.and_then(|crowd| crowd.members.first()).unwrap_or(group.member());
            rings.push(networks.of(member.addr.host()), keys);
        }
        let pages = &self.pages;
        self.index.insert(hash_of(group.source(), keys), position, |at| hash_at(pages, at, keys));
    }

    fn pop(&mut self, keys: &RandomState) {
        let Some(position) = self.len().checked_sub(1) else { return };
        let pages = &self.pages;
        self.index.remove(hash_at(pages, position, keys), position, |at| hash_at(pages, at, keys));
        if let Some(rings) = &mut self.rings {
            rings.pop(keys);
        }
        self.pages.pop();
    }
}

fn hash_of(source: Source, keys: &RandomState) -> u64 {
    keys.hash_one(source)
}

fn hash_at<A: Address>(pages: &Pages<Group<A>>, position: u32, keys: &RandomState) -> u64 {
    pages.get(position as usize).map_or(0, |group| hash_of(group.source(), keys))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::group::Member;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    fn source(n: u16) -> Source {
        Source::of(Ipv4Addr::from_bits(u32::from(n)).into())
    }

    /// A group, which can be told from others by its port.
    fn group(n: u16) -> Group {
        Group::one(source(n), Member::new(SocketAddrV4::new([10, 0, 0, 1].into(), n), 1))
    }

    /// The model: what ranks each source has a group of.
    type Model = BTreeMap<(u16, bool), u16>;

    fn check(swarm: &Swarm, model: &Model, shared: &Shared) {
        assert_eq!(swarm.len() as usize, model.len());
        assert_eq!(swarm.good() as usize, model.keys().filter(|(_, good)| *good).count());
        for ((n, good), port) in model {
            let key = Key { source: source(*n), good: *good };
            let at = swarm.find(key, shared).unwrap_or_else(|| panic!("{n} is lost"));
            assert_eq!(swarm.get(at, shared).unwrap().member().addr.port(), *port);
            assert_eq!(at < swarm.good(), *good, "{n} stands on the wrong side");
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0u16..200, any::<bool>(), any::<bool>()), 0..600)) {
            let mut shared = Shared::new();
            let mut swarm = Swarm::new(CascadeHash([0; 32]));
            let mut model = Model::new();
            for (n, good, remove) in steps {
                let key = Key { source: source(n), good };
                match swarm.find(key, &shared) {
                    Some(at) if remove => {
                        swarm.remove(at, &mut shared);
                        model.remove(&(n, good));
                    }
                    Some(_) => {}
                    None => {
                        swarm.insert(group(n), good, &mut shared);
                        model.insert((n, good), n);
                    }
                }
                prop_assert_eq!(swarm.find(key, &shared).is_some(), model.contains_key(&(n, good)));
            }
            check(&swarm, &model, &shared);
        }
    }

    #[test]
    fn changes_its_form_both_ways() {
        let mut shared = Shared::new();
        let mut swarm = Swarm::new(CascadeHash([0; 32]));
        let mut model = Model::new();
        for n in 0..5000 {
            swarm.insert(group(n), n % 7 == 0, &mut shared);
            model.insert((n, n % 7 == 0), n);
        }
        check(&swarm, &model, &shared);
        assert!(matches!(swarm.groups, Groups::Large(_)));
        for n in (0..5000).filter(|n| n % 400 != 0) {
            let at = swarm.find(Key { source: source(n), good: n % 7 == 0 }, &shared).unwrap();
            swarm.remove(at, &mut shared);
            model.remove(&(n, n % 7 == 0));
        }
        check(&swarm, &model, &shared);
        assert!(matches!(swarm.groups, Groups::Small(_)), "13 groups need no index");
    }
}
