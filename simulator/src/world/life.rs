//! Coming, turns, and going.

use super::World;
use super::event::Event;
use super::field::Field;
use super::node::{Client, Named, Presence, Serving};
use super::node_id::NodeId;
use crate::random::Random;
use crate::scenario::Habit;
use crate::units::Nanos;
use cascade_swarm::give::Upload;

/// Connections on which a program of the field sends at once.
const FIELD_TRANSFERS: usize = 64;

impl World {
    pub(super) fn start(&mut self, id: NodeId) {
        let habit = self.nodes[id].habit;
        self.nodes[id].presence = Presence::There;
        self.nodes[id].start = self.now;
        if habit.is_ours() || habit == Habit::Seeder {
            self.nodes[id].serving = Some(self.serving(id));
        }
        if habit.is_ours() {
            self.nodes[id].client = Client::Ours(Box::new(self.ours(id)));
        } else if habit.is_version1() {
            let random = Random::new(self.scenario.seed, u64::from(id.0) + 1000);
            self.nodes[id].client = Client::Field(Box::new(Field::new(&self.layout, random)));
            self.nodes[id].up.transfers = FIELD_TRANSFERS;
        }
        self.touch(id);
    }

    fn serving(&self, id: NodeId) -> Serving {
        let (node, give) = (&self.nodes[id], self.scenario.give);
        let named = |upload| Named { upload, subscribers: Vec::new() };
        let blocks = Upload::new(self.layout, &node.have, give);
        let Some((layout, have)) = self.sliced.zip(node.slices.as_ref()) else {
            return Serving { names: vec![named(blocks)] };
        };
        let slices = Upload::new(layout, have, give);
        Serving { names: vec![named(blocks.with_slices()), named(slices)] }
    }

    /// Something happened to the peer: it looks at it soon.
    pub(super) fn touch(&mut self, id: NodeId) {
        let node = &mut self.nodes[id];
        if !std::mem::replace(&mut node.turn_set, true) {
            let at = self.now.max(node.last_turn + self.scenario.network.turn);
            self.events.push(at, Event::Turn(id));
        }
    }

    pub(super) fn wake(&mut self, id: NodeId) {
        let node = &mut self.nodes[id];
        if node.wake_set == self.now {
            node.wake_set = Nanos::MAX;
            self.touch(id);
        }
    }

    pub(super) fn turn(&mut self, id: NodeId) {
        let node = &mut self.nodes[id];
        node.turn_set = false;
        node.last_turn = self.now;
        if node.presence != Presence::There {
            return;
        }
        let client = match &node.client {
            Client::Ours(_) => self.turn_ours(id),
            Client::Field(_) => self.turn_field(id),
            Client::None => None,
        };
        let hungry = match &self.nodes[id].client {
            Client::Ours(ours) => ours.hungry,
            Client::Field(field) => field.conns().len() < 4,
            Client::None => false,
        };
        let announce = self.announce(id, hungry);
        let upload = self.turn_upload(id);
        if let Some(at) = [client, announce, upload].into_iter().flatten().min() {
            self.wake_at(id, at);
        }
    }

    fn turn_upload(&mut self, id: NodeId) -> Option<Nanos> {
        let time = self.nodes[id].time(self.now);
        let names = &mut self.nodes[id].serving.as_mut()?.names;
        names.iter_mut().for_each(|named| named.upload.handle_time(time));
        self.tell_woken(id);
        self.nodes[id].next_wakeup(time)
    }

    /// One wake-up is set for each peer; what is later than it is looked at then.
    pub(super) fn wake_at(&mut self, id: NodeId, at: Nanos) {
        let at = at.max(self.now + self.scenario.network.turn);
        let node = &mut self.nodes[id];
        if at < node.wake_set {
            node.wake_set = at;
            self.events.push(at, Event::Wake(id));
        }
    }

    /// The peer closes everything and is gone.
    pub(super) fn gone(&mut self, id: NodeId) {
        let node = &mut self.nodes[id];
        if node.presence != Presence::There {
            return;
        }
        if node.is_downloading() {
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        node.presence = Presence::Gone;
        let inbound = std::mem::take(&mut node.inbound);
        node.up.waiting.clear();
        node.up.active.clear();
        let outbound = match std::mem::replace(&mut node.client, Client::None) {
            Client::Ours(ours) => ours.links.into_iter().map(|(_, conn)| conn).collect(),
            Client::Field(field) => field.conns(),
            Client::None => Vec::new(),
        };
        for conn in inbound {
            if let Some(state) = self.conns.get_mut(conn) {
                (state.sending, state.serving) = (None, true);
                self.end(conn);
            }
        }
        outbound.into_iter().for_each(|conn| self.close(conn));
    }
}
