//! The peers registered for one file.
//!
//! ```text
//!  position  0 ............ good ............................ len
//!            │ good peers    │ the others                      │
//! ```
//!
//! A small swarm is a [`Chain`], searched from end to end; a large one is [`Pages`] with an [`Index`]
//! from address to position. Both have positions, so that a random member is one look-up.

use super::chain::{Chain, Chains};
use super::index::Index;
use super::pages::Pages;
use cascade_format::CascadeHash;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddrV4;

/// The most members that are searched one by one, without an index.
const SMALL_MAX: u32 = 32;

/// One registered peer, 10 bytes. Whether it is good, its position tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) addr: SocketAddrV4,
    subscribed: [u8; 4],
}

const _: () = assert!(size_of::<Member>() == 10, "memory per peer is promised");

impl Member {
    pub(super) const fn new(addr: SocketAddrV4, subscribed: u32) -> Self {
        Self { addr, subscribed: subscribed.to_be_bytes() }
    }

    /// When it last subscribed, in seconds since the UNIX epoch.
    pub(super) const fn subscribed(&self) -> u32 {
        u32::from_be_bytes(self.subscribed)
    }
}

/// What all swarms share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The members of small swarms.
    chains: Chains,
    /// Keys of the hash tables: whoever chooses addresses and hashes must not be able to choose
    /// collisions. They decide where things are stored, never what is answered.
    pub(super) keys: RandomState,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self { chains: Chains::new(), keys: RandomState::new() }
    }
}

/// The members of one swarm.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) hash: CascadeHash,
    good: u32,
    members: Members,
}

#[derive(Debug)]
enum Members {
    Small(Chain),
    Large(Box<Large>),
}

#[derive(Debug)]
struct Large {
    pages: Pages<Member>,
    index: Index,
}

impl Swarm {
    pub(super) const fn new(hash: CascadeHash) -> Self {
        Self { hash, good: 0, members: Members::Small(Chain::new()) }
    }

    pub(super) fn len(&self) -> u32 {
        match &self.members {
            Members::Small(chain) => chain.len(),
            Members::Large(large) => large.len(),
        }
    }

    /// Number of good peers: they have the first positions.
    pub(super) const fn good(&self) -> u32 {
        self.good
    }

    pub(super) fn get<'s>(&'s self, position: u32, shared: &'s Shared) -> Option<&'s Member> {
        match &self.members {
            Members::Small(chain) => shared.chains.get(chain, position),
            Members::Large(large) => large.pages.get(position as usize),
        }
    }

    /// The position of the member with this address.
    pub(super) fn find(&self, addr: SocketAddrV4, shared: &Shared) -> Option<u32> {
        match &self.members {
            Members::Small(chain) => shared.chains.find(chain, addr),
            Members::Large(large) => large.find(addr, &shared.keys),
        }
    }

    /// Sets a member's time of subscription.
    pub(super) fn renew(&mut self, position: u32, now: u32, shared: &mut Shared) {
        if let Some(member) = self.get(position, shared).copied() {
            self.set(position, Member::new(member.addr, now), shared);
        }
    }

    /// Adds a member, whose address is not in the swarm yet.
    pub(super) fn insert(&mut self, member: Member, good: bool, shared: &mut Shared) {
        let last = self.len();
        self.push(member, shared);
        if good {
            self.swap(self.good, last, shared);
            self.good += 1;
        }
    }

    /// Removes the member at `position`. The last member takes its place (two move if it is good).
    pub(super) fn remove(&mut self, mut position: u32, shared: &mut Shared) {
        let Some(last) = self.len().checked_sub(1) else { return };
        if position < self.good {
            self.good -= 1;
            self.swap(position, self.good, shared);
            position = self.good;
        }
        self.swap(position, last, shared);
        self.pop(shared);
    }

    fn push(&mut self, member: Member, shared: &mut Shared) {
        if matches!(&self.members, Members::Small(chain) if chain.len() == SMALL_MAX) {
            self.enlarge(shared);
        }
        match &mut self.members {
            Members::Small(chain) => shared.chains.push(chain, member),
            Members::Large(large) => large.push(member, &shared.keys),
        }
    }

    fn pop(&mut self, shared: &mut Shared) {
        match &mut self.members {
            Members::Small(chain) => shared.chains.pop(chain),
            Members::Large(large) => large.pop(&shared.keys),
        }
        // Half of the bound: a swarm at the bound must not change its form with every member.
        if matches!(&self.members, Members::Large(large) if large.len() <= SMALL_MAX / 2) {
            self.reduce(shared);
        }
    }

    /// From a chain to pages and index.
    fn enlarge(&mut self, shared: &mut Shared) {
        let mut large = Box::new(Large { pages: Pages::new(), index: Index::new() });
        for position in 0..self.len() {
            if let Some(member) = self.get(position, shared) {
                large.push(*member, &shared.keys);
            }
        }
        if let Members::Small(mut chain) = std::mem::replace(&mut self.members, Members::Large(large)) {
            (0..chain.len()).for_each(|_| shared.chains.pop(&mut chain));
        }
    }

