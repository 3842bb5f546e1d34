//! The names of links, and a small set of them.

use alloc::vec::Vec;

/// The name of one connection to a peer, or of the attempt to make one. A name is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Links, each once. There are never more than [`crate::limits::MAX_LINKS`], so a sorted list is smaller and
/// faster than a tree.
#[derive(Debug, Default)]
pub(super) struct LinkIds {
    links: Vec<LinkId>,
}

impl LinkIds {
    pub(super) fn insert(&mut self, link: LinkId) {
        if self.links.last().is_none_or(|last| *last < link) {
            // Most come in order.
            self.links.push(link);
        } else if let Err(at) = self.links.binary_search(&link) {
            self.links.insert(at, link);
        }
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        if let Ok(at) = self.links.binary_search(&link) {
            self.links.remove(at);
        }
    }

    pub(super) fn contains(&self, link: LinkId) -> bool {
        self.links.binary_search(&link).is_ok()
    }

    /// The links in the order of their numbers.
    pub(super) fn as_slice(&self) -> &[LinkId] {
        &self.links
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Keeps those for which `keep` holds, which is asked once for each.
    pub(super) fn retain(&mut self, keep: impl FnMut(&LinkId) -> bool) {
        self.links.retain(keep);
    }

    /// Becomes the set of `links`, which come in the order of their numbers.
    pub(super) fn replace(&mut self, links: impl Iterator<Item = LinkId>) {
        self.links.clear();
        self.links.extend(links);
        debug_assert!(self.links.is_sorted(), "links come in order");
    }

    /// Becomes the same set as `other`.
    pub(super) fn copy(&mut self, other: &Self) {
        self.links.clone_from(&other.links);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_is_in_it_once_and_in_order() {
        let mut set = LinkIds::default();
        [5, 1, 3, 1, 5].iter().for_each(|number| set.insert(LinkId(*number)));
        assert_eq!(set.as_slice(), [LinkId(1), LinkId(3), LinkId(5)]);
        set.remove(LinkId(3));
        set.remove(LinkId(4));
        assert_eq!((set.contains(LinkId(3)), set.contains(LinkId(5)), set.len()), (false, true, 2));
        set.retain(|link| link.0 > 1);
        assert_eq!(set.as_slice(), [LinkId(5)]);
    }
}
