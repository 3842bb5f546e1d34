//! The end of a session that begins anew: what its links have published and not told yet.

use super::Session;
use crate::clock;
use crate::link::LinkEvent;
use crate::session::download_error::DownloadError;
use crate::session::event::Observer;
use cascade_format::Block;
use std::time::Duration;
use tokio::time::timeout_at;

/// The longest time for which links that have ended are heard. They tell at once; what is later than this is counted as
/// nobody's.
const HEAR_OUT: Duration = Duration::from_secs(1);

impl Session {
    /// The links have ended. Waits until the plan knows of all blocks that they have published, so that the summary
    /// names who gave them.
    pub(super) async fn hear_out(&mut self, observer: &mut dyn Observer) -> Result<(), DownloadError> {
        let until = clock::now() + HEAR_OUT;
        let mut untold = self.untold();
        while !untold.is_empty()
            && let Ok(Some((link, event))) = timeout_at(until.into(), self.events.recv()).await
        {
            if matches!(event, LinkEvent::Received { .. }) {
                self.handle(link, event, observer)?;
                untold.retain(|block| !self.plan.is_verified(*block));
            }
        }
        Ok(())
    }

    /// The blocks that are here without the plan's knowledge; slices, if the plan works on slices.
    fn untold(&self) -> Vec<Block> {
        let (shared, sliced) = (&self.shared, self.links.sliced());
        let is_here =
            |block| if sliced.is_some() { shared.has_slice(block) } else { shared.have().has(block) };
        let all = sliced.unwrap_or(*shared.layout());
        all.iter().filter(|block| is_here(*block) && !self.plan.is_verified(*block)).collect()
    }
}
