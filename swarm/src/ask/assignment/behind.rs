//! A leecher that has fallen behind.
//!
//! Where all links are alike, every downlink is full from the first seconds to the end. A leecher that was given less
//! for a moment, or that asks where most others ask, stays behind for good, and the swarm is as late as its last member.
//! So a leecher that has noticeably fewer blocks than those it is linked with asks more of them, and for more.

use crate::ask::known::Known;
use crate::ask::links::Link;
use alloc::vec::Vec;

/// With fewer leechers to compare with, none is behind: two that exchange what they have are hardly ever even.
const MIN_COMPARED: usize = 4;

/// Whether this peer has fewer blocks than the median of the leechers it is linked with, by more than arrives in
/// [`behind_by`](crate::ask::Tuning::behind_by). Neither a liar moves the median nor a leecher that came with half of
/// the file. Peers that have everything are not looked at: most of them always had.
pub(super) fn is_behind(known: &Known) -> bool {
    let count = |link: &Link| {
        let told = link.told.as_ref().filter(|told| told.heard)?;
        told.part().map(cascade_format::Have::count)
    };
    let mut counts: Vec<u64> = known.links.iter().filter_map(|(_, link)| count(link)).collect();
    if counts.len() < MIN_COMPARED {
        return false;
    }
    counts.sort_unstable();
    let median = counts.get(counts.len() / 2).copied().unwrap_or(0);
    let bytes = known.flow.received.rate() * known.tuning.behind_by().as_secs_f64();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
    let less = bytes as u64 / known.blocks.layout().block_size();
    known.blocks.verified() + less.max(1) < median
}
