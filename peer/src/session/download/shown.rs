//! What a download lets be seen of itself, when somebody looks.

use super::Session;
use crate::view::{DownloadView, FileState, LinkView, Role};
use cascade_swarm::ask::SeenLink;
use std::time::Duration;

/// The longest time that is shown as left: after that nobody reckons with it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Session {
    /// Shows its blocks, and how it stands, from now on.
    pub(super) fn begin_to_show(&mut self) {
        self.seen.set_blocks(&self.shared);
        self.seen.set_state(FileState::Downloading);
        self.show();
    }

    /// Shows how it stands.
    pub(super) fn show(&mut self) {
        let now = self.start.elapsed();
        let progress = self.progress();
        let rate = progress.bytes_per_second;
        #[allow(clippy::cast_precision_loss, reason = "a shown number")]
        let left = progress.bytes_total.saturating_sub(progress.bytes_done) as f64;
        let time_left = Duration::try_from_secs_f64(left / rate).ok().filter(|left| *left <= LONGEST);
        self.seen.show_download(Some(DownloadView {
            bytes_done: progress.bytes_done,
            rate,
            time_left,
            in_flight: self.plan.in_flight(),
            holders: self
                .plan
                .holders()
                .iter()
                .map(|holders| u8::try_from(*holders).unwrap_or(u8::MAX))
                .collect(),
            seeders: self.plan.linked_seeders(),
            links: self.plan.seen_links(now).iter().map(link).collect(),
            known_peers: self.plan.known_peers(),
        }));
    }
}

fn link(seen: &SeenLink) -> LinkView {
    LinkView {
        addr: seen.addr.into(),
        role: seen.role,
        rate: if seen.role == Role::Asking { seen.rate } else { 0.0 },
        bytes: seen.bytes,
        in_flight: seen.in_flight,
        extension: seen.extension,
        blocks_done: seen.blocks_done,
    }
}
