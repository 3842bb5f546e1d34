//! What other trackers have registered for one file, in one family.

use crate::registry::{Address, Source};
use std::collections::HashSet;

/// A registration that the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen<A> {
    /// Where the peer listens.
    pub(crate) addr: A,
    /// The source that has made it.
    pub(crate) source: Source,
    /// When, by the tracker's steady clock.
    pub(crate) subscribed: u32,
}

/// A peer to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer<A> {
    /// Where it listens.
    pub(crate) addr: A,
    /// When it subscribed, by the tracker's steady clock.
    pub(crate) subscribed: u32,
}

/// Peers of other trackers: of those that are not good, first one of each source.
#[derive(Debug)]
pub(crate) struct Part<A> {
    good: Vec<Peer<A>>,
    peers: Vec<Peer<A>>,
    /// So many of `peers` are the first of their source.
    firsts: usize,
    /// For how many sources the peers stand: the store has more than the sample.
    weight: f64,
}

impl<A> Default for Part<A> {
    fn default() -> Self {
        Self { good: Vec::new(), peers: Vec::new(), firsts: 0, weight: 0.0 }
    }
}

impl<A: Address> Part<A> {
    /// Of a sample in which each peer stands for `factor` of the store.
    pub(crate) fn new(
        factor: f64,
        mut peers: Vec<Seen<A>>,
        good: &[Seen<A>],
        rng: &mut fastrand::Rng,
    ) -> Self {
        // Which peer of a source comes first must not depend on the store's order.
        rng.shuffle(&mut peers);
        let mut sources = HashSet::with_capacity(peers.len());
        let (firsts, more): (Vec<_>, Vec<_>) =
            peers.into_iter().partition(|peer| sources.insert(peer.source));
        let peer = |seen: &Seen<A>| Peer { addr: seen.addr, subscribed: seen.subscribed };
        #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
        let weight = firsts.len() as f64 * factor;
        Self {
            good: good.iter().map(peer).collect(),
            firsts: firsts.len(),
            peers: firsts.iter().chain(&more).map(peer).collect(),
            weight,
        }
    }
}

impl<A> Part<A> {
    /// Number of peers.
    pub(crate) const fn len(&self) -> usize {
        self.good.len() + self.peers.len()
    }

    pub(super) fn good(&self) -> &[Peer<A>] {
        &self.good
    }

    pub(super) fn peers(&self) -> (&[Peer<A>], usize) {
        (&self.peers, self.firsts)
    }

    pub(super) const fn weight(&self) -> f64 {
        self.weight
    }
}
