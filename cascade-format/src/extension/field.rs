//! The field in front of an extended answer's body: its length (2 bytes), then items, each with a type
//! (1 byte), a length (2 bytes) and a value. Items of an unknown type are skipped.

use crate::address::{PEER_ADDR_LEN, PeerAddr};
use crate::field::{bytes, u64_at};
use crate::{Block, Layout};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Length of the field's own length, in bytes.
pub const LENGTH_LEN: usize = 2;

/// The longest field, in bytes, its own length not counted.
pub const MAX_FIELD_LEN: usize = 8 << 10;

/// The most items in one field; items of unknown types count, too. Without this bound, many tiny items would take more
/// memory than bytes on the wire.
pub const MAX_ITEMS: usize = 16;

/// Length of an item's type and length, in bytes.
const ITEM_HEADER_LEN: usize = 3;

/// Length of a run, in bytes.
const RUN_LEN: usize = 12;

/// Length of a peer's address, in bytes.
const PEER_LEN: usize = 6;

const EVERYTHING: u8 = 1;
const CHOOSING: u8 = 2;
const MAP: u8 = 3;
const HAVE: u8 = 4;
const OFFER: u8 = 5;
const PEERS: u8 = 6;
const GOODBYE: u8 = 7;
const LOAD: u8 = 8;
const PLAIN_PEERS: u8 = 9;
const WIDE_PEERS: u8 = 10;
const WIDE_PLAIN_PEERS: u8 = 11;
const SLICES: u8 = 12;
const STATE: u8 = 17;

/// A state of SHA-256: eight numbers of four bytes.
pub const STATE_LEN: usize = 32;

/// Consecutive blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first one.
    pub first: Block,
    /// How many, at least 1; all of them exist.
    pub count: u32,
}

impl Run {
    /// The block alone.
    #[must_use]
    pub const fn of(block: Block) -> Self {
        Self { first: block, count: 1 }
    }

    /// Its blocks, in order. `layout` is the one that the run was made for.
    pub fn blocks(self, layout: &Layout) -> impl Iterator<Item = Block> + use<> {
        let (layout, first) = (*layout, self.first.number());
        (first..first.saturating_add(u64::from(self.count))).map_while(move |number| layout.block(number))
    }

    /// Adds `block` if it follows; tells whether it did.
    pub fn extend(&mut self, block: Block) -> bool {
        let follows = self.first.number() + u64::from(self.count) == block.number() && self.count < u32::MAX;
        self.count += u32::from(follows);
        follows
    }
}

/// Something that the sending peer tells about itself. In the variants below, "the peer" is the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The peer has every block, and may be asked for any of them.
    Everything,
    /// The peer has every block, and wants to be asked for the blocks that it offers: it gives each block once before
    /// it gives any block a second time. [`Item::Everything`] may follow later.
    Choosing,
    /// A part of the have map: which of the blocks from `first` on the peer has. `bits` says for how many blocks.
    Map {
        /// Number of the first block, a multiple of 8.
        first: u64,
        /// One bit a block, most significant first; spare bits are zero.
        bits: Vec<u8>,
    },
    /// More blocks that the peer has.
    Have(Vec<Run>),
    /// Blocks that the peer offers to this requester, and for now to no other. The requester should request them next.
    Offer(Vec<Run>),
    /// Addresses of peers that the peer has met and that know the extension.
    Peers(Vec<SocketAddrV4>),
    /// Addresses of peers that the peer has met and that have not shown that they know the extension.
    PlainPeers(Vec<SocketAddrV4>),
    /// As [`Item::Peers`], for addresses of both families. Our own peers put only IPv6 addresses here.
    WidePeers(Vec<PeerAddr>),
    /// As [`Item::PlainPeers`], for addresses of both families.
    WidePlainPeers(Vec<PeerAddr>),
    /// The peer leaves the swarm, and will answer no more requests.
    Goodbye,
    /// The number of requests, of all clients, that wait at the peer.
    Load(u16),
    /// The peer answers requests for slices of the file.
    Slices,
    /// The state of SHA-256 over the block before the slice that follows. Only in front of a slice.
    State([u8; STATE_LEN]),
}

/// Why bytes are not a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// An item ends behind the field.
    #[error("an item is cut short")]
    Cut,
    /// There are more items than [`MAX_ITEMS`].
    #[error("it has more than {MAX_ITEMS} items")]
    TooMany,
    /// An item's value has a length that its type cannot have.
    #[error("item {kind} has {length} bytes")]
    Length {
        /// The item's type.
        kind: u8,
        /// Its length, in bytes.
        length: usize,
    },
    /// An item names blocks that do not exist.
    #[error("item {0} names blocks that do not exist")]
    NoSuchBlock(u8),
}

