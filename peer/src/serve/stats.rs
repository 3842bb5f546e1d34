//! What a pool has done so far, for progress display and tests.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters of one pool. Each is exact by itself; two read one after the other may be of different
/// moments.
#[derive(Debug, Default)]
pub struct ServeStats {
    bytes_sent: AtomicU64,
    blocks_sent: AtomicU64,
    clients: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
    busy: AtomicUsize,
}

impl ServeStats {
    /// Bytes that the sockets have taken: blocks, their headers (9 bytes each) and messages.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    /// Whole blocks that the sockets have taken to their last byte; slices do not count.
    #[must_use]
    pub fn blocks_sent(&self) -> u64 {
        self.blocks_sent.load(Ordering::Relaxed)
    }

    /// Connections open now.
    #[must_use]
    pub fn clients(&self) -> u64 {
        self.clients.load(Ordering::Relaxed)
    }

    /// Connections closed early to make room for new ones.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Connections refused because the bound was reached and nobody could be evicted.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Clients that wait for a block and take what they are sent; of one host, while others wait too, only the
    /// one whose turn it is.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn set_busy(&self, clients: usize) {
        self.busy.store(clients, Ordering::Relaxed);
    }

    pub(super) fn add_sent(&self, bytes: usize, blocks: u64) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
        if blocks > 0 {
            self.blocks_sent.fetch_add(blocks, Ordering::Relaxed);
        }
    }

    pub(super) fn set_clients(&self, clients: usize) {
        self.clients.store(clients as u64, Ordering::Relaxed);
    }

    pub(super) fn add_evicted(&self) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
