//! What lists hold where peers of the asker's own network are preferred.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const FILE: CascadeHash = CascadeHash([3; 32]);
const NOW: u32 = 5000;

/// Peer `n` of subnet 10.`subnet`.0.0/16.
fn addr(subnet: u8, n: u16) -> SocketAddrV4 {
    let [high, low] = n.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, subnet, high, low), 8000)
}

/// Each 10.n.0.0/16 is a site.
fn subnets() -> Arc<Networks> {
    let prefix = |n: u8| vec![format!("10.{n}.0.0/16").parse().unwrap()];
    Arc::new(Networks::of_sites((0..8).map(prefix)))
}

fn near_first() -> Registry {
    Registry::new(Bounds::default()).with_networks(Some(subnets()))
}

fn filled(subnets: u8, each: u16) -> Registry {
    let mut registry = near_first();
    for n in 0..each {
        for subnet in 0..subnets {
            registry.subscribe(&FILE, Claim::own(addr(subnet, n)), NOW).unwrap();
        }
    }
    registry
}

fn list(
    registry: &mut Registry,
    asker: SocketAddrV4,
    now: u32,
    rng: &mut fastrand::Rng,
) -> Vec<SocketAddrV4> {
    let mut entries = Vec::new();
    registry.list(&FILE, asker, now, rng, &mut entries);
    let listed: Vec<_> = entries.iter().map(|entry| entry.addr).collect();
    assert!(listed.len() <= LIST_MAX && !listed.contains(&asker));
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len(), "twice: {listed:?}");
    listed
}

fn is_near(one: SocketAddrV4, other: SocketAddrV4) -> bool {
    one.ip().octets()[..2] == other.ip().octets()[..2]
}

#[test]
fn up_to_half_of_a_list_is_near_and_the_rest_is_random() {
    let mut rng = fastrand::Rng::with_seed(1);
    for each in [5, 8, 30, 70, 1000] {
        let mut registry = filled(4, each);
        let (mut near, mut far) = (0, BTreeSet::new());
        for n in 0..100 {
            let asker = addr(u8::try_from(n % 4).unwrap(), n % each);
            let listed = list(&mut registry, asker, NOW, &mut rng);
            assert_eq!(listed.len(), LIST_MAX.min(usize::from(each) * 4 - 1));
            let sure = 10.min(usize::from(each) - 1);
            let of_first = listed.iter().take(2 * sure).step_by(2);
            assert!(of_first.copied().all(|addr| is_near(addr, asker)), "{each}: {listed:?} for {asker}");
            near += listed.iter().filter(|addr| is_near(**addr, asker)).count();
            far.extend(listed.into_iter().filter(|addr| !is_near(*addr, asker)));
        }
        if each >= 30 {
            // Ten, and by chance a quarter of the other ten, those of the first ten left out.
            assert!((1100..1300).contains(&near), "{each}: {near} of 2000");
            // Of some 750 draws, most of those that there are.
            assert!(far.len() > usize::from(each).min(600), "{each}: only {} others are seen", far.len());
        }
    }
}

#[test]
fn without_networks_nothing_is_preferred() {
    let mut registry = Registry::new(Bounds::default());
    for n in 0..1000u16 {
        registry.subscribe(&FILE, Claim::own(addr(u8::try_from(n % 4).unwrap(), n)), NOW).unwrap();
    }
    let (mut rng, asker) = (fastrand::Rng::with_seed(1), addr(0, 0));
    let lists = (0..100).flat_map(|_| list(&mut registry, asker, NOW, &mut rng));
    let near = lists.filter(|addr| is_near(*addr, asker)).count();
    assert!((400..600).contains(&near), "{near} of 2000");
}

