//! Whose block leaves next: some answers at once share an uplink piece by piece, the others wait in the
//! order of arrival, one block a turn for each connection.

use super::World;
use super::event::Event;
use super::line::Leaving;
use super::node_id::NodeId;
use super::slab::ConnId;
use crate::scenario::Habit;
use crate::units::{Nanos, acknowledgements};

/// Unit of [`Event::Piece`]'s time.
const TOOK_UNIT: Nanos = 64;

impl World {
    /// The first request of the connection's queue is for a block that is there.
    pub(super) fn enqueue(&mut self, server: NodeId, conn: ConnId) {
        self.nodes[server].up.waiting.push_back(conn);
        self.fill_uplink(server);
    }

    /// Begins answers as long as there is room for another.
    pub(super) fn fill_uplink(&mut self, server: NodeId) {
        loop {
            let up = &mut self.nodes[server].up;
            if up.active.len() >= up.transfers {
                break;
            }
            let Some(conn) = up.waiting.pop_front() else { break };
            if self.begin_block(conn) {
                self.nodes[server].up.active.push_back(conn);
            }
        }
        self.pump(server);
    }

    /// Sends the next piece, if the uplink is free and a receiver has room.
    pub(super) fn pump(&mut self, server: NodeId) {
        let up = &mut self.nodes[server].up;
        if up.leaving.is_some() {
            return;
        }
        for _ in 0..up.active.len() {
            let Some(id) = up.active.pop_front() else { break };
            up.active.push_back(id);
            let Some(conn) = self.conns.get_mut(id) else { continue };
            let Some(sending) = &mut conn.sending else { continue };
            if sending.left == 0 || conn.in_flight >= conn.window {
                continue;
            }
            let piece = self.scenario.network.piece;
            // A header's rest is no piece of its own.
            let bytes = if sending.left < piece + piece / 2 { sending.left } else { piece };
            sending.left -= bytes;
            conn.in_flight += bytes;
            let wire = self.network.flowing(bytes);
            let (out, took) = up.commit(self.now, wire);
            up.leaving = Some(Leaving { conn: id, bytes, took });
            self.events.push(out, Event::Sent(server));
            return;
        }
    }

    /// A piece is out.
    pub(super) fn sent(&mut self, server: NodeId) {
        let Some(Leaving { conn: id, bytes, took }) = self.nodes[server].up.leaving.take() else { return };
        if let Some(conn) = self.conns.get_mut(id) {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let took = u32::try_from(took / TOOK_UNIT).unwrap_or(u32::MAX);
            match self.subnets.leave(self.now, conn, self.network.flowing(bytes.into())) {
                None => self.events.push(self.now + conn.latency, Event::Piece { conn: id, bytes, took }),
                Some(out) => self.events.push(out, Event::Across { conn: id, bytes, took }),
            }
            let out = conn.sending.filter(|sending| sending.left == 0);
            if let Some(sending) = out {
                conn.sending = None;
                self.nodes[server].up.active.retain(|other| *other != id);
                if self.nodes[server].habit != Habit::Staller {
                    self.block_out(id, sending.block, sending.sliced);
                }
            }
        }
        self.fill_uplink(server);
    }

    /// A piece has left a subnet for another.
    pub(super) fn piece_is_across(&mut self, id: ConnId, bytes: u32, took: u32) {
        let Some(conn) = self.conns.get(id) else { return };
        let through = self.subnets.enter(self.now, conn, self.network.flowing(bytes.into()));
        self.events.push(through + conn.latency, Event::Piece { conn: id, bytes, took });
    }

    /// A piece is at the receiver's access link.
    pub(super) fn piece_arrives(&mut self, id: ConnId, bytes: u32, took: u32) {
        let Some(conn) = self.conns.get(id) else { return };
        let wire = self.network.flowing(bytes.into());
        let through = self.nodes[conn.client].down.take(self.now, Nanos::from(took) * TOOK_UNIT, wire);
        if through > self.now {
            self.events.push(through, Event::PieceIn { conn: id, bytes });
        } else {
            self.piece_in(id, bytes);
        }
    }

    /// A piece is received.
    pub(super) fn piece_in(&mut self, id: ConnId, bytes: u32) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.in_flight = conn.in_flight.saturating_sub(bytes.into());
        let (client, server, latency) = (conn.client, conn.server, conn.latency);
        let more = conn.sending.is_some_and(|sending| sending.left > 0);
        if more && self.nodes[server].up.leaving.is_none() {
            self.events.push(self.now + latency, Event::Pump(server));
        }
        if self.scenario.network.acknowledgements {
            let bytes = acknowledgements(bytes.into());
            self.nodes[client].up.commit(self.now, bytes);
            self.nodes[server].down.take(self.now, 0, bytes);
            self.subnets.short(self.now, client, server, bytes);
        }
        self.receive(id, bytes.into());
    }
}
