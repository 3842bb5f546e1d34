use super::*;
use cascade_format::tracker_wire::PeerEntry;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

const NOW: u32 = 1_800_000_000;

fn file(n: u8) -> CascadeHash {
    CascadeHash([n; 32])
}

fn addr(n: u32) -> SocketAddrV4 {
    let [_, high, middle, low] = n.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, high, middle, low), 8000)
}

/// A peer that registers itself.
fn own(n: u32, good: bool) -> Claim {
    Claim { good, ..Claim::own(addr(n)) }
}

/// A peer that source number `by` registers.
fn by(by: u32, addr: SocketAddrV4) -> Claim {
    Claim { addr, source: Source::of(Ipv4Addr::from_bits(0xc600_0000 + by).into()), good: false }
}

fn list(registry: &mut Registry, of: u8, asker: u32, now: u32, seed: u64) -> Vec<PeerEntry> {
    let mut entries = Vec::new();
    let mut rng = fastrand::Rng::with_seed(seed);
    registry.list(&file(of), addr(asker), now, &mut rng, &mut entries);
    entries
}

fn with_peers(count: u32, good: impl Fn(u32) -> bool) -> Registry {
    let mut registry = Registry::new(Bounds::default());
    for n in 0..count {
        assert_eq!(registry.subscribe(&file(1), own(n, good(n)), NOW), Ok(Subscribed::New));
    }
    registry
}

#[test]
fn a_file_that_nobody_shares_has_no_peers() {
    let mut registry = with_peers(3, |_| false);
    assert_eq!(list(&mut registry, 2, 0, NOW, 0), []);
}

#[test]
fn the_asker_is_left_out_but_not_another_port_of_its_address() {
    let mut registry = with_peers(2, |_| false);
    let other_port = SocketAddrV4::new(*addr(0).ip(), 8001);
    registry.subscribe(&file(1), Claim { addr: other_port, ..own(0, false) }, NOW).unwrap();
    let listed: BTreeSet<_> = list(&mut registry, 1, 0, NOW, 0).iter().map(|e| e.addr).collect();
    assert_eq!(listed, BTreeSet::from([addr(1), other_port]));
}

#[test]
fn a_registration_lapses_after_1800_seconds_and_renewing_prevents_it() {
    let mut registry = with_peers(2, |_| false);
    assert_eq!(registry.subscribe(&file(1), own(1, false), NOW + 600), Ok(Subscribed::Renewed));
    assert_eq!(list(&mut registry, 1, 9, NOW + 1800, 0).len(), 2);
    let listed = list(&mut registry, 1, 9, NOW + 1801, 0);
    assert_eq!(listed, [PeerEntry { addr: addr(1), subscribed: NOW + 600, good: false }]);
    assert_eq!(registry.peers(), 1);
    assert_eq!(list(&mut registry, 1, 9, NOW + 2401, 0), []);
    assert_eq!((registry.peers(), registry.swarms()), (0, 0));
}

#[test]
fn a_lapsed_peer_that_comes_back_is_new() {
    let mut registry = with_peers(1, |_| false);
    assert_eq!(registry.subscribe(&file(1), own(0, false), NOW + 1801), Ok(Subscribed::New));
    assert_eq!(registry.peers(), 1);
}

#[test]
fn a_clock_set_back_does_not_empty_the_lists() {
    let mut registry = with_peers(3, |_| false);
    assert_eq!(list(&mut registry, 1, 0, NOW - 100_000, 0).len(), 2);
}

#[test]
fn good_peers_come_first_and_all_of_them_up_to_twenty() {
    for count in [30, 300, 3000] {
        let mut registry = with_peers(count, |n| n % 10 == 3 && n < 70);
        for seed in 0..50 {
            let entries = list(&mut registry, 1, 3, NOW, seed);
            let good = entries.iter().take_while(|e| e.good).count();
            let expected = (0..count.min(70)).filter(|n| n % 10 == 3).count() - 1;
            assert_eq!((entries.len(), good), (20, expected), "{count} peers, seed {seed}");
            assert!(entries.iter().skip(good).all(|e| !e.good), "a good peer after others: {entries:?}");
        }
    }
}

