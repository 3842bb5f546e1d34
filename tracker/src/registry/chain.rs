//! The groups of small swarms, in one pool of links of the same size.
//!
//! ```text
//!  Chain { first, len: 5 } ──► [ 4 │   ] ──► [ 2 │ 3 ] ──► [ 0 │ 1 ]       32 bytes a link
//! ```
//!
//! There may be millions of swarms with a few groups each. A vector for each would be as small, but
//! leaves the order of allocations and releases to the allocator, which then cleans up for 0.1 s and
//! more at a moment of its own choice (measured: glibc, four million vectors released). Here a link is
//! taken from and returned to a list of free ones; links of one size never fragment.

use super::address::Address;
use super::group::Group;
use super::pages::Pages;
use std::net::SocketAddrV4;

/// Groups of a link. Two waste least: half a link for every second swarm.
const LINK: u32 = 2;

/// The end of a chain, and of the list of free links.
const NONE: u32 = u32::MAX;

/// A short array of groups. The newest are in its first link.
#[derive(Debug)]
pub(super) struct Chain {
    first: u32,
    len: u32,
}

/// The pool.
#[derive(Debug)]
pub(super) struct Chains<A = SocketAddrV4> {
    links: Pages<Link<A>>,
    free: u32,
}

#[derive(Debug)]
struct Link<A = SocketAddrV4> {
    groups: [Group<A>; LINK as usize],
    next: u32,
}

const _: () = assert!(size_of::<Link>() == 32, "memory per peer is promised");

impl Chain {
    pub(super) const fn new() -> Self {
        Self { first: NONE, len: 0 }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }
}

impl<A: Address> Chains<A> {
    pub(super) const fn new() -> Self {
        Self { links: Pages::new(), free: NONE }
    }

    pub(super) fn get(&self, chain: &Chain, position: u32) -> Option<&Group<A>> {
        let (link, place) = self.locate(chain, position)?;
        self.links.get(link)?.groups.get(place)
    }

    pub(super) fn get_mut(&mut self, chain: &Chain, position: u32) -> Option<&mut Group<A>> {
        let (link, place) = self.locate(chain, position)?;
        self.links.get_mut(link)?.groups.get_mut(place)
    }

    /// The position of the group for which `is_it` holds; it is told position and group.
    pub(super) fn find(&self, chain: &Chain, is_it: impl Fn(u32, &Group<A>) -> bool) -> Option<u32> {
        let (mut link, mut end) = (chain.first, chain.len);
        while let Some(there) = self.links.get(link as usize).filter(|_| end > 0) {
            let start = (end - 1) / LINK * LINK;
            let used = there.groups.iter().take((end - start) as usize);
            if let Some((_, position)) = used.zip(start..).find(|(group, position)| is_it(*position, group)) {
                return Some(position);
            }
            (link, end) = (there.next, start);
        }
        None
    }

    pub(super) fn push(&mut self, chain: &mut Chain, group: Group<A>) {
        let place = (chain.len % LINK) as usize;
        if place == 0 {
            chain.first = self.take_link(Link { groups: [group; LINK as usize], next: chain.first });
        } else if let Some(link) = self.links.get_mut(chain.first as usize)
            && let Some(free) = link.groups.get_mut(place)
        {
            *free = group;
        }
        chain.len += 1;
    }

    /// Removes the last group.
    pub(super) fn pop(&mut self, chain: &mut Chain) {
        let Some(len) = chain.len.checked_sub(1) else { return };
        chain.len = len;
        if len.is_multiple_of(LINK)
            && let Some(link) = self.links.get_mut(chain.first as usize)
        {
            let emptied = chain.first;
            chain.first = std::mem::replace(&mut link.next, self.free);
            self.free = emptied;
        }
    }

    /// The index of a link with this content.
    fn take_link(&mut self, content: Link<A>) -> u32 {
        let index = self.free;
        if let Some(link) = self.links.get_mut(index as usize) {
            self.free = link.next;
            *link = content;
            return index;
        }
        self.links.push(content);
        u32::try_from(self.links.len() - 1).unwrap_or(NONE)
    }

    /// Index of the link that holds `position`, and the place in it.
    fn locate(&self, chain: &Chain, position: u32) -> Option<(usize, usize)> {
        let last = chain.len.checked_sub(1).filter(|last| position <= *last)?;
        let steps = last / LINK - position / LINK;
        let mut link = chain.first as usize;
        for _ in 0..steps {
            link = self.links.get(link)?.next as usize;
        }
        Some((link, (position % LINK) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::group::Member;
    use crate::registry::source::Source;
    use proptest::prelude::*;
    use std::net::SocketAddrV4;

    fn group(n: u16) -> Group {
        let addr = SocketAddrV4::new([10, 0, 0, 1].into(), n);
        Group::one(Source::of((*addr.ip()).into()), Member::new(addr, u32::from(n)))
    }

    fn port(group: &Group) -> u16 {
        group.member().addr.port()
    }

    proptest! {
        #[test]
        fn chains_of_one_pool_behave_like_vectors(steps in prop::collection::vec((0usize..3, 0u8..3), 0..300)) {
            let mut pool = Chains::new();
            let mut chains = [Chain::new(), Chain::new(), Chain::new()];
            let mut models = [vec![], vec![], vec![]];
            let mut most = 0;
            for ((which, pop), n) in steps.into_iter().zip(0u16..) {
                if pop == 0 {
                    pool.pop(&mut chains[which]);
                    models[which].pop();
                } else {
                    pool.push(&mut chains[which], group(n));
                    models[which].push(n);
                }
                most = most.max(models.iter().map(|model| model.len().div_ceil(LINK as usize)).sum());
                for (chain, model) in chains.iter().zip(&models) {
                    let ports: Vec<u16> =
                        (0..chain.len()).map(|at| port(pool.get(chain, at).unwrap())).collect();
                    prop_assert_eq!(&ports, model);
                    for (n, at) in model.iter().zip(0..) {
                        prop_assert_eq!(pool.find(chain, |at, group| at < chain.len() && port(group) == *n), Some(at));
                    }
                    prop_assert!(pool.get(chain, chain.len()).is_none());
                    prop_assert_eq!(pool.find(chain, |_, group| port(group) == u16::MAX), None);
                }
            }
            prop_assert_eq!(pool.links.len(), most, "links are used again");
        }
    }
}
