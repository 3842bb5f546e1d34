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

    /// A report about a file that the peer was started to give. The peer listens at `listen`. `None` if the peer does
    /// not know yet which blocks it has.
    #[must_use]
    pub fn report(&self, hash: &CascadeHash, listen: PeerAddr) -> Option<Report> {
        let file = self.catalog.get(hash)?;
        let progress = progress(&file.file);
        (progress.blocks_done > 0 || progress.blocks == 0)
            .then(|| self.badge.report(*hash, listen, true, progress))
    }

    /// Whether the peer knows which blocks of a file it has.
    #[must_use]
    pub fn knows(&self, hash: &CascadeHash) -> bool {
        let nowhere = PeerAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.report(hash, nowhere).is_some()
    }
}
