//! One who has fallen behind.
//!
//! Where all links are alike, every downlink is full from the first seconds to the end. Who has been given less
//! for a moment, or asks where most others ask, stays behind for good, and everybody waits for the last.
//! So whoever has noticeably less than the leechers it is linked with asks more of them, and for more.

use super::Plan;
use super::knowledge::Has;
use std::time::Duration;

/// What arrives in so long is missing, compared with the others.
const LATE: Duration = Duration::from_millis(100);

/// Halves of what others have under way, that one who is behind has.
pub(super) const FACTOR: u64 = 3;

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
        let late = (self.received.rate() * LATE.as_secs_f64()) as u64 / self.blocks.layout().block_size();
        self.blocks.verified() + late.max(1) < sum.checked_div(leechers).unwrap_or(0)
    }
}