impl Item {
    fn kind(&self) -> u8 {
        match self {
            Self::Everything => EVERYTHING,
            Self::Choosing => CHOOSING,
            Self::Map { .. } => MAP,
            Self::Have(_) => HAVE,
            Self::Offer(_) => OFFER,
            Self::Peers(_) => PEERS,
            Self::Goodbye => GOODBYE,
            Self::Load(_) => LOAD,
            Self::PlainPeers(_) => PLAIN_PEERS,
            Self::WidePeers(_) => WIDE_PEERS,
            Self::WidePlainPeers(_) => WIDE_PLAIN_PEERS,
            Self::Slices => SLICES,
            Self::State(_) => STATE,
        }
    }

    /// Bytes that the item takes in a field.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        ITEM_HEADER_LEN
            + match self {
                Self::Everything | Self::Choosing | Self::Goodbye | Self::Slices => 0,
                Self::State(_) => STATE_LEN,
                Self::Map { bits, .. } => 8 + bits.len(),
                Self::Have(runs) | Self::Offer(runs) => runs.len() * RUN_LEN,
                Self::Peers(peers) | Self::PlainPeers(peers) => peers.len() * PEER_LEN,
                Self::WidePeers(peers) | Self::WidePlainPeers(peers) => peers.len() * PEER_ADDR_LEN,
                Self::Load(_) => 2,
            }
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        let length = u16::try_from(self.encoded_len() - ITEM_HEADER_LEN).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        match self {
            Self::Everything | Self::Choosing | Self::Goodbye | Self::Slices => {}
            Self::State(state) => out.extend_from_slice(state),
            Self::Map { first, bits } => {
                out.extend_from_slice(&first.to_be_bytes());
                out.extend_from_slice(bits);
            }
            Self::Have(runs) | Self::Offer(runs) => {
                for run in runs {
                    out.extend_from_slice(&run.first.number().to_be_bytes());
                    out.extend_from_slice(&run.count.to_be_bytes());
                }
            }
            Self::Peers(peers) | Self::PlainPeers(peers) => {
                for peer in peers {
                    out.extend_from_slice(&peer.ip().octets());
                    out.extend_from_slice(&peer.port().to_be_bytes());
                }
            }
            Self::WidePeers(peers) | Self::WidePlainPeers(peers) => {
                peers.iter().for_each(|peer| out.extend_from_slice(&peer.encode()));
            }
            Self::Load(requests) => out.extend_from_slice(&requests.to_be_bytes()),
        }
    }

    /// Reads one item's value; `None` for a type that this version does not know.
    fn read(layout: &Layout, kind: u8, value: &[u8]) -> Result<Option<Self>, FieldError> {
        let length = FieldError::Length { kind, length: value.len() };
        let empty = |item: Self| if value.is_empty() { Ok(Some(item)) } else { Err(length) };
        match kind {
            EVERYTHING => empty(Self::Everything),
            CHOOSING => empty(Self::Choosing),
            GOODBYE => empty(Self::Goodbye),
            SLICES => empty(Self::Slices),
            STATE => Ok(Some(Self::State(<[u8; STATE_LEN]>::try_from(value).map_err(|_| length)?))),
            LOAD => {
                let requests = <[u8; 2]>::try_from(value).map_err(|_| length)?;
                Ok(Some(Self::Load(u16::from_be_bytes(requests))))
            }
            MAP => {
                let Some((first, bits)) = value.split_first_chunk() else { return Err(length) };
                let first = u64::from_be_bytes(*first);
                map_exists(layout, first, bits).ok_or(FieldError::NoSuchBlock(kind))?;
                Ok(Some(Self::Map { first, bits: bits.into() }))
            }
            HAVE => Ok(Some(Self::Have(runs(layout, kind, value)?))),
            OFFER => Ok(Some(Self::Offer(runs(layout, kind, value)?))),
            PEERS | PLAIN_PEERS => {
                let (peers, []) = value.as_chunks::<PEER_LEN>() else { return Err(length) };
                let peers = peers.iter().map(peer).collect();
                Ok(Some(if kind == PEERS { Self::Peers(peers) } else { Self::PlainPeers(peers) }))
            }
            WIDE_PEERS | WIDE_PLAIN_PEERS => {
                let (peers, []) = value.as_chunks::<PEER_ADDR_LEN>() else { return Err(length) };
                let peers = peers.iter().map(PeerAddr::parse).collect();
                Ok(Some(if kind == WIDE_PEERS {
                    Self::WidePeers(peers)
                } else {
                    Self::WidePlainPeers(peers)
                }))
            }
            _ => Ok(None),
        }
    }
}

