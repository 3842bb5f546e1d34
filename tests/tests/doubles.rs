use cascade_tests::address::{Mute, Reserved};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock::{self, LIMIT, eventually};
use cascade_tests::foreign_client::{ForeignClient, fetch, request};
use cascade_tests::foreign_peer::{Answer, Delivery, ForeignPeer, Greeting, Reading, Script};
use cascade_tests::foreign_tracker::{ForeignTracker, Manner};
use cascade_tests::full_speed;
use cascade_tests::tracker_client::{LIST, Request, SUBSCRIBE, exchange};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn file() -> TestFile {
    TestFile::random("doubles.bin", 1000, 64)
}

/// A peer that always gives the same answer, and a client connected to it.
fn peer_and_client(script: Script) -> (ForeignPeer, ForeignClient) {
    let peer = ForeignPeer::start(&file(), script);
    let client = ForeignClient::connect(peer.addr);
    (peer, client)
}

#[test]
fn an_honest_peer_answers_every_status_as_the_protocol_says() {
    let (file, script) = (file(), Script::default().holding(0..8));
    let (peer, mut client) = peer_and_client(script);
    client.ask(&file.hash, 3).unwrap().assert_block(&file, 3);
    client.ask(&file.hash, 15).unwrap().assert_message(2);
    peer.gain([15]);
    let last = client.ask(&file.hash, 15).unwrap();
    assert_eq!(last.body.len(), 40);
    last.assert_block(&file, 15);
    client.ask(&file.hash, 16).unwrap().assert_message(3);
    client.assert_closed();
    fetch(peer.addr, &TestFile::random("unknown", 10, 1), 0).assert_message(1);
    let mut client = ForeignClient::connect(peer.addr);
    client.send(&[b'x'; 64]).unwrap();
    client.receive().unwrap().assert_message(4);
    let journal = peer.journal();
    assert_eq!(journal.connections.len(), 3);
    assert_eq!(journal.served, [3, 15]);
    assert_eq!(journal.asked(), [3, 15, 15, 16, 0]);
    assert_eq!((journal.missing, journal.lies.len()), (1, 0));
}

#[test]
fn a_closing_peer_closes_after_each_response() {
    let (_peer, mut client) = peer_and_client(Script::default().closing());
    client.ask(&file().hash, 0).unwrap().assert_block(&file(), 0);
    client.assert_closed();
}

#[test]
fn a_peer_with_one_recv_refuses_a_split_request_and_no_other() {
    let (peer, mut client) = peer_and_client(Script::default().reading(Reading::OneRecv));
    let two = [request(&file().hash, 1), request(&file().hash, 2)].concat();
    client.send(&two).unwrap();
    client.receive().unwrap().assert_block(&file(), 1);
    client.receive().unwrap().assert_block(&file(), 2);
    client.send(&two[..10]).unwrap();
    client.receive().unwrap().assert_message(4);
    client.assert_closed();
    assert_eq!(peer.journal().split_reads, 1);
}

#[test]
fn a_peer_that_takes_one_at_a_time_refuses_a_pipelined_request() {
    let (peer, mut client) = peer_and_client(Script::default().reading(Reading::OneAtATime));
    client.ask(&file().hash, 1).unwrap().assert_block(&file(), 1);
    client.send(&[request(&file().hash, 1), request(&file().hash, 2)].concat()).unwrap();
    client.receive().unwrap().assert_message(4);
    client.assert_closed();
    assert_eq!(peer.journal().refused_pipelined, 1);
}

#[test]
fn headers_leave_joined_split_or_many_at_once() {
    let (file, four) = (file(), [0, 1, 2, 3].map(|block| request(&file().hash, block)).concat());
    let (_peer, mut client) = peer_and_client(Script::default());
    client.send(&request(&file.hash, 0)).unwrap();
    assert_eq!(client.recv_once(500).unwrap().len(), 9 + 64);

    // Where this test is held up between two bytes, they arrive together: then it looks again.
    let first_bytes = (0..10).map(|_| {
        let (_peer, mut client) = peer_and_client(Script::default().delivery(Delivery::HeaderByteByByte));
        client.send(&request(&file.hash, 0)).unwrap();
        client.recv_once(500).unwrap().len()
    });
    assert!(first_bytes.into_iter().any(|length| length == 1), "no header came byte by byte");

    let (peer, mut client) = peer_and_client(Script::default().delivery(Delivery::Batched));
    client.send(&four).unwrap();
    assert_eq!(client.recv_once(1000).unwrap().len(), 4 * (9 + 64));
    let journal = peer.journal();
    assert_eq!((journal.batched, journal.pipelined), (4, 3));
}

