//! Which files of a served folder are announced on the local network: every announcement is a packet for all machines of
//! it, so a bounded number.

use super::limits::MAX_LAN_FILES;
use crate::lan::LanSwarm;
use crate::session::Engine;
use cascade_format::CascadeHash;
use std::collections::VecDeque;

/// Those that were added or asked for last.
pub(super) struct LanFiles {
    engine: Option<Engine>,
    /// The last one is the one that was added or asked for last.
    announced: VecDeque<(CascadeHash, LanSwarm)>,
}

impl LanFiles {
    /// None yet; and none at all if they are not `wanted`.
    pub(super) fn new(engine: &Engine, wanted: bool) -> Self {
        Self { engine: wanted.then(|| engine.clone()), announced: VecDeque::new() }
    }

    /// This file was added, or somebody has asked for it.
    pub(super) fn touch(&mut self, hash: CascadeHash) {
        let Some(engine) = &self.engine else { return };
        if let Some(at) = self.announced.iter().position(|(there, _)| *there == hash) {
            let there = self.announced.remove(at);
            self.announced.extend(there);
            return;
        }
        if self.announced.len() >= MAX_LAN_FILES {
            self.announced.pop_front();
        }
        self.announced.push_back((hash, engine.lan.join(&hash)));
    }

    /// This file is not served any more.
    pub(super) fn leave(&mut self, hash: &CascadeHash) {
        self.announced.retain(|(there, _)| there != hash);
    }
}
