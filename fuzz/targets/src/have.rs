//! The set of blocks as bytes: in the records on disk, and from peers.

use crate::Seed;
use crate::raw::{join, number};
use cascade_format::{Have, Layout};

/// Reads the first two bytes of `data` as a number of blocks, the rest as the bitmap of that number of blocks.
///
/// # Panics
/// The bitmap is accepted against the rule, refused against it, or read as another set.
pub fn run(data: &[u8]) {
    let (Some(blocks), Some(bitmap)) = (number(data, 0, 2), data.get(2..)) else { return };
    let Ok(layout) = Layout::new(blocks, 1) else { return };
    // Block i is bit 7 - i % 8 of byte i / 8.
    let bits: Vec<bool> =
        bitmap.iter().flat_map(|byte| (0..8).map(move |bit| byte << bit & 0x80 != 0)).collect();
    let set: Vec<u64> = (0..).zip(&bits).filter(|(_, set)| **set).map(|(number, _)| number).collect();
    let right_length = (bits.len() as u64).div_ceil(8) == blocks.div_ceil(8);
    let legal = right_length && set.iter().all(|number| *number < blocks);

    let have = Have::from_bytes(&layout, bitmap);
    assert_eq!(have.is_some(), legal, "{blocks} blocks in {} bytes, {} set", bitmap.len(), set.len());
    let Some(have) = have else { return };
    assert_eq!(have.blocks(), blocks);
    assert_eq!(have.count(), set.len() as u64);
    assert_eq!(have.is_complete(), set.len() as u64 == blocks);
    assert_eq!(have.find(0..blocks, true), set.first().copied());
    assert!(layout.iter().zip(&bits).all(|(block, set)| have.has(block) == *set));
    assert_eq!(have.to_bytes(), bitmap);
}

/// Bitmaps at the borders of bytes and words.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let bitmap = |blocks: u16, bytes: &[u8]| join(&[&blocks.to_be_bytes(), bytes]);
    vec![
        ("first-and-last-of-10", bitmap(10, &[0x80, 0x40])),
        ("all-of-64", bitmap(64, &[0xff; 8])),
        ("all-of-65", bitmap(65, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80])),
        ("none-of-16", bitmap(16, &[0, 0])),
        ("no-block", bitmap(0, &[])),
        ("spare-bit-set", bitmap(10, &[0x80, 0x60])),
        ("byte-missing", bitmap(10, &[0x80])),
        ("byte-too-many", bitmap(8, &[0xff, 0])),
    ]
}
