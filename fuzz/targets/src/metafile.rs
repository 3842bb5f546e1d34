//! The `.cascade` file: somebody else made it, and it is the first thing a peer reads.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line, layouts};
use cascade_format::{CascadeHash, Metafile};

/// Parses `data` as a whole `.cascade` file.
///
/// # Panics
/// It is accepted against the rule, refused against it, or `encode` is not the inverse of `parse`.
pub fn run(data: &[u8]) {
    let legal = is_legal(data);
    match Metafile::parse(data) {
        Ok(metafile) => {
            assert!(legal, "accepted a file that the protocol forbids");
            check_accepted(&metafile, data);
        }
        Err(error) => {
            assert!(!legal, "refused a legal file: {error}");
            assert_one_line(&error.to_string());
        }
    }
}

/// The rule of protocol §1, and that no file is longer than a signed 64-bit offset can say.
fn is_legal(data: &[u8]) -> bool {
    let (Some(length), Some(size)) = (number(data, 16, 8), number(data, 24, 8)) else { return false };
    let (length, size) = (u128::from(length), u128::from(size));
    let limit = u128::from(i64::MAX.unsigned_abs());
    let starts_right = data.starts_with(b"CASCADE1") && data.len() >= 64;
    let has_size = size > 0 && length <= limit;
    starts_right && has_size && 64 + length.div_ceil(size) * 32 == data.len() as u128
}

fn check_accepted(metafile: &Metafile, data: &[u8]) {
    let layout = &metafile.header().layout;
    assert_eq!(Some(layout.length()), number(data, 16, 8));
    assert_eq!(Some(layout.block_size()), number(data, 24, 8));
    assert_eq!(Some(metafile.header().file_hash.as_bytes().as_slice()), data.get(32..64));
    assert_eq!(metafile.hashes().len() as u64, layout.blocks());
    assert_eq!(layout.metafile_len(), data.len() as u64);
    for at in [0, 1, layout.blocks().saturating_sub(1), layout.blocks(), u64::MAX] {
        layouts::check_block(layout, at);
    }

    // The reserved bytes are read as anything and written as zero; the rest is kept.
    let mut expected = data.to_vec();
    expected.iter_mut().skip(8).take(8).for_each(|byte| *byte = 0);
    assert_eq!(metafile.encode(), expected);
    assert_eq!(metafile.cascade_hash(), CascadeHash::of(&expected));
}

/// A file of 130 bytes in blocks of 64, and what can be wrong with it.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let file = |length: u64, size: u64, hashes: usize| {
        join(&[
            b"CASCADE1\0\0\0\0\0\0\0\0",
            &length.to_be_bytes(),
            &size.to_be_bytes(),
            &[0xf1; 32],
            &vec![0xb1; 32 * hashes],
        ])
    };
    let sound = file(130, 64, 3);
    let cut = |to: usize| sound.iter().copied().take(to).collect::<Vec<u8>>();
    let mut reserved = sound.clone();
    reserved.iter_mut().skip(8).take(8).for_each(|byte| *byte = 0xee);
    vec![
        ("sound", sound.clone()),
        ("reserved-not-zero", reserved),
        ("even-blocks", file(128, 64, 2)),
        ("no-data", file(0, 64, 0)),
        ("one-huge-block", file(5, u64::MAX, 1)),
        ("no-bytes", Vec::new()),
        ("not-a-cascade-file", b"#!/bin/sh\n".to_vec()),
        ("magic-only", b"CASCADE1".to_vec()),
        ("header-cut", cut(63)),
        ("hashes-missing", cut(64)),
        ("last-hash-cut", cut(159)),
        ("trailing-byte", join(&[&sound, b"\n"])),
        ("block-size-zero", file(130, 0, 3)),
        ("longest-file", file(i64::MAX.unsigned_abs(), u64::MAX, 1)),
        ("one-byte-too-long", file(1 << 63, u64::MAX, 1)),
        ("length-overflows", file(u64::MAX, 2, 1)),
        ("petabytes-claimed", file(1 << 50, 1 << 20, 1)),
        ("too-many-blocks", file(i64::MAX.unsigned_abs(), 1, 1)),
    ]
}