#[test]
fn good_peers_come_first_all_the_same() {
    let mut rng = fastrand::Rng::with_seed(1);
    for each in [8, 100] {
        let mut registry = filled(4, each);
        for n in 0..6 {
            let claim = Claim { good: true, ..Claim::own(addr(n % 2, u16::from(n))) };
            registry.subscribe(&FILE, claim, NOW).unwrap();
        }
        for _ in 0..50 {
            let mut entries = Vec::new();
            let asker = addr(1, 99);
            registry.list(&FILE, asker, NOW, &mut rng, &mut entries);
            assert_eq!(entries.len(), 20);
            assert!(entries.iter().take(6).all(|entry| entry.good));
            assert!(entries.iter().skip(6).all(|entry| !entry.good));
            let near = |at: usize| is_near(entries[at].addr, asker);
            let sure = if each > 10 { 10 } else { 5 };
            assert!((0..sure).all(|n| if n < 7 { near(6 + 2 * n) } else { true }), "{entries:?}");
        }
    }
}

#[test]
fn all_of_a_network_have_their_turn() {
    let (mut registry, mut rng) = (filled(2, 500), fastrand::Rng::with_seed(1));
    let mut times = BTreeMap::new();
    for _ in 0..5000 {
        for addr in list(&mut registry, addr(0, 600), NOW, &mut rng) {
            *times.entry(addr).or_insert(0u32) += 1;
        }
    }
    // Ten of 500 for being near, ten of 1000 by chance.
    let near: Vec<u32> = (0..500).map(|n| times.get(&addr(0, n)).copied().unwrap_or(0)).collect();
    assert!(near.iter().all(|times| (100..200).contains(times)), "{near:?}");
}

#[test]
fn a_crowd_behind_one_address_is_told_apart() {
    let (mut registry, mut rng) = (near_first(), fastrand::Rng::with_seed(1));
    let source = Source::of([192, 0, 2, 1].into());
    for n in 0..100 {
        for subnet in 0..4 {
            let claim = Claim { addr: addr(subnet, n), source, good: false };
            registry.subscribe(&FILE, claim, NOW).unwrap();
        }
    }
    for _ in 0..50 {
        let asker = addr(2, 200);
        let listed = list(&mut registry, asker, NOW, &mut rng);
        assert!(listed.iter().step_by(2).all(|addr| is_near(*addr, asker)), "{listed:?}");
    }
}

#[test]
fn lapsed_ones_are_left_out() {
    let (mut registry, mut rng) = (filled(4, 100), fastrand::Rng::with_seed(1));
    for n in 0..50 {
        registry.subscribe(&FILE, Claim::own(addr(1, n)), NOW + 1000).unwrap();
        registry.subscribe(&FILE, Claim::own(addr(2, n)), NOW + 1000).unwrap();
    }
    let late = NOW + LIFETIME_SECS + 1;
    for _ in 0..50 {
        let listed = list(&mut registry, addr(1, 200), late, &mut rng);
        assert!(
            listed.iter().all(|addr| addr.ip().octets()[3] < 50 && [1, 2].contains(&addr.ip().octets()[1]))
        );
    }
    registry.sweep(late, u32::MAX);
    assert_eq!(registry.peers(), 100);
    let listed = list(&mut registry, addr(1, 200), late, &mut rng);
    assert!(listed.len() == 20 && listed.iter().step_by(2).all(|addr| is_near(*addr, self::addr(1, 0))));
}

#[test]
fn other_networks_count_from_the_next_subscription_on() {
    let (mut registry, mut rng) = (filled(4, 100), fastrand::Rng::with_seed(1));
    let halves = ["10.0.0.0/15", "10.2.0.0/15"].map(|text| vec![text.parse().unwrap()]);
    registry.set_networks(&Arc::new(Networks::of_sites(halves)));
    for n in 0..100 {
        for subnet in 0..4 {
            registry.subscribe(&FILE, Claim::own(addr(subnet, n)), NOW + 600).unwrap();
        }
    }
    let lists = (0..100).flat_map(|_| list(&mut registry, addr(0, 200), NOW + 600, &mut rng));
    let by_subnet = lists.fold([0; 4], |mut counts, addr| {
        counts[usize::from(addr.ip().octets()[1])] += 1;
        counts
    });
    // Fifteen of twenty in this half.
    assert!(by_subnet[..2].iter().all(|count| (600..900).contains(count)), "{by_subnet:?}");
    // One that never knew networks does not learn them.
    let mut plain = Registry::<SocketAddrV4>::new(Bounds::default());
    plain.set_networks(&subnets());
    assert!(plain.shared.networks.is_none());
}

