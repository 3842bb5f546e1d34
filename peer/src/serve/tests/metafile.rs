//! Giving the `.cascade` file to peers that know the swarm extension.

use super::support::{Client, Sample, Server};
use crate::metafile::{MetafileOnDisk, RESIDENT_HASHES};
use crate::serve::Options;
use cascade_format::CascadeHash;
use cascade_format::extension::metafile::{MAX_PART_LEN, METAFILE, PART_HEAD_LEN, request};
use std::fs;
use std::io::Read;
use std::sync::Arc;
use tempfile::TempDir;

/// A sample whose `.cascade` file is in a folder, and given to others.
fn described(length: u64, block_size: u64) -> (Sample, TempDir, Vec<u8>) {
    let sample = Sample::new(length, block_size);
    let (folder, bytes) = (tempfile::tempdir().unwrap(), sample.metafile_bytes());
    let path = folder.path().join("x.cascade");
    fs::write(&path, &bytes).unwrap();
    sample.shared.describe_with(Arc::new(MetafileOnDisk::open(path).unwrap()));
    (sample, folder, bytes)
}

fn ask(client: &mut Client, sample: &Sample, offset: u32) {
    client.send(&request(sample.shared.cascade_hash(), offset, 0));
}

/// The part that comes next, and the length of the whole.
fn part(client: &mut Client) -> (u64, Vec<u8>) {
    let (status, body) = client.answer().unwrap();
    assert_eq!(status, 0x80, "{}", String::from_utf8_lossy(&body));
    let (head, part) = body.split_at(PART_HEAD_LEN - 9);
    assert_eq!(head[..5], [0, 11, 16, 0, 8]);
    (u64::from_be_bytes(head[5..].try_into().unwrap()), part.to_vec())
}

#[test]
fn it_is_given_in_parts_between_blocks_and_over_one_connection() {
    // 64 + 20,000 * 32 bytes are three parts.
    let (sample, _folder, bytes) = described(20_000, 1);
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        client.send(&sample.request(7));
        ask(&mut client, &sample, u32::try_from(got.len()).unwrap());
        client.send(&sample.request(8));
        client.expect_block(&sample, 7);
        let (total, part) = part(&mut client);
        assert_eq!(total, bytes.len() as u64);
        assert!(part.len() == MAX_PART_LEN as usize || got.len() + part.len() == bytes.len());
        got.extend(part);
        client.expect_block(&sample, 8);
    }
    assert!(got == bytes);
    for offset in [1_u32, 63, 64, 65, 95, 97, 640_063] {
        ask(&mut client, &sample, offset);
        let at = offset as usize;
        assert!(part(&mut client).1 == bytes[at..bytes.len().min(at + MAX_PART_LEN as usize)], "{offset}");
    }
    ask(&mut client, &sample, 640_064);
    client.expect_message(3);
    client.expect_end();
}

#[test]
fn it_is_given_for_files_of_no_and_of_one_block_and_with_proof() {
    for length in [0, 5, 1000] {
        let (sample, _folder, bytes) = described(length, 10);
        let sample = if length == 1000 { sample.with_proof() } else { sample };
        let server = Server::start(&[&sample]);
        let mut client = server.connect();
        ask(&mut client, &sample, 0);
        assert_eq!(part(&mut client), (bytes.len() as u64, bytes));
    }
}

#[test]
fn a_cascade_file_that_is_replaced_is_given_as_it_was_and_one_that_is_overwritten_is_not_given() {
    let few = 100;
    for (blocks, in_place) in
        [(few, false), (few, true), (RESIDENT_HASHES + 1, false), (RESIDENT_HASHES + 1, true)]
    {
        let (sample, folder, bytes) = described(blocks, 1);
        let server = Server::start(&[&sample]);
        let path = folder.path().join("x.cascade");
        if !in_place {
            fs::remove_file(&path).unwrap();
        }
        fs::write(&path, vec![b'x'; bytes.len()]).unwrap();
        let mut client = server.connect();
        ask(&mut client, &sample, 64);
        if in_place && blocks > few {
            client.expect_message(2);
            client.send(&sample.request(3));
            client.expect_block(&sample, 3);
        } else {
            assert!(
                part(&mut client).1 == bytes[64..bytes.len().min(64 + MAX_PART_LEN as usize)],
                "{blocks}"
            );
        }
    }
}

#[test]
fn version_1_is_answered_as_ever() {
    let (sample, _folder, _) = described(1000, 10);
    let undescribed = Sample::new(500, 10);
    let server = Server::start(&[&sample, &undescribed]);
    let plain = Server::with(&[&sample], Options { extension: false, ..Options::default() });
    let marked = request(sample.shared.cascade_hash(), 0, 0);
    let mut wrong_check = marked;
    wrong_check[20] ^= 1;
    for (server, bytes, status) in [
        (&server, sample.request(METAFILE), 3),
        (&server, wrong_check, 3),
        (&plain, marked, 3),
        (&server, request(CascadeHash([9; 32]), 0, 0), 1),
    ] {
        let mut client = server.connect();
        client.send(&bytes);
        client.expect_message(status);
        client.expect_end();
    }
    let mut client = server.connect();
    ask(&mut client, &undescribed, 0);
    client.expect_message(2);
    client.send(&undescribed.request(3));
    client.expect_block(&undescribed, 3);
}

#[test]
fn parts_that_are_taken_slowly_are_whole() {
    let (sample, _folder, bytes) = described(200_000, 1);
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    let offsets: Vec<u32> = (0..24).map(|number| number * MAX_PART_LEN).collect();
    offsets.iter().for_each(|offset| ask(&mut client, &sample, *offset));
    for offset in offsets {
        let at = offset as usize;
        let wanted = &bytes[at..bytes.len().min(at + MAX_PART_LEN as usize)];
        let mut got = vec![0; PART_HEAD_LEN + wanted.len()];
        got.chunks_mut(5000).for_each(|piece| client.0.read_exact(piece).unwrap());
        assert!(got[PART_HEAD_LEN..] == *wanted, "{offset}");
    }
}
