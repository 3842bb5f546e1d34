//! A program of the field, version 1: it asks in random order, one request at a time on each of a few connections,
//! and does not mind which blocks a peer has.

use super::World;
use super::conn::{Ask, Kind};
use super::node::Client;
use super::node_id::NodeId;
use super::slab::ConnId;
use crate::random::Random;
use crate::units::{Nanos, SECOND};
use cascade_format::{Block, Layout, PeerAddr};
use cascade_swarm::ask::Ended;

/// Connections at once.
const CONNECTIONS: usize = 4;

/// Refusals in a row after which another peer is tried.
const MISSES: u32 = 8;

/// Until a peer that had nothing, or failed, is tried again.
const RETRY: Nanos = SECOND;

/// The same after a wrong block.
const RETRY_LIAR: Nanos = 600 * SECOND;

/// Silence after which a connection is given up.
const SILENCE: Nanos = 30 * SECOND;

#[derive(Debug, Clone, Copy)]
struct Slot {
    conn: ConnId,
    peer: NodeId,
    open: bool,
    asked: Option<Block>,
    misses: u32,
    since: Nanos,
}

/// Its downloading side.
pub(super) struct Field {
    /// Peers, and until when each is left alone.
    known: Vec<(NodeId, Nanos)>,
    slots: [Option<Slot>; CONNECTIONS],
    /// Neither there nor asked for, in no order.
    missing: Vec<Block>,
    random: Random,
}

impl Field {
    pub(super) fn new(layout: &Layout, random: Random) -> Self {
        Self { known: Vec::new(), slots: [None; CONNECTIONS], missing: layout.iter().collect(), random }
    }

    pub(super) fn learn(&mut self, list: &[PeerAddr]) {
        for peer in list.iter().filter_map(|addr| NodeId::of(*addr)) {
            if !self.known.iter().any(|(known, _)| *known == peer) {
                self.known.push((peer, 0));
            }
        }
    }

    pub(super) fn conns(&self) -> Vec<ConnId> {
        self.slots.iter().flatten().map(|slot| slot.conn).collect()
    }

    pub(super) fn has_asked(&self) -> bool {
        self.slots.iter().flatten().any(|slot| slot.asked.is_some())
    }

    fn slot_of(&mut self, conn: ConnId) -> Option<&mut Slot> {
        self.slots.iter_mut().flatten().find(|slot| slot.conn == conn)
    }

    fn leave_alone(&mut self, peer: NodeId, until: Nanos) {
        for known in self.known.iter_mut().filter(|(known, _)| *known == peer) {
            known.1 = until;
        }
    }

    /// Frees the connection's place, and gives back what was asked for.
    fn free(&mut self, conn: ConnId) {
        for place in &mut self.slots {
            if let Some(slot) = place.filter(|slot| slot.conn == conn) {
                self.missing.extend(slot.asked);
                *place = None;
            }
        }
    }

    /// A peer that may be tried, other than those that it is connected to.
    fn candidate(&mut self, now: Nanos) -> Option<NodeId> {
        let used = |peer: NodeId| self.slots.iter().flatten().any(|slot| slot.peer == peer);
        let free: Vec<NodeId> = self
            .known
            .iter()
            .filter(|(peer, until)| *until <= now && !used(*peer))
            .map(|(peer, _)| *peer)
            .collect();
        let chosen = self.random.index(free.len());
        free.get(chosen).copied()
    }

    fn draw(&mut self) -> Option<Block> {
        if self.missing.is_empty() {
            return None;
        }
        let at = self.random.index(self.missing.len());
        Some(self.missing.swap_remove(at))
    }
}

impl World {
    /// Connects and asks; gives when it wants to be woken.
    pub(super) fn turn_field(&mut self, id: NodeId) -> Option<Nanos> {
        let now = self.now;
        if self.nodes[id].have.is_complete() {
            self.complete(id);
            return None;
        }
        for place in 0..CONNECTIONS {
            let Client::Field(field) = &mut self.nodes[id].client else { return None };
            let slot = field.slots.get(place).copied().flatten();
            let silent = slot.filter(|slot| slot.asked.is_some() && now >= slot.since + SILENCE);
            if let Some(slot) = silent {
                field.leave_alone(slot.peer, now + SILENCE * 2);
                field.free(slot.conn);
                self.close(slot.conn);
            } else if let Some(slot) = slot {
                self.field_ask(id, slot.conn);
                continue;
            }
            self.field_connect(id, place);
        }
        let node = &mut self.nodes[id];
        if let Client::Field(field) = &node.client {
            node.counters.links = node.counters.links.max(field.slots.iter().flatten().count());
        }
        Some(now + RETRY)
    }

    fn field_connect(&mut self, id: NodeId, place: usize) {
        let now = self.now;
        let Client::Field(field) = &mut self.nodes[id].client else { return };
        let Some(peer) = field.candidate(now) else { return };
        let conn = self.connect(id, peer, place as u64);
        let slot = Slot { conn, peer, open: false, asked: None, misses: 0, since: now };
        if let Client::Field(field) = &mut self.nodes[id].client
            && let Some(free) = field.slots.get_mut(place)
        {
            *free = Some(slot);
        }
    }

    pub(super) fn field_connected(&mut self, id: NodeId, conn: ConnId) {
        if let Client::Field(field) = &mut self.nodes[id].client
            && let Some(slot) = field.slot_of(conn)
        {
            slot.open = true;
        }
        self.field_ask(id, conn);
    }

    fn field_ask(&mut self, id: NodeId, conn: ConnId) {
        let now = self.now;
        let Client::Field(field) = &mut self.nodes[id].client else { return };
        if !field.slot_of(conn).is_some_and(|slot| slot.open && slot.asked.is_none()) {
            return;
        }
        let Some(block) = field.draw() else { return };
        if let Some(slot) = field.slot_of(conn) {
            (slot.asked, slot.since) = (Some(block), now);
        }
        self.ask(conn, [Ask { block: Some(block), sliced: false, offers_seen: None }]);
    }

    pub(super) fn field_answered(&mut self, id: NodeId, conn: ConnId, kind: Kind) {
        let now = self.now;
        let node = &mut self.nodes[id];
        let Client::Field(field) = &mut node.client else { return };
        let Some(slot) = field.slot_of(conn) else { return };
        let peer = slot.peer;
        let asked = slot.asked.take();
        slot.misses = if matches!(kind, Kind::Missing { .. }) { slot.misses + 1 } else { 0 };
        let tired = slot.misses >= MISSES;
        match kind {
            Kind::Block { block, wrong: false, .. } => {
                node.gets(block, false, self.sliced.as_ref());
            }
            Kind::Block { wrong: true, .. } => {
                field.missing.extend(asked);
                field.leave_alone(peer, now + RETRY_LIAR);
                field.free(conn);
                self.close(conn);
            }
            Kind::Missing { .. } | Kind::News => {
                field.missing.extend(asked);
                if tired {
                    field.leave_alone(peer, now + RETRY);
                    field.free(conn);
                    self.close(conn);
                }
            }
        }
        self.field_ask(id, conn);
        self.touch(id);
    }

    pub(super) fn field_closed(&mut self, id: NodeId, conn: ConnId, peer: NodeId, ended: Ended) {
        let now = self.now;
        let Client::Field(field) = &mut self.nodes[id].client else { return };
        field.free(conn);
        // A close after an answer is a habit, and the next connection is made at once.
        if ended != Ended::Between {
            field.leave_alone(peer, now + RETRY * 10);
        }
    }
}
