//! Peer to tracker with addresses of both families: the two commands beyond version 1.
//!
//! A version 1 tracker refuses them with status 1, as it does every command that it does not know; then the peer asks
//! with the commands of [`crate::tracker_wire`].

use crate::address::{PEER_ADDR_LEN, PeerAddr};
use crate::field::{bytes, put, u32_at};
use crate::tracker_wire::{
    Command, PeerListError, REQUEST_HEADER_LEN, REQUEST_MAGIC, RequestError, TrackerRequest, VERSION,
};
use crate::{CascadeHash, tracker_wire};

/// Length of what follows a request's header, in bytes.
pub const REQUEST_BODY_LEN: u32 = 50;

/// Length of a whole request, in bytes.
pub const REQUEST_LEN: usize = 66;

/// Length of one peer in a response's body, in bytes.
pub const ENTRY_LEN: usize = 24;

const LIST: u32 = 3;
const SUBSCRIBE: u32 = 4;

/// Which addresses a request and its answer can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// IPv4: version 1.
    Plain,
    /// Both families.
    Wide,
}

impl Form {
    /// Length of a whole request, in bytes.
    #[must_use]
    pub const fn request_len(self) -> usize {
        match self {
            Self::Plain => tracker_wire::REQUEST_LEN,
            Self::Wide => REQUEST_LEN,
        }
    }

    /// Reads a request's header: what follows, and what is wanted.
    ///
    /// # Errors
    /// A wrong magic, version, command or length, in this order.
    pub fn parse_header(header: &[u8; REQUEST_HEADER_LEN]) -> Result<(Self, Command), RequestError> {
        let command = match u32_at(header, 8) {
            LIST => Command::List,
            SUBSCRIBE => Command::Subscribe,
            _ => return TrackerRequest::parse_header(header).map(|command| (Self::Plain, command)),
        };
        let (version, length) = (u32_at(header, 4), u32_at(header, 12));
        if bytes(header, 0) != REQUEST_MAGIC {
            Err(RequestError::Magic)
        } else if version != VERSION {
            Err(RequestError::Version(version))
        } else if length != REQUEST_BODY_LEN {
            Err(RequestError::WideLength(length))
        } else {
            Ok((Self::Wide, command))
        }
    }
}

/// A request to a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WideRequest {
    /// List, or subscribe and list.
    pub command: Command,
    /// The file.
    pub cascade_hash: CascadeHash,
    /// Where the asking peer listens: one of its addresses.
    pub listen: PeerAddr,
}

impl WideRequest {
    /// The request's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; REQUEST_LEN] {
        let command = match self.command {
            Command::List => LIST,
            Command::Subscribe => SUBSCRIBE,
        };
        let mut out = [0; REQUEST_LEN];
        put(&mut out, 0, &REQUEST_MAGIC);
        put(&mut out, 4, &VERSION.to_be_bytes());
        put(&mut out, 8, &command.to_be_bytes());
        put(&mut out, 12, &REQUEST_BODY_LEN.to_be_bytes());
        put(&mut out, 16, self.cascade_hash.as_bytes());
        put(&mut out, 48, &self.listen.encode());
        out
    }

    /// Reads a whole request.
    ///
    /// # Errors
    /// Those of [`Form::parse_header`]; [`RequestError::Command`] for one of version 1.
    pub fn parse(request: &[u8; REQUEST_LEN]) -> Result<Self, RequestError> {
        match Form::parse_header(&bytes(request, 0))? {
            (Form::Wide, command) => Ok(Self {
                command,
                cascade_hash: CascadeHash(bytes(request, 16)),
                listen: PeerAddr::parse(&bytes::<PEER_ADDR_LEN>(request, 48)),
            }),
            (Form::Plain, _) => Err(RequestError::Command(u32_at(request, 8))),
        }
    }
}

/// One peer in a peer list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WideEntry {
    /// Where the peer listens.
    pub addr: PeerAddr,
    /// When it last subscribed, in seconds since the UNIX epoch.
    pub subscribed: u32,
    /// Whether its address is on the operator's own list.
    pub good: bool,
}

