use crate::tracker_setup::RunningTracker;
use cascade_tests::clock;
use cascade_tests::crowd::Crowd;
use cascade_tests::full_speed;
use cascade_tests::tracker_client::{LIST, Reply, Request, SUBSCRIBE, connect, exchange};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::Duration;

const HASH: [u8; 32] = [0xab; 32];
const OTHER: [u8; 32] = [0xcd; 32];

fn subscribe(ip: [u8; 4], port: u16) -> Request {
    Request::new(SUBSCRIBE, HASH, ip, port)
}

fn list() -> Request {
    Request::new(LIST, HASH, [10, 99, 99, 99], 1)
}

#[test]
fn only_a_subscription_registers() {
    let tracker = RunningTracker::open();
    assert_eq!(list().ask(tracker.addr).entries(), []);
    assert_eq!(Request::new(LIST, HASH, [10, 0, 0, 1], 7).ask(tracker.addr).entries(), []);
    assert_eq!(list().ask(tracker.addr).entries(), []);
    assert_eq!(subscribe([10, 0, 0, 1], 7).ask(tracker.addr).entries(), []);
    assert_eq!(list().ask(tracker.addr).addresses(), ["10.0.0.1:7".parse::<SocketAddrV4>().unwrap()]);
}

#[test]
fn an_entry_has_address_time_and_zeroes() {
    let tracker = RunningTracker::open();
    let before = clock::unix_seconds();
    let _ = subscribe([10, 1, 2, 3], 0x1234).ask(tracker.addr);
    let after = clock::unix_seconds();
    let entries = list().ask(tracker.addr).entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].addr, SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 0x1234));
    assert!((before..=after).contains(&u64::from(entries[0].subscribed)), "{entries:?}");
    assert_eq!((entries[0].good, entries[0].reserved), (0, 0));
}

#[test]
fn a_second_subscription_of_the_same_peer_is_no_second_entry() {
    let tracker = RunningTracker::open();
    for _ in 0..3 {
        let _ = subscribe([10, 0, 0, 1], 7).ask(tracker.addr);
    }
    assert_eq!(list().ask(tracker.addr).entries().len(), 1);
    let _ = subscribe([10, 0, 0, 1], 8).ask(tracker.addr);
    assert_eq!(list().ask(tracker.addr).entries().len(), 2, "another port is another peer");
}

#[test]
fn the_asker_s_own_address_and_port_is_left_out() {
    let tracker = RunningTracker::open();
    let _ = subscribe([10, 0, 0, 1], 7).ask(tracker.addr);
    let _ = subscribe([10, 0, 0, 2], 7).ask(tracker.addr);
    let others = |request: Request| request.ask(tracker.addr).addresses();
    assert_eq!(others(subscribe([10, 0, 0, 1], 7)), ["10.0.0.2:7".parse::<SocketAddrV4>().unwrap()]);
    assert_eq!(others(Request::new(LIST, HASH, [10, 0, 0, 2], 7)), ["10.0.0.1:7".parse().unwrap()]);
    assert_eq!(others(Request::new(LIST, HASH, [10, 0, 0, 2], 8)).len(), 2, "the port counts");
}

#[test]
fn files_have_lists_of_their_own() {
    let tracker = RunningTracker::open();
    let _ = subscribe([10, 0, 0, 1], 7).ask(tracker.addr);
    assert_eq!(Request::new(LIST, OTHER, [10, 0, 0, 9], 9).ask(tracker.addr).entries(), []);
}

#[test]
fn at_most_twenty_entries_and_not_always_the_same() {
    let tracker = RunningTracker::open();
    for n in 0..60 {
        let _ = subscribe([10, 0, 1, n], 7).ask(tracker.addr);
    }
    let mut seen = BTreeSet::new();
    let mut orders = BTreeSet::new();
    for _ in 0..30 {
        let entries = list().ask(tracker.addr).addresses();
        assert_eq!(entries.iter().collect::<BTreeSet<_>>().len(), 20, "twenty different ones: {entries:?}");
        seen.extend(entries.clone());
        orders.insert(entries);
    }
    // 60 peers, 30 lists of 20: that one is never listed has a chance of (2/3)^30, one in 190,000.
    assert!(seen.len() > 55, "only {} of 60 peers were ever listed", seen.len());
    assert!(orders.len() > 25, "the order is not random");
}

