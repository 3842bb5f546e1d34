//! Micro-benchmarks of the formats: messages on the wire, the `.cascade` file, the have-bitmap.

use cascade_format::peer_wire::{BlockRequest, ResponseHeader, Status};
use cascade_format::tracker_wire::{Command, PeerEntry, TrackerRequest, parse_peer_list};
use cascade_format::{BlockHash, CascadeHash, FileHash, Have, Header, Layout, Metafile};
use divan::{Bencher, black_box};
use std::net::{Ipv4Addr, SocketAddrV4};

fn main() {
    divan::main();
}

/// A file of `blocks` blocks of 1 byte.
fn layout(blocks: u64) -> Option<Layout> {
    Layout::new(blocks, 1).ok()
}

#[divan::bench]
fn block_request_encode() -> Option<[u8; 64]> {
    let block = black_box(layout(1000))?.block(black_box(999))?;
    Some(BlockRequest::new(black_box(CascadeHash([7; 32])), block).encode())
}

#[divan::bench]
fn block_request_parse(bencher: Bencher<'_, '_>) {
    let Some(block) = layout(1000).and_then(|layout| layout.block(999)) else { return };
    let bytes = BlockRequest::new(CascadeHash([7; 32]), block).encode();
    bencher.bench_local(|| BlockRequest::parse(black_box(&bytes)));
}

#[divan::bench]
fn response_header_round_trip() -> ResponseHeader {
    let header = ResponseHeader { status: Status::Block, body_len: black_box(1 << 20) };
    ResponseHeader::parse(black_box(&header.encode()))
}

#[divan::bench]
fn tracker_request_round_trip(bencher: Bencher<'_, '_>) {
    let request = TrackerRequest {
        command: Command::Subscribe,
        cascade_hash: CascadeHash([7; 32]),
        listen: SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 7001),
    };
    bencher.bench_local(|| TrackerRequest::parse(black_box(&black_box(&request).encode())));
}

#[divan::bench]
fn peer_list_of_20(bencher: Bencher<'_, '_>) {
    let addr = SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 7001);
    let body = PeerEntry { addr, subscribed: 1, good: false }.encode().repeat(20);
    bencher.bench_local(|| {
        parse_peer_list(black_box(&body))
            .map(|list| list.map(|entry| u32::from(entry.addr.port())).sum::<u32>())
    });
}

#[divan::bench(args = [1024, 1_048_576])]
fn layout_ranges(bencher: Bencher<'_, '_>, blocks: u64) {
    let Ok(layout) = Layout::new(blocks * 1024 - 1, 1024) else { return };
    bencher.bench_local(|| {
        black_box(layout).iter().fold(0, |sum: u64, block| sum.wrapping_add(layout.range(block).end))
    });
}

#[divan::bench(args = [1024, 1_048_576])]
fn metafile_parse(bencher: Bencher<'_, '_>, blocks: usize) {
    let Some(layout) = layout(blocks as u64) else { return };
    let header = Header { layout, file_hash: FileHash([7; 32]) };
    let Ok(metafile) = Metafile::new(header, vec![BlockHash([9; 32]); blocks]) else { return };
    let bytes = metafile.encode();
    bencher.bench_local(|| Metafile::parse(black_box(&bytes)));
}

#[divan::bench(args = [1024, 1_048_576])]
fn have_insert_all(bencher: Bencher<'_, '_>, blocks: u64) {
    let Some(layout) = layout(blocks) else { return };
    bencher.with_inputs(|| Have::none(&layout)).bench_local_values(|mut have| {
        for block in layout.iter() {
            have.insert(black_box(block));
        }
        have
    });
}

/// The worst case: the only missing block is the last.
#[divan::bench(args = [1024, 1_048_576])]
fn have_find_last_missing(bencher: Bencher<'_, '_>, blocks: u64) {
    let Some(layout) = layout(blocks) else { return };
    let mut have = Have::all(&layout);
    if let Some(last) = layout.block(blocks - 1) {
        have.remove(last);
    }
    bencher.bench_local(|| black_box(&have).find(0..blocks, false));
}

#[divan::bench(args = [1024, 1_048_576])]
fn have_bytes_round_trip(bencher: Bencher<'_, '_>, blocks: u64) {
    let Some(layout) = layout(blocks) else { return };
    let have = Have::all(&layout);
    bencher.bench_local(|| Have::from_bytes(&layout, &black_box(&have).to_bytes()));
}
