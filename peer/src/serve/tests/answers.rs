//! What is answered to what (protocol §3), and that the bytes are right on every path.

use super::support::{Sample, Server, request, wait_until};
use crate::serve::Options;
use cascade_format::{CascadeHash, Have};
use std::net::Shutdown;

#[test]
fn every_status() {
    let sample = Sample::with_blocks(1000, 64, |layout| {
        let mut have = Have::all(layout);
        have.remove(layout.block(3).unwrap());
        have
    });
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    client.send(&sample.request(15));
    client.expect_block(&sample, 15);
    client.send(&sample.request(3));
    client.expect_message(2);
    // Status 2 leaves the connection open.
    client.send(&sample.request(2));
    client.expect_block(&sample, 2);
    client.send(&sample.request(16));
    assert!(client.expect_message(3).contains("16 blocks"));
    client.expect_end();

    for (bytes, status) in [
        (request(CascadeHash([9; 32]), 0).to_vec(), 1),
        (sample.request(u64::MAX).to_vec(), 3),
        (b"CASCADE2".to_vec(), 4),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 4),
        (vec![0; 64], 4),
    ] {
        let mut client = server.connect();
        client.send(&bytes);
        client.expect_message(status);
        client.expect_end();
    }
    assert_eq!(server.stats.blocks_sent(), 2);
}

#[test]
fn the_last_answer_is_not_lost_to_a_reset() {
    let sample = Sample::new(1000, 10);
    let server = Server::start(&[&sample]);
    for _ in 0..20 {
        let mut client = server.connect();
        // Thousands of requests behind one that closes: they must not turn the end into a reset.
        let mut requests = sample.request(7).to_vec();
        requests.extend(request(CascadeHash([9; 32]), 0));
        requests.extend(sample.request(8).repeat(3000));
        client.send(&requests);
        client.expect_block(&sample, 7);
        client.expect_message(1);
        client.expect_end();
    }
}

#[test]
fn requests_split_anywhere_pipelined_and_with_garbage() {
    let sample = Sample::new(10_000, 100);
    let server = Server::start(&[&sample]);
    let mut stream: Vec<u8> = Vec::new();
    for number in 0..100 {
        let mut request = sample.request(number);
        request[8..24].copy_from_slice(&[u8::try_from(number).unwrap() ^ 0x5A; 16]);
        stream.extend(request);
    }
    for piece in [1, 63, 65, 1000, 6400] {
        let mut client = server.connect();
        for bytes in stream.chunks(piece) {
            client.send(bytes);
        }
        for number in 0..100 {
            client.expect_block(&sample, number);
        }
    }
}

#[test]
fn a_request_cut_short_is_told_so_and_those_before_it_are_answered() {
    let sample = Sample::new(1000, 100);
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    client.send(&sample.request(4));
    client.send(&sample.request(5)[..40]);
    client.0.shutdown(Shutdown::Write).unwrap();
    client.expect_block(&sample, 4);
    client.expect_message(4);
    client.expect_end();
    // A client that says it is done gets what it asked for, too.
    let mut client = server.connect();
    client.send(&[sample.request(1), sample.request(9)].concat());
    client.0.shutdown(Shutdown::Write).unwrap();
    client.expect_block(&sample, 1);
    client.expect_block(&sample, 9);
    client.expect_end();
}

#[test]
fn several_files_on_one_port_and_connection() {
    let samples = [Sample::new(5000, 100), Sample::new(400_000, 100_000), Sample::new(77, 1000)];
    let server = Server::start(&[&samples[0], &samples[1], &samples[2]]);
    let mut client = server.connect();
    let asked = [(0, 3), (1, 2), (2, 0), (0, 4), (0, 5), (1, 3), (1, 0), (2, 0)];
    let requests: Vec<u8> = asked.iter().flat_map(|(file, block)| samples[*file].request(*block)).collect();
    client.send(&requests);
    for (file, block) in asked {
        client.expect_block(&samples[file], block);
    }
}

#[test]
fn an_empty_file_has_no_block() {
    let sample = Sample::new(0, 10);
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    client.send(&sample.request(0));
    client.expect_message(3);
}

/// Odd sizes around the borders between the ways of sending, with a short last block.
#[test]
fn both_ways_of_sending_give_the_same_bytes() {
    let sizes: [(u64, u64); 8] = [
        (1, 777),
        (63, 63 * 300 + 1),
        (1000, 600_500),
        ((64 << 10) - 1, 3 << 20),
        (64 << 10, (3 << 20) + 5),
        ((64 << 10) + 1, 2 << 20),
        (1 << 20, (9 << 20) + 1),
        (5 << 20, (11 << 20) + 12345),
    ];
    for (block_size, length) in sizes {
        let sample = Sample::new(length, block_size);
        let blocks = sample.shared.layout().blocks();
        for copy in [false, true] {
            let server = Server::with(&[&sample], Options { copy, ..Options::default() });
            let mut client = server.connect();
            // In order, and then from the end, so that there are long runs and none.
            let order: Vec<u64> = (0..blocks).chain((0..blocks).rev()).collect();
            let requests: Vec<u8> = order.iter().flat_map(|number| sample.request(*number)).collect();
            let mut sender = client.0.try_clone().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(move || std::io::Write::write_all(&mut sender, &requests).unwrap());
                for number in &order {
                    client.expect_block(&sample, *number);
                }
            });
            // Counted right after the socket has taken them, which may be after they arrived.
            let expected = (2 * blocks, 2 * (length + 9 * blocks));
            let sent = || (server.stats.blocks_sent(), server.stats.bytes_sent());
            wait_until("blocks and bytes are counted", || sent() >= expected);
            assert_eq!(sent(), expected, "copy {copy}, block size {block_size}");
        }
    }
}
