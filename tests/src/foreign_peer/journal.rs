//! What a foreign peer saw and did.

use std::time::Instant;

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// On which connection, counted from 0.
    pub connection: usize,
    /// The block asked for.
    pub block: u64,
    /// The cascade hash asked for.
    pub hash: [u8; 32],
    /// The reserved bytes.
    pub reserved: [u8; 16],
}

/// Everything that a foreign peer saw and did.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    /// When each connection was made.
    pub connections: Vec<Instant>,
    /// The requests, in the order in which they were read.
    pub requests: Vec<Seen>,
    /// Blocks handed whole and right to the system, in order.
    pub served: Vec<u64>,
    /// Answers with status 2.
    pub missing: usize,
    /// Requests that one `recv` did not bring whole.
    pub split_reads: usize,
    /// Requests refused because the next one was there already.
    pub refused_pipelined: usize,
    /// Requests that had arrived before the answer to the one before was sent.
    pub pipelined: usize,
    /// Responses that left in one write together with another.
    pub batched: usize,
    /// Requests that arrived on a connection after the answer that ends it.
    pub late: usize,
    /// Times at which it wrote to a connection that the other side had closed, and died if it is fragile.
    pub deaths: usize,
    /// Requests refused because their reserved bytes were not zero.
    pub refused_marked: usize,
    /// Where the connections came from.
    pub from: Vec<std::net::SocketAddr>,
    /// When each fault happened: an answer that is not what an honest peer says.
    pub lies: Vec<Instant>,
}

impl Journal {
    pub(super) fn told_a_lie(&mut self) {
        self.lies.push(crate::clock::now());
    }

    /// Connections made after the first lie.
    #[must_use]
    pub fn connections_after_lie(&self) -> usize {
        let Some(first) = self.lies.first() else { return 0 };
        self.connections.iter().filter(|at| *at > first).count()
    }

    /// The blocks asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<u64> {
        self.requests.iter().map(|seen| seen.block).collect()
    }
}
