use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_peer::{Delivery, ForeignPeer, Journal, Reading, Script};
use cascade_tests::scene::Scene;
use cascade_tests::{address, clock};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn file() -> TestFile {
    TestFile::random("habits.bin", 600_000, 5_000)
}

/// Downloads from one peer alone with these habits, and returns what it saw.
fn download_from(script: Script) -> Journal {
    let peer = ForeignPeer::start(&file(), script);
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    peer.journal()
}

#[test]
fn a_peer_that_keeps_open_is_asked_with_pipelining() {
    let journal = download_from(Script::default());
    assert_eq!(journal.split_reads, 0);
    assert!(journal.pipelined > 10, "only {} of 120 requests were pipelined", journal.pipelined);
}

#[test]
fn a_peer_that_closes_after_each_response() {
    let journal = download_from(Script::default().closing());
    assert!(journal.connections.len() <= 130, "{} connections for 120 blocks", journal.connections.len());
    assert!(journal.requests.len() <= 130, "{} requests for 120 blocks", journal.requests.len());
}

#[test]
fn a_peer_that_reads_with_one_recv_sees_no_split_request() {
    let journal = download_from(Script::default().reading(Reading::OneRecv));
    assert_eq!(journal.split_reads, 0, "a request was not written with one call");
}

#[test]
fn a_peer_that_refuses_pipelined_requests_is_asked_one_at_a_time() {
    let journal = download_from(Script::default().reading(Reading::OneAtATime));
    assert!(journal.refused_pipelined > 0, "the fault never happened");
    assert!(journal.refused_pipelined <= 8, "it went on pipelining: {} refusals", journal.refused_pipelined);
}

#[test]
fn one_recv_and_a_close_after_each_response() {
    let journal = download_from(Script::default().reading(Reading::OneRecv).closing());
    assert_eq!(journal.split_reads, 0);
}

#[test]
fn a_header_that_arrives_byte_by_byte() {
    download_from(Script::default().delivery(Delivery::HeaderByteByByte).slow(5_000_000));
}

#[test]
fn many_responses_in_one_segment() {
    let journal = download_from(Script::default().delivery(Delivery::Batched));
    assert!(journal.batched > 0, "no two responses ever left together");
}

#[test]
fn a_slow_peer_is_waited_for() {
    let journal = download_from(Script::default().slow(300_000));
    assert!(journal.requests.len() <= 130, "{} requests for 120 blocks", journal.requests.len());
}

#[test]
fn peers_that_hold_parts_make_a_whole() {
    let even =
        ForeignPeer::start(&file(), Script::default().holding((0..120).filter(|block| block % 2 == 0)));
    let odd = ForeignPeer::start(&file(), Script::default().holding((0..120).filter(|block| block % 2 == 1)));
    let scene = Scene::new(file(), &[even.addr, odd.addr]);
    scene.download().run().assert_success();
    scene.assert_complete();
    for peer in [even, odd] {
        let journal = peer.journal();
        assert!((60..=70).contains(&journal.served.len()), "each block once: {}", journal.served.len());
        assert!(
            journal.missing <= 120,
            "a storm of requests for blocks that are not there: {}",
            journal.missing
        );
        assert!(journal.connections.len() <= 4, "status 2 leaves the connection open");
    }
}

#[test]
fn a_peer_whose_part_grows_is_asked_again() {
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..10));
    let scene = Scene::new(file(), &[peer.addr]);
    let mut process = scene.download().start();
    process.wait_until("it learns that blocks are missing", || {
        peer.sees(|journal| journal.served.len() >= 10 && journal.missing > 0)
    });
    peer.gain(10..60);
    process.wait_until("it finds those that came", || peer.sees(|journal| journal.served.len() >= 60));
    peer.gain(60..120);
    process.wait_exit().assert_success();
    scene.assert_complete();
    let missing = peer.journal().missing;
    assert!(missing <= 1200, "a storm of {missing} requests for blocks that are not there");
}

#[test]
fn a_peer_that_stays_incomplete_is_not_stormed() {
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..60));
    let scene = Scene::new(file(), &[peer.addr]);
    let mut process = scene.download().start();
    process.wait_until("half of the file", || peer.sees(|journal| journal.served.len() >= 60));
    let before = peer.journal().requests.len();
    // The time over which the rate of requests is measured.
    clock::pause(std::time::Duration::from_secs(3));
    let requests = peer.journal().requests.len() - before;
    process.assert_running();
    assert!(requests <= 400, "{requests} requests in 3 s for blocks that are not there");
}

#[test]
fn a_peer_that_comes_back_is_found_again() {
    let reserved = address::Reserved::new();
    let other = ForeignPeer::start(&file(), Script::default().holding(0..60));
    let scene = Scene::new(file(), &[other.addr]);
    let mut process = scene.download().args(["--peer", &reserved.addr.to_string()]).start();
    process.wait_until("half of the file", || other.sees(|journal| journal.served.len() >= 60));
    let late = ForeignPeer::start_at(&file(), Script::default(), reserved.addr);
    process.wait_exit().assert_success();
    scene.assert_complete();
    assert!(late.journal().served.len() >= 60);
}

/// A listener that is full at first: it says so before it is asked, and closes; from the second
/// connection on it leads to `behind`.
fn full_at_first(behind: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound listener has an address");
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            if counter.fetch_add(1, Ordering::SeqCst) == 0 {
                let message = b"full, try again later";
                let mut answer = vec![1, 0, 0, 0, 0, 0, 0, 0, 21];
                answer.extend_from_slice(message);
                let _ = client.write_all(&answer).and_then(|()| client.shutdown(Shutdown::Write));
                let _ = std::io::copy(&mut client, &mut std::io::sink());
                continue;
            }
            let Ok(server) = TcpStream::connect(behind) else { return };
            for (mut from, mut to) in
                [(client.try_clone(), server.try_clone()), (server.try_clone(), client.try_clone())]
                    .into_iter()
                    .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    (addr, accepted)
}

#[test]
fn a_peer_that_is_full_at_first_is_tried_again() {
    let peer = ForeignPeer::start(&file(), Script::default());
    let (addr, accepted) = full_at_first(peer.addr);
    let scene = Scene::new(file(), &[addr]);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    assert!(accepted.load(Ordering::SeqCst) >= 2, "it was never refused");
}
