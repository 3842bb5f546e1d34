//! What a peer tells a tracker in its own process.

use super::telling::{Badge, progress};
use crate::catalog::Catalog;
use cascade_format::tracker_room::Report;
use cascade_format::{CascadeHash, PeerAddr};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Makes reports of a peer for a tracker in the same process.
#[derive(Debug, Clone)]
pub struct Reporter {
    catalog: Arc<Catalog>,
    badge: Badge,
}

impl Reporter {
    pub(crate) const fn new(catalog: Arc<Catalog>, badge: Badge) -> Self {
        Self { catalog, badge }
    }

    /// What the peer, which listens at `listen`, has of a file that it was started to give; `None`: it does not know
    /// yet.
    #[must_use]
    pub fn report(&self, hash: &CascadeHash, listen: PeerAddr) -> Option<Report> {
        let file = self.catalog.get(hash)?;
        let progress = progress(&file.file);
        (progress.blocks_done > 0 || progress.blocks == 0)
            .then(|| self.badge.report(*hash, listen, true, progress))
    }

    /// Whether the peer knows what it has of a file.
    #[must_use]
    pub fn knows(&self, hash: &CascadeHash) -> bool {
        let nowhere = PeerAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.report(hash, nowhere).is_some()
    }
}
