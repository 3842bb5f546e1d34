//! Many, idle, slow and half-hearted clients.

use super::support::{Client, Sample, Server, elapsed, wait_until};
use crate::clock;
use crate::serve::{Options, Timeouts};
use cascade_format::Have;
use cascade_tests::full_speed;
use std::io::{Read, Write};
use std::time::Duration;

/// What counts as "at once" on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

fn served_at_once(server: &Server, sample: &Sample) {
    let start = clock::now();
    let mut client = server.connect();
    client.send(&sample.request(0));
    client.expect_block(sample, 0);
    assert!(full_speed::since(start) < AT_ONCE, "served only after {:?}", elapsed(start));
}

#[test]
fn two_thousand_idle_and_half_sent_clients_do_not_matter() {
    crate::serve::descriptors::raise_limit();
    let sample = Sample::new(1 << 20, 1 << 20);
    let server = Server::start(&[&sample]);
    let _held: Vec<Client> = (0..2000)
        .map(|number| {
            let mut client = server.connect();
            client.send(&sample.request(0)[..number % 64]);
            client
        })
        .collect();
    wait_until("2,000 clients are open", || server.stats.clients() == 2000);
    served_at_once(&server, &sample);
    assert_eq!((server.stats.evicted(), server.stats.refused()), (0, 0));
}

#[test]
fn beyond_the_bound_the_longest_idle_makes_room() {
    let sample = Sample::new(1000, 100);
    let soon = Duration::from_millis(100);
    let timeouts = Timeouts { evict: soon, silent: soon, ..Timeouts::default() };
    let server = Server::with(&[&sample], Options { max_clients: 50, timeouts, ..Options::default() });
    let mut idle: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    wait_until("50 clients are open", || server.stats.clients() == 50);
    std::thread::sleep(Duration::from_millis(150));
    // The first one does something, so that it is not the longest idle any more.
    idle[0].send(&sample.request(1));
    idle[0].expect_block(&sample, 1);
    served_at_once(&server, &sample);
    assert_eq!((server.stats.evicted(), server.stats.refused()), (1, 0));
    idle[1].expect_end();
    idle[0].send(&sample.request(2));
    idle[0].expect_block(&sample, 2);
}

/// They ask for what is not there, again and again, and read the answers.
#[test]
fn holders_that_take_no_blocks_keep_no_newcomer_out() {
    let sample = Sample::with_blocks(1000, 100, |layout| {
        let mut have = Have::all(layout);
        assert!(layout.block(9).is_some_and(|block| have.remove(block)));
        have
    });
    let ms = Duration::from_millis;
    let timeouts = Timeouts { evict: ms(400), silent: ms(200), ..Timeouts::default() };
    let server = Server::with(&[&sample], Options { max_clients: 10, timeouts, ..Options::default() });
    std::thread::scope(|scope| {
        for _ in 0..10 {
            let mut holder = server.connect();
            scope.spawn(|| {
                // Ends when its place is another's.
                let mut answer = [0; 256];
                while holder.0.write_all(&sample.request(9)).is_ok()
                    && holder.0.read(&mut answer).is_ok_and(|read| read > 0)
                {
                    std::thread::sleep(ms(20));
                }
                drop(holder);
            });
        }
        wait_until("10 clients are open", || server.stats.clients() == 10);
        std::thread::sleep(ms(450));
        let mut newcomers: Vec<Client> = (0..10).map(|_| server.connect()).collect();
        for newcomer in &mut newcomers {
            newcomer.send(&sample.request(1));
            newcomer.expect_block(&sample, 1);
        }
        assert_eq!((server.stats.evicted(), server.stats.refused()), (10, 0));
    });
}

