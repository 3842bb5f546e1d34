//! `tracker --prefer-near`: peers in the asker's own network come first, for up to half of a list.

use crate::tracker_setup::RunningTracker;
use cascade_tests::clock;
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::tracker_client::{LIST, Request, SUBSCRIBE, exchange};
use cascade_tests::wide;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

const HASH: [u8; 32] = [0xab; 32];

/// Peers of 10.1.0.0/16 to 10.4.0.0/16 register, each over a connection from an address of its own.
fn subscribe_all(tracker: SocketAddr, each: u8) {
    for n in 0..each {
        for subnet in 1..=4 {
            let request = Request::new(SUBSCRIBE, HASH, [10, subnet, n / 8, n], 7);
            assert_eq!(request.ask_from(Ipv4Addr::new(127, 1, subnet, n), tracker).status, 0);
        }
    }
}

fn listed(tracker: SocketAddr, asker: [u8; 4]) -> Vec<SocketAddrV4> {
    Request::new(LIST, HASH, asker, 9).ask(tracker).addresses()
}

/// How many of a list are in the same /16, and in the same /24.
fn near(listed: &[SocketAddrV4], asker: [u8; 4]) -> (usize, usize) {
    let same =
        |bytes: usize| listed.iter().filter(|addr| addr.ip().octets()[..bytes] == asker[..bytes]).count();
    (same(2), same(3))
}

fn config(rest: &str) -> String {
    format!(r#"{{"port": 0, "allowedhashes": ["HASH"]{rest}}}"#)
}

#[test]
fn up_to_half_of_a_list_is_of_the_asker_s_network() {
    let asker = [10, 3, 1, 200];
    let networks = r#", "networks": [["10.1.0.0/16"], ["10.2.0.0/16", "2001:db8:2::/48"], ["10.3.0.0/16"]]"#;
    for each in [8, 40] {
        // By the /24: of the eight in 10.3.1.0/24 all are there, where there are that many.
        let tracker =
            RunningTracker::with_args(Launch::tracker().args(["-l", "127.0.0.1:0", "--prefer-near"]));
        subscribe_all(tracker.addr, each);
        for _ in 0..10 {
            let listed = listed(tracker.addr, asker);
            assert_eq!(listed.len(), 20);
            assert_eq!(near(&listed, asker).1, if each == 40 { 8 } else { 0 }, "{listed:?}");
        }
        let tracker = RunningTracker::with_config(&config(networks));
        subscribe_all(tracker.addr, each);
        for _ in 0..10 {
            let listed = listed(tracker.addr, asker);
            let found = near(&listed, asker).0;
            assert!(listed.len() == 20 && found >= usize::from(each).min(10) && found < 20, "{listed:?}");
            let sure = usize::from(each).min(10);
            assert_eq!(
                near(&listed.iter().copied().step_by(2).take(sure).collect::<Vec<_>>(), asker).0,
                sure
            );
        }
    }
}

#[test]
fn without_the_option_nobody_is_preferred() {
    let networks = r#", "networks": [["10.3.0.0/16"]], "prefer-near": false"#;
    for tracker in [RunningTracker::open(), RunningTracker::with_config(&config(networks))] {
        subscribe_all(tracker.addr, 40);
        let asker = [10, 3, 1, 200];
        let found: usize = (0..40).map(|_| near(&listed(tracker.addr, asker), asker).0).sum();
        // A quarter of 800, drawn by lot.
        assert!((130..270).contains(&found), "{found} of 800");
    }
}

#[test]
fn good_peers_stay_first() {
    let rest = r#", "prefer-near": true, "networks": [["10.3.0.0/16"]], "good-ips": ["127.0.0.9"]"#;
    let tracker = RunningTracker::with_config(&config(rest));
    subscribe_all(tracker.addr, 40);
    let good = Ipv4Addr::new(127, 0, 0, 9);
    for port in 1..=3 {
        let request = Request::new(SUBSCRIBE, HASH, good.octets(), port);
        assert_eq!(request.ask_from(good, tracker.addr).status, 0);
    }
    let entries = Request::new(LIST, HASH, [10, 3, 1, 200], 9).ask(tracker.addr).entries();
    let marks: Vec<u8> = entries.iter().map(|entry| entry.good).collect();
    assert!(marks[..3] == [1; 3] && marks[3..] == [0; 17], "{marks:?}");
    let near = entries.iter().skip(3).step_by(2).filter(|entry| entry.addr.ip().octets()[1] == 3).count();
    assert!(near >= 8, "{entries:?}");
}

#[test]
fn a_site_has_addresses_of_both_families() {
    let rest = r#", "networks": [["10.3.0.0/16", "2001:db8:3::/48"]]"#;
    let tracker = RunningTracker::with_config(&config(rest));
    subscribe_all(tracker.addr, 40);
    let subscribe = |text: &str| {
        let addr: SocketAddr = text.parse().unwrap();
        assert_eq!(exchange(tracker.addr, &wide::request(4, HASH, addr)).status, 0);
    };
    for n in 1..=40 {
        subscribe(&format!("[2001:db8:3::{n:x}]:7"));
        subscribe(&format!("[2001:db8:{:x}::1]:7", 100 + n));
    }
    for asker in ["[2001:db8:3::ff]:9", "10.3.9.9:9"] {
        let reply = exchange(tracker.addr, &wide::request(3, HASH, asker.parse().unwrap()));
        let listed = wide::addresses(&reply);
        let near = |addr: &&SocketAddr| {
            let text = addr.to_string();
            text.starts_with("10.3.") || text.starts_with("[2001:db8:3::")
        };
        let (v4, v6): (Vec<&SocketAddr>, Vec<&SocketAddr>) =
            listed.iter().filter(near).partition(|addr| addr.is_ipv4());
        // Five of each family for being near, and of the ten others some by chance.
        assert!(v4.len() >= 5 && v6.len() >= 5 && v4.len() + v6.len() < 18, "{asker}: {listed:?}");
    }
}

#[test]
fn networks_are_read_again_and_the_option_is_that_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let hash = cascade_tests::cascade_file::hex(&HASH);
    let write = |rest: &str| fs::write(&path, config(rest).replace("HASH", &hash)).unwrap();
    write(r#", "networks": [["10.1.0.0/16"]]"#);
    let mut tracker = RunningTracker::with_args(Launch::tracker().arg(&path).args(["-l", "127.0.0.1:0"]));
    subscribe_all(tracker.addr, 40);
    let asker = [10, 3, 9, 9];
    write(r#", "networks": [["10.1.0.0/16"], ["10.3.0.0/16"]]"#);
    tracker.process.signal(Signal::HUP);
    tracker.process.wait_line("the rules", |line| line.contains("read again").then_some(()));
    // From their next subscription on.
    subscribe_all(tracker.addr, 40);
    clock::eventually("ten near ones", || (near(&listed(tracker.addr, asker), asker).0 >= 10).then_some(()));
    write(r#", "prefer-near": false"#);
    tracker.process.signal(Signal::HUP);
    tracker.process.wait_line("that it stays", |line| {
        line.contains("prefer-near is what it was at the start: restart").then_some(())
    });
    assert!(near(&listed(tracker.addr, asker), asker).0 >= 10);
}
