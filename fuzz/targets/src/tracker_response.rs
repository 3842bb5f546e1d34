//! A tracker's response, as a peer reads it: the header, then the peer list or a message.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line};
use cascade_format::tracker_wire::{
    ENTRY_LEN, PeerEntry, RESPONSE_HEADER_LEN, TrackerResponseHeader, parse_peer_list,
};

/// Reads the header at the start of `data`, and what follows it as a peer list.
///
/// # Panics
/// The response is read otherwise than protocol §2 says.
pub fn run(data: &[u8]) {
    let Some((bytes, body)) = data.split_first_chunk::<RESPONSE_HEADER_LEN>() else { return };
    let header = TrackerResponseHeader::parse(bytes);
    assert_eq!(Some(u64::from(header.status)), number(bytes, 0, 1));
    assert_eq!(Some(u64::from(header.body_len)), number(bytes, 1, 4));
    assert_eq!(&header.encode(), bytes);

    match parse_peer_list(body) {
        Ok(entries) => {
            assert_eq!(entries.len() * ENTRY_LEN, body.len());
            entries.zip(body.as_chunks::<ENTRY_LEN>().0).for_each(|(entry, bytes)| check(&entry, bytes));
        }
        Err(error) => {
            assert!(!body.len().is_multiple_of(ENTRY_LEN), "refused a legal peer list: {error}");
            assert_one_line(&error.to_string());
        }
    }
}

fn check(entry: &PeerEntry, bytes: &[u8; ENTRY_LEN]) {
    assert_eq!(Some(entry.addr.ip().octets().as_slice()), bytes.get(..4));
    assert_eq!(Some(u64::from(entry.addr.port())), number(bytes, 4, 2));
    assert_eq!(Some(u64::from(entry.subscribed)), number(bytes, 6, 4));
    // "Good" is exactly 1; another value and the reserved byte are dropped when the entry is written.
    assert_eq!(entry.good, number(bytes, 10, 1) == Some(1));
    assert_eq!(&PeerEntry::parse(&entry.encode()), entry);
}

/// Responses by well and ill behaved trackers.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let response = |status: u8, body_len: u32, body: &[u8]| join(&[&[status], &body_len.to_be_bytes(), body]);
    let entry = |last: u8, good: u8| join(&[&[10, 0, 0, last], &[0x22, 0xb9], &[0x69, 0, 0, 0], &[good, 0]]);
    let two = join(&[&entry(1, 1), &entry(2, 0)]);
    let message = b"this tracker does not know that file";
    vec![
        ("no-peer", response(0, 0, b"")),
        ("two-peers", response(0, 24, &two)),
        ("refused", response(1, 36, message)),
        ("odd-good-and-reserved", response(0, 12, &[10, 0, 0, 3, 0, 1, 0, 0, 0, 0, 7, 255])),
        ("ragged-list", response(0, 25, &join(&[&two, b"!"]))),
        ("list-cut", response(0, 24, &entry(1, 1))),
        ("absurd-length", response(0, u32::MAX, &two)),
        ("half-a-header", vec![0, 0]),
    ]
}
