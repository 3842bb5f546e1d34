//! How far a download is, and what is said of it at its end.

use super::Session;
use crate::session::event::{Progress, Summary};
use cascade_format::{Have, Layout};
use cascade_swarm::ask::PeerShare;
use std::time::Duration;

impl Session {
    /// How far it is.
    pub(super) fn progress(&mut self) -> Progress {
        let (layout, have) = (self.shared.layout(), self.shared.have());
        let silent_for = self.start.elapsed().saturating_sub(self.plan.last_progress());
        Progress {
            bytes_done: (self.resumed_bytes + self.plan.totals().bytes - self.lost_bytes)
                .min(layout.length()),
            bytes_total: layout.length(),
            blocks_done: have.count(),
            blocks_total: layout.blocks(),
            bytes_per_second: self.rate.update(self.start.elapsed(), self.received),
            peers: self.plan.connected(),
            silent_for: if self.recovery.is_none() { silent_for } else { Duration::ZERO },
        }
    }

    /// What is said of it at its end.
    pub(super) fn summary(&self) -> Summary {
        let totals = self.plan.totals();
        let taken = self.taken.as_ref().map_or(0, |taken| taken.bytes);
        Summary {
            path: self.target.clone(),
            bytes: self.shared.layout().length(),
            resumed_bytes: self.resumed_bytes.saturating_sub(taken).saturating_sub(self.came_before),
            taken: self.taken.clone(),
            time: self.start.elapsed(),
            shares: self.shares(),
            blocks_wrong: totals.blocks_wrong,
            bytes_duplicate: totals.bytes_duplicate,
            busy: self.busy.as_secs_f64() / self.start.elapsed().as_secs_f64().max(f64::EPSILON),
        }
    }

    /// Bytes that have come in this session and those before it, in the same download.
    pub(super) fn came(&self) -> u64 {
        let there = bytes_of(self.shared.layout(), &self.shared.have().snapshot());
        self.came_before + there.saturating_sub(self.resumed_bytes)
    }

    /// What each peer gave in this download, the most generous first.
    pub(super) fn shares(&self) -> Vec<PeerShare> {
        let mut shares = self.plan.shares();
        for earlier in &self.earlier {
            match shares.iter_mut().find(|share| share.addr == earlier.addr) {
                Some(share) => {
                    share.bytes += earlier.bytes;
                    share.wrong_blocks += earlier.wrong_blocks;
                }
                None => shares.push(*earlier),
            }
        }
        shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        shares
    }
}

/// Length of the blocks of `have`.
pub(super) fn bytes_of(layout: &Layout, have: &Have) -> u64 {
    layout.iter().filter(|block| have.has(*block)).map(|block| layout.len_of(block)).sum()
}
