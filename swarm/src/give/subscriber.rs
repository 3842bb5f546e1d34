//! One subscriber: what it has been told so far, and what of the blocks and peers is to be told next.

use super::admission::Admission;
use super::have_log::HaveLog;
use super::met::{Acquaintance, Met};
use super::news_queue::Position;
use crate::Time;
use crate::limits::{MAP_PART_LEN, MAX_HAVE_RUNS, MAX_PEERS_A_FIELD, MAX_PEERS_TOLD};
use alloc::vec;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::extension::{Item, Run};
use cascade_format::{Block, Layout};

/// Parts of a map that are looked at for one answer.
const MAX_EMPTY_PARTS: usize = 2;

/// Where a subscriber stands.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) addr: Option<PeerAddr>,
    /// The first block that it was not told about by a map.
    pub(super) map_at: u64,
    pub(super) log_at: u64,
    pub(super) met_at: u64,
    pub(super) peers_told: usize,
    /// Whether it was told [`Item::Everything`] (false) or [`Item::Choosing`] (true) last.
    pub(super) choosing_told: Option<bool>,
    pub(super) goodbye_told: bool,
    pub(super) waiting_told: u16,
    pub(super) greeted: bool,
    /// It is to be told that the uplink is free.
    pub(super) invited: bool,
    pub(super) asked: bool,
    /// Blocks that it is given and that are not out yet.
    pub(super) granted: u32,
    /// The slice that it asked for last, if it was refused. Those behind it in the chain are of no use to it.
    pub(super) refused: Option<Block>,
    pub(super) admission: Admission,
    /// It knows all that there is.
    pub(super) idle: bool,
    /// Its position in the queue of those that wait to be told.
    pub(super) place: Option<Position>,
    /// Its turn has come: it may be told, with news alone, once.
    pub(super) ticket: bool,
    /// When it was told something last.
    pub(super) told_at: Option<Time>,
    /// When a question for news was answered last.
    pub(super) answered_at: Option<Time>,
    /// Since when its question for news waits.
    pub(super) waits_since: Option<Time>,
    /// Times that it was told since it was given a block.
    pub(super) times_told: u32,
}

impl Subscriber {
    /// One that listens at `addr`, if it does, and is told the blocks from `map_at` on by a map, those that came
    /// since `log_at` one by one, and the last of the peers that were met before `met_end`.
    pub(super) fn new(addr: Option<PeerAddr>, map_at: u64, log_at: u64, met_end: u64) -> Self {
        Self {
            addr,
            map_at,
            log_at,
            met_at: met_end.saturating_sub(MAX_PEERS_A_FIELD as u64),
            peers_told: 0,
            choosing_told: None,
            goodbye_told: false,
            waiting_told: 0,
            greeted: false,
            invited: false,
            asked: false,
            granted: 0,
            refused: None,
            admission: Admission::default(),
            idle: false,
            place: None,
            ticket: false,
            told_at: None,
            answered_at: None,
            waits_since: None,
            times_told: 0,
        }
    }

    /// The next part of the map; parts without any block are passed over.
    pub(super) fn map_part(&mut self, layout: &Layout, have: &dyn Fn(Block) -> bool) -> Option<Item> {
        // A few parts without any block at a time: this is done behind a lock, for any client that asks.
        for _ in 0..MAX_EMPTY_PARTS {
            if self.map_at >= layout.blocks() {
                return None;
            }
            let first = self.map_at;
            let end = (first + MAP_PART_LEN as u64 * 8).min(layout.blocks());
            self.map_at = end;
            let mut bits = vec![0u8; usize::try_from((end - first).div_ceil(8)).unwrap_or(0)];
            for block in (first..end).filter_map(|number| layout.block(number)).filter(|block| have(*block)) {
                let at = block.number() - first;
                if let Some(byte) = usize::try_from(at / 8).ok().and_then(|index| bits.get_mut(index)) {
                    *byte |= 0x80 >> (at % 8);
                }
            }
            if bits.iter().any(|byte| *byte != 0) {
                return Some(Item::Map { first, bits });
            }
        }
        None
    }

    /// What came since the subscriber was told the last time, as far as it fits.
    pub(super) fn new_blocks(&mut self, log: &HaveLog, released: u64) -> Option<Item> {
        let mut runs: Vec<Run> = Vec::new();
        while self.log_at < released
            && let Some(block) = log.get(self.log_at)
        {
            if !runs.last_mut().is_some_and(|run| run.extend(block)) {
                if runs.len() == MAX_HAVE_RUNS {
                    break;
                }
                runs.push(Run::of(block));
            }
            self.log_at += 1;
        }
        (!runs.is_empty()).then_some(Item::Have(runs))
    }

    /// Peers that the subscriber was not told of, as many as fit. An address of this machine alone is nothing
    /// for others.
    pub(super) fn new_peers(&mut self, met: &Met) -> impl Iterator<Item = Item> + use<> {
        let local = self.addr.is_some_and(|addr| addr.ip().is_loopback());
        let mut peers = Vec::new();
        while peers.len() < MAX_PEERS_A_FIELD
            && self.peers_told < MAX_PEERS_TOLD
            && let Some((number, peer)) = met.get(self.met_at)
        {
            self.met_at = number + 1;
            if Some(peer.addr) != self.addr && (local || !peer.addr.ip().is_loopback()) {
                peers.push(peer);
                self.peers_told += 1;
            }
        }
        items_of(&peers)
    }
}

/// Each family in items of its own: a peer that does not know those for IPv6 hears of the others all the same.
fn items_of(peers: &[Acquaintance]) -> impl Iterator<Item = Item> + use<> {
    let of =
        |extended: bool| peers.iter().filter(move |peer| peer.extended == extended).map(|peer| peer.addr);
    let v4 = |extended| of(extended).filter_map(|addr| addr.v4()).collect::<Vec<_>>();
    let v6 = |extended| of(extended).filter(|addr| addr.v6().is_some()).collect::<Vec<_>>();
    let some = |any: bool, item: Item| any.then_some(item);
    let (peers, plain, wide, wide_plain) = (v4(true), v4(false), v6(true), v6(false));
    [
        some(!peers.is_empty(), Item::Peers(peers)),
        some(!plain.is_empty(), Item::PlainPeers(plain)),
        some(!wide.is_empty(), Item::WidePeers(wide)),
        some(!wide_plain.is_empty(), Item::WidePlainPeers(wide_plain)),
    ]
    .into_iter()
    .flatten()
}
