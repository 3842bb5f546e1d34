//! One who has fallen behind.
//!
//! Where all links are alike, every downlink is full from the first seconds to the end. Who has been given less
//! for a moment, or asks where most others ask, stays behind for good, and everybody waits for the last.
//! So whoever has noticeably less than the leechers it is linked with asks more of them, and for more.

use super::Plan;
use super::knowledge::Has;
use std::time::Duration;

/// Who lacks what arrives in so long, compared with the others, is behind.
const BEHIND: Duration = Duration::from_millis(100);

/// Who is behind has one part in so many more under way than others.
const MORE_PART: u64 = 2;

impl Plan {
    /// Whether this peer has noticeably fewer blocks than the leechers it is linked with, as a mean.
    pub(super) fn is_behind(&self) -> bool {
        let (mut leechers, mut sum) = (0, 0);
        for (_, link) in self.links.iter() {
            if let Some(Has::Some(have)) = link.told.as_ref().map(|told| &told.has) {
                (leechers, sum) = (leechers + 1, sum + have.count());
            }
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
        let less = (self.received.rate() * BEHIND.as_secs_f64()) as u64 / self.blocks.layout().block_size();
        self.blocks.verified() + less.max(1) < sum.checked_div(leechers).unwrap_or(0)
    }

    /// How much to have under way where it is `usual` for others.
    pub(super) fn with_more_if_behind(&self, usual: u64) -> u64 {
        if self.behind { usual + usual / MORE_PART } else { usual }
    }
}
