//! Whether another request may be under way.

use crate::Time;
use crate::ask::known::Known;
use crate::ask::links::Link;
use crate::ask::links::pipeline::depth;
use crate::ask::peers::Peer;
use crate::ask::tuning::Tuning;
use crate::limits::MAX_PIPELINE;

/// Requests under way on any link where the peer takes more than one: the next is there when an answer ends, however
/// small the product of bandwidth and delay.
pub(super) const MIN_REQUESTS: usize = 2;

/// Another block may be in flight on any link while fewer bytes than this are. Among leechers that serve each other, a
/// request waits for those of others; more of them than keep every uplink busy only make blocks late. A leecher that is
/// `behind` has half as many again waiting.
pub(super) fn in_swarm(known: &Known, behind: bool) -> u64 {
    if !known.has_telling_leechers() {
        return u64::MAX;
    }
    let tuning = known.tuning;
    let depth = depth(tuning, known.flow.received.rate(), known.links.round_trip());
    let leechers = known.rarity.partial as u64 + 1;
    let usual = (tuning.uplink_queue * known.links.connected() as u64).div_ceil(leechers);
    let units = if behind { usual + usual / 2 } else { usual };
    depth + waiting_bytes(tuning, known.blocks.layout().block_size(), units)
}

/// Bytes that may wait at the uplinks of others, of blocks of `block` bytes, where `units` runs of small ones may.
fn waiting_bytes(tuning: &Tuning, block: u64, units: u64) -> u64 {
    (tuning.run_len * units).max(block.saturating_mul(units.min(tuning.large_waiting)))
}

/// Whether another request fits into the link's pipeline.
pub(super) fn on_link(tuning: &Tuning, now: Time, link: &Link, peer: &Peer, in_swarm: bool) -> bool {
    let requests = link.requests.len();
    if requests == 0 {
        // Its end is on the way: a request would be lost.
        return !(peer.habits.closes() && link.is_closing(now));
    }
    // A new link shows first that it answers; so does one whose peer just lacked what was asked.
    let proven = link.answers() > 0 && peer.refusals.in_a_row() == 0;
    if peer.habits.takes_one_at_a_time() || !proven {
        return false;
    }
    // A unit is under way in any case: a leecher with few links must not fall behind those with many.
    let pipeline = &link.pipeline;
    let depth = if in_swarm { pipeline.depth().max(tuning.run_len) } else { pipeline.depth_alone() };
    let fits = link.requests.bytes() < depth && requests < MAX_PIPELINE;
    fits || (!in_swarm && requests < MIN_REQUESTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_large_blocks_wait_at_others() {
        let tuning = &Tuning::DEFAULT;
        let run = tuning.run_len;
        for (block, expected) in
            [(1 << 10, 16 * run), (run, 16 * run), (1 << 20, 4 << 20), (16 << 20, 64 << 20)]
        {
            assert_eq!(waiting_bytes(tuning, block, 16), expected, "blocks of {block}");
        }
        assert_eq!(waiting_bytes(tuning, 16 << 20, 2), 32 << 20);
    }
}
