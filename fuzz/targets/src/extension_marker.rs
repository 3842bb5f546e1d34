//! The swarm extension's marker in a request, as a serving peer looks for it.

use crate::raw::{join, number};
use crate::{Seed, layouts};
use cascade_format::extension::Marker;
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN};

/// The marker's bytes up to its version.
const START: [u8; 5] = [0x9c, 0xa5, 0xca, 0xde, 1];

/// Reads the bytes behind the first as requests. Where bit 0 of the first is set, each gets the right
/// check first: else hardly any would have one.
///
/// # Panics
/// A marker is found where there is none, is not found, or is read otherwise than the chapter says.
pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    for bytes in rest.as_chunks::<REQUEST_LEN>().0 {
        check_request(bytes);
        if mode & 1 == 1 {
            check_request(&with_check(bytes));
        }
    }
}

fn check_request(bytes: &[u8; REQUEST_LEN]) {
    let Ok(request) = BlockRequest::parse(bytes) else { return };
    let is_marked = bytes.get(8..13) == Some(START.as_slice())
        && number(bytes, 20, 4) == Some(u64::from(crc32(&covered(bytes))));
    let Some(marker) = Marker::of(&request) else {
        assert!(!is_marked, "a valid marker was not found");
        return;
    };
    assert!(is_marked, "a marker was found where there is none");
    assert_eq!(Some(u64::from(marker.port)), number(bytes, 14, 2));
    assert_eq!(Some(u64::from(marker.offers_seen)), number(bytes, 16, 4));
    assert_eq!(marker.progress.map_or(0, |progress| u64::from(progress.byte())), u64::from(bytes[13]));
    assert_eq!(marker.request(request.cascade_hash, request.block), *bytes);
    for layout in layouts::all() {
        layouts::check_block(&layout, request.block);
    }
}

/// The same request with the check that belongs to it.
fn with_check(bytes: &[u8]) -> [u8; REQUEST_LEN] {
    let mut out = [0; REQUEST_LEN];
    let check = crc32(&covered(bytes)).to_be_bytes();
    let bytes = bytes.iter().enumerate().map(|(at, byte)| match at {
        20..24 => check.get(at - 20).copied().unwrap_or(0),
        _ => *byte,
    });
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    out
}

/// What the check is of: all but itself.
fn covered(bytes: &[u8]) -> Vec<u8> {
    join(&[bytes.get(..20).unwrap_or_default(), bytes.get(24..).unwrap_or_default()])
}

/// CRC-32 as its definition says: bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Marked requests, and reserved bytes that are almost a marker.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let request =
        |reserved: &[u8], block: u64| join(&[b"CASCADE1", reserved, &block.to_be_bytes(), &[0xca; 32]]);
    let marker = |version: u8, zero: u8| {
        join(&[&[0x9c, 0xa5, 0xca, 0xde, version, zero, 0x22, 0xb9, 0, 0, 0, 3], &[0; 4]])
    };
    let unchecked = request(&marker(1, 0), 15);
    let sound = with_check(&unchecked);
    let other_block = join(&[
        sound.get(..24).unwrap_or_default(),
        unchecked.get(24..31).unwrap_or_default(),
        &[9],
        &[0xca; 32],
    ]);
    let seed = |mode: u8, parts: &[&[u8]]| join(&[&[mode], &parts.concat()]);
    vec![
        ("sound", seed(0, &[&sound])),
        ("news", seed(1, &[&request(&marker(1, 0), u64::MAX)])),
        ("check-to-be-made", seed(1, &[&unchecked])),
        ("check-missing", seed(0, &[&unchecked])),
        ("check-of-another-block", seed(0, &[&other_block])),
        ("another-version", seed(1, &[&request(&marker(2, 0), 15)])),
        ("byte-13-not-zero", seed(1, &[&request(&marker(1, 0xff), 15)])),
        ("plain", seed(1, &[&request(&[0; 16], 15)])),
        ("garbage-in-reserved", seed(1, &[&request(&[0xa5; 16], 15)])),
        ("burst-of-three", seed(1, &[&sound, &request(&[0; 16], 1), &unchecked])),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_crc_is_the_one_that_everybody_means() {
        // The check value of every catalogue of CRCs.
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
