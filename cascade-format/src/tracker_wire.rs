//! Peer to tracker (protocol §2): one connection, one request of 54 bytes, one response, then close.

use crate::CascadeHash;
use crate::field::{bytes, put, u32_at};
use core::net::{Ipv4Addr, SocketAddrV4};

/// The first four bytes of a request.
pub const REQUEST_MAGIC: [u8; 4] = *b"CASC";

/// The only protocol version.
pub const VERSION: u32 = 1;

/// Length of a request's header, in bytes.
pub const REQUEST_HEADER_LEN: usize = 16;

/// Length of what follows the header, in bytes; the header must say so.
pub const REQUEST_BODY_LEN: u32 = 38;

/// Length of a whole request, in bytes.
pub const REQUEST_LEN: usize = 54;

/// Length of a response's header, in bytes.
pub const RESPONSE_HEADER_LEN: usize = 5;

/// Length of one peer in a response's body, in bytes.
pub const ENTRY_LEN: usize = 12;

/// The status of a response with a peer list. Every other status belongs to a message.
pub const STATUS_OK: u8 = 0;

/// The status of a refusal.
pub const STATUS_REFUSED: u8 = 1;

/// What a peer wants of the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// 1: list the peers of this file.
    List,
    /// 2: register me for this file and list its peers.
    Subscribe,
}

/// Why a request cannot be understood. Each is answered with status 1 and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The magic is wrong.
    #[error("a request starts with CASC")]
    Magic,
    /// The version is not 1.
    #[error("protocol version {0} is not supported, only version 1 is")]
    Version(u32),
    /// The command is none that is known.
    #[error("unknown command {0}: 1 lists peers, 2 subscribes")]
    Command(u32),
    /// The stated length is not 38.
    #[error("the length of a request's body is 38, not {0}")]
    Length(u32),
    /// The stated length of a request for both families is not 50.
    #[error("the length of the body of command 3 or 4 is 50, not {0}")]
    WideLength(u32),
    /// The stated length of a report is none that a report has.
    #[error("the length of the body of command 5 is 92 to 180, not {0}")]
    ReportLength(u32),
    /// A report has more blocks than there are.
    #[error("a report has {0} blocks, more than the {1} that there are")]
    ReportBlocks(u64, u64),
    /// The texts of a report do not fit, or have something in them that must not be shown.
    #[error("the name or version in a report is too long, no UTF-8, or has characters that are not shown")]
    ReportText,
    /// The stated length of a question for a room is not 40.
    #[error("the length of the body of command 6 is 40, not {0}")]
    RoomLength(u32),
}

/// A request to a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackerRequest {
    /// List, or subscribe and list.
    pub command: Command,
    /// The file.
    pub cascade_hash: CascadeHash,
    /// Where the asking peer listens.
    pub listen: SocketAddrV4,
}

impl TrackerRequest {
    /// The request's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; REQUEST_LEN] {
        let command: u32 = match self.command {
            Command::List => 1,
            Command::Subscribe => 2,
        };
        let mut out = [0; REQUEST_LEN];
        put(&mut out, 0, &REQUEST_MAGIC);
        put(&mut out, 4, &VERSION.to_be_bytes());
        put(&mut out, 8, &command.to_be_bytes());
        put(&mut out, 12, &REQUEST_BODY_LEN.to_be_bytes());
        put(&mut out, 16, self.cascade_hash.as_bytes());
        put(&mut out, 48, &self.listen.ip().octets());
        put(&mut out, 52, &self.listen.port().to_be_bytes());
        out
    }

    /// Reads the header alone, so that a tracker can refuse before the rest arrives.
    ///
    /// # Errors
    /// A wrong magic, version, command or length, in this order.
    pub fn parse_header(header: &[u8; REQUEST_HEADER_LEN]) -> Result<Command, RequestError> {
        if bytes(header, 0) != REQUEST_MAGIC {
            return Err(RequestError::Magic);
        }
        let (version, command, length) = (u32_at(header, 4), u32_at(header, 8), u32_at(header, 12));
        if version != VERSION {
            return Err(RequestError::Version(version));
        }
        let command = match command {
            1 => Command::List,
            2 => Command::Subscribe,
            other => return Err(RequestError::Command(other)),
        };
        if length != REQUEST_BODY_LEN {
            return Err(RequestError::Length(length));
        }
        Ok(command)
    }

    /// Reads a whole request.
    ///
    /// # Errors
    /// Those of [`TrackerRequest::parse_header`].
    pub fn parse(request: &[u8; REQUEST_LEN]) -> Result<Self, RequestError> {
        let command = Self::parse_header(&bytes(request, 0))?;
        Ok(Self { command, cascade_hash: CascadeHash(bytes(request, 16)), listen: address_at(request, 48) })
    }
}

/// The header of a response; `body_len` bytes follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackerResponseHeader {
    /// [`STATUS_OK`] in front of a peer list, anything else in front of a message.
    pub status: u8,
    /// Length of the body, in bytes. A claim of the sender's.
    pub body_len: u32,
}