#[test]
fn a_peer_that_becomes_good_changes_rank() {
    let mut registry = with_peers(200, |_| false);
    registry.subscribe(&file(1), own(7, true), NOW + 1).unwrap();
    assert_eq!(registry.peers(), 200);
    let first = list(&mut registry, 1, 0, NOW + 1, 0).first().copied();
    assert_eq!(first, Some(PeerEntry { addr: addr(7), subscribed: NOW + 1, good: true }));
}

#[test]
fn every_peer_is_listed_about_equally_often() {
    for count in [25, 200, 257, 2000] {
        let mut registry = with_peers(count, |_| false);
        let mut times = BTreeMap::new();
        let mut first = BTreeMap::new();
        let mut rng = fastrand::Rng::with_seed(u64::from(count));
        let mut entries = Vec::new();
        let rounds = count * 50;
        for _ in 0..rounds {
            registry.list(&file(1), addr(count), NOW, &mut rng, &mut entries);
            assert_eq!(entries.len(), LIST_MAX);
            *first.entry(entries[0].addr).or_insert(0u32) += 1;
            entries.iter().for_each(|e| *times.entry(e.addr).or_insert(0u32) += 1);
        }
        // Expected 1000 times each, 50 times first: bounds of eight standard deviations.
        assert_eq!(times.len(), count as usize, "some of {count} peers were never listed");
        let extremes = (times.values().min(), times.values().max());
        assert!(extremes.0 > Some(&740) && extremes.1 < Some(&1260), "{count} peers: {extremes:?} of 1000");
        assert!(first.values().max() < Some(&110), "{count} peers: {:?} of 50 first", first.values().max());
    }
}

#[test]
fn a_full_registry_refuses_the_new_and_renews_the_old() {
    let mut registry = Registry::new(Bounds { peers: 3, swarms: 2, ..Bounds::default() });
    for n in 0..2 {
        registry.subscribe(&file(1), own(n, false), NOW).unwrap();
    }
    registry.subscribe(&file(2), own(0, false), NOW + 1000).unwrap();
    assert_eq!(registry.subscribe(&file(1), own(5, false), NOW + 1000), Err(RegistryFull::Peers(3)));
    assert_eq!(registry.subscribe(&file(1), own(1, false), NOW + 1000), Ok(Subscribed::Renewed));
    // Peer 0 of the first file lapses: its place is found at once.
    assert_eq!(registry.subscribe(&file(3), own(5, false), NOW + 1801), Err(RegistryFull::Swarms(2)));
    assert_eq!(registry.subscribe(&file(1), own(5, false), NOW + 1801), Ok(Subscribed::New));
    assert_eq!((registry.peers(), registry.swarms()), (3, 2));
}

#[test]
fn a_sweep_removes_all_that_lapsed_in_bounded_steps() {
    let mut registry = Registry::new(Bounds::default());
    for n in 0..10_000 {
        registry.subscribe(&file((n % 50) as u8), own(n, false), NOW + (n % 2) * 1000).unwrap();
    }
    let mut steps = 0;
    while registry.peers() > 5000 {
        let removed = registry.sweep(NOW + 1801, 160);
        assert!(removed <= 10, "{removed} removals in one step of 160");
        steps += 1;
        assert!(steps < 2000, "{} peers left after {steps} steps", registry.peers());
    }
    assert_eq!(registry.sweep(NOW + 1801, 1_000_000), 0);
    while registry.peers() > 0 {
        registry.sweep(NOW + 2801, 100_000);
    }
    assert_eq!(registry.swarms(), 0);
    assert_eq!(registry.sweep(NOW + 2801, 1000), 0);
    // Slots are used again.
    registry.subscribe(&file(7), own(1, false), NOW + 2801).unwrap();
    assert_eq!(registry.slots.len(), 50);
}

