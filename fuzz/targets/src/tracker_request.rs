//! Tracker requests, as a tracker reads them.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line};
use cascade_format::tracker_wire::{Command, REQUEST_HEADER_LEN, REQUEST_LEN, TrackerRequest};

/// Reads a request at the start of `data`, or its header alone when no more has come.
///
/// # Panics
/// A request is read otherwise than protocol §2 says.
pub fn run(data: &[u8]) {
    let Some((header, _)) = data.split_first_chunk::<REQUEST_HEADER_LEN>() else { return };
    let early = TrackerRequest::parse_header(header);
    match early {
        Ok(command) => {
            assert!(is_legal(header), "accepted a header that the protocol forbids");
            assert_eq!(number(header, 8, 4), Some(if command == Command::List { 1 } else { 2 }));
        }
        Err(error) => {
            assert!(!is_legal(header), "refused a legal header: {error}");
            assert_one_line(&error.to_string());
        }
    }

    let Some((bytes, _)) = data.split_first_chunk::<REQUEST_LEN>() else { return };
    let whole = TrackerRequest::parse(bytes);
    assert_eq!(whole.map(|request| request.command), early, "the header alone was judged otherwise");
    if let Ok(request) = whole {
        assert_eq!(Some(request.cascade_hash.as_bytes().as_slice()), bytes.get(16..48));
        assert_eq!(Some(request.listen.ip().octets().as_slice()), bytes.get(48..52));
        assert_eq!(Some(u64::from(request.listen.port())), number(bytes, 52, 2));
        assert_eq!(&request.encode(), bytes);
    }
}

fn is_legal(header: &[u8]) -> bool {
    let starts_right = header.starts_with(b"CASC\0\0\0\x01");
    starts_right && matches!(number(header, 8, 4), Some(1 | 2)) && number(header, 12, 4) == Some(38)
}

/// Requests by well and ill behaved peers.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let request = |magic: &[u8], version: u32, command: u32, length: u32| {
        let [version, command, length] = [version, command, length].map(u32::to_be_bytes);
        join(&[magic, &version, &command, &length, &[0xca; 32], &[10, 1, 2, 3], &[0x22, 0xb9]])
    };
    let sound = request(b"CASC", 1, 2, 38);
    let cut = |to: usize| sound.iter().copied().take(to).collect::<Vec<u8>>();
    vec![
        ("subscribe", sound.clone()),
        ("list", request(b"CASC", 1, 1, 38)),
        ("wrong-magic", request(b"CASK", 1, 1, 38)),
        ("wrong-version", request(b"CASC", 2, 1, 38)),
        ("wrong-command", request(b"CASC", 1, 3, 38)),
        ("wrong-length", request(b"CASC", 1, 1, u32::MAX)),
        ("header-only", cut(16)),
        ("half-a-header", cut(8)),
        ("last-byte-missing", cut(53)),
        ("a-block-request", join(&[b"CASCADE1", &[0; 56]])),
    ]
}
