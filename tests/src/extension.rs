//! The swarm extension's bytes, made and read as `docs/protocol.md` says.

use std::net::SocketAddrV4;

/// Block number of a question for news.
pub const NEWS: u64 = u64::MAX;

/// Bit 7 of a status: a field precedes the body.
pub const EXTENDED: u8 = 0x80;

/// What a marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Where the requester listens; 0 if it does not serve.
    pub port: u16,
    /// Offered blocks that it has read on this connection.
    pub offers_seen: u32,
    /// How much of the file it has: 0 does not say, 1 is nothing, 255 is all.
    pub has: u8,
}

impl Marker {
    /// The marker of a peer that listens on `port` and was offered nothing.
    #[must_use]
    pub const fn new(port: u16) -> Self {
        Self { port, offers_seen: 0, has: 0 }
    }

    /// The 64 bytes that ask for a block, or for news, with this marker.
    #[must_use]
    pub fn request(self, hash: &[u8; 32], block: u64) -> [u8; 64] {
        let mut request = [0; 64];
        request[..8].copy_from_slice(b"CASCADE1");
        request[8..13].copy_from_slice(&[0x9c, 0xa5, 0xca, 0xde, 1]);
        request[13] = self.has;
        request[14..16].copy_from_slice(&self.port.to_be_bytes());
        request[16..20].copy_from_slice(&self.offers_seen.to_be_bytes());
        request[24..32].copy_from_slice(&block.to_be_bytes());
        request[32..].copy_from_slice(hash);
        seal(&mut request);
        request
    }

    /// The marker of a request, if it carries a valid one.
    #[must_use]
    pub fn of(request: &[u8; 64]) -> Option<Self> {
        let valid = request[8..13] == [0x9c, 0xa5, 0xca, 0xde, 1] && request[20..24] == check(request);
        let port = u16::from_be_bytes([request[14], request[15]]);
        let offers_seen = u32::from_be_bytes([request[16], request[17], request[18], request[19]]);
        valid.then_some(Self { port, offers_seen, has: request[13] })
    }
}

/// Writes the check that belongs to the rest of a request.
pub fn seal(request: &mut [u8; 64]) {
    let check = check(request);
    request[20..24].copy_from_slice(&check);
}

/// CRC-32 of a request without its bytes 20 to 23.
fn check(request: &[u8; 64]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in request[..20].iter().chain(&request[24..]) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    (!crc).to_be_bytes()
}

/// One item of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Type 1.
    Everything,
    /// Type 2.
    Choosing,
    /// Type 3: the first block, and a bit for each from there on.
    Map(u64, Vec<u8>),
    /// Type 4: first block and number of blocks of each run.
    Have(Vec<(u64, u32)>),
    /// Type 5.
    Offer(Vec<(u64, u32)>),
    /// Type 6.
    Peers(Vec<SocketAddrV4>),
    /// Type 7.
    Goodbye,
    /// Type 8.
    Load(u16),
    /// Type 9.
    PlainPeers(Vec<SocketAddrV4>),
    /// Type 12.
    Slices,
    /// Type 17.
    State([u8; 32]),
    /// Any other.
    Unknown(u8, Vec<u8>),
}

impl Item {
    /// A map of the blocks, of which there are `blocks` in the file.
    #[must_use]
    pub fn map(has: impl IntoIterator<Item = u64>, blocks: u64) -> Self {
        let mut bits = vec![0; usize::try_from(blocks.div_ceil(8)).expect("a small file")];
        for block in has {
            bits[usize::try_from(block / 8).expect("a small file")] |= 0x80 >> (block % 8);
        }
        Self::Map(0, bits)
    }

    /// The state of the first of these items that is one.
    #[must_use]
    pub fn state_in(items: &[Self]) -> Option<[u8; 32]> {
        items.iter().find_map(|item| if let Self::State(state) = item { Some(*state) } else { None })
    }

