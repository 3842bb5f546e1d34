//! The rooms of what `peer share` shares: its own part in those that it keeps itself, and the end when enough receivers have it.

use super::asked::Asked;
use crate::room::Reporter;
use crate::room::Summary;
use crate::session::engine::Stop;
use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::ask::announce::tell::REPORT_INTERVAL;
use cascade_tracker::Desk;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether enough receivers have it.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long its own tracker still answers then: `peer wait`, which asks each second, must learn it too.
const LINGER: Duration = Duration::from_secs(2);

/// Reports to this process's own tracker, under each address of this peer, until the end.
pub(super) async fn stay_in_own_room(
    desk: Arc<Desk>,
    hashes: Vec<CascadeHash>,
    listeners: Vec<PeerAddr>,
    reporter: Reporter,
    stop: Stop,
) {
    loop {
        for hash in &hashes {
            for listener in &listeners {
                match reporter.report(hash, *listener) {
                    Some(report) => desk.report(&report),
                    // It is not known yet what is there of it.
                    None => desk.subscribe(*hash, *listener),
                }
            }
        }
        let known = hashes.iter().all(|hash| reporter.knows(hash));
        tokio::select! {
            () = tokio::time::sleep(if known { REPORT_INTERVAL } else { LOOK_INTERVAL }) => {}
            () = stop.stopped() => return,
        }
    }
}

/// Whom to ask how many have what is shared.
#[derive(Clone)]
pub(super) struct Rooms {
    /// This process itself.
    pub(super) desk: Option<Arc<Desk>>,
    pub(super) trackers: Vec<String>,
}

impl Rooms {
    /// Waits until `wanted` receivers have each of the files with these hashes.
    pub(super) async fn reached(self, files: impl IntoIterator<Item = CascadeHash>, wanted: u32) {
        let asked = |cascade_hash| Asked {
            name: String::new(),
            cascade_hash,
            trackers: self.trackers.clone(),
            length: None,
        };
        let mut lacking: Vec<Asked> = files.into_iter().map(asked).collect();
        loop {
            let mut still = Vec::new();
            for asked in lacking {
                if self.summary(&asked).await.is_none_or(|summary| summary.complete < wanted) {
                    still.push(asked);
                }
            }
            if still.is_empty() {
                if self.desk.is_some() {
                    tokio::time::sleep(LINGER).await;
                }
                return;
            }
            lacking = still;
            // Others are asked half as often as this process itself.
            tokio::time::sleep(if self.desk.is_some() { LOOK_INTERVAL } else { LOOK_INTERVAL * 2 }).await;
        }
    }

    async fn summary(&self, asked: &Asked) -> Option<Summary> {
        match &self.desk {
            Some(desk) => Some(desk.room(&asked.cascade_hash, 0).summary),
            None => asked.ask(false).await.room.map(|room| room.summary),
        }
    }
}
