//! What one source, or a few, can do to others.

use super::*;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const NOW: u32 = 1000;

fn file(n: u32) -> CascadeHash {
    let mut hash = [7; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    CascadeHash(hash)
}

/// A peer at an address that each number has for itself.
fn addr(n: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + n), 8000)
}

fn source(n: u32) -> Source {
    Source::of(Ipv4Addr::from_bits(0xc600_0000 + n).into())
}

fn by(n: u32, addr: SocketAddrV4) -> Claim {
    Claim { addr, source: source(n), good: false }
}

/// A registry with ten peers of file 1 that registered themselves.
fn with_ten_honest_peers(bounds: Bounds) -> (Registry, BTreeSet<SocketAddrV4>) {
    let mut registry = Registry::new(bounds);
    let honest: BTreeSet<_> = (0..10).map(|n| SocketAddrV4::new([192, 0, 2, n].into(), 8889)).collect();
    for addr in &honest {
        registry.subscribe(&file(1), Claim::own(*addr), NOW).unwrap();
    }
    (registry, honest)
}

/// How many of the honest peers each of a hundred lists has, added up; and the lists without any.
fn honest_in_lists(registry: &mut Registry, honest: &BTreeSet<SocketAddrV4>) -> (usize, usize) {
    let (mut rng, mut entries) = (fastrand::Rng::with_seed(1), Vec::new());
    let (mut seen, mut without) = (0, 0);
    for n in 0..100 {
        registry.list(&file(1), addr(n), NOW, &mut rng, &mut entries);
        assert_eq!(entries.len(), LIST_MAX);
        let honest = entries.iter().filter(|entry| honest.contains(&entry.addr)).count();
        seen += honest;
        without += usize::from(honest == 0);
    }
    (seen, without)
}

/// Five million subscriptions of one client hid ten honest peers for good. From the 1024th on each takes
/// the place of another of the same source: after 10,000 the swarm is as large as after five million.
#[test]
fn one_source_hides_nobody_however_many_peers_it_registers() {
    let (mut registry, honest) = with_ten_honest_peers(Bounds::default());
    for n in 0..10_000 {
        assert_eq!(registry.subscribe(&file(1), by(0, addr(n)), NOW), Ok(Subscribed::New));
        assert_eq!(registry.peers(), 10 + MAX_SOURCE_SWARM_PEERS.min(n as usize + 1));
    }
    // Eleven sources, twenty places: all ten are in every list.
    assert_eq!(honest_in_lists(&mut registry, &honest), (1000, 0));
}

#[test]
fn a_hundred_sources_hide_nobody_for_long() {
    let (mut registry, honest) = with_ten_honest_peers(Bounds::default());
    for n in 0..100_000 {
        registry.subscribe(&file(1), by(n % 100, addr(n)), NOW).unwrap();
    }
    assert_eq!(registry.peers(), 100_010);
    // Ten of 110 sources: 1.8 honest peers in a list of twenty. Drawn over peers it were one in 500 lists.
    let (seen, without) = honest_in_lists(&mut registry, &honest);
    assert!(seen > 120 && without < 30, "{seen} in 100 lists, {without} without any");
}

#[test]
fn the_newest_of_a_source_takes_the_place_of_its_oldest() {
    let mut registry = Registry::new(Bounds { source_swarm_peers: 3, ..Bounds::default() });
    for (n, now) in [(1, 1), (2, 2), (3, 3), (1, 4), (4, 5)] {
        registry.subscribe(&file(1), by(0, addr(n)), now).unwrap();
    }
    registry.subscribe(&file(1), by(1, addr(9)), 5).unwrap();
    let mut entries = Vec::new();
    registry.list(&file(1), addr(100), 5, &mut fastrand::Rng::with_seed(1), &mut entries);
    let listed: BTreeSet<_> = entries.iter().map(|entry| entry.addr).collect();
    assert_eq!(listed, [1, 3, 4, 9].map(addr).into(), "2 was the oldest");
}

#[test]
fn nobody_takes_over_a_registration_of_another_source() {
    let (mut registry, honest) = with_ten_honest_peers(Bounds { source_swarm_peers: 3, ..Bounds::default() });
    // It registers the honest ones, too, then enough others that its own registrations of them are replaced.
    for addr in honest.iter().copied().chain((0..50).map(addr)) {
        registry.subscribe(&file(1), by(0, addr), NOW).unwrap();
    }
    assert_eq!(registry.peers(), 13);
    let (mut entries, mut rng) = (Vec::new(), fastrand::Rng::with_seed(1));
    registry.list(&file(1), addr(100), NOW + 1, &mut rng, &mut entries);
    assert!(honest.iter().all(|addr| entries.iter().any(|entry| entry.addr == *addr)), "{entries:?}");
}