#[test]
fn good_peers_come_first_and_are_marked() {
    let tracker =
        RunningTracker::with_config(r#"{"port": 0, "good-ips": ["127.0.0.2"], "allowedhashes": ["HASH"]}"#);
    for n in 0..30 {
        let _ = subscribe([10, 0, 1, n], 7).ask(tracker.addr);
    }
    let good = Ipv4Addr::new(127, 0, 0, 2);
    for port in [7, 8] {
        assert_eq!(subscribe([127, 0, 0, 2], port).ask_from(good, tracker.addr).status, 0);
    }
    for _ in 0..5 {
        let entries = list().ask(tracker.addr).entries();
        assert_eq!(entries.len(), 20);
        assert!(entries[..2].iter().all(|entry| entry.good == 1 && *entry.addr.ip() == good), "{entries:?}");
        assert!(entries[2..].iter().all(|entry| entry.good == 0), "{entries:?}");
    }
}

#[test]
fn a_good_address_subscribes_only_from_itself() {
    let tracker =
        RunningTracker::with_config(r#"{"port": 0, "good-ips": ["127.0.0.2"], "allowedhashes": ["HASH"]}"#);
    let claim = subscribe([127, 0, 0, 2], 7);
    let refusal = claim.ask_from(Ipv4Addr::new(127, 0, 0, 1), tracker.addr).assert_refused_with_a_line();
    assert!(refusal.contains("127.0.0.1") && refusal.contains("127.0.0.2"), "{refusal:?}");
    assert_eq!(list().ask(tracker.addr).entries(), []);
    assert_eq!(claim.ask_from(Ipv4Addr::new(127, 0, 0, 2), tracker.addr).status, 0);
    assert_eq!(list().ask(tracker.addr).entries().len(), 1);
}

#[test]
fn private_addresses_are_refused_only_with_ban_private() {
    let tracker =
        RunningTracker::with_config(r#"{"port": 0, "ban-private": true, "allowedhashes": ["HASH"]}"#);
    for private in [[10, 0, 0, 1], [172, 16, 0, 1], [172, 31, 255, 255], [192, 168, 3, 4], [127, 0, 0, 1]] {
        let reply = subscribe(private, 7).ask(tracker.addr);
        assert_eq!(reply.status, 1, "{private:?} should be refused");
        let refusal = reply.assert_refused_with_a_line();
        let expected = format!("{} is a private address", Ipv4Addr::from(private));
        assert!(refusal.contains(&expected), "{refusal:?}");
    }
    let ask = Request::new(LIST, HASH, [93, 184, 216, 34], 1);
    assert_eq!(ask.ask(tracker.addr).entries(), []);
    for public in [[93, 184, 216, 34], [172, 32, 0, 1], [8, 8, 8, 8]] {
        assert_eq!(subscribe(public, 7).ask(tracker.addr).status, 0, "{public:?} is not private");
    }
    let tracker = RunningTracker::with_config(r#"{"port": 0, "allowedhashes": ["HASH"]}"#);
    assert_eq!(subscribe([192, 168, 3, 4], 7).ask(tracker.addr).status, 0, "ban-private is off by default");
}

#[test]
fn a_hash_that_is_not_allowed_is_refused_for_both_commands() {
    let tracker = RunningTracker::with_config(r#"{"port": 0, "allowedhashes": ["HASH"]}"#);
    for command in [LIST, SUBSCRIBE] {
        let refusal =
            Request::new(command, OTHER, [10, 0, 0, 1], 7).ask(tracker.addr).assert_refused_with_a_line();
        assert!(refusal.contains("does not track cdcd"), "{refusal:?}");
        assert_eq!(Request::new(command, HASH, [10, 0, 0, 1], 7).ask(tracker.addr).status, 0);
    }
}

#[test]
fn every_wrong_field_is_refused_with_a_message_and_a_close() {
    let tracker = RunningTracker::open();
    let right = subscribe([10, 0, 0, 1], 7);
    let wrong = [
        (Request { magic: *b"CASK", ..right }, "starts with CASC"),
        (Request { version: 2, ..right }, "version 2"),
        (Request { version: 0, ..right }, "version 0"),
        (Request { command: 0, ..right }, "unknown command 0"),
        (Request { command: 7, ..right }, "unknown command 7"),
        // The commands of both families have a longer body.
        (Request { command: 3, ..right }, "is 50, not 38"),
        (Request { command: 4, ..right }, "is 50, not 38"),
        // Those about rooms.
        (Request { command: 5, ..right }, "is 92 to 180, not 38"),
        (Request { command: 6, ..right }, "is 40, not 38"),
        (Request { command: u32::MAX, ..right }, "unknown command 4294967295"),
        (Request { length: 37, ..right }, "is 38, not 37"),
        (Request { length: 39, ..right }, "is 38, not 39"),
        (Request { length: 0, ..right }, "is 38, not 0"),
        (Request { length: u32::MAX, ..right }, "is 38, not 4294967295"),
    ];
    for (request, expected) in wrong {
        // `ask` reads up to the end of the stream: the close is part of what is tested.
        let refusal = request.ask(tracker.addr).assert_refused_with_a_line();
        assert!(refusal.contains(expected), "{refusal:?} does not say {expected:?}");
    }
    // What the length promises really follows: the message must not be lost to a reset.
    let longer = [Request { length: 100_000, ..right }.bytes(), vec![0; 99_962]].concat();
    exchange(tracker.addr, &longer).assert_refused_with_a_line();
    assert_eq!(list().ask(tracker.addr).entries(), [], "a refused request must not register");
}

#[test]
fn a_request_cut_short_is_refused_with_a_message() {
    let tracker = RunningTracker::open();
    let whole = subscribe([10, 0, 0, 1], 7).bytes();
    for length in [0, 1, 4, 15, 16, 17, 53] {
        let refusal = exchange(tracker.addr, &whole[..length]).assert_refused_with_a_line();
        let expected = format!("the request was cut short: it has 54 bytes, {length} arrived");
        assert_eq!(refusal.trim_end(), expected);
    }
    assert_eq!(list().ask(tracker.addr).entries(), []);
}

#[test]
fn a_request_may_arrive_in_pieces() {
    let tracker = RunningTracker::open();
    let mut stream = connect(tracker.addr);
    for (sent, byte) in subscribe([10, 0, 0, 1], 7).bytes().into_iter().enumerate() {
        stream.write_all(&[byte]).unwrap();
        // The answer to another client proves that the tracker has gone on meanwhile.
        assert_eq!(list().ask(tracker.addr).status, 0, "after byte {sent}");
    }
    assert_eq!(Reply::read(&mut stream).unwrap().status, 0);
}

#[test]
fn header_and_body_leave_with_one_call() {
    let tracker = RunningTracker::open();
    let _ = subscribe([10, 0, 0, 1], 7).ask(tracker.addr);
    for (request, least) in [(list().bytes(), 5 + 12), (Request { version: 9, ..list() }.bytes(), 6)] {
        let mut stream = connect(tracker.addr);
        stream.write_all(&request).unwrap();
        // What a client that reads with one recv gets.
        let read = stream.read(&mut [0; 1000]).unwrap();
        assert!(read >= least, "one recv brought {read} bytes of at least {least}");
    }
}

#[test]
fn idle_and_half_sent_connections_do_not_stop_others() {
    let tracker = RunningTracker::open();
    let idle = Crowd::gather(tracker.addr, 1500, b"");
    let half = Crowd::gather(tracker.addr, 1500, b"CASC\0\0\0\x01");
    assert!(idle.len() + half.len() > 2000, "{} + {} connections came about", idle.len(), half.len());
    let start = clock::now();
    assert_eq!(subscribe([10, 0, 0, 1], 7).ask(tracker.addr).status, 0);
    assert!(full_speed::since(start) < Duration::from_secs(3), "it took {:?}", start.elapsed());
}

#[test]
fn one_client_that_registers_thousands_hides_nobody() {
    let tracker = RunningTracker::open();
    let honest = |n: u8| Ipv4Addr::new(127, 0, 9, n);
    for n in 1..=10 {
        let _ = subscribe(honest(n).octets(), 7).ask_from(honest(n), tracker.addr);
    }
    for n in 0..3000u16 {
        let [high, low] = n.to_be_bytes();
        assert_eq!(subscribe([10, 0, high, low], 7).ask(tracker.addr).status, 0);
    }
    for _ in 0..20 {
        let listed = list().ask(tracker.addr).addresses();
        assert_eq!(listed.len(), 20);
        let seen = (1..=10).filter(|n| listed.contains(&SocketAddrV4::new(honest(*n), 7))).count();
        assert_eq!(seen, 10, "each source has its turn before any has a second: {listed:?}");
    }
}

#[test]
fn one_client_registers_a_bounded_number_of_ports_of_another_address() {
    let tracker = RunningTracker::open();
    for port in 1..=1500 {
        let _ = subscribe([10, 0, 0, 1], port).ask(tracker.addr);
    }
    let listed: BTreeSet<_> = (0..200).flat_map(|_| list().ask(tracker.addr).addresses()).collect();
    assert!(listed.len() <= 128, "{} ports of one address are listed", listed.len());
    assert!(listed.len() > 100, "only {} are: too few for a laboratory", listed.len());
}

#[test]
fn who_names_no_address_gets_a_list_and_is_in_none() {
    let tracker = RunningTracker::open();
    let _ = subscribe([10, 0, 0, 1], 7).ask(tracker.addr);
    let only = ["10.0.0.1:7".parse::<SocketAddrV4>().unwrap()];
    for (ip, port) in [([0, 0, 0, 0], 7), ([10, 0, 0, 2], 0), ([239, 1, 2, 3], 7), ([255; 4], 7)] {
        assert_eq!(subscribe(ip, port).ask(tracker.addr).addresses(), only, "{ip:?}:{port}");
    }
    assert_eq!(list().ask(tracker.addr).addresses(), only);
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let tracker = RunningTracker::open();
    let addr = tracker.addr;
    let workers = (0..8).map(|worker| {
        thread::spawn(move || {
            (0..100).filter(|&n| subscribe([10, 0, worker, n], 7).ask(addr).status == 0).count()
        })
    });
    let workers: Vec<_> = workers.collect();
    let answered: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert_eq!(answered, 800);
}
