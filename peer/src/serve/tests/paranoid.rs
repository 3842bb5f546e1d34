//! Files that change without a trace while each block is hashed before it is sent.

use super::support::{Sample, Server};
use crate::serve::Options;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

/// Small ones, several to a burst; those that `sendfile` would send; those that are longer than a burst.
const BLOCK_SIZES: [u64; 4] = [100, 10_000, 100_000, 3 << 20];

fn one_worker() -> Options {
    Options { workers: 1, ..Options::default() }
}

#[test]
fn what_is_right_is_served() {
    for block_size in BLOCK_SIZES {
        let sample = Sample::new(block_size * 9 + block_size / 3, block_size).with_proof();
        let server = Server::with(&[&sample], one_worker());
        let mut client = server.connect();
        let requests: Vec<u8> = (0..10).flat_map(|block| sample.request(block)).collect();
        client.send(&requests);
        // Slowly at first: the socket takes parts.
        std::thread::sleep(std::time::Duration::from_millis(50));
        (0..10).for_each(|block| client.expect_block(&sample, block));
        assert!(sample.shared.is_unchanged());
    }
}

#[test]
fn a_wrong_block_is_missing_and_everything_is_withdrawn() {
    for block_size in BLOCK_SIZES {
        let sample = Sample::new(block_size * 10, block_size).with_proof();
        let server = Server::with(&[&sample], one_worker());
        // One bit, in the last byte.
        let at = block_size * 6 - 1;
        let wrong = !sample.bytes[usize::try_from(at).unwrap()];
        sample.file().write_all_at(&[wrong], at).unwrap();
        let mut client = server.connect();
        client.send(&sample.request(5));
        let got = client.read_some();
        if block_size < 256 << 10 {
            assert_eq!(got.first(), Some(&2), "block size {block_size}: refused before anything is out");
        } else {
            assert!(got.len() as u64 <= block_size + 8, "{} bytes are the whole block", got.len());
        }
        assert!(!sample.shared.is_unchanged(), "block size {block_size}");
        let mut client = server.connect();
        client.send(&sample.request(1));
        client.expect_message(2);
    }
}

/// The first half of a long block is out, and then its last byte changes.
#[test]
fn a_block_that_changes_while_it_is_sent_is_not_completed() {
    let sample = Sample::new(32 << 20, 16 << 20).with_proof();
    let server = Server::with(&[&sample], one_worker());
    let mut client = server.connect();
    client.send(&sample.request(0));
    let mut first = vec![0; 1 << 20];
    client.0.read_exact(&mut first).unwrap();
    sample.file().write_all_at(&[!sample.bytes[(16 << 20) - 1]], (16 << 20) - 1).unwrap();
    let rest = client.read_to_end();
    assert!(rest.len() + first.len() < (16 << 20) + 9, "all {} bytes came", rest.len() + first.len());
}

/// What is out was read before the change, and what is left is right: but not together.
#[test]
fn a_block_whose_parts_are_of_two_times_is_not_completed() {
    let sample = Sample::new(32 << 20, 16 << 20).with_proof();
    sample.file().write_all_at(&[!sample.bytes[77]], 77).unwrap();
    let server = Server::with(&[&sample], one_worker());
    let mut client = server.connect();
    client.send(&sample.request(0));
    let mut first = vec![0; 1 << 20];
    client.0.read_exact(&mut first).unwrap();
    sample.file().write_all_at(&[sample.bytes[77]], 77).unwrap();
    let rest = client.read_to_end();
    assert!(rest.len() + first.len() < (16 << 20) + 9, "all {} bytes came", rest.len() + first.len());
}

impl super::support::Client {
    /// What comes until an answer is over, or the connection is.
    fn read_some(&mut self) -> Vec<u8> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).unwrap();
        if header[0] != 0 {
            return header.to_vec();
        }
        self.0.flush().unwrap();
        self.read_to_end()
    }
}
