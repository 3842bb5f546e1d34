//! The groups of small swarms, in one pool of nodes of the same size.
//!
//! ```text
//!  Chain { first, len: 5 } ──► [ 4 │   ] ──► [ 2 │ 3 ] ──► [ 0 │ 1 ]       32 bytes a node
//! ```
//!
//! There may be millions of swarms with a few groups each. A vector for each would be as small, but
//! leaves the order of allocations and releases to the allocator, which then cleans up for 0.1 s and
//! more at a moment of its own choice (measured: glibc, four million vectors released). Here a node is
//! taken from and returned to a list of free ones; nodes of one size never fragment.

use super::address::Address;
use super::group::Group;
use super::pages::Pages;
use std::net::SocketAddrV4;

/// Groups of a node. Two waste least: half a node for every second swarm.
const NODE: u32 = 2;

/// The end of a chain, and of the list of free nodes.
const NONE: u32 = u32::MAX;

/// A short array of groups. The newest are in its first node.
#[derive(Debug)]
pub(super) struct Chain {
    first: u32,
    len: u32,
}

/// The pool.
#[derive(Debug)]
pub(super) struct Chains<A = SocketAddrV4> {
    nodes: Pages<Node<A>>,
    free: u32,
}

#[derive(Debug)]
struct Node<A = SocketAddrV4> {
    groups: [Group<A>; NODE as usize],
    next: u32,
}

const _: () = assert!(size_of::<Node>() == 32, "memory per peer is promised");

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
        Self { nodes: Pages::new(), free: NONE }
    }

    pub(super) fn get(&self, chain: &Chain, position: u32) -> Option<&Group<A>> {
        let (node, place) = self.locate(chain, position)?;
        self.nodes.get(node)?.groups.get(place)
    }

    pub(super) fn get_mut(&mut self, chain: &Chain, position: u32) -> Option<&mut Group<A>> {
        let (node, place) = self.locate(chain, position)?;
        self.nodes.get_mut(node)?.groups.get_mut(place)
    }

    /// The position of the group for which `is_it` holds; it is told position and group.
    pub(super) fn find(&self, chain: &Chain, is_it: impl Fn(u32, &Group<A>) -> bool) -> Option<u32> {
        let (mut node, mut end) = (chain.first, chain.len);
        while let Some(there) = self.nodes.get(node as usize).filter(|_| end > 0) {
            let start = (end - 1) / NODE * NODE;
            let used = there.groups.iter().take((end - start) as usize);
            if let Some((_, position)) = used.zip(start..).find(|(group, position)| is_it(*position, group)) {
                return Some(position);
            }
            (node, end) = (there.next, start);
        }
        None
    }

    pub(super) fn push(&mut self, chain: &mut Chain, group: Group<A>) {
        let place = (chain.len % NODE) as usize;
        if place == 0 {
            chain.first = self.take_node(Node { groups: [group; NODE as usize], next: chain.first });
        } else if let Some(node) = self.nodes.get_mut(chain.first as usize)
            && let Some(free) = node.groups.get_mut(place)
        {
            *free = group;
        }
        chain.len += 1;
    }

    /// Removes the last group.
    pub(super) fn pop(&mut self, chain: &mut Chain) {
        let Some(len) = chain.len.checked_sub(1) else { return };
        chain.len = len;
        if len.is_multiple_of(NODE)
            && let Some(node) = self.nodes.get_mut(chain.first as usize)
        {
            let emptied = chain.first;
            chain.first = std::mem::replace(&mut node.next, self.free);
            self.free = emptied;
        }
    }

    /// The index of a node with this content.
    fn take_node(&mut self, content: Node<A>) -> u32 {
        let index = self.free;
        if let Some(node) = self.nodes.get_mut(index as usize) {
            self.free = node.next;
            *node = content;
            return index;
        }
        self.nodes.push(content);
        u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
    }

    /// Index of the node that holds `position`, and the place in it.
    fn locate(&self, chain: &Chain, position: u32) -> Option<(usize, usize)> {
        let last = chain.len.checked_sub(1).filter(|last| position <= *last)?;
        let steps = last / NODE - position / NODE;
        let mut node = chain.first as usize;
        for _ in 0..steps {
            node = self.nodes.get(node)?.next as usize;
        }
        Some((node, (position % NODE) as usize))
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
                most = most.max(models.iter().map(|model| model.len().div_ceil(NODE as usize)).sum());
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
            prop_assert_eq!(pool.nodes.len(), most, "nodes are used again");
        }
    }
}
