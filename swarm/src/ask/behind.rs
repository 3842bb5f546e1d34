//! One who has fallen behind.
//!
//! Where all links are alike, every downlink is full from the first seconds to the end. Who has been given less
//! for a moment, or asks where most others ask, stays behind for good, and everybody waits for the last.
//! So whoever has noticeably less than the leechers it is linked with asks more of them, and for more.

use super::knowledge::Has;
use super::{Link, Plan};
use alloc::vec::Vec;

impl Plan {
    /// Whether this peer has noticeably fewer blocks than the leechers it is linked with: than their median, which
    /// neither a liar nor one who came with half of the file moves. Those who have everything are not looked
    /// at: most of them always had.
    pub(super) fn is_behind(&self) -> bool {
        let count = |link: &Link| match link.told.as_ref().filter(|told| told.heard).map(|told| &told.has) {
            Some(Has::Some(have)) => Some(have.count()),
            Some(Has::Everything | Has::Choosing) | None => None,
        };
        let mut counts: Vec<u64> = self.links.iter().filter_map(|(_, link)| count(link)).collect();
        if counts.len() < self.tuning.compared_links {
            return false;
        }
        counts.sort_unstable();
        let median = counts.get(counts.len() / 2).copied().unwrap_or(0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
        let less = (self.received.rate() * self.tuning.behind_by.as_secs_f64()) as u64
            / self.blocks.layout().block_size();
        self.blocks.verified() + less.max(1) < median
    }

    /// How much to have waiting at others' uplinks where it is `usual` for those who are not behind.
    pub(super) fn with_more_if_behind(&self, usual: u64) -> u64 {
        if self.behind { usual + usual / self.tuning.behind_part } else { usual }
    }
}