/// What is promised, with no thought for speed: time of subscription and rank by file, source and address.
type Model = BTreeMap<(u8, Source, SocketAddrV4), (u32, bool)>;

const MODEL_BOUNDS: Bounds = Bounds { source_swarm_peers: 20, source_ports: 3, ..DEFAULT };
const DEFAULT: Bounds = Bounds {
    peers: MAX_PEERS,
    swarms: MAX_SWARMS,
    source_peers: MAX_SOURCE_PEERS,
    source_swarm_peers: MAX_SOURCE_SWARM_PEERS,
    source_ports: MAX_SOURCE_PORTS,
};

#[derive(Debug, Clone)]
enum Step {
    Subscribe { file: u8, claim: Claim },
    List { file: u8, asker: SocketAddrV4 },
    Sweep { work: u32 },
    Wait { secs: u32 },
}

/// 50 addresses with eight ports each.
fn any_addr() -> impl Strategy<Value = SocketAddrV4> {
    (0u32..50, 8000u16..8008).prop_map(|(n, port)| SocketAddrV4::new(*addr(n).ip(), port))
}

/// Half of the peers register themselves, the others are registered by one of three sources.
fn any_claim() -> impl Strategy<Value = Claim> {
    (any_addr(), 0u32..6, prop::bool::weighted(0.1)).prop_map(|(addr, n, good)| match n {
        0..3 => Claim { good, ..by(n, addr) },
        _ => Claim { good, ..Claim::own(addr) },
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..3, any_claim()).prop_map(|(file, claim)| Step::Subscribe { file, claim }),
        3 => (0u8..4, any_addr()).prop_map(|(file, asker)| Step::List { file, asker }),
        1 => (0u32..500).prop_map(|work| Step::Sweep { work }),
        1 => (0u32..300).prop_map(|secs| Step::Wait { secs }),
    ]
}

/// Registers in the model; returns what the registry should say.
fn model_subscribe(model: &mut Model, of: u8, claim: Claim, now: u32) -> Subscribed {
    let Claim { addr, source, good } = claim;
    let old = model.insert((of, source, addr), (now, good));
    if old.is_some_and(|(then, was_good)| now - then <= 1800 && was_good == good) {
        return Subscribed::Renewed;
    }
    let [first, last] = [(0, 0), (u32::MAX, u16::MAX)]
        .map(|(ip, port)| (of, source, SocketAddrV4::new(Ipv4Addr::from_bits(ip), port)));
    let mut others: Vec<_> = model
        .range(first..=last)
        .filter(|((.., there), (then, rank))| *rank == good && *there != addr && now - then <= 1800)
        .map(|(key, (then, _))| (*then, *key))
        .collect();
    let same_ip: Vec<_> = others.iter().filter(|(_, (.., there))| there.ip() == addr.ip()).copied().collect();
    let ports_used_up = !addr.is_own_of(source) && same_ip.len() >= MODEL_BOUNDS.source_ports;
    if ports_used_up {
        others = same_ip;
    }
    if ports_used_up || others.len() >= MODEL_BOUNDS.source_swarm_peers {
        model.remove(&others.iter().min().unwrap().1);
    }
    Subscribed::New
}

