//! One list of this tracker's peers and those of others.

use super::part::{Part, Peer};
use crate::registry::{Address, LIFETIME_SECS, LIST_MAX};

/// The most peers of one kind in a sample: of a file with fewer, a tracker knows all.
pub(crate) const SAMPLE: usize = 256;

/// Adds peers of other trackers to `list`, in which are those of this one, good ones first; it stands for `sources`
/// sources. Each place of the list goes to either side by chance, as many sources as that has.
pub(crate) fn merge<A: Address>(
    part: &Part<A>,
    sources: u32,
    asker: Option<A>,
    now: u32,
    rng: &mut fastrand::Rng,
    list: &mut Vec<A::Entry>,
) {
    let own: Vec<A::Entry> = std::mem::take(list);
    let (own_good, own): (Vec<_>, Vec<_>) = own.into_iter().partition(A::is_good);
    let sources = f64::from(sources) - float(own_good.len());
    let ranks = [
        (own_good, Draw::new(part.good(), part.good().len()), None),
        (own, Draw::new(part.peers().0, part.peers().1), Some((sources, part.weight()))),
    ];
    for (at, (own, mut others, weights)) in ranks.into_iter().enumerate() {
        let mut own = own.into_iter().peekable();
        let (mut ours, mut theirs) = weights.unwrap_or((float(own.len()), float(others.firsts_left())));
        while list.len() < LIST_MAX {
            // Second peers of a source come when every source has its turn behind it.
            let own_turn = others.firsts_left() == 0 || ours > 0.0 && rng.f64() * (ours + theirs) < ours;
            let entry = match own.peek() {
                Some(_) if own_turn => {
                    ours -= 1.0;
                    own.next()
                }
                _ => {
                    theirs -= 1.0;
                    others.next(rng).map(|peer| peer.addr.entry(peer.subscribed, at == 0))
                }
            };
            let Some(entry) = entry else { break };
            let addr = A::of_entry(&entry);
            let lapsed = now.saturating_sub(A::subscribed(&entry)) > LIFETIME_SECS;
            if !lapsed && Some(addr) != asker && !list.iter().any(|entry| A::of_entry(entry) == addr) {
                list.push(entry);
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few hundred")]
const fn float(count: usize) -> f64 {
    count as f64
}

/// Peers in random order: first one of each source, then the others.
struct Draw<'p, A> {
    peers: &'p [Peer<A>],
    order: [u16; SAMPLE],
    firsts: usize,
    at: usize,
}

impl<'p, A: Copy> Draw<'p, A> {
    fn new(peers: &'p [Peer<A>], firsts: usize) -> Self {
        let peers = peers.get(..SAMPLE).unwrap_or(peers);
        let mut order = [0; SAMPLE];
        for (place, number) in order.iter_mut().zip(0..).take(peers.len()) {
            *place = number;
        }
        Self { peers, order, firsts: firsts.min(peers.len()), at: 0 }
    }

    /// Sources that have not had their turn.
    const fn firsts_left(&self) -> usize {
        self.firsts.saturating_sub(self.at)
    }

    fn next(&mut self, rng: &mut fastrand::Rng) -> Option<Peer<A>> {
        let end = if self.at < self.firsts { self.firsts } else { self.peers.len() };
        if self.at >= end {
            return None;
        }
        // A shuffle that stops when the list is full.
        self.order.swap(self.at, rng.usize(self.at..end));
        let number = *self.order.get(self.at)?;
        self.at += 1;
        self.peers.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::Seen;
    use super::*;
    use crate::registry::Source;
    use cascade_format::tracker_wire::PeerEntry;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::SocketAddrV4;

    const NOW: u32 = 5000;

    fn addr(n: u16) -> SocketAddrV4 {
        let [a, b] = n.to_be_bytes();
        SocketAddrV4::new([10, 0, a, b].into(), 1)
    }

    fn seen(n: u16, source: u16) -> Seen<SocketAddrV4> {
        Seen { addr: addr(n), source: Source::of((*addr(source).ip()).into()), subscribed: NOW }
    }

    fn own(n: u16, good: bool) -> PeerEntry {
        PeerEntry { addr: addr(n), subscribed: NOW, good }
    }

    fn merged(
        part: &Part<SocketAddrV4>,
        sources: u32,
        own: &[PeerEntry],
        rng: &mut fastrand::Rng,
    ) -> Vec<PeerEntry> {
        let mut list = own.to_vec();
        merge(part, sources, Some(addr(9999)), NOW, rng, &mut list);
        list
    }

    #[test]
    fn each_peer_comes_as_often_as_any_other() {
        // 30 of this tracker, of which the registry gives 20 at random; 200 of others, of which the sample has 50.
        let mut rng = fastrand::Rng::with_seed(7);
        let mut times: BTreeMap<SocketAddrV4, u32> = BTreeMap::new();
        const LISTS: u32 = 20_000;
        for _ in 0..LISTS {
            let mut of_others: Vec<u16> = (1000..1200).collect();
            rng.shuffle(&mut of_others);
            let sample = of_others[..50].iter().map(|n| seen(*n, *n)).collect();
            let part = Part::new(4.0, sample, &[], &mut rng);
            let mut of_us: Vec<u16> = (0..30).collect();
            rng.shuffle(&mut of_us);
            let list: Vec<PeerEntry> = of_us[..20].iter().map(|n| own(*n, false)).collect();
            let list = merged(&part, 30, &list, &mut rng);
            assert_eq!(list.len(), LIST_MAX);
            list.iter().for_each(|entry| *times.entry(entry.addr).or_default() += 1);
        }
        let expected = f64::from(LISTS) * 20.0 / 230.0;
        assert_eq!(times.len(), 230);
        for (addr, times) in times {
            // Some 41 are a standard deviation.
            assert!((f64::from(times) - expected).abs() < 250.0, "{addr} {times} {expected}");
        }
    }

    #[test]
    fn a_source_with_many_peers_is_listed_no_oftener() {
        let mut rng = fastrand::Rng::with_seed(7);
        let crowd = (100..300).map(|n| seen(n, 100));
        let part = Part::new(1.0, (0..10).map(|n| seen(n, n)).chain(crowd).collect(), &[], &mut rng);
        for _ in 0..100 {
            let list = merged(&part, 5, &[own(500, false), own(501, false)], &mut rng);
            let honest =
                list.iter().filter(|entry| entry.addr < addr(100) || entry.addr >= addr(500)).count();
            assert_eq!((honest, list.len()), (12, 20));
        }
    }

    #[test]
    fn good_ones_come_first_from_both_sides() {
        let mut rng = fastrand::Rng::with_seed(7);
        let part =
            Part::new(1.0, (0..50).map(|n| seen(n, n)).collect(), &[seen(70, 70), seen(71, 71)], &mut rng);
        let list = merged(&part, 3, &[own(80, true), own(81, false), own(82, false)], &mut rng);
        let good: BTreeSet<_> = list.iter().take(3).map(|entry| (entry.addr, entry.good)).collect();
        assert_eq!(good, BTreeSet::from([70, 71, 80].map(|n| (addr(n), true))));
        assert!(list.iter().skip(3).all(|entry| !entry.good));
    }

    proptest! {
        #[test]
        fn a_short_list_has_everybody_once_but_the_asker_and_who_has_lapsed(
            ours in prop::collection::btree_set(0u16..30, 0..12),
            theirs in prop::collection::btree_map(0u16..30, (0u16..5, any::<bool>(), 0u32..3), 0..12),
            asker in 0u16..30,
            seed in any::<u64>(),
        ) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let age = |n: u32| [0, LIFETIME_SECS, LIFETIME_SECS + 1][n as usize];
            let seen = |n: u16, source: u16, old: u32| Seen { subscribed: NOW - age(old), ..seen(n, source) };
            let of = |good: bool| -> Vec<_> { theirs.iter().filter(move |(_, (_, is, _))| *is == good).map(|(n, (s, _, old))| seen(*n, *s, *old)).collect() };
            let part = Part::new(1.0, of(false), &of(true), &mut rng);
            let mut list: Vec<_> = ours.iter().filter(|n| **n != asker).map(|n| own(*n, n % 7 == 0)).collect();
            list.sort_by_key(|entry| !entry.good);
            merge(&part, u32::try_from(ours.len()).unwrap(), Some(addr(asker)), NOW, &mut rng, &mut list);
            let live = theirs.iter().filter(|(_, (.., old))| *old < 2).map(|(n, _)| *n);
            let all: BTreeSet<u16> = ours.iter().copied().chain(live).filter(|n| *n != asker).collect();
            let listed: BTreeSet<SocketAddrV4> = list.iter().map(|entry| entry.addr).collect();
            prop_assert_eq!(listed.len(), list.len());
            prop_assert!(list.is_sorted_by_key(|entry| !entry.good));
            let all: BTreeSet<SocketAddrV4> = all.into_iter().map(addr).collect();
            if all.len() <= LIST_MAX {
                prop_assert_eq!(listed, all);
            } else {
                prop_assert!(list.len() == LIST_MAX && listed.is_subset(&all));
            }
        }
    }
}
