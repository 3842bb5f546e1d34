//! The tracker over real sockets, spoken to in raw bytes: timeouts, bounds, and how it ends. What it answers is tested
//! in `tests/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test"
)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};
use support::{Running, connect, entries, exchange, message, read_answer, request};

use cascade_tracker::{DRAIN_MAX, Policy, Tracker, ViewError};

const LIST: u32 = 1;
const SUBSCRIBE: u32 = 2;

fn loopback(policy: Policy) -> Tracker {
    Tracker::bind(([127, 0, 0, 1], 0).into(), policy).unwrap()
}

fn open() -> Running {
    Running::start(loopback(Policy::open()))
}

#[test]
fn a_wrong_header_is_refused_while_the_client_waits_for_an_answer() {
    let tracker = open();
    let mut client = connect(&tracker);
    client.write_all(b"HELLO").unwrap();
    assert!(message(&read_answer(&mut client).unwrap()).contains("CASC"));
}

#[test]
fn a_client_that_goes_on_sending_can_read_its_refusal() {
    let tracker = open();
    for rounds in 0..20 {
        let mut client = connect(&tracker);
        client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        // Less than the tracker drains, in pieces, some of which arrive after the refusal was sent.
        for _ in 0..8 {
            client.write_all(&vec![b'x'; DRAIN_MAX / 16]).unwrap();
            exchange(&tracker, &request(LIST, 1, 9000));
        }
        let answer = read_answer(&mut client).unwrap_or_else(|error| panic!("round {rounds}: {error}"));
        assert!(message(&answer).contains("CASC"));
    }
}

#[test]
fn bytes_after_a_request_do_not_cost_the_answer() {
    let tracker = open();
    exchange(&tracker, &request(SUBSCRIBE, 1, 9001));
    for _ in 0..20 {
        let mut client = connect(&tracker);
        let bytes = [&request(LIST, 1, 9000)[..], &[7; 3000]].concat();
        client.write_all(&bytes).unwrap();
        assert_eq!(entries(&read_answer(&mut client).unwrap()), [9001]);
    }
}

#[test]
fn a_client_that_never_stops_sending_is_cut_off() {
    let tracker = open();
    let mut client = connect(&tracker);
    client.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let zeroes = vec![0; 65536];
    let error = std::iter::repeat_with(|| client.write_all(&zeroes)).take(10_000).find_map(Result::err);
    let kind = error.map(|error| error.kind());
    assert!(
        matches!(
            kind,
            Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
        ),
        "600 MB were accepted, or the tracker hung: {kind:?}"
    );
}

#[test]
fn half_a_request_times_out_also_when_it_trickles() {
    let tracker = loopback(Policy::open()).with_request_timeout(Duration::from_millis(300));
    let tracker = Running::start(tracker);
    let mut silent = connect(&tracker);
    let mut trickling = connect(&tracker);
    silent.write_all(b"CASC").unwrap();
    trickling.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let bytes = request(LIST, 1, 9000);
    let mut sent = 0;
    // One byte each 20 ms: the whole request would take a second.
    let answer = loop {
        if sent < bytes.len() {
            let _ = trickling.write_all(&bytes[sent..=sent]);
            sent += 1;
        }
        match read_answer(&mut trickling) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            answer => break answer,
        }
    };
    // A byte that crosses the refusal may reset the connection: the answer may be lost, the end not.
    if let Ok(answer) = answer {
        assert!(message(&answer).contains("not complete after 300ms"), "{:?}", message(&answer));
    }
    assert!(sent < bytes.len(), "a request that took longer than the timeout was accepted");
    let refusal = message(&read_answer(&mut silent).unwrap());
    assert_eq!(refusal, "the request is not complete after 300ms: 4 bytes arrived");
}

