//! The messages of the swarm extension.

use super::{DOCUMENT, dump};
use cascade_format::extension::field::{self, LENGTH_LEN};
use cascade_format::extension::metafile::{self, Heard, PartHead, PartReader};
use cascade_format::extension::{EXTENDED, Item, Marker, NEWS, Run, slices};
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader};
use cascade_format::{BlockHash, CascadeHash, FileHash, Header, Layout, Metafile};
use cascade_hash::Sha256Stream;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The file of the document's worked example: 15 bytes in two blocks.
fn layout() -> Layout {
    Layout::new(15, 8).unwrap()
}

fn cascade_hash() -> CascadeHash {
    CascadeHash::of(&dump("metafile"))
}

fn run(first: u64, count: u32) -> Run {
    Run { first: layout().block(first).unwrap(), count }
}

/// Each answer of the document: its name, status, items and ordinary body.
fn answers() -> [(&'static str, u8, Vec<Item>, &'static [u8]); 3] {
    let met = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 30), 8889);
    [
        (
            "extended-block",
            0,
            [Item::Choosing, Item::Offer([run(0, 1)].into()), Item::Peers([met].into())].into(),
            b"ascade\n",
        ),
        ("extended-missing", 2, [Item::Map { first: 0, bits: [0x80].into() }].into(), b"not yet\n"),
        ("news", 2, [Item::Have([run(1, 1)].into()), Item::Goodbye].into(), b""),
    ]
}

fn requests() -> [(&'static str, Marker, u64); 2] {
    let marker = |offers_seen| Marker { port: 8889, offers_seen, progress: None };
    [("marked-request", marker(0), 1), ("news-request", marker(1), NEWS)]
}

#[test]
fn every_dump_of_the_extension_is_what_the_crate_writes() {
    for (name, marker, block) in requests() {
        assert_eq!(dump(name), marker.request(cascade_hash(), block), "{name}");
    }
    for (name, status, items, body) in answers() {
        let field = field::encode(&items);
        let body_len = (field.len() + body.len()) as u64;
        let header = ResponseHeader { status: (EXTENDED | status).into(), body_len };
        assert_eq!(dump(name), [&header.encode(), field.as_slice(), body].concat(), "{name}");
    }
}

#[test]
fn every_dump_of_the_extension_is_what_the_crate_reads() {
    for (name, marker, block) in requests() {
        let request = BlockRequest::parse(&dump(name).try_into().unwrap()).unwrap();
        assert_eq!((request.block, request.cascade_hash), (block, cascade_hash()), "{name}");
        assert_eq!(Marker::of(&request), Some(marker), "{name}");
    }
    for (name, status, items, body) in answers() {
        let bytes = dump(name);
        let (header, rest) = bytes.split_first_chunk::<RESPONSE_HEADER_LEN>().unwrap();
        let header = ResponseHeader::parse(header);
        assert_eq!(u8::from(header.status), EXTENDED | status, "{name}");
        assert_eq!(header.body_len, rest.len() as u64, "{name}");
        let (field, plain) = rest.split_at(rest.len() - body.len());
        assert_eq!(usize::from(u16::from_be_bytes([field[0], field[1]])), field.len() - LENGTH_LEN, "{name}");
        assert_eq!(field::parse(&layout(), &field[LENGTH_LEN..]), Ok(items), "{name}");
        assert_eq!(plain, body, "{name}");
    }
}

/// Where the part of the document's example begins.
const OFFSET: u32 = 64;

#[test]
fn the_dumps_of_the_cascade_file_are_what_the_crate_writes_and_reads() {
    let (request, part) = (metafile::request(cascade_hash(), OFFSET, 8889), &dump("metafile")[64..]);
    assert_eq!(dump("metafile-request"), request);
    assert_eq!(metafile::asked(&BlockRequest::parse(&request).unwrap()), Some(OFFSET));
    let head = PartHead::at(128, OFFSET).unwrap();
    let answer = dump("metafile-part");
    assert_eq!(answer, [&head.encode()[..], part].concat());

    let (mut reader, mut bytes) = (PartReader::new(OFFSET), answer.as_slice());
    assert_eq!(reader.read(&mut bytes), Ok(Heard::Total(128)));
    assert_eq!(reader.read(&mut bytes), Ok(Heard::Bytes(part)));
    assert_eq!(reader.read(&mut bytes), Ok(Heard::End));
}

/// The file of the example of slices.
fn divided() -> (Metafile, Vec<u8>) {
    let data: Vec<u8> = (0..=250).cycle().take(262_144).collect();
    let layout = Layout::new(262_144, 131_072).unwrap();
    let hashes = data.chunks(131_072).map(BlockHash::of).collect();
    (Metafile::new(Header { layout, file_hash: FileHash::of(&data) }, hashes).unwrap(), data)
}

#[test]
fn the_dumps_of_slices_are_what_the_crate_writes_and_they_prove_the_block() {
    let (metafile, data) = divided();
    let hash = metafile.cascade_hash();
    for text in
        [hash.to_string(), slices::name(&hash).to_string(), BlockHash::of(&data[..131_072]).to_string()]
    {
        assert!(DOCUMENT.contains(&format!("`{text}`")), "{text} is not in the document");
    }
    let marker = Marker { port: 8889, offers_seen: 0, progress: None };
    assert_eq!(dump("slice-request"), marker.request(slices::name(&hash), 0));

    let layout = metafile.header().layout.sliced().unwrap();
    assert_eq!((layout.slices_a_block(), layout.blocks()), (2, 4));
    // What the slices must lead to, from the end of the block on.
    let mut known: Option<[u8; 32]> = None;
    for (number, name) in [(0, "slice-answer"), (1, "slice-answer-at-the-beginning")] {
        let slice = layout.block(number).unwrap();
        let (start, len) = (usize::try_from(layout.start(slice)).unwrap(), 65_536);
        let mut before = Sha256Stream::new();
        before.update(&data[..start]);
        let state = before.state().unwrap();
        let field = field::encode(&[Item::State(state)]);
        let header = ResponseHeader { status: EXTENDED.into(), body_len: (field.len() + len) as u64 };
        assert_eq!(dump(name), [&header.encode(), field.as_slice()].concat(), "{name}");
        assert_eq!(field::parse(&layout, &field[LENGTH_LEN..]), Ok([Item::State(state)].into()));

        let mut stream = Sha256Stream::resumed(state, layout.offset_in_block(slice)).unwrap();
        stream.update(&data[start..start + len]);
        match known {
            Some(known) => assert_eq!(stream.state(), Some(known)),
            None => assert_eq!(BlockHash(stream.finish()), BlockHash::of(&data[..131_072])),
        }
        known = Some(state);
    }
    assert_eq!(known, Sha256Stream::new().state(), "the initial value");
}