#[test]
fn a_peer_that_several_sources_register_is_listed_once() {
    let mut registry = Registry::new(Bounds::default());
    for n in 0..300 {
        registry.subscribe(&file(1), by(n, addr(7)), NOW).unwrap();
        registry.subscribe(&file(1), by(n, addr(8)), NOW).unwrap();
    }
    let (mut entries, mut rng) = (Vec::new(), fastrand::Rng::with_seed(1));
    registry.list(&file(1), addr(1), NOW, &mut rng, &mut entries);
    assert_eq!(entries.len(), 2, "{entries:?}");
}

/// Ports of the victim among the registered peers, by asking until all were listed.
fn listed_ports(registry: &mut Registry, victim: Ipv4Addr) -> BTreeSet<u16> {
    let (mut ports, mut entries, mut rng) = (BTreeSet::new(), Vec::new(), fastrand::Rng::with_seed(1));
    for _ in 0..1000 {
        registry.list(&file(1), addr(0), NOW, &mut rng, &mut entries);
        ports.extend(entries.iter().filter(|e| *e.addr.ip() == victim).map(|e| e.addr.port()));
    }
    ports
}

#[test]
fn one_source_registers_a_bounded_number_of_ports_of_another_address() {
    let victim = Ipv4Addr::new(203, 0, 113, 9);
    let mut registry = Registry::new(Bounds::default());
    for port in 1..=3000 {
        registry.subscribe(&file(1), by(0, SocketAddrV4::new(victim, port)), NOW + u32::from(port)).unwrap();
    }
    let ports = listed_ports(&mut registry, victim);
    assert_eq!(ports.len(), MAX_SOURCE_PORTS);
    assert_eq!(ports.first(), Some(&(3001 - u16::try_from(MAX_SOURCE_PORTS).unwrap())), "the newest");
    // Other addresses, a class behind one address among them, are no ports of the victim.
    for n in 0..300 {
        registry.subscribe(&file(1), by(0, addr(n)), NOW).unwrap();
    }
    assert_eq!(registry.peers(), MAX_SOURCE_PORTS + 300);
}

#[test]
fn a_source_registers_many_ports_of_its_own_address() {
    let lab = Ipv4Addr::LOCALHOST;
    let mut registry = Registry::new(Bounds::default());
    for port in 1..=3000 {
        let claim = Claim::own(SocketAddrV4::new(lab, port));
        registry.subscribe(&file(1), claim, NOW + u32::from(port)).unwrap();
    }
    assert_eq!(listed_ports(&mut registry, lab).len(), MAX_SOURCE_SWARM_PEERS);
}

#[test]
fn a_source_that_has_used_up_its_share_stops_itself_alone() {
    let bounds = Bounds { peers: 3000, swarms: 2000, source_peers: 100, ..Bounds::default() };
    let mut registry = Registry::new(bounds);
    for n in 0..100 {
        assert_eq!(registry.subscribe(&file(n), by(0, addr(n)), NOW), Ok(Subscribed::New));
    }
    for n in 100..5000 {
        let refused = registry.subscribe(&file(n), by(0, addr(n)), NOW);
        assert_eq!(refused, Err(RegistryFull::Source(100)), "file {n}");
    }
    assert_eq!(registry.swarms(), 100, "a refusal leaves no file behind");
    // What it has it can renew; others register for new files.
    assert_eq!(registry.subscribe(&file(7), by(0, addr(7)), NOW + 1000), Ok(Subscribed::Renewed));
    assert_eq!(registry.subscribe(&file(9999), by(1, addr(7)), NOW), Ok(Subscribed::New));
    // When its registrations have lapsed and the cursor has met them it may go on.
    registry.sweep(NOW + 1801, 1000);
    assert_eq!(registry.subscribe(&file(9998), by(0, addr(1)), NOW + 1801), Ok(Subscribed::New));
}

#[test]
fn what_a_crowd_took_is_given_back() {
    let mut registry = Registry::new(Bounds::default());
    for round in 0..3 {
        let now = NOW + round * 2000;
        for n in 0..5000 {
            registry.subscribe(&file(n % 5), by(n % 50, addr(n)), now).unwrap();
        }
        assert_eq!(registry.peers(), 5000);
        for n in 0..50 {
            assert!(registry.shared.ledger.of(source(n)) >= 100, "source {n}");
        }
        let mut steps = 0;
        while registry.peers() > 0 {
            registry.sweep(now + 1801, 500);
            steps += 1;
            assert!(steps < 1000, "{} peers left", registry.peers());
        }
        assert_eq!(registry.swarms(), 0);
        assert!((0..50).all(|n| registry.shared.ledger.of(source(n)) == 0));
    }
}