#[test]
fn when_all_are_busy_the_next_is_refused_politely() {
    let sample = Sample::new(1000, 100);
    // They came a moment ago, also on a machine with much else to do.
    let timeouts = Timeouts { silent: Duration::from_secs(60), ..Timeouts::default() };
    let server = Server::with(&[&sample], Options { max_clients: 10, timeouts, ..Options::default() });
    let mut held: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    wait_until("10 clients are open", || server.stats.clients() == 10);
    for _ in 0..20 {
        let mut client = server.connect();
        // A request that is on its way must not turn the refusal into a reset. (Whether it can be written at all
        // depends on which side is faster.)
        let _ = client.0.write_all(&sample.request(0));
        let message = client.expect_message(1);
        assert_eq!(message, "this peer has all the 10 connections it can hold; try again later\n");
        client.expect_end();
    }
    assert_eq!((server.stats.evicted(), server.stats.refused()), (0, 20));
    held[9].send(&sample.request(3));
    held[9].expect_block(&sample, 3);
    drop(held.pop());
    wait_until("a place is free", || server.stats.clients() == 9);
    served_at_once(&server, &sample);
}

/// One worker, and a client that asks for everything and reads nothing.
#[test]
fn a_slow_reader_holds_nobody_up() {
    for (block_size, copy) in [(1 << 20, false), (1 << 20, true), (1000, false)] {
        let sample = Sample::new(32 << 20, block_size);
        let server = Server::with(&[&sample], Options { workers: 1, copy, ..Options::default() });
        let mut slow = server.connect();
        let blocks = sample.shared.layout().blocks().min(8000);
        let all: Vec<u8> = (0..blocks).flat_map(|number| sample.request(number)).collect();
        slow.send(&all);
        for _ in 0..10 {
            served_at_once(&server, &sample);
        }
        // And it is still there when it reads at last.
        for number in 0..blocks {
            slow.expect_block(&sample, number);
        }
    }
}

/// One worker, one client with thousands of small requests that reads them as fast as it can.
#[test]
fn a_greedy_client_starves_nobody() {
    let sample = Sample::new(64 << 20, 64 << 10);
    let server = Server::with(&[&sample], Options { workers: 1, ..Options::default() });
    let greedy = server.connect();
    let mut reading = greedy.0.try_clone().unwrap();
    let requests: Vec<u8> = (0..1024).flat_map(|number| sample.request(number)).collect();
    std::thread::scope(|scope| {
        let (mut writing, requests) = (&greedy.0, &requests);
        // Ends when the socket is shut down below.
        scope.spawn(move || while writing.write_all(requests).is_ok() {});
        scope.spawn(move || while matches!(reading.read(&mut vec![0; 1 << 18]), Ok(1..)) {});
        wait_until("the greedy client is being served", || server.stats.blocks_sent() > 1000);
        for _ in 0..20 {
            served_at_once(&server, &sample);
        }
        greedy.0.shutdown(std::net::Shutdown::Both).unwrap();
    });
}

#[test]
fn each_time_limit_ends_its_clients() {
    let ms = Duration::from_millis;
    let timeouts = Timeouts { idle: ms(400), request: ms(100), send: ms(200), ..Timeouts::default() };
    let sample = Sample::new(32 << 20, 32 << 20);
    let server = Server::with(&[&sample], Options { timeouts, ..Options::default() });
    let start = clock::now();
    let (mut idle, mut half, mut stuck) = (server.connect(), server.connect(), server.connect());
    half.send(&sample.request(0)[..63]);
    stuck.send(&sample.request(0));
    half.expect_end();
    assert!(elapsed(start) >= ms(100), "half a request: closed after {:?}", elapsed(start));
    wait_until("the one that reads nothing is dropped", || server.stats.clients() <= 1);
    assert!(elapsed(start) >= ms(200), "reads nothing: closed after {:?}", elapsed(start));
    assert!(stuck.read_to_end().len() < 32 << 20);
    idle.expect_end();
    assert!(elapsed(start) >= ms(400), "idle: closed after {:?}", elapsed(start));
}

/// A request that comes byte by byte is not progress.
#[test]
fn a_dribble_does_not_extend_the_time() {
    let timeouts = Timeouts { request: Duration::from_millis(200), ..Timeouts::default() };
    let sample = Sample::new(1000, 100);
    let server = Server::with(&[&sample], Options { timeouts, ..Options::default() });
    let client = server.connect();
    let mut sent = 0;
    for byte in sample.request(0).iter().take(63) {
        if (&client.0).write_all(&[*byte]).is_err() || server.stats.clients() == 0 && sent > 0 {
            break;
        }
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(sent < 63, "63 bytes over more than a second were accepted");
}
