use crate::slices::{address, complete, launch, leechers, nodes};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extension::{EXTENDED, Item, Marker, NEWS, split};
use cascade_tests::foreign_client::{ForeignClient, Response};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::full_speed;
use cascade_tests::node::Node;
use cascade_tests::process::Process;
use cascade_tests::slices::{Slices, State};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn seeding(file: &TestFile) -> (Node, Process, SocketAddr) {
    let node = Node::new(file);
    node.write_data(file);
    let mut seeder = launch(&node, "seed", ForeignTracker::listing(&[]).addr).start();
    let addr = address(&mut seeder);
    (node, seeder, addr)
}

/// The status of an answer without bit 7, the state in its field, and its ordinary body.
fn parts(response: Response) -> (u8, Option<State>, Vec<u8>) {
    let Response { status, body } = response;
    if status & EXTENDED == 0 {
        return (status, None, body);
    }
    let (items, body) = split(&body);
    (status & !EXTENDED, Item::state_in(&items), body)
}

/// Blocks and slices in any order, questions for news by both names in between, with and without a marker.
#[test]
fn wild_mixes_of_both_names_are_answered_one_by_one() {
    let file = TestFile::random("wild.bin", (2 << 20) + 70_000, 256 << 10);
    let slices = Slices::of(&file).unwrap();
    let (_node, mut seeder, addr) = seeding(&file);
    for seed in 0..2 {
        let mut random = fastrand::Rng::with_seed(seed);
        let asked: Vec<([u8; 32], u64)> = (0..300)
            .map(|_| match random.u8(..8) {
                0 => (if random.bool() { file.hash } else { slices.name }, NEWS),
                1..5 => (file.hash, random.u64(..file.blocks())),
                _ => (slices.name, random.u64(..slices.count())),
            })
            .collect();
        let mut client = ForeignClient::connect(addr);
        let bytes = |(name, number): &([u8; 32], u64)| Marker::new(9).request(name, *number);
        // In pieces that end within requests.
        let sent: Vec<u8> = asked.iter().flat_map(bytes).collect();
        let mut answers = 0;
        for piece in sent.chunks(random.usize(100..5000)) {
            client.send(piece).unwrap();
        }
        let mut given = 0;
        for (name, number) in &asked {
            let response = client.receive().unwrap_or_else(|error| panic!("answer {answers}: {error}"));
            let (status, state, body) = parts(response);
            answers += 1;
            match (status, *number) {
                (2, _) => assert!(*number == NEWS || !body.is_empty(), "a refusal has a reason"),
                (0, NEWS) => panic!("a block came for a question"),
                (0, number) if *name == file.hash => assert!(Some(&body[..]) == file.block(number)),
                (0, number) => slices.assert_right(number, state.expect("a state"), &body),
                other => panic!("answer {answers}: {other:?}"),
            }
            given += u32::from(status == 0);
        }
        assert!(given > 100, "{given} of 300 were given");
        seeder.assert_running();
    }
}

/// A client whose system takes little of what it does not read.
fn narrow(addr: SocketAddr) -> ForeignClient {
    let stream = TcpStream::connect(addr).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
    ForeignClient::over(stream)
}

/// Each asks for slices of all blocks and reads nothing. One of the three places for slices of a block is free again after
/// 10 s, and an offer that is not taken after some 16 s.
#[test]
fn clients_that_ask_for_slices_and_do_not_read_do_not_keep_leechers_from_them() {
    let file = TestFile::random("hogs.bin", 8 << 20, 1 << 20);
    let slices = Slices::of(&file).unwrap();
    let nodes = nodes(&file, 3);
    nodes[2].write_data(&file);
    let seed = launch(&nodes[2], "seed", ForeignTracker::listing(&[]).addr);
    let mut seeder = seed.args(["--max-up", "4MB/s"]).start();
    let addr = address(&mut seeder);
    let mut hogs: Vec<ForeignClient> = (0..30).map(|_| narrow(addr)).collect();
    for (first, hog) in (0..).zip(&mut hogs) {
        let numbers = (0..slices.count()).map(|slice| (slice + first * slices.a_block()) % slices.count());
        let asked: Vec<u8> = numbers.flat_map(|slice| Marker::new(9).request(&slices.name, slice)).collect();
        // News first: a seeder that chooses refuses what is asked for before.
        let news = Marker::new(9).request(&slices.name, NEWS);
        hog.send(&[&news[..], &asked].concat()).unwrap();
    }
    let start = clock::now();
    let mut leechers = leechers(&nodes[..2], &[addr], &[]);
    let _ = complete(&mut leechers, &nodes[..2], &file);
    let took = full_speed::since(start);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// For the first slice of each block, the block is hashed; for all others, nothing is.
#[test]
fn what_a_slice_costs_a_seeder_is_bounded() {
    let file = TestFile::random("costly.bin", 64 << 20, 16 << 20);
    let slices = Slices::of(&file).unwrap();
    let (_node, seeder, addr) = seeding(&file);
    let take = |number: u64| {
        let mut client = ForeignClient::connect(addr);
        let ask = [NEWS, number].map(|number| Marker::new(0).request(&slices.name, number));
        client.send(&ask.concat()).unwrap();
        let _ = client.receive().unwrap();
        parts(client.receive().unwrap()).0
    };
    for block in 0..file.blocks() {
        assert_eq!(take(slices.of_block(block).start), 0);
    }
    let before = seeder.cpu_time();
    for slice in 0..slices.count() {
        assert_eq!(take(slice), 0);
    }
    let spent = seeder.cpu_time().saturating_sub(before);
    // To hash a block for each of them would be 4 GiB.
    assert!(spent < Duration::from_millis(1500), "{spent:?} for {} slices", slices.count());
}
