//! What a download tells of itself.

use cascade_format::PeerAddr;

/// Sums over a whole download.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of verified blocks that were received.
    pub bytes: u64,
    /// Blocks that came with a wrong hash.
    pub blocks_wrong: u64,
    /// Bytes of whole blocks that arrived although another peer had delivered the same block.
    pub bytes_duplicate: u64,
}

impl Totals {
    pub(super) fn verified(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    pub(super) fn duplicate(&mut self, bytes: u64) {
        self.bytes_duplicate += bytes;
    }

    pub(super) fn corrupt(&mut self) {
        self.blocks_wrong += 1;
    }
}

/// What one peer has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerShare {
    /// Where it listens.
    pub addr: PeerAddr,
    /// Bytes of verified blocks.
    pub bytes: u64,
    /// Blocks that it sent with a wrong hash.
    pub wrong_blocks: u64,
}