#[test]
fn a_flood_of_idle_and_half_sent_connections_stops_nobody() {
    const FLOOD: usize = 2000;
    let descriptors = cascade_tracker::limits::raise_descriptor_limit();
    assert!(descriptors > 2 * FLOOD, "this test needs {} descriptors: ulimit -Hn", 2 * FLOOD);
    for (bound, kept) in [(FLOOD + 100, true), (300, false)] {
        let tracker = Running::start(loopback(Policy::open()).with_max_connections(bound));
        exchange(&tracker, &request(SUBSCRIBE, 1, 9001));
        let mut flood: Vec<TcpStream> = Vec::new();
        for n in 0..FLOOD {
            let mut client = connect(&tracker);
            client.write_all(&request(LIST, 1, 9000)[..n % 54]).unwrap();
            flood.push(client);
        }
        assert_eq!(entries(&exchange(&tracker, &request(LIST, 1, 9000))), [9001], "bound {bound}");
        if kept {
            // The oldest is still welcome.
            flood[0].write_all(&request(LIST, 1, 9000)).unwrap();
            assert_eq!(entries(&read_answer(&mut flood[0]).unwrap()), [9001]);
        } else {
            let refusal = message(&read_answer(&mut flood[0]).unwrap());
            assert_eq!(refusal, "too many connections wait here, try again");
            let last = flood.last_mut().unwrap();
            last.write_all(&request(LIST, 1, 9000)[(FLOOD - 1) % 54..]).unwrap();
            assert_eq!(entries(&read_answer(last).unwrap()), [9001], "the youngest are kept");
        }
    }
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let tracker = Running::start(loopback(Policy::open()).with_max_connections(10));
    for n in 0..500 {
        let mut client = connect(&tracker);
        client.write_all(&request(LIST, 1, 9000)[..n % 54]).unwrap();
    }
    assert_eq!(entries(&exchange(&tracker, &request(LIST, 1, 9000))), [0u16; 0]);
}

#[test]
fn random_bytes_are_refused_or_answered_never_fatal() {
    let tracker = open();
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..300 {
        let mut bytes = request(LIST, 1, 9000).to_vec();
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        bytes.truncate(rng.usize(..=54));
        bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(round % 7));
        let mut client = connect(&tracker);
        client.write_all(&bytes).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let answer = read_answer(&mut client).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        assert!(answer.len() >= 5 && answer[0] <= 1, "{bytes:?}: {answer:?}");
    }
}

#[test]
fn shutdown_ends_the_run_and_frees_the_port() {
    let tracker = open();
    let addr = tracker.addr;
    let mut waiting = connect(&tracker);
    exchange(&tracker, &request(LIST, 1, 9000));
    tracker.stop().expect("a clean end");
    let mut rest = Vec::new();
    let end = waiting.read_to_end(&mut rest);
    assert!(!matches!(&end, Err(e) if e.kind() == ErrorKind::WouldBlock), "still connected: {end:?}");
    Tracker::bind(addr, Policy::open()).expect("the port is free");
}