    /// From pages and index to a chain.
    fn reduce(&mut self, shared: &mut Shared) {
        let mut chain = Chain::new();
        for position in 0..self.len() {
            if let Some(member) = self.get(position, shared).copied() {
                shared.chains.push(&mut chain, member);
            }
        }
        self.members = Members::Small(chain);
    }

    fn set(&mut self, position: u32, member: Member, shared: &mut Shared) {
        let place = match &mut self.members {
            Members::Small(chain) => shared.chains.get_mut(chain, position),
            Members::Large(large) => large.pages.get_mut(position as usize),
        };
        if let Some(place) = place {
            *place = member;
        }
    }

    fn swap(&mut self, a: u32, b: u32, shared: &mut Shared) {
        let (Some(&at_a), Some(&at_b)) = (self.get(a, shared), self.get(b, shared)) else { return };
        if a == b {
            return;
        }
        self.set(a, at_b, shared);
        self.set(b, at_a, shared);
        if let Members::Large(large) = &mut self.members {
            large.index.swap(hash_of(at_a.addr, &shared.keys), a, hash_of(at_b.addr, &shared.keys), b);
        }
    }
}

impl Large {
    fn len(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }

    fn find(&self, addr: SocketAddrV4, keys: &RandomState) -> Option<u32> {
        let is_it = |at: u32| self.pages.get(at as usize).is_some_and(|member| member.addr == addr);
        self.index.find(hash_of(addr, keys), is_it)
    }

    fn push(&mut self, member: Member, keys: &RandomState) {
        let position = self.len();
        self.pages.push(member);
        let pages = &self.pages;
        self.index.insert(hash_of(member.addr, keys), position, |at| hash_at(pages, at, keys));
    }

    fn pop(&mut self, keys: &RandomState) {
        let Some(position) = self.len().checked_sub(1) else { return };
        let pages = &self.pages;
        self.index.remove(hash_at(pages, position, keys), position, |at| hash_at(pages, at, keys));
        self.pages.pop();
    }
}

fn hash_of(addr: SocketAddrV4, keys: &RandomState) -> u64 {
    keys.hash_one(u64::from(addr.ip().to_bits()) << 16 | u64::from(addr.port()))
}

fn hash_at(pages: &Pages<Member>, position: u32, keys: &RandomState) -> u64 {
    pages.get(position as usize).map_or(0, |member| hash_of(member.addr, keys))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    fn addr(n: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), n)
    }

    fn check(swarm: &Swarm, model: &BTreeMap<u16, bool>, shared: &Shared) {
        assert_eq!(swarm.len() as usize, model.len());
        assert_eq!(swarm.good() as usize, model.values().filter(|good| **good).count());
        for (n, good) in model {
            let at = swarm.find(addr(*n), shared).unwrap_or_else(|| panic!("{n} is lost"));
            assert_eq!(swarm.get(at, shared).unwrap().addr, addr(*n));
            assert_eq!(at < swarm.good(), *good, "{n} stands on the wrong side");
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0u16..200, 0u8..4), 0..600)) {
            let mut shared = Shared::new();
            let mut swarm = Swarm::new(CascadeHash([0; 32]));
            let mut model = BTreeMap::new();
            for (n, what) in steps {
                match swarm.find(addr(n), &shared) {
                    Some(at) if what == 0 => {
                        swarm.remove(at, &mut shared);
                        model.remove(&n);
                    }
                    Some(at) => swarm.renew(at, 9, &mut shared),
                    None => {
                        swarm.insert(Member::new(addr(n), 1), what == 1, &mut shared);
                        model.insert(n, what == 1);
                    }
                }
                prop_assert_eq!(swarm.find(addr(n), &shared).is_some(), model.contains_key(&n));
            }
            check(&swarm, &model, &shared);
        }
    }

    #[test]
    fn changes_its_form_both_ways() {
        let mut shared = Shared::new();
        let mut swarm = Swarm::new(CascadeHash([0; 32]));
        let mut model = BTreeMap::new();
        for n in 0..5000 {
            swarm.insert(Member::new(addr(n), 1), n % 7 == 0, &mut shared);
            model.insert(n, n % 7 == 0);
        }
        check(&swarm, &model, &shared);
        assert!(matches!(swarm.members, Members::Large(_)));
        for n in (0..5000).filter(|n| n % 400 != 0) {
            let at = swarm.find(addr(n), &shared).unwrap();
            swarm.remove(at, &mut shared);
            model.remove(&n);
        }
        check(&swarm, &model, &shared);
        assert!(matches!(swarm.members, Members::Small(_)), "13 members need no index");
    }
}
