//! Block requests, as a serving peer reads them.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line, layouts};
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN};

/// Reads `data` as a burst of pipelined requests; a last part that is short is no request yet.
///
/// # Panics
/// A request is read otherwise than protocol §3 says, or its block is looked up outside the file.
pub fn run(data: &[u8]) {
    let (requests, _incomplete) = data.as_chunks::<REQUEST_LEN>();
    requests.iter().for_each(check);
}

fn check(bytes: &[u8; REQUEST_LEN]) {
    match BlockRequest::parse(bytes) {
        Ok(request) => {
            assert!(bytes.starts_with(b"CASCADE1"), "accepted a wrong magic");
            assert_eq!(Some(request.reserved.as_slice()), bytes.get(8..24));
            assert_eq!(Some(request.block), number(bytes, 24, 8));
            assert_eq!(Some(request.cascade_hash.as_bytes().as_slice()), bytes.get(32..));
            assert_eq!(&request.encode(), bytes);
            for layout in layouts::all() {
                layouts::check_block(&layout, request.block);
            }
        }
        Err(error) => {
            assert!(!bytes.starts_with(b"CASCADE1"), "refused a legal request: {error}");
            assert_one_line(&error.to_string());
        }
    }
}

/// Requests by well and ill behaved clients.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let request =
        |reserved: u8, block: u64| join(&[b"CASCADE1", &[reserved; 16], &block.to_be_bytes(), &[0xca; 32]]);
    let sound = request(0, 15);
    vec![
        ("sound", sound.clone()),
        ("garbage-in-reserved", request(0xa5, 0)),
        ("block-past-the-end", request(0, 16)),
        ("block-number-overflows", request(0, u64::MAX)),
        ("burst-of-three", join(&[&sound, &request(0, 1), &request(0, 2)])),
        ("half-a-request", sound.iter().copied().take(32).collect()),
        (
            "a-web-browser",
            b"GET / HTTP/1.1\r\nHost: localhost:8889\r\nUser-Agent: curl/8.5.0\r\n\r\n".to_vec(),
        ),
    ]
}
