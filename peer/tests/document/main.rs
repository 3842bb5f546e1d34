//! The byte dumps of `docs/protocol.md`, read from that page: what people implement from must be what
//! `cascade-format` reads and writes. The tests are here because that crate is published without `docs/`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod extension;
mod lan;
mod links;
mod room;

use cascade_format::peer_wire::{BlockRequest, ResponseHeader};
use cascade_format::tracker_wide::{self, WideEntry, WideRequest};
use cascade_format::tracker_wire::{
    Command, PeerEntry, TrackerRequest, TrackerResponseHeader, parse_peer_list,
};
use cascade_format::{BlockHash, CascadeHash, FileHash, Header, Layout, Metafile};
use std::net::{Ipv4Addr, SocketAddrV4};

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");
const DATA: &[u8] = b"hello, cascade\n";
const BLOCK_SIZE: u64 = 8;

/// The bytes of the hex dump in the document's code block called `name`.
fn dump(name: &str) -> Vec<u8> {
    let (_, rest) = DOCUMENT.split_once(&format!("```text {name}\n")).expect(name);
    let (lines, _) = rest.split_once("```").expect(name);
    lines.lines().flat_map(|line| line[10..57].split_whitespace()).map(parse_byte).collect()
}

fn parse_byte(digits: &str) -> u8 {
    u8::from_str_radix(digits, 16).expect(digits)
}

fn metafile() -> Metafile {
    let layout = Layout::new(DATA.len() as u64, BLOCK_SIZE).unwrap();
    let hashes = DATA.chunks(8).map(BlockHash::of).collect();
    Metafile::new(Header { layout, file_hash: FileHash::of(DATA) }, hashes).unwrap()
}

#[test]
fn every_dump_in_the_document_is_what_the_crate_writes() {
    assert_eq!(dump("metafile"), metafile().encode());
    let cascade_hash = metafile().cascade_hash();
    assert!(DOCUMENT.contains(&format!("`{cascade_hash}`")), "the document has another cascade hash");

    let listen = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 10), 8889);
    let subscribe = TrackerRequest { command: Command::Subscribe, cascade_hash, listen };
    assert_eq!(dump("subscribe"), subscribe.encode());

    let addr = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 20), 8889);
    let entry = PeerEntry { addr, subscribed: 1_767_225_600, good: false };
    let header = TrackerResponseHeader { status: 0, body_len: 12 };
    assert_eq!(dump("peer-list"), [&header.encode()[..], &entry.encode()].concat());

    let layout = metafile().header().layout;
    let block = layout.block(1).unwrap();
    assert_eq!(dump("block-request"), BlockRequest::new(cascade_hash, block).encode());
    let response = [&ResponseHeader::of_block(&layout, block).encode()[..], &DATA[8..]].concat();
    assert_eq!(dump("block-response"), response);
}

#[test]
fn every_dump_of_both_families_is_what_the_crate_writes_and_reads() {
    let at = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
    let (command, cascade_hash) = (Command::Subscribe, metafile().cascade_hash());
    let request = WideRequest { command, cascade_hash, listen: at("[2001:db8::10]:8889") };
    assert_eq!(dump("wide-subscribe"), request.encode());
    let bytes: [u8; 66] = dump("wide-subscribe").try_into().unwrap();
    assert_eq!(WideRequest::parse(&bytes), Ok(request));

    let entry = |text| WideEntry { addr: at(text), subscribed: 1_767_225_600, good: false };
    let entries = [entry("192.0.2.20:8889"), entry("[2001:db8::20]:8889")];
    let body: Vec<u8> = entries.iter().flat_map(WideEntry::encode).collect();
    let header = TrackerResponseHeader { status: 0, body_len: 48 };
    assert_eq!(dump("wide-peer-list"), [&header.encode()[..], &body].concat());
    let read: Vec<_> = tracker_wide::parse_peer_list(&body).unwrap().collect();
    assert_eq!(read, entries);
}

#[test]
fn every_dump_in_the_document_is_what_the_crate_reads() {
    let file = dump("metafile");
    assert_eq!(Metafile::parse(&file), Ok(metafile()));

    let request = TrackerRequest::parse(&dump("subscribe").try_into().unwrap()).unwrap();
    assert_eq!(request.command, Command::Subscribe);
    assert_eq!(request.cascade_hash, CascadeHash::of(&file));
    assert_eq!(request.listen.to_string(), "192.0.2.10:8889");

    let list = dump("peer-list");
    let peers: Vec<_> = parse_peer_list(&list[5..]).unwrap().collect();
    assert_eq!(peers.len(), 1);
    assert_eq!((peers[0].addr.to_string().as_str(), peers[0].good), ("192.0.2.20:8889", false));

    let request = BlockRequest::parse(&dump("block-request").try_into().unwrap()).unwrap();
    assert_eq!((request.block, request.cascade_hash), (1, CascadeHash::of(&file)));
}
