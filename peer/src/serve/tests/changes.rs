//! Files that change, grow and go while they are served.

use super::support::{Sample, Server};
use crate::serve::Options;
use cascade_format::Have;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

#[test]
fn a_block_is_served_once_it_is_published() {
    let sample = Sample::with_blocks(1000, 100, Have::none);
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    client.send(&sample.request(4));
    client.expect_message(2);
    sample.shared.have().publish(sample.shared.layout().block(4).unwrap());
    client.send(&sample.request(4));
    client.expect_block(&sample, 4);
    client.send(&sample.request(5));
    client.expect_message(2);
}

#[test]
fn files_come_and_go_while_clients_are_connected() {
    let (first, second) = (Sample::new(1000, 100), Sample::new(2000, 100));
    let server = Server::start(&[&first]);
    let mut client = server.connect();
    client.send(&first.request(0));
    client.expect_block(&first, 0);
    server.catalog.add(Arc::clone(&second.served));
    client.send(&second.request(19));
    client.expect_block(&second, 19);
    server.catalog.remove(&first.shared.cascade_hash());
    client.send(&first.request(0));
    client.expect_message(1);
    client.expect_end();
}

/// However the file changes: what is served is what was verified, or nothing.
#[test]
fn a_changed_file_is_withdrawn() {
    let overwrite = |sample: &Sample| sample.file().write_all_at(b"other bytes", 3).unwrap();
    let append = |sample: &Sample| sample.file().write_all_at(b"more", 300_000).unwrap();
    let truncate = |sample: &Sample| sample.file().set_len(1000).unwrap();
    let changes: [&dyn Fn(&Sample); 3] = [&overwrite, &append, &truncate];
    for change in changes {
        for (block_size, copy) in [(1000, false), (100_000, false), (100_000, true)] {
            let sample = Sample::new(300_000, block_size);
            let server = Server::with(&[&sample], Options { copy, ..Options::default() });
            let mut client = server.connect();
            client.send(&sample.request(0));
            client.expect_block(&sample, 0);
            // The stamp is as exact as the kernel's clock: let it tick.
            std::thread::sleep(std::time::Duration::from_millis(20));
            change(&sample);
            client.send(&sample.request(0));
            client.send(&sample.request(2));
            client.expect_message(2);
            client.expect_message(2);
            assert_eq!(sample.shared.have().count(), 0);
        }
    }
}

/// A file cut off in the middle of a block's way: the connection ends; nothing made up is sent.
#[test]
fn a_file_truncated_under_an_answer_ends_it() {
    for copy in [false, true] {
        // No stamp, as while a file is being downloaded: nothing but the reading itself can notice.
        let sample = Sample::new(64 << 20, 64 << 20);
        sample.shared.set_stamp(None);
        let server = Server::with(&[&sample], Options { copy, ..Options::default() });
        let mut client = server.connect();
        client.send(&sample.request(0));
        let mut start = vec![0; 100_000];
        client.0.read_exact(&mut start).unwrap();
        sample.file().set_len(1000).unwrap();
        let rest = client.read_to_end();
        let body = [&start[9..], rest.as_slice()].concat();
        assert!(body.len() < 64 << 20, "copy {copy}: all of a file that was cut arrived");
        // Pages on their way to a socket are still the file's: cutting a file sets what is behind its
        // end, in the last piece of memory that it keeps, to zero. A copy is a copy.
        let wrong = body.iter().zip(&sample.bytes).filter(|(got, right)| got != right);
        let (zero, other): (Vec<_>, Vec<_>) = wrong.partition(|(got, _)| **got == 0);
        assert!(other.is_empty(), "copy {copy}: {} bytes that never were in the file", other.len());
        assert!(zero.is_empty() || !copy, "copy: {} bytes are zero", zero.len());
    }
}

/// The same with a stamp: a change of bytes that were still to be sent ends the answer as well.
#[test]
fn a_file_changed_under_an_answer_ends_it() {
    for copy in [false, true] {
        let sample = Sample::new(64 << 20, 64 << 20);
        let server = Server::with(&[&sample], Options { copy, ..Options::default() });
        let mut client = server.connect();
        client.send(&sample.request(0));
        client.0.read_exact(&mut vec![0; 100_000]).unwrap();
        sample.file().write_all_at(b"other bytes", 60 << 20).unwrap();
        let rest = client.read_to_end();
        assert!(rest.len() < 60 << 20, "copy {copy}: the changed part was sent");
        assert!(rest == sample.bytes[99_991..][..rest.len()], "copy {copy}: not the file's bytes");
    }
}

/// A block that cannot be read is status 2, and the others are served.
#[test]
fn an_unreadable_block_is_missing() {
    let sample = Sample::new(1000, 100);
    sample.shared.set_stamp(None);
    sample.file().set_len(950).unwrap();
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    let asked: Vec<u8> = [0, 1, 9, 8].iter().flat_map(|number| sample.request(*number)).collect();
    client.0.write_all(&asked).unwrap();
    client.expect_block(&sample, 0);
    client.expect_block(&sample, 1);
    client.expect_message(2);
    client.expect_block(&sample, 8);
}