impl WideEntry {
    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut out = [0; ENTRY_LEN];
        put(&mut out, 0, &self.addr.encode());
        put(&mut out, 18, &self.subscribed.to_be_bytes());
        put(&mut out, 22, &[u8::from(self.good)]);
        out
    }

    /// Reads an entry. Every 24 bytes are one; the last is ignored.
    #[must_use]
    pub fn parse(entry: &[u8; ENTRY_LEN]) -> Self {
        Self {
            addr: PeerAddr::parse(&bytes::<PEER_ADDR_LEN>(entry, 0)),
            subscribed: u32_at(entry, 18),
            good: bytes::<1>(entry, 22)[0] == 1,
        }
    }
}

/// The entries in the body of a response with status 0.
///
/// # Errors
/// A length that is no multiple of [`ENTRY_LEN`].
pub fn parse_peer_list(body: &[u8]) -> Result<impl ExactSizeIterator<Item = WideEntry> + '_, PeerListError> {
    let (entries, rest) = body.as_chunks::<ENTRY_LEN>();
    if rest.is_empty() {
        Ok(entries.iter().map(WideEntry::parse))
    } else {
        Err(PeerListError(body.len(), ENTRY_LEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;
    use proptest::prelude::*;

    fn sample() -> WideRequest {
        let listen: SocketAddr = "[2001:db8::7]:4660".parse().unwrap();
        WideRequest { command: Command::Subscribe, cascade_hash: CascadeHash([9; 32]), listen: listen.into() }
    }

    #[test]
    fn golden_request() {
        let bytes = sample().encode();
        assert_eq!(&bytes[..16], b"CASC\0\0\0\x01\0\0\0\x04\0\0\0\x32");
        assert_eq!(&bytes[16..48], [9; 32]);
        assert_eq!(&bytes[48..], b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x12\x34");
        assert_eq!(WideRequest::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn version_1_refuses_what_it_does_not_know() {
        let wide = sample().encode();
        assert_eq!(TrackerRequest::parse_header(&bytes(&wide, 0)), Err(RequestError::Command(4)));
        let mut list = wide;
        list[11] = 3;
        assert_eq!(TrackerRequest::parse_header(&bytes(&list, 0)), Err(RequestError::Command(3)));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let wrong = |at: usize| {
            let mut bytes = sample().encode();
            bytes[at] = 0x77;
            WideRequest::parse(&bytes)
        };
        assert_eq!(wrong(0), Err(RequestError::Magic));
        assert_eq!(wrong(7), Err(RequestError::Version(0x77)));
        assert_eq!(wrong(11), Err(RequestError::Command(0x77)));
        assert_eq!(wrong(15), Err(RequestError::WideLength(0x77)));
        let mut plain = sample().encode();
        (plain[11], plain[15]) = (2, 38);
        assert_eq!(WideRequest::parse(&plain), Err(RequestError::Command(2)));
    }

    #[test]
    fn golden_entry() {
        let addr: SocketAddr = "1.2.3.4:5".parse().unwrap();
        let entry = WideEntry { addr: addr.into(), subscribed: 0x0607_0809, good: true };
        let mut bytes = [0; 24];
        bytes[10..].copy_from_slice(&[0xff, 0xff, 1, 2, 3, 4, 0, 5, 6, 7, 8, 9, 1, 0]);
        assert_eq!(entry.encode(), bytes);
        assert_eq!(WideEntry::parse(&bytes), entry);
        assert!(parse_peer_list(&bytes[1..]).is_err());
        assert_eq!(parse_peer_list(&[0; 48]).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn request_parse_is_total(head: [u8; 32], middle: [u8; 32], tail: [u8; 2]) {
            let mut request = [0; REQUEST_LEN];
            request[..32].copy_from_slice(&head);
            request[32..64].copy_from_slice(&middle);
            request[64..].copy_from_slice(&tail);
            let _ = WideRequest::parse(&request);
            request[..16].copy_from_slice(&sample().encode()[..16]);
            prop_assert_eq!(WideRequest::parse(&request).unwrap().encode(), request);
        }

        #[test]
        fn a_header_is_plain_or_wide_as_its_command_says(mut header: [u8; 16], command in 0u32..6, right: bool) {
            if right {
                header[..8].copy_from_slice(b"CASC\0\0\0\x01");
            }
            header[8..12].copy_from_slice(&command.to_be_bytes());
            match Form::parse_header(&header) {
                Ok((Form::Plain, _)) => prop_assert!(command == 1 || command == 2),
                Ok((Form::Wide, _)) => prop_assert!(command == 3 || command == 4),
                Err(_) => {}
            }
        }
    }
}
