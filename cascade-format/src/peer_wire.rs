//! Peer to peer (protocol §3): a client asks for one block, the server answers with one response;
//! both may go on over the same connection.

use crate::field::{bytes, put, u64_at};
use crate::metafile::MAGIC;
use crate::{Block, CascadeHash, Layout};

/// Length of a block request, in bytes.
pub const REQUEST_LEN: usize = 64;

/// Length of a response's header, in bytes.
pub const RESPONSE_HEADER_LEN: usize = 9;

/// The magic of a request is not `CASCADE1`. This is the only error that a request can have; it is answered with status
/// 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block request starts with CASCADE1")]
pub struct RequestMagicError;

/// A request for one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRequest {
    /// Sixteen bytes that version 1 ignores: zero from us, but anything from clients in the field.
    pub reserved: [u8; 16],
    /// Number of the block, from 0. A claim: it may be past the end.
    pub block: u64,
    /// The file.
    pub cascade_hash: CascadeHash,
}

impl BlockRequest {
    /// A plain version 1 request.
    #[must_use]
    pub const fn new(cascade_hash: CascadeHash, block: Block) -> Self {
        Self { reserved: [0; 16], block: block.number(), cascade_hash }
    }

    /// The request's bytes; send them with one call (some peers read them with one).
    #[must_use]
    pub fn encode(&self) -> [u8; REQUEST_LEN] {
        let mut out = [0; REQUEST_LEN];
        put(&mut out, 0, &MAGIC);
        put(&mut out, 8, &self.reserved);
        put(&mut out, 24, &self.block.to_be_bytes());
        put(&mut out, 32, self.cascade_hash.as_bytes());
        out
    }

    /// Reads a request.
    ///
    /// # Errors
    /// The magic is wrong; nothing else can be.
    pub fn parse(request: &[u8; REQUEST_LEN]) -> Result<Self, RequestMagicError> {
        if bytes(request, 0) != MAGIC {
            return Err(RequestMagicError);
        }
        Ok(Self {
            reserved: bytes(request, 8),
            block: u64_at(request, 24),
            cascade_hash: CascadeHash(bytes(request, 32)),
        })
    }
}

/// The first byte of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 0: the body is the block.
    Block,
    /// 1: this peer does not have that file.
    UnknownFile,
    /// 2: this peer does not have that block, yet.
    MissingBlock,
    /// 3: no such block.
    NoSuchBlock,
    /// 4: the request could not be parsed.
    BadRequest,
    /// A status that version 1 does not know; its body is a message too.
    Other(u8),
}

impl From<u8> for Status {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Block,
            1 => Self::UnknownFile,
            2 => Self::MissingBlock,
            3 => Self::NoSuchBlock,
            4 => Self::BadRequest,
            other => Self::Other(other),
        }
    }
}

impl From<Status> for u8 {
    fn from(status: Status) -> Self {
        match status {
            Status::Block => 0,
            Status::UnknownFile => 1,
            Status::MissingBlock => 2,
            Status::NoSuchBlock => 3,
            Status::BadRequest => 4,
            Status::Other(other) => other,
        }
    }
}

/// The header of a response; `body_len` bytes follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// What the body is.
    pub status: Status,
    /// Length of the body, in bytes. A claim of the sender's: for [`Status::Block`] it must be the
    /// block's length, for anything else it is unbounded.
    pub body_len: u64,
}

impl ResponseHeader {
    /// The header in front of `block`.
    #[must_use]
    pub const fn of_block(layout: &Layout, block: Block) -> Self {
        Self { status: Status::Block, body_len: layout.len_of(block) }
    }

    /// The header's bytes; send them in one call with at least the start of the body.
    #[must_use]
    pub fn encode(&self) -> [u8; RESPONSE_HEADER_LEN] {
        let mut out = [0; RESPONSE_HEADER_LEN];
        put(&mut out, 0, &[self.status.into()]);
        put(&mut out, 1, &self.body_len.to_be_bytes());
        out
    }

    /// Reads a header. Every nine bytes are one.
    #[must_use]
    pub fn parse(header: &[u8; RESPONSE_HEADER_LEN]) -> Self {
        Self { status: Status::from(bytes::<1>(header, 0)[0]), body_len: u64_at(header, 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_request() {
        let layout = Layout::new(0x0304 * 10, 1).unwrap();
        let request = BlockRequest::new(CascadeHash([7; 32]), layout.block(0x0304).unwrap());
        let bytes = request.encode();
        assert_eq!(&bytes[..8], b"CASCADE1");
        assert_eq!(&bytes[8..24], [0; 16]);
        assert_eq!(&bytes[24..32], [0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(&bytes[32..], [7; 32]);
    }

    #[test]
    fn golden_response_header() {
        let header = ResponseHeader { status: Status::MissingBlock, body_len: 258 };
        assert_eq!(header.encode(), [2, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    proptest! {
        #[test]
        fn any_reserved_bytes_are_accepted(reserved: [u8; 16], block: u64, hash: [u8; 32]) {
            let request = BlockRequest { reserved, block, cascade_hash: CascadeHash(hash) };
            prop_assert_eq!(BlockRequest::parse(&request.encode()), Ok(request));
        }

        #[test]
        fn request_parse_is_total(bytes: [[u8; 32]; 2]) {
            let mut request = [0; 64];
            request.copy_from_slice(bytes.as_flattened());
            let _ = BlockRequest::parse(&request);
            request[..8].copy_from_slice(&MAGIC);
            prop_assert_eq!(BlockRequest::parse(&request).unwrap().encode(), request);
        }

        #[test]
        fn every_header_round_trips(bytes: [u8; 9]) {
            prop_assert_eq!(ResponseHeader::parse(&bytes).encode(), bytes);
        }
    }
}
