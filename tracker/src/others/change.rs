//! What the tracker's own registrations become, as other trackers are told.

use crate::registry::Source;
use cascade_format::{CascadeHash, PeerAddr};

/// Whose registration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// The file.
    pub(crate) file: CascadeHash,
    /// The source that has made it.
    pub(crate) source: Source,
    /// Where the peer listens.
    pub(crate) addr: PeerAddr,
}

/// What has become of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was made or renewed.
    Here {
        /// Whether the peer is a good one.
        good: bool,
    },
    /// The peer has said goodbye.
    Left,
}

/// A registration that was made, renewed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whose it is.
    pub(crate) record: Record,
    /// What has become of it.
    pub(crate) fate: Fate,
    /// When, by the tracker's steady clock.
    pub(crate) at: u32,
}
