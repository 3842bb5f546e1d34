//! A leecher that has fallen behind.
//!
//! Where all links are alike, every downlink is full from the first seconds to the end. A leecher that was given less
//! for a moment, or that asks where most others ask, stays behind for good, and the swarm is as late as its last member.
//! So a leecher that has noticeably fewer blocks than those it is linked with asks more of them, and for more.

use crate::ask::known::Known;
use crate::ask::links::Link;

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
    let bytes = known.flow.received.rate() * known.tuning.behind_by().as_secs_f64();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
    let less = bytes as u64 / known.blocks.layout().block_size();
    let enough = known.blocks.verified() + less.max(1);
    let (mut compared, mut ahead) = (0, 0);
    for count in known.links.iter().filter_map(|(_, link)| count(link)) {
        compared += 1;
        ahead += usize::from(count > enough);
    }
    // The median is one of those that are ahead.
    compared >= MIN_COMPARED && ahead >= compared - compared / 2
}