/// The bytes of a field of `items`, its length in front. The caller keeps to [`MAX_FIELD_LEN`] and
/// [`MAX_ITEMS`]; items beyond them are left out.
#[must_use]
pub fn encode(items: &[Item]) -> Vec<u8> {
    let mut out: Vec<u8> = [0; LENGTH_LEN].into();
    let mut left = MAX_ITEMS;
    for item in items {
        if left > 0 && out.len() - LENGTH_LEN + item.encoded_len() <= MAX_FIELD_LEN {
            item.append(&mut out);
            left -= 1;
        }
    }
    let length = u16::try_from(out.len() - LENGTH_LEN).unwrap_or(u16::MAX);
    crate::field::put(&mut out, 0, &length.to_be_bytes());
    out
}

/// Reads a field, its length not included. Every block that an item names exists in `layout`.
///
/// # Errors
/// Everything in [`FieldError`].
pub fn parse(layout: &Layout, mut field: &[u8]) -> Result<Vec<Item>, FieldError> {
    let (mut items, mut left) = (Vec::new(), MAX_ITEMS);
    while let Some((&[kind, high, low], rest)) = field.split_first_chunk() {
        left = left.checked_sub(1).ok_or(FieldError::TooMany)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(FieldError::Cut)?;
        items.extend(Item::read(layout, kind, value)?);
        field = rest;
    }
    if field.is_empty() { Ok(items) } else { Err(FieldError::Cut) }
}

/// Whether a map part stands on whole bytes, and none of its bits is behind the last block.
fn map_exists(layout: &Layout, first: u64, bits: &[u8]) -> Option<()> {
    let last_byte = *bits.last()?;
    let end = first.checked_add(bits.len() as u64 * 8)? - u64::from(last_byte.trailing_zeros().min(7));
    let in_bytes = first.is_multiple_of(8) && first / 8 + bits.len() as u64 <= layout.blocks().div_ceil(8);
    (in_bytes && (end <= layout.blocks() || last_byte == 0)).then_some(())
}

fn runs(layout: &Layout, kind: u8, value: &[u8]) -> Result<Vec<Run>, FieldError> {
    let (chunks, []) = value.as_chunks::<RUN_LEN>() else {
        return Err(FieldError::Length { kind, length: value.len() });
    };
    let run = |chunk: &[u8; RUN_LEN]| {
        let first = layout.block(u64_at(chunk, 0))?;
        let count = u32::from_be_bytes(bytes(chunk, 8));
        let end = first.number().checked_add(u64::from(count))?;
        (count > 0 && end <= layout.blocks()).then_some(Run { first, count })
    };
    let runs: Option<Vec<Run>> = chunks.iter().map(run).collect();
    runs.ok_or(FieldError::NoSuchBlock(kind))
}

