//! Connections, and short messages over them.

use super::World;
use super::conn::{Answer, Ask, Conn};
use super::event::Event;
use super::node::{Client, Presence};
use super::node_id::NodeId;
use super::slab::ConnId;
use crate::scenario::Habit;
use crate::units::{Nanos, Pace, alone, flowing, nanos};
use cascade_format::peer_wire::REQUEST_LEN;
use cascade_swarm::ask::Ended;
use cascade_swarm::limits::CONNECT_TIMEOUT;

/// Pieces that may be on their way besides those that fill a round trip.
const WINDOW: u64 = 3;

/// Pieces that may be on their way on a connection between subnets.
const ACROSS: u64 = 2;

/// The network's headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub(super) headers: bool,
}

impl Wire {
    pub(super) const fn flowing(self, payload: u64) -> u64 {
        if self.headers { flowing(payload) } else { payload }
    }

    pub(super) const fn alone(self, payload: u64) -> u64 {
        if self.headers { alone(payload) } else { payload }
    }
}

impl World {
    /// `client` makes a connection to `server`, which it calls `link`.
    pub(super) fn connect(&mut self, client: NodeId, server: NodeId, link: u64) -> ConnId {
        let exists = self.nodes.exists(server) && server != client;
        let presence = if exists { self.nodes[server].presence } else { Presence::Gone };
        let dead =
            exists && (self.nodes[server].habit == Habit::Dead || !self.subnets.can_connect(client, server));
        let latency = self.nodes[client].latency + if exists { self.nodes[server].latency } else { 0 };
        let mut window = if exists { self.window(self.nodes[server].up.pace, latency) } else { 1 };
        if self.subnets.are_apart(client, server) {
            // The thin link's many connections have small windows.
            window = window.min(self.scenario.network.piece.saturating_mul(ACROSS));
        }
        let conn = self.conns.insert(Conn::new(client, server, link, latency, window));
        self.counters.connections += 1;
        let round_trip = self.now + latency * 2;
        if dead {
            let timeout = nanos(CONNECT_TIMEOUT.as_secs_f64());
            self.events.push(self.now + timeout, Event::Unreachable { conn });
        } else if presence == Presence::There {
            self.events.push(round_trip, Event::Connected { conn });
        } else {
            self.events.push(round_trip, Event::Unreachable { conn });
        }
        conn
    }

    /// What fills a round trip, and a few pieces more: a receiver that is slower holds up only its own.
    fn window(&self, pace: Pace, latency: Nanos) -> u64 {
        let piece = self.scenario.network.piece;
        let round_trip = (latency * 2).div_ceil(pace.time_for(piece).max(1));
        piece.saturating_mul(WINDOW + round_trip)
    }

    pub(super) fn connected(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (client, server, link) = (conn.client, conn.server, conn.link);
        if self.nodes[server].presence != Presence::There {
            return self.unreachable(id);
        }
        conn.open = true;
        let early = std::mem::take(&mut conn.early);
        self.nodes[server].inbound.push(id);
        let time = self.nodes[client].time(self.now);
        match &mut self.nodes[client].client {
            Client::Ours(ours) => ours.plan.handle_connected(time, cascade_swarm::ask::LinkId(link)),
            Client::Field(_) => self.field_connected(client, id),
            Client::None => {}
        }
        if !early.is_empty() {
            self.ask(id, early);
        }
        self.touch(client);
    }

    pub(super) fn unreachable(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(id) else { return };
        self.tell_closed(id, &conn, Ended::Unreachable);
    }