#[test]
fn the_same_holds_of_ipv6_addresses() {
    let mut registry = Registry::<AddressV6>::new(Bounds::default()).with_networks(Some(Arc::default()));
    let of = |net: u16, n: u16| {
        let addr: SocketAddr = format!("[2001:db8:{n:x}:{net:x}::{n:x}]:8000").parse().unwrap();
        AddressV6::of(addr.into()).unwrap()
    };
    // Subnets of one site: 2001:db8:7::/48; each peer is a source of its own elsewhere.
    let near = |n: u16| {
        let addr: SocketAddr = format!("[2001:db8:7:1::{n:x}]:8000").parse().unwrap();
        AddressV6::of(addr.into()).unwrap()
    };
    for n in 0..300 {
        registry.subscribe(&FILE, Claim::own(of(9, 100 + n)), NOW).unwrap();
    }
    for n in 1..=30 {
        registry.subscribe(&FILE, Claim::own(near(n)), NOW).unwrap();
    }
    let (mut rng, mut entries) = (fastrand::Rng::with_seed(1), Vec::new());
    registry.list(&FILE, near(99), NOW, &mut rng, &mut entries);
    let listed: Vec<String> = entries.iter().map(|entry| entry.addr.to_string()).collect();
    assert_eq!(listed.len(), 20);
    assert!(listed.iter().step_by(2).all(|addr| addr.starts_with("[2001:db8:7:1:")), "{listed:?}");
}

proptest! {
    /// Whatever comes and goes: who is listed is there, nobody twice, and as many near ones as there are and fit.
    #[test]
    fn lists_are_right_while_peers_come_and_go(
        steps in prop::collection::vec((0u8..4, 0u16..40, 0u8..10), 1..500),
        many in any::<bool>(),
    ) {
        let mut registry = near_first();
        let mut rng = fastrand::Rng::with_seed(7);
        let mut there = BTreeSet::new();
        if many {
            // Enough that the swarm is large.
            for n in 100..120 {
                for subnet in 4..7 {
                    registry.subscribe(&FILE, Claim::own(addr(subnet, n)), NOW).unwrap();
                    there.insert(addr(subnet, n));
                }
            }
        }
        for (subnet, n, what) in steps {
            let peer = addr(subnet, n);
            let claim = Claim { good: what == 1, ..Claim::own(peer) };
            if what < 4 {
                registry.subscribe(&FILE, claim, NOW).unwrap();
                there.insert(peer);
            } else if what < 8 {
                registry.unsubscribe(&FILE, claim);
                there.remove(&peer);
            } else {
                let mut entries = Vec::new();
                registry.list(&FILE, peer, NOW, &mut rng, &mut entries);
                let listed: BTreeSet<_> = entries.iter().map(|entry| entry.addr).collect();
                let others: BTreeSet<_> = there.iter().copied().filter(|other| *other != peer).collect();
                prop_assert!(listed.is_subset(&others), "{listed:?}");
                prop_assert_eq!(listed.len(), entries.len());
                prop_assert_eq!(listed.len(), others.len().min(LIST_MAX));
                let good = entries.iter().take_while(|entry| entry.good).count();
                prop_assert!(entries.iter().skip(good).all(|entry| !entry.good));
                let near = |addr: &SocketAddrV4| is_near(*addr, peer);
                let most = others.iter().filter(|addr| near(addr)).count();
                let found = listed.iter().filter(|addr| near(addr)).count();
                prop_assert!(found >= most.min(10).min(LIST_MAX - good), "{found} of {most} near ones: {listed:?}");
            }
        }
        prop_assert_eq!(registry.peers(), there.len());
    }
}
