//! Which leecher should get which block first, among peers that know only version 1 and tell nothing.
//!
//! Each block has an owner among the leechers that are known (rendezvous hashing: the one with the highest
//! weight for it). The owner asks a seeder for it, the others ask the owner. Everybody computes the
//! same from the addresses alone, so leechers get different blocks from the seeder; where views differ, a
//! block is at worst asked of a peer that does not have it yet.

use crate::ask::blocks::Blocks;
use crate::ask::known::Known;
use crate::ask::links::LinkId;
use alloc::vec::Vec;
use cascade_format::{Block, PeerAddr};
use core::net::IpAddr;
use core::time::Duration;

/// Missing blocks among which the next is sought of those that a leecher owns.
const MAX_SEARCHED: usize = 2048;

/// The weight of a leecher for a block; the highest one owns it.
fn weight(leecher: PeerAddr, block: Block) -> u64 {
    let port = u64::from(leecher.port());
    // Rounds of SplitMix64: neighbours in both numbers must not be neighbours in the order.
    let mixed = match leecher.ip() {
        IpAddr::V4(ip) => mix(u64::from(u32::from(ip)) << 16 | port),
        IpAddr::V6(ip) => {
            ip.segments().into_iter().fold(port, |mixed, part| mix(mixed.wrapping_add(u64::from(part))))
        }
    };
    mix(mixed.wrapping_add(block.number()))
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What is owned: a block, whether it is divided into slices or not.
fn block_of(blocks: &Blocks, block: Block) -> Block {
    blocks.layout().block_of(block)
}

/// Whether `leecher` owns `block` among itself and `others`.
fn owns(leecher: PeerAddr, others: &[PeerAddr], block: Block) -> bool {
    let own = weight(leecher, block);
    others.iter().all(|other| *other == leecher || weight(*other, block) < own)
}

/// The leechers among whom blocks are owned: the linked ones that tell nothing, and this peer.
pub(super) fn leechers(known: &Known) -> Vec<PeerAddr> {
    known.peers.plain_leechers().chain(known.peers.own()).collect()
}

/// The first missing block that `owner` owns among `leechers`.
pub(super) fn next_of(owner: PeerAddr, leechers: &[PeerAddr], blocks: &mut Blocks) -> Option<Block> {
    let first = blocks.first_missing()?.number();
    let mut missing = blocks.find_missing(None, first..blocks.layout().blocks()).take(MAX_SEARCHED);
    missing.find(|block| owns(owner, leechers, block_of(blocks, *block)))
}

/// How long the link's peer is not asked again for `block`, which it lacks. A leecher gets what it
/// owns one after the other: it is asked again when it should have the next.
pub(in crate::ask) fn lack_lasts(known: &Known, link: LinkId, block: Block) -> Duration {
    let Some(state) = known.links.get(link).filter(|state| state.told.is_none()) else {
        return Duration::MAX;
    };
    let leechers = leechers(known);
    let owner = known.peers.get(state.peer);
    if !owns(owner.addr(), &leechers, block_of(&known.blocks, block)) {
        return Duration::MAX;
    }
    let (length, rate) = (known.blocks.len_of_whole(block), known.flow.received.rate());
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let share = length as f64 * leechers.len() as f64 / rate;
    Duration::try_from_secs_f64(share / 2.0).unwrap_or(Duration::MAX).max(known.tuning.poll_interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use cascade_format::Layout;
    use core::net::IpAddr;

    #[test]
    fn every_block_has_one_owner_and_everybody_about_as_many() {
        let layout = Layout::new(8000, 1).unwrap();
        let all: Vec<_> = (1..=8).map(|host| PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)).collect();
        let mut owned = vec![0; all.len()];
        for block in layout.iter() {
            let owners: Vec<usize> = (0..8).filter(|at| owns(all[*at], &all, block)).collect();
            assert_eq!(owners.len(), 1, "block {block}");
            owned[owners[0]] += 1;
        }
        assert!(owned.iter().all(|count| (850..1150).contains(count)), "{owned:?}");
    }
}