    /// The blocks that the item says are there, or are offered.
    #[must_use]
    pub fn blocks(&self) -> Vec<u64> {
        match self {
            Self::Map(first, bits) => {
                let bits = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0));
                (*first..).zip(bits).filter_map(|(block, set)| set.then_some(block)).collect()
            }
            Self::Have(runs) | Self::Offer(runs) => {
                runs.iter().flat_map(|(first, count)| *first..first + u64::from(*count)).collect()
            }
            Self::Everything
            | Self::Choosing
            | Self::Peers(_)
            | Self::Goodbye
            | Self::Load(_)
            | Self::PlainPeers(_)
            | Self::Slices
            | Self::State(_)
            | Self::Unknown(..) => Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let runs = |runs: &[(u64, u32)]| {
            runs.iter()
                .flat_map(|(first, count)| [&first.to_be_bytes()[..], &count.to_be_bytes()].concat())
                .collect()
        };
        let peers = |peers: &[SocketAddrV4]| {
            peers
                .iter()
                .flat_map(|peer| [&peer.ip().octets()[..], &peer.port().to_be_bytes()].concat())
                .collect()
        };
        let (kind, value): (u8, Vec<u8>) = match self {
            Self::Everything => (1, Vec::new()),
            Self::Choosing => (2, Vec::new()),
            Self::Map(first, bits) => (3, [&first.to_be_bytes()[..], bits].concat()),
            Self::Have(told) => (4, runs(told)),
            Self::Offer(told) => (5, runs(told)),
            Self::Peers(told) => (6, peers(told)),
            Self::Goodbye => (7, Vec::new()),
            Self::Load(clients) => (8, clients.to_be_bytes().to_vec()),
            Self::PlainPeers(told) => (9, peers(told)),
            Self::Slices => (12, Vec::new()),
            Self::State(state) => (17, state.to_vec()),
            Self::Unknown(kind, value) => (*kind, value.clone()),
        };
        let length = u16::try_from(value.len()).expect("an item's length has two bytes");
        [&[kind], &length.to_be_bytes()[..], &value].concat()
    }

    fn read(kind: u8, value: &[u8]) -> Self {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte));
        let runs = || {
            assert_eq!(value.len() % 12, 0, "runs of {} bytes", value.len());
            let run = |run: &[u8]| (number(&run[..8]), u32::try_from(number(&run[8..])).expect("four bytes"));
            value.chunks(12).map(run).collect()
        };
        let peers = || {
            assert_eq!(value.len() % 6, 0, "addresses of {} bytes", value.len());
            let peer = |peer: &[u8]| {
                SocketAddrV4::new(
                    [peer[0], peer[1], peer[2], peer[3]].into(),
                    u16::from_be_bytes([peer[4], peer[5]]),
                )
            };
            value.chunks(6).map(peer).collect()
        };
        match kind {
            1 => Self::Everything,
            2 => Self::Choosing,
            3 => Self::Map(number(&value[..8]), value[8..].to_vec()),
            4 => Self::Have(runs()),
            5 => Self::Offer(runs()),
            6 => Self::Peers(peers()),
            7 => Self::Goodbye,
            8 => Self::Load(u16::try_from(number(value)).expect("two bytes")),
            9 => Self::PlainPeers(peers()),
            12 => Self::Slices,
            17 => Self::State(value.try_into().expect("32 bytes")),
            other => Self::Unknown(other, value.to_vec()),
        }
    }
}

/// A field: its length, and the items.
#[must_use]
pub fn field(items: &[Item]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(Item::bytes).collect();
    let length = u16::try_from(items.len()).expect("a field's length has two bytes");
    [&length.to_be_bytes()[..], &items].concat()
}

/// The items of the field at the start of an extended answer's body, and the ordinary body behind it.
///
/// # Panics
/// It is no field.
#[must_use]
#[track_caller]
pub fn split(body: &[u8]) -> (Vec<Item>, Vec<u8>) {
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    assert!(length <= 8192, "a field of {length} bytes");
    let (mut rest, plain) = body[2..].split_at(length);
    let mut items = Vec::new();
    while !rest.is_empty() {
        let end = 3 + usize::from(u16::from_be_bytes([rest[1], rest[2]]));
        items.push(Item::read(rest[0], &rest[3..end]));
        rest = &rest[end..];
    }
    assert!(items.len() <= 16, "{} items", items.len());
    (items, plain.to_vec())
}
