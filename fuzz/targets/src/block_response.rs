//! Response headers, as a downloading peer reads them.

use crate::raw::{join, number};
use crate::{Seed, layouts};
use cascade_format::peer_wire::{RESPONSE_HEADER_LEN, ResponseHeader, Status};

/// Reads the header at the start of `data`; fewer than nine bytes are none yet.
///
/// # Panics
/// The header is read otherwise than protocol §3 says.
pub fn run(data: &[u8]) {
    let Some((bytes, _body)) = data.split_first_chunk::<RESPONSE_HEADER_LEN>() else { return };
    let header = ResponseHeader::parse(bytes);
    assert_eq!(Some(u64::from(u8::from(header.status))), number(bytes, 0, 1));
    assert_eq!(Some(header.body_len), number(bytes, 1, 8));
    assert_eq!(&header.encode(), bytes);

    // What an honest peer answers is accepted, and nothing else is the same as it.
    for layout in layouts::all() {
        for block in [0, layout.blocks().saturating_sub(1)].map(|at| layouts::check_block(&layout, at)) {
            let Some(block) = block else { continue };
            let honest = header.status == Status::Block && header.body_len == layout.len_of(block);
            assert_eq!(header == ResponseHeader::of_block(&layout, block), honest);
        }
    }
}

/// Headers with their bodies' start.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let response = |status: u8, body_len: u64, body: &[u8]| join(&[&[status], &body_len.to_be_bytes(), body]);
    vec![
        ("block", response(0, 5, b"hello")),
        ("block-of-64", response(0, 64, &[0x64; 64])),
        ("file-unknown", response(1, 23, b"I do not have that file")),
        ("block-missing", response(2, 0, b"")),
        ("no-such-block", response(3, 13, b"no such block")),
        ("bad-request", response(4, 11, b"bad request")),
        ("unknown-status", response(5, 2, b"??")),
        ("status-with-bit-7", response(0x80, 64, &[0; 64])),
        ("absurd-length", response(0, u64::MAX, b"")),
        ("half-a-header", vec![0, 0, 0, 0]),
    ]
}
