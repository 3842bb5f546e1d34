//! A raw client of a tracker (protocol §2).

use crate::address;
use crate::clock::LIMIT;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};

/// The command that lists peers.
pub const LIST: u32 = 1;
/// The command that subscribes and lists peers.
pub const SUBSCRIBE: u32 = 2;

/// The longest response that is read.
const MAX_RESPONSE: u64 = 1 << 20;

/// The bytes of a request; every field may be wrong.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Should be `CASC`.
    pub magic: [u8; 4],
    /// Should be 1.
    pub version: u32,
    /// Should be [`LIST`] or [`SUBSCRIBE`].
    pub command: u32,
    /// Should be 38.
    pub length: u32,
    /// The cascade hash.
    pub hash: [u8; 32],
    /// Where the asker says it listens.
    pub listen: SocketAddrV4,
}

impl Request {
    /// A right request.
    #[must_use]
    pub fn new(command: u32, hash: [u8; 32], ip: [u8; 4], port: u16) -> Self {
        let listen = SocketAddrV4::new(Ipv4Addr::from(ip), port);
        Self { magic: *b"CASC", version: 1, command, length: 38, hash, listen }
    }

    /// The 54 bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(self.command.to_be_bytes());
        bytes.extend(self.length.to_be_bytes());
        bytes.extend(self.hash);
        bytes.extend(self.listen.ip().octets());
        bytes.extend(self.listen.port().to_be_bytes());
        bytes
    }

    /// Sends the request over a new connection and reads the response.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, tracker: SocketAddr) -> Reply {
        exchange(tracker, &self.bytes())
    }

    /// The same from the local address `from`.
    #[must_use]
    #[track_caller]
    pub fn ask_from(&self, from: Ipv4Addr, tracker: SocketAddr) -> Reply {
        let mut stream = address::connect_from(from, tracker);
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        stream.write_all(&self.bytes()).expect("the request is sent");
        Reply::read(&mut stream).unwrap_or_else(|error| panic!("no response: {error}"))
    }
}

/// Sends bytes over a new connection, says that nothing more comes, and reads the response.
#[must_use]
#[track_caller]
pub fn exchange(tracker: SocketAddr, bytes: &[u8]) -> Reply {
    let mut stream = connect(tracker);
    // A tracker may answer and close before it has read everything: that is for the reading to find out.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    Reply::read(&mut stream).unwrap_or_else(|error| panic!("no response: {error}"))
}

/// A connection with limits on every read and write.
#[must_use]
#[track_caller]
pub fn connect(tracker: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&tracker, LIMIT)
        .unwrap_or_else(|error| panic!("cannot connect to the tracker at {tracker}: {error}"));
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A whole response, up to the close that must follow.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u8,
    /// The body.
    pub body: Vec<u8>,
}

/// One peer in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where the peer listens.
    pub addr: SocketAddrV4,
    /// When it last subscribed, in seconds since the UNIX epoch.
    pub subscribed: u32,
    /// The byte that tells a good peer.
    pub good: u8,
    /// The reserved byte.
    pub reserved: u8,
}

impl Entry {
    /// The twelve bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.addr.ip().octets());
        bytes[4..6].copy_from_slice(&self.addr.port().to_be_bytes());
        bytes[6..10].copy_from_slice(&self.subscribed.to_be_bytes());
        bytes[10] = self.good;
        bytes[11] = self.reserved;
        bytes
    }

    fn parse(bytes: &[u8; 12]) -> Self {
        let [a, b, c, d, p, q, s, t, u, v, good, reserved] = *bytes;
        Self {
            addr: SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])),
            subscribed: u32::from_be_bytes([s, t, u, v]),
            good,
            reserved,
        }
    }
}

impl Reply {
    /// Reads a response and the end of the connection.
    ///
    /// # Errors
    /// The connection breaks; the length in the header is not that of the body; nothing comes.
    pub fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        stream.take(MAX_RESPONSE).read_to_end(&mut bytes)?;
        let Some((&[status, length @ ..], body)) = bytes.split_first_chunk::<5>() else {
            return Err(io::Error::other(format!("{} bytes are no response", bytes.len())));
        };
        if u32::from_be_bytes(length) as usize != body.len() {
            return Err(io::Error::other(format!("header {length:?} in front of {} bytes", body.len())));
        }
        Ok(Self { status, body: body.to_vec() })
    }

    /// The entries of a response that must be a list.
    #[must_use]
    #[track_caller]
    pub fn entries(&self) -> Vec<Entry> {
        assert_eq!(self.status, 0, "{}", String::from_utf8_lossy(&self.body));
        let (entries, rest) = self.body.as_chunks::<12>();
        assert!(rest.is_empty(), "a list of {} bytes", self.body.len());
        entries.iter().map(Entry::parse).collect()
    }

    /// The addresses in a response that must be a list.
    #[must_use]
    #[track_caller]
    pub fn addresses(&self) -> Vec<SocketAddrV4> {
        self.entries().iter().map(|entry| entry.addr).collect()
    }

    /// Fails unless this is status 1 with a message; returns it.
    #[track_caller]
    pub fn assert_refused(&self) -> String {
        assert_eq!(self.status, 1, "should have been refused, body: {:?}", self.body);
        let text = String::from_utf8(self.body.clone()).expect("a message is UTF-8");
        assert!(!text.trim().is_empty(), "status 1 without a message");
        text
    }

    /// The same, and fails unless the message is one line with its end: some clients read lines.
    #[track_caller]
    pub fn assert_refused_with_a_line(&self) -> String {
        let text = self.assert_refused();
        let newlines = text.bytes().filter(|byte| *byte == b'\n').count();
        assert!(newlines == 1 && text.ends_with('\n'), "no line with its end: {text:?}");
        text
    }
}
