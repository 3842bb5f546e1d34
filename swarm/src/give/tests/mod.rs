//! The upload as its subscribers see it.
//!
//! | module | tests |
//! |---|---|
//! | [`offers`] | what a seeder offers, and whose requests are refused |
//! | [`leap`] | how a seeder finds what its subscribers lack |
//! | [`news`] | what subscribers are told of blocks, and when it is whose turn |
//! | [`peers`] | who is told of whom |
//! | [`conversation`] | what each request is answered with |
//! | [`slices`] | what is different where slices are given |

mod conversation;
mod leap;
mod news;
mod offers;
mod peers;
mod slices;

use super::*;
use crate::Time;
use alloc::vec;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::extension::{Item, Marker, Run};
use cascade_format::{Block, Have, Layout};
use core::net::IpAddr;
use core::time::Duration;

const NOW: Time = Duration::from_secs(1);

fn layout() -> Layout {
    Layout::new(100 << 20, 1 << 20).unwrap()
}

fn block(number: u64) -> Block {
    layout().block(number).unwrap()
}

fn addr(host: u8) -> PeerAddr {
    PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)
}

impl Upload {
    fn open(&mut self, now: Time, addr: Option<PeerAddr>) -> SubscriberId {
        self.open_on(now, addr, addr.map(|addr| addr.ip()))
    }
}

fn seeder() -> Upload {
    Upload::new(layout(), &Have::all(&layout()), Tuning::DEFAULT)
}

fn news(upload: &mut Upload, now: Time, subscriber: SubscriberId) -> Option<Vec<Item>> {
    upload.news(now, subscriber, &|_| true)
}

fn asked(
    upload: &mut Upload,
    now: Time,
    id: SubscriberId,
    offers_seen: u32,
    block: Option<Block>,
    waiting: usize,
) -> bool {
    let Some(block) = block else {
        upload.declined(now, id, offers_seen);
        return true;
    };
    upload.admits(now, id, block, Server { waiting, counted: false, full: true, has: &|_| true })
}

/// Its question for news waits.
fn park(upload: &mut Upload, id: SubscriberId) {
    upload.subscriber(id).unwrap().waits_since = Some(NOW);
}

fn offered(items: &[Item]) -> Vec<u64> {
    offered_of(&layout(), items).into_iter().map(Block::number).collect()
}

fn offered_of(layout: &Layout, items: &[Item]) -> Vec<Block> {
    let runs = items.iter().filter_map(|item| if let Item::Offer(runs) = item { Some(runs) } else { None });
    runs.flatten().flat_map(|run| run.blocks(layout)).collect()
}

/// A client that shows the marker.
const MARKER: Marker = Marker { port: 7001, offers_seen: 0, progress: None };

/// What `wanted` is answered with, nothing else waiting here.
fn ask(
    upload: &mut Upload,
    now: Time,
    client: &mut Conversation,
    (wanted, marker, behind): (Wanted, Option<Marker>, Behind),
) -> Decision {
    let server = Server { waiting: 1, counted: true, full: true, has: &|_| true };
    upload.request(now, client, Request { wanted, marker, behind }, server)
}

fn poll(upload: &mut Upload, now: Time, client: &mut Conversation, behind: Behind) -> Decision {
    ask(upload, now, client, (Wanted::News, Some(MARKER), behind))
}

fn client(host: u8) -> Conversation {
    Conversation::new(Some(IpAddr::from([10, 0, 0, host])))
}
