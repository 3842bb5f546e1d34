//! Subnets: what goes from one to another passes the thin links of both. Short messages go between the pieces there and
//! wait for none, but take their room.

use super::World;
use super::conn::Conn;
use super::line::Downlink;
use super::node_id::NodeId;
use crate::scenario::Subnets as Options;
use crate::units::{Nanos, Pace};

/// All subnets; none where the middle of the network is never full.
#[derive(Debug)]
pub(super) struct Subnets {
    options: Option<Options>,
    gates: Vec<Gate>,
}

/// One subnet's link to the others.
#[derive(Debug)]
struct Gate {
    out: Downlink,
    into: Downlink,
    /// Bytes that have left.
    left: u64,
}

impl Subnets {
    pub(super) fn new(options: Option<Options>) -> Self {
        let gate = |pace| Gate { out: Downlink::new(pace), into: Downlink::new(pace), left: 0 };
        let gates = options.map_or_else(Vec::new, |options| {
            (0..options.count).map(|_| gate(Pace::of(options.rate))).collect()
        });
        Self { options, gates }
    }

    /// Whether two peers are in different subnets.
    pub(super) fn are_apart(&self, one: NodeId, other: NodeId) -> bool {
        self.options.is_some_and(|options| one.0 % options.count != other.0 % options.count)
    }

    /// Whether no firewall is between them.
    pub(super) fn can_connect(&self, client: NodeId, server: NodeId) -> bool {
        let firewalled = self.options.is_some_and(|options| options.firewalled);
        !firewalled || [client, server].contains(&World::SEEDER) || !self.are_apart(client, server)
    }

    /// A piece of `bytes` bytes, with headers, leaves the server's subnet, unless the client is in it; when it is out.
    pub(super) fn leave(&mut self, now: Nanos, conn: &Conn, bytes: u64) -> Option<Nanos> {
        if !self.are_apart(conn.server, conn.client) {
            return None;
        }
        let gate = self.gate(conn.server)?;
        gate.left += bytes;
        Some(gate.out.take(now, 0, bytes))
    }

    /// It comes into the client's subnet; when it is in.
    pub(super) fn enter(&mut self, now: Nanos, conn: &Conn, bytes: u64) -> Nanos {
        self.gate(conn.client).map_or(now, |gate| gate.into.take(now, 0, bytes))
    }

    /// A short message goes from one peer to another.
    pub(super) fn short(&mut self, now: Nanos, from: NodeId, to: NodeId, bytes: u64) {
        if self.are_apart(from, to) {
            if let Some(gate) = self.gate(from) {
                gate.left += bytes;
                gate.out.take(now, 0, bytes);
            }
            if let Some(gate) = self.gate(to) {
                gate.into.take(now, 0, bytes);
            }
        }
    }

    /// Bytes that have gone from one subnet to another.
    pub(super) fn bytes_across(&self) -> u64 {
        self.gates.iter().map(|gate| gate.left).sum()
    }

    fn gate(&mut self, of: NodeId) -> Option<&mut Gate> {
        let count = self.options?.count;
        self.gates.get_mut((of.0 % count) as usize)
    }
}