#[test]
fn dropping_the_future_stops_the_tracker() {
    let tracker = loopback(Policy::open());
    let addr = tracker.local_addr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let never = std::future::pending();
        tokio::time::timeout(Duration::from_millis(10), tracker.run(never)).await.unwrap_err();
    });
    // The thread ends by itself, soon. Until then the port is looked at again and again.
    let deadline = Instant::now() + Duration::from_secs(20);
    while Tracker::bind(addr, Policy::open()).is_err() {
        assert!(Instant::now() < deadline, "{addr} is still taken after 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A request for both families of the peer at `ip`, for the file whose hash is `file` 32 times.
fn wide_request(command: u32, file: u8, ip: std::net::IpAddr, port: u16) -> Vec<u8> {
    let ip = match ip {
        std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        std::net::IpAddr::V6(ip) => ip,
    };
    let head =
        [b"CASC".as_slice(), &1u32.to_be_bytes(), &command.to_be_bytes(), &50u32.to_be_bytes()].concat();
    [head.as_slice(), &[file; 32], &ip.octets(), &port.to_be_bytes()].concat()
}

/// The addresses in a list for both families, sorted.
fn wide_entries(answer: &[u8]) -> Vec<std::net::SocketAddr> {
    let (header, body) = answer.split_at(5);
    assert_eq!(header[0], 0, "refused: {}", String::from_utf8_lossy(body));
    assert_eq!(header[1..], u32::try_from(body.len()).unwrap().to_be_bytes());
    assert_eq!(body.len() % 24, 0, "{body:?}");
    let entry = |entry: &[u8]| {
        let ip: [u8; 16] = entry[..16].try_into().unwrap();
        let port = u16::from_be_bytes([entry[16], entry[17]]);
        (std::net::IpAddr::from(ip).to_canonical(), port).into()
    };
    let mut entries: Vec<_> = body.chunks(24).map(entry).collect();
    entries.sort();
    entries
}

#[test]
fn both_families_are_registered_and_listed_to_whom_wants_them() {
    const LIST_BOTH: u32 = 3;
    const SUBSCRIBE_BOTH: u32 = 4;
    let tracker = open();
    let (v6, v4) = ("2001:db8::7".parse().unwrap(), "203.0.113.9".parse().unwrap());
    assert_eq!(wide_entries(&exchange(&tracker, &wide_request(SUBSCRIBE_BOTH, 1, v6, 9001))), []);
    exchange(&tracker, &wide_request(SUBSCRIBE_BOTH, 1, v4, 9002));
    exchange(&tracker, &request(SUBSCRIBE, 1, 9003));
    let all = wide_entries(&exchange(&tracker, &wide_request(LIST_BOTH, 1, v6, 1)));
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["203.0.113.7:9003", "203.0.113.9:9002", "[2001:db8::7]:9001"]);
    let mut plain = entries(&exchange(&tracker, &request(LIST, 1, 1)));
    plain.sort_unstable();
    assert_eq!(plain, [9002, 9003], "version 1 hears of IPv4 alone");
    assert_eq!(wide_entries(&exchange(&tracker, &wide_request(LIST_BOTH, 2, v6, 1))), [], "another file");
}

#[test]
fn a_request_for_both_families_may_arrive_in_pieces_and_is_refused_when_it_is_wrong() {
    let tracker = open();
    let bytes = wide_request(3, 1, "2001:db8::7".parse().unwrap(), 9000);
    for split in [1, 15, 16, 17, 53, 54, 65] {
        let mut client = connect(&tracker);
        client.write_all(&bytes[..split]).unwrap();
        exchange(&tracker, &request(LIST, 1, 9000));
        client.write_all(&bytes[split..]).unwrap();
        assert_eq!(read_answer(&mut client).unwrap(), [0; 5], "split at {split}");
    }
    let mut wrong = bytes.clone();
    wrong[15] = 38;
    assert!(message(&exchange(&tracker, &wrong)).contains("is 50, not 38"));
    let mut cut = connect(&tracker);
    cut.write_all(&bytes[..60]).unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    assert!(message(&read_answer(&mut cut).unwrap()).contains("it has 66 bytes, 60 arrived"));
}

#[test]
fn one_socket_serves_both_families() {
    // Some machines have no IPv6 at all.
    let Ok(tracker) = Tracker::bind("[::]:0".parse().unwrap(), Policy::open()) else { return };
    let policy = Policy::open().with_own_address_only(true);
    let own = Tracker::bind("[::]:0".parse().unwrap(), policy).unwrap();
    let (tracker, own) = (Running::start(tracker), Running::start(own));
    let over = |tracker: &Running, host: &str, bytes: &[u8]| {
        let mut client = TcpStream::connect((host, tracker.addr.port())).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.write_all(bytes).unwrap();
        read_answer(&mut client).unwrap()
    };
    for host in ["127.0.0.1", "::1"] {
        let ip = host.parse().unwrap();
        assert_eq!(over(&tracker, host, &wide_request(4, 1, ip, 9001))[0], 0, "{host}");
        // The address that a connection comes from is known for what it is.
        assert_eq!(over(&own, host, &wide_request(4, 1, ip, 9001))[0], 0, "{host}");
    }
    assert_eq!(over(&own, "::1", &wide_request(4, 1, "127.0.0.1".parse().unwrap(), 9001))[0], 1);
    let list = wide_entries(&over(&tracker, "::1", &wide_request(3, 1, "::1".parse().unwrap(), 1)));
    let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["127.0.0.1:9001", "[::1]:9001"]);
    assert_eq!(entries(&over(&tracker, "127.0.0.1", &request(LIST, 1, 1))), [9001]);
}

#[test]
fn other_threads_of_the_process_look_at_it_while_it_runs() {
    let (send, views) = std::sync::mpsc::channel();
    let tracker = Running::start_seen(loopback(Policy::open()), move |view| send.send(view).unwrap());
    let view = views.recv().unwrap();
    assert_eq!(view.swarms(10), Ok(vec![]));
    exchange(&tracker, &request(SUBSCRIBE, 7, 9001));
    let swarms = view.swarms(10).unwrap();
    assert_eq!(
        (swarms.len(), swarms[0].cascade_hash.as_bytes(), swarms[0].summary.unknown),
        (1, &[7; 32], 1)
    );
    let room = view.room(swarms[0].cascade_hash, 0).unwrap();
    assert_eq!((room.members.len(), room.members[0].addr.port(), room.next), (1, 9001, 0));
    tracker.stop().unwrap();
    assert_eq!(view.swarms(10), Err(ViewError::Ended));
}