impl TrackerResponseHeader {
    /// The header's bytes; send them in one call with the body.
    #[must_use]
    pub fn encode(&self) -> [u8; RESPONSE_HEADER_LEN] {
        let mut out = [self.status; RESPONSE_HEADER_LEN];
        put(&mut out, 1, &self.body_len.to_be_bytes());
        out
    }

    /// Reads a header. Every five bytes are one.
    #[must_use]
    pub fn parse(header: &[u8; RESPONSE_HEADER_LEN]) -> Self {
        Self { status: bytes::<1>(header, 0)[0], body_len: u32_at(header, 1) }
    }
}

/// One peer in a peer list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerEntry {
    /// Where the peer listens.
    pub addr: SocketAddrV4,
    /// When it last subscribed, in seconds since the UNIX epoch.
    pub subscribed: u32,
    /// Whether its address is on the operator's own list.
    pub good: bool,
}

impl PeerEntry {
    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut out = [0; ENTRY_LEN];
        put(&mut out, 0, &self.addr.ip().octets());
        put(&mut out, 4, &self.addr.port().to_be_bytes());
        put(&mut out, 6, &self.subscribed.to_be_bytes());
        put(&mut out, 10, &[u8::from(self.good)]);
        out
    }

    /// Reads an entry. Every twelve bytes are one; the last is ignored.
    #[must_use]
    pub fn parse(entry: &[u8; ENTRY_LEN]) -> Self {
        Self { addr: address_at(entry, 0), subscribed: u32_at(entry, 6), good: bytes::<1>(entry, 10)[0] == 1 }
    }
}

/// A peer list's body has a length that is no multiple of an entry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a peer list of {0} bytes is not a sequence of {1}-byte entries")]
pub struct PeerListError(pub usize, pub usize);

/// The entries in the body of a response with status 0.
///
/// # Errors
/// A length that is no multiple of [`ENTRY_LEN`].
pub fn parse_peer_list(body: &[u8]) -> Result<impl ExactSizeIterator<Item = PeerEntry> + '_, PeerListError> {
    let (entries, rest) = body.as_chunks::<ENTRY_LEN>();
    if rest.is_empty() {
        Ok(entries.iter().map(PeerEntry::parse))
    } else {
        Err(PeerListError(body.len(), ENTRY_LEN))
    }
}

fn address_at(message: &[u8], offset: usize) -> SocketAddrV4 {
    let port = u16::from_be_bytes(bytes(message, offset + 4));
    SocketAddrV4::new(Ipv4Addr::from(bytes::<4>(message, offset)), port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> TrackerRequest {
        TrackerRequest {
            command: Command::Subscribe,
            cascade_hash: CascadeHash([9; 32]),
            listen: SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 0x1234),
        }
    }

    #[test]
    fn golden_request() {
        let bytes = sample().encode();
        assert_eq!(&bytes[..16], b"CASC\0\0\0\x01\0\0\0\x02\0\0\0\x26");
        assert_eq!(&bytes[16..48], [9; 32]);
        assert_eq!(&bytes[48..], [10, 1, 2, 3, 0x12, 0x34]);
        assert_eq!(TrackerRequest::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let wrong = |at: usize| {
            let mut bytes = sample().encode();
            bytes[at] = 0x77;
            TrackerRequest::parse(&bytes)
        };
        assert_eq!(wrong(0), Err(RequestError::Magic));
        assert_eq!(wrong(7), Err(RequestError::Version(0x77)));
        assert_eq!(wrong(11), Err(RequestError::Command(0x77)));
        assert_eq!(wrong(15), Err(RequestError::Length(0x77)));
    }

    #[test]
    fn golden_entry() {
        let addr = SocketAddrV4::new(Ipv4Addr::new(1, 2, 3, 4), 5);
        let entry = PeerEntry { addr, subscribed: 0x0607_0809, good: true };
        assert_eq!(entry.encode(), [1, 2, 3, 4, 0, 5, 6, 7, 8, 9, 1, 0]);
        assert_eq!(PeerEntry::parse(&entry.encode()), entry);
    }

    #[test]
    fn a_ragged_peer_list_is_refused() {
        assert_eq!(parse_peer_list(&[0; 25]).err(), Some(PeerListError(25, 12)));
        assert_eq!(parse_peer_list(&[0; 24]).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn request_parse_is_total(head: [u8; 32], tail: [u8; 22]) {
            let mut request = [0; REQUEST_LEN];
            request[..32].copy_from_slice(&head);
            request[32..].copy_from_slice(&tail);
            let _ = TrackerRequest::parse(&request);
            request[..16].copy_from_slice(&sample().encode()[..16]);
            prop_assert_eq!(TrackerRequest::parse(&request).unwrap().encode(), request);
        }

        #[test]
        fn every_response_header_round_trips(bytes: [u8; 5]) {
            prop_assert_eq!(TrackerResponseHeader::parse(&bytes).encode(), bytes);
        }
    }
}