fn peer(bytes: &[u8; PEER_LEN]) -> SocketAddrV4 {
    let [a, b, c, d, high, low] = *bytes;
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout() -> Layout {
        Layout::new(1000, 10).unwrap()
    }

    fn block(number: u64) -> Block {
        layout().block(number).unwrap()
    }

    fn wide(text: &str) -> PeerAddr {
        text.parse::<core::net::SocketAddr>().unwrap().into()
    }

    /// Each item once, with its bytes as `docs/protocol.md` prints them.
    fn golden() -> [(Item, Vec<u8>); 13] {
        let run = Run { first: block(5), count: 3 };
        [
            (Item::Everything, [1, 0, 0].into()),
            (Item::Choosing, [2, 0, 0].into()),
            (
                Item::Map { first: 8, bits: [0x80, 0x01].into() },
                [3, 0, 10, 0, 0, 0, 0, 0, 0, 0, 8, 0x80, 1].into(),
            ),
            (Item::Have([run].into()), [4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3].into()),
            (Item::Offer([run].into()), [5, 0, 12, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3].into()),
            (
                Item::Peers([SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 7001)].into()),
                [6, 0, 6, 10, 0, 0, 7, 0x1b, 0x59].into(),
            ),
            (Item::Goodbye, [7, 0, 0].into()),
            (Item::Load(258), [8, 0, 2, 1, 2].into()),
            (
                Item::PlainPeers([SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 7001)].into()),
                [9, 0, 6, 10, 0, 0, 7, 0x1b, 0x59].into(),
            ),
            (
                Item::WidePeers([wide("[2001:db8::7]:7001"), wide("10.0.0.7:7001")].into()),
                [
                    &[10, 0, 36, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0x1b, 0x59][..],
                    &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 7, 0x1b, 0x59],
                ]
                .concat(),
            ),
            (Item::WidePlainPeers([].into()), [11, 0, 0].into()),
            (Item::Slices, [12, 0, 0].into()),
            (Item::State([7; STATE_LEN]), [&[17, 0, 32][..], &[7; STATE_LEN]].concat()),
        ]
    }

    #[test]
    fn golden_items() {
        let (items, parts): (Vec<_>, Vec<_>) = golden().into_iter().unzip();
        for (item, part) in items.iter().zip(&parts) {
            assert_eq!(item.encoded_len(), part.len(), "{item:?}");
        }
        let bytes = encode(&items);
        assert_eq!(bytes[..2], [0, 155]);
        assert_eq!(bytes[2..], parts.concat());
        assert_eq!(parse(&layout(), &bytes[2..]), Ok(items));
    }

    #[test]
    fn unknown_items_are_skipped() {
        assert_eq!(parse(&layout(), &[99, 0, 2, 1, 2, 7, 0, 0]), Ok([Item::Goodbye].into()));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = |bytes: &[u8]| parse(&layout(), bytes).unwrap_err();
        assert_eq!(wrong(&[1, 0]), FieldError::Cut);
        assert_eq!(wrong(&[1, 0, 1]), FieldError::Cut);
        assert_eq!(wrong(&[1, 0, 1, 0]), FieldError::Length { kind: 1, length: 1 });
        assert_eq!(wrong(&[6, 0, 1, 0]), FieldError::Length { kind: 6, length: 1 });
        assert_eq!(wrong(&[10, 0, 1, 0]), FieldError::Length { kind: 10, length: 1 });
        assert_eq!(wrong(&[11, 0, 1, 0]), FieldError::Length { kind: 11, length: 1 });
        assert_eq!(wrong(&[12, 0, 1, 0]), FieldError::Length { kind: 12, length: 1 });
        assert_eq!(wrong(&[17, 0, 1, 0]), FieldError::Length { kind: 17, length: 1 });
        let past_the_end = [4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 2];
        assert_eq!(wrong(&past_the_end), FieldError::NoSuchBlock(4));
        let none = [4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 0];
        assert_eq!(wrong(&none), FieldError::NoSuchBlock(4));
        let odd_map = [3, 0, 9, 0, 0, 0, 0, 0, 0, 0, 4, 1];
        assert_eq!(wrong(&odd_map), FieldError::NoSuchBlock(3));
        // Block 100 is the fifth bit from block 96 on.
        let spare_bit = [3, 0, 9, 0, 0, 0, 0, 0, 0, 0, 96, 0x08];
        assert_eq!(wrong(&spare_bit), FieldError::NoSuchBlock(3));
        assert!(parse(&layout(), &[3, 0, 9, 0, 0, 0, 0, 0, 0, 0, 96, 0xf0]).is_ok());
    }

    #[test]
    fn a_field_has_few_items() {
        let items = |count| core::iter::repeat_n(Item::Goodbye, count).collect::<Vec<_>>();
        let field = |count| [7, 0, 0].repeat(count);
        assert_eq!(parse(&layout(), &field(MAX_ITEMS)), Ok(items(MAX_ITEMS)));
        assert_eq!(parse(&layout(), &field(MAX_ITEMS + 1)), Err(FieldError::TooMany));
        assert_eq!(
            parse(&layout(), &[99, 0, 0].repeat(MAX_ITEMS + 1)),
            Err(FieldError::TooMany),
            "unknown ones"
        );
        assert_eq!(encode(&items(MAX_ITEMS + 1))[2..], field(MAX_ITEMS));
    }

    #[test]
    fn a_field_never_exceeds_its_bound() {
        let many = Item::Have((0..600).map(|at| Run::of(block(at % 100))).collect());
        let bytes = encode(&[Item::Goodbye, many.clone(), many]);
        assert!(bytes.len() <= LENGTH_LEN + MAX_FIELD_LEN);
        assert_eq!(parse(&layout(), &bytes[2..]).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn parse_is_total_and_what_it_reads_is_written_again(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(items) = parse(&layout(), &bytes) {
                let again = encode(&items);
                prop_assert_eq!(parse(&layout(), &again[2..]), Ok(items));
            }
        }
    }
}