#[test]
fn every_lie_is_told_and_recorded() {
    let claim = |status, length| Answer::Claim { status, length };
    let header = |answer| {
        let (peer, mut client) = peer_and_client(Script::default().answering(answer));
        client.send(&request(&file().hash, 0)).unwrap();
        let bytes = client.recv_once(9).unwrap();
        assert_eq!(peer.journal().lies.len(), 1);
        (bytes[0], u64::from_be_bytes(bytes[1..].try_into().unwrap()))
    };
    assert_eq!(header(claim(0, u64::MAX)), (0, u64::MAX));
    assert_eq!(header(claim(1, u64::MAX)), (1, u64::MAX));
    assert_eq!(header(claim(0, 63)), (0, 63));
    assert_eq!(header(Answer::Endless { status: 77 }), (77, u64::MAX));
    assert_eq!(header(Answer::HalfThenSilence), (0, 64));

    let (_peer, mut client) = peer_and_client(Script::default().answering(Answer::WrongBytes));
    let response = client.ask(&file().hash, 0).unwrap();
    assert_eq!((response.status, response.body.len()), (0, 64));
    assert!(file().block(0) != Some(&response.body));

    let (_peer, mut client) = peer_and_client(Script::default().answering(Answer::HalfThenClose));
    assert!(client.ask(&file().hash, 0).is_err());
    let (_peer, mut client) = peer_and_client(Script::default().answering(Answer::Close));
    client.send(&request(&file().hash, 0)).unwrap();
    client.assert_closed();
    let message = Answer::Message { status: 0x80, text: b"bit 7".to_vec(), close: true };
    let (_peer, mut client) = peer_and_client(Script::default().answering(message));
    client.ask(&file().hash, 0).unwrap().assert_message(0x80);
    client.assert_closed();
}

#[test]
fn a_silent_peer_says_nothing() {
    let (_peer, mut client) = peer_and_client(Script::default().answering(Answer::Silence));
    client.send(&request(&file().hash, 0)).unwrap();
    client.set_limit(Duration::from_millis(200));
    assert!(client.receive().is_err());
}

#[test]
fn greetings_that_are_none() {
    let (_peer, mut client) = peer_and_client(Script::default().greeting(Greeting::Garbage));
    assert!(!client.recv_once(100).unwrap().is_empty());
    let (peer, mut client) = peer_and_client(Script::default().greeting(Greeting::Close));
    client.assert_closed();
    eventually("one lie", || peer.sees(|journal| journal.lies.len() == 1));
}

#[test]
fn a_slow_peer_keeps_to_its_rate_and_a_peer_that_vanishes_is_gone() {
    let file = TestFile::random("slow.bin", 100_000, 100_000);
    let mut peer = ForeignPeer::start(&file, Script::default().slow(200_000));
    let start = clock::now();
    fetch(peer.addr, &file, 0).assert_block(&file, 0);
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    peer.vanish();
    assert!(TcpStream::connect_timeout(&peer.addr, LIMIT).is_err());
}

#[test]
fn a_foreign_tracker_follows_the_rules_and_breaks_them_when_told() {
    let listed = Reserved::new();
    let tracker = ForeignTracker::listing(&[listed.addr]);
    let hash = [7; 32];
    let me = Request::new(SUBSCRIBE, hash, [127, 0, 0, 1], 1234);
    assert_eq!(me.ask(tracker.addr).addresses().len(), 1);
    assert_eq!(me.ask(tracker.addr).addresses().len(), 1);
    let other = Request::new(LIST, hash, [127, 0, 0, 1], 4321);
    assert_eq!(other.ask(tracker.addr).addresses()[1], me.listen);
    assert_eq!(tracker.first_subscriber(&hash).map(|addr| addr.port()), Some(1234));
    assert_eq!(tracker.announces().iter().map(|seen| seen.command).collect::<Vec<_>>(), [2, 2, 1]);
    exchange(tracker.addr, &[b'?'; 54]).assert_refused();
    assert_eq!(tracker.malformed(), 1);

    let everybody = ForeignTracker::start(Manner::Everybody);
    assert_eq!(me.ask(everybody.addr).addresses(), [me.listen]);
    let refusal = ForeignTracker::start(Manner::Refusal(b"go away".to_vec()));
    assert_eq!(me.ask(refusal.addr).assert_refused(), "go away");
    let ragged = ForeignTracker::start(Manner::Ragged);
    assert_eq!(me.ask(ragged.addr).body.len(), 7);
    let split = ForeignTracker::start(Manner::HeaderByteByByte);
    assert_eq!(me.ask(split.addr).addresses().len(), 0);
}

#[test]
fn addresses_do_what_their_names_say() {
    let reserved = Reserved::new();
    assert!(TcpStream::connect_timeout(&reserved.addr, LIMIT).is_err());
    let listener = TcpListener::bind(reserved.addr).expect("a process can listen on a reserved port");
    TcpStream::connect_timeout(&reserved.addr, LIMIT).expect("now somebody listens");
    drop(listener);
    let mute = Mute::new();
    let stream = TcpStream::connect_timeout(&mute.addr, LIMIT).expect("the backlog takes it");
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(std::io::Read::read(&mut &stream, &mut [0]).is_err());
}

#[test]
fn the_time_at_full_speed_is_shorter_on_a_busy_machine() {
    full_speed::begin();
    let quiet = clock::now();
    clock::pause(Duration::from_millis(300));
    let seen = full_speed::since(quiet);
    assert!(!seen.is_zero() && seen <= quiet.elapsed());
    let (start, ends) = (clock::now(), AtomicBool::new(false));
    let spinners = 6 * thread::available_parallelism().map_or(1, usize::from);
    let share = thread::scope(|scope| {
        for _ in 0..spinners {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        clock::pause(Duration::from_secs(3));
        let share = full_speed::since(start).as_secs_f64() / start.elapsed().as_secs_f64();
        ends.store(true, Ordering::Relaxed);
        share
    });
    assert!(share < 0.9, "{share}");
}