    /// Sends requests.
    pub(super) fn ask(&mut self, id: ConnId, asks: impl IntoIterator<Item = Ask>) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !conn.open {
            conn.early.extend(asks);
            return;
        }
        let before = conn.asks.len();
        conn.asks.extend(asks);
        let count = conn.asks.len() - before;
        let bytes = self.network.alone((count * REQUEST_LEN) as u64);
        let (out, _) = self.nodes[conn.client].up.commit(self.now, bytes);
        self.subnets.short(out, conn.client, conn.server, bytes);
        self.counters.requests += count as u64;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.events.push(out + conn.latency, Event::Asks { conn: id, count });
    }

    pub(super) fn asks_arrive(&mut self, id: ConnId, count: u32) {
        let Some(conn) = self.conns.get(id) else { return };
        let bytes = self.network.alone(u64::from(count) * REQUEST_LEN as u64);
        let through = self.nodes[conn.server].down.take(self.now, 0, bytes);
        // A few microseconds of serialisation are not worth an event; a queue is.
        if through > self.now + QUEUE {
            self.events.push(through, Event::AsksIn { conn: id, count });
        } else {
            self.asks_in(id, count);
        }
    }

    /// Sends a short answer of `bytes` bytes.
    pub(super) fn answer(&mut self, id: ConnId, bytes: u64, answer: Answer) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.answers.push_back(answer);
        let bytes = self.network.alone(bytes);
        let (out, _) = self.nodes[conn.server].up.commit(self.now, bytes);
        self.subnets.short(out, conn.server, conn.client, bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.events.push(out + conn.latency, Event::Answer { conn: id, bytes });
    }

    pub(super) fn answer_arrives(&mut self, id: ConnId, bytes: u32) {
        let Some(conn) = self.conns.get(id) else { return };
        let through = self.nodes[conn.client].down.take(self.now, 0, bytes.into());
        // Behind pieces of the same connection, always: they are answers too, and came first.
        if through > self.now + QUEUE || conn.in_flight > 0 {
            self.events.push(through, Event::AnswerIn { conn: id });
        } else {
            self.answer_in(id);
        }
    }

    /// The server ends the connection: the client knows when everything before has arrived.
    pub(super) fn end(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        let (out, _) = self.nodes[conn.server].up.commit(self.now, self.network.alone(0));
        self.events.push(out + conn.latency, Event::End { conn: id });
    }

    pub(super) fn end_arrives(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        let through = self.nodes[conn.client].down.take(self.now, 0, self.network.alone(0));
        self.events.push(through, Event::EndIn { conn: id });
    }

    pub(super) fn end_in(&mut self, id: ConnId) {
        let Some(conn) = self.remove(id) else { return };
        let cut = conn.got > 0 || !conn.answers.is_empty();
        self.tell_closed(id, &conn, if cut { Ended::Cut } else { Ended::Between });
    }

    /// The client ends the connection: the server hears of it at once.
    pub(super) fn close(&mut self, id: ConnId) {
        self.remove(id);
    }

    /// Takes the connection out of every list of the server.
    fn remove(&mut self, id: ConnId) -> Option<Conn> {
        let conn = self.conns.remove(id)?;
        let server = conn.server;
        if self.nodes.exists(server) {
            let time = self.nodes[server].time(self.now);
            let node = &mut self.nodes[server];
            node.up.forget(id);
            let waiting = conn.queue.iter().filter(|ask| ask.block.is_some()).count();
            node.queued = node.queued.saturating_sub(waiting);
            if let Some(at) = node.inbound.iter().position(|other| *other == id) {
                node.inbound.swap_remove(at);
            }
            if let Some(serving) = &mut node.serving {
                for (named, conversation) in serving.names.iter_mut().zip(&conn.conversations) {
                    if let Some(subscriber) = conversation.subscriber() {
                        named.upload.close(time, conversation);
                        named.subscribers.retain(|(other, _)| *other != subscriber);
                    }
                }
                self.tell_woken(server);
            }
            self.fill_uplink(server);
        }
        Some(conn)
    }

    fn tell_closed(&mut self, id: ConnId, conn: &Conn, ended: Ended) {
        let time = self.nodes[conn.client].time(self.now);
        match &mut self.nodes[conn.client].client {
            Client::Ours(ours) => {
                let link = cascade_swarm::ask::LinkId(conn.link);
                ours.links.retain(|(other, _)| *other != link);
                ours.plan.handle_closed(time, link, ended);
            }
            Client::Field(_) => self.field_closed(conn.client, id, conn.server, ended),
            Client::None => {}
        }
        self.touch(conn.client);
    }
}

/// A delay below this is not worth an event, in nanoseconds.
const QUEUE: Nanos = 20_000;