fn check_list(entries: &[PeerEntry], model: &Model, of: u8, asker: SocketAddrV4, now: u32) {
    let live: Vec<PeerEntry> = model
        .iter()
        .filter(|((file, _, addr), (then, _))| *file == of && *addr != asker && now - then <= 1800)
        .map(|((.., addr), (then, good))| PeerEntry { addr: *addr, subscribed: *then, good: *good })
        .collect();
    let addresses =
        |of: &mut dyn Iterator<Item = &PeerEntry>| of.map(|e| e.addr).collect::<BTreeSet<_>>().len();
    assert_eq!(addresses(&mut entries.iter()), entries.len(), "a peer is listed twice: {entries:?}");
    assert_eq!(entries.len(), addresses(&mut live.iter()).min(20), "of {} live peers", live.len());
    assert!(entries.iter().all(|entry| live.contains(entry)), "{entries:?} of {live:?}");
    let good = entries.iter().take_while(|e| e.good).count();
    let live_good = addresses(&mut live.iter().filter(|e| e.good));
    assert_eq!(good, live_good.min(20), "good peers first: {entries:?}");
}

proptest! {
    #[test]
    fn agrees_with_a_naive_model(steps in prop::collection::vec(step(), 1..1500), seed: u64) {
        let mut registry = Registry::new(MODEL_BOUNDS);
        let mut model = Model::new();
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut now, mut entries) = (NOW, Vec::new());
        for step in steps {
            match step {
                Step::Subscribe { file: of, claim } => {
                    // No two of the same second: which is the oldest, is no matter of chance.
                    now += 1;
                    let expected = model_subscribe(&mut model, of, claim, now);
                    prop_assert_eq!(registry.subscribe(&file(of), claim, now), Ok(expected));
                }
                Step::List { file: of, asker } => {
                    registry.list(&file(of), asker, now, &mut rng, &mut entries);
                    check_list(&entries, &model, of, asker, now);
                }
                Step::Sweep { work } => {
                    registry.sweep(now, work);
                }
                Step::Wait { secs } => now += secs,
            }
        }
        while registry.sweep(now, 1 << 20) > 0 {}
        model.retain(|_, (then, _)| now - *then <= 1800);
        prop_assert_eq!(registry.peers(), model.len());
        for (_, by, _) in model.keys() {
            let count = model.keys().filter(|(_, source, _)| source == by).count();
            prop_assert!(registry.shared.ledger.of(*by) >= count);
        }
    }
}

#[test]
fn a_registry_of_ipv6_addresses_keeps_the_same_rules() {
    let addr = |site: u16, port: u16| {
        let addr = std::net::SocketAddrV6::new([0x2001, 0xdb8, site, 0, 0, 0, 0, 1].into(), port, 0, 0);
        AddressV6::of(addr.into()).unwrap()
    };
    let mut registry = Registry::new(Bounds { source_swarm_peers: 4, ..Bounds::default() }.for_v6());
    // One site has a crowd of four at most, forty others have one peer each.
    for port in 1..=6 {
        registry.subscribe(&file(1), Claim::own(addr(0, port)), NOW + u32::from(port)).unwrap();
    }
    for site in 1..=40 {
        registry.subscribe(&file(1), Claim::own(addr(site, 1)), NOW + 10).unwrap();
    }
    assert_eq!(registry.peers(), 44);
    let (mut rng, mut list) = (fastrand::Rng::with_seed(1), Vec::new());
    let mut crowd = BTreeSet::new();
    for _ in 0..500 {
        registry.list(&file(1), addr(1, 1), NOW + 10, &mut rng, &mut list);
        assert_eq!(list.len(), LIST_MAX);
        assert!(list.iter().all(|entry| AddressV6::of_entry(entry) != addr(1, 1)), "the asker is listed");
        let of_crowd = list.iter().filter(|entry| AddressV6::of_entry(entry).same_ip(addr(0, 0)));
        crowd.extend(of_crowd.map(|entry| entry.addr.port()));
    }
    assert_eq!(crowd.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6], "the newest four of the crowd");
    assert_eq!(registry.sweep(NOW + 1800 + 6, 100_000), 3, "ports 3, 4 and 5 have lapsed");
    assert_eq!(registry.sweep(NOW + 3000, 100_000), 41);
    assert_eq!((registry.peers(), registry.swarms()), (0, 0));
}
