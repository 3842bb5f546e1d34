//! The driver of our plan.

use super::World;
use super::conn::{Ask, Kind};
use super::event::Event;
use super::node::{Client, Ours};
use super::node_id::NodeId;
use super::slab::ConnId;
use crate::random::Random;
use crate::scenario::Habit;
use crate::units::{MILLISECOND, Nanos};
use cascade_format::peer_wire::Status;
use cascade_format::{Block, Have};
use cascade_swarm::ask::{Action, Config, LinkId, Order, Outcome, Plan, Source};
use cascade_swarm::limits::MAX_LINKS;
use std::ops::Range;

/// How often the driver looks whether more peers are wanted.
const TICK: Nanos = 250 * MILLISECOND;

/// The blocks that tell whether the file is a folder: a download wants them before all others, until it knows.
const HEAD: Range<u64> = 0..1;

impl Ours {
    pub(super) fn conn(&self, link: LinkId) -> Option<ConnId> {
        let at = self.links.binary_search_by_key(&link, |(other, _)| *other).ok()?;
        self.links.get(at).map(|(_, conn)| *conn)
    }
}

impl World {
    pub(super) fn ours(&self, id: NodeId) -> Ours {
        let config = Config { order: Order::Random, max_links: MAX_LINKS, tuning: self.scenario.ask };
        let mut random = Random::new(self.scenario.seed, u64::from(id.0) + 1000);
        let source = Box::new(move || random.next_u64());
        let layout = self.sliced.unwrap_or(self.layout);
        let mut plan = Plan::new(layout, &Have::none(&layout), config, source);
        plan.set_own_address(id.addr());
        plan.want_first(HEAD.start..HEAD.end * layout.slices_a_block(), false);
        Ours { plan, links: Vec::new(), asking_peers: 0, asking_hosts: 0, tick: 0, hungry: true }
    }

    /// Lets the plan act; gives when it wants to be woken.
    pub(super) fn turn_ours(&mut self, id: NodeId) -> Option<Nanos> {
        let (now, time) = (self.now, self.nodes[id].time(self.now));
        let node = &mut self.nodes[id];
        let Client::Ours(ours) = &mut node.client else { return None };
        if let Some(serving) = &node.serving {
            let named = serving.names.first()?;
            let peers = named.upload.asking_peers_since(&mut ours.asking_peers);
            if !peers.is_empty() {
                ours.plan.handle_peers(time, Source::Swarm, &peers);
            }
            ours.plan.handle_askers(time, &named.upload.asking_hosts_since(&mut ours.asking_hosts));
        }
        while let Client::Ours(ours) = &mut self.nodes[id].client
            && let Some(action) = ours.plan.poll_action(time)
        {
            self.act(id, action);
        }
        let node = &mut self.nodes[id];
        let Client::Ours(ours) = &mut node.client else { return None };
        if ours.plan.is_complete() {
            self.complete(id);
            return None;
        }
        if now >= ours.tick {
            ours.tick = now + TICK;
            ours.hungry = ours.plan.wants_peers(time);
        }
        node.counters.links = node.counters.links.max(ours.links.len());
        let wakeup = ours.plan.next_wakeup(time);
        wakeup.map(|at| node.world_time(at))
    }

    fn act(&mut self, id: NodeId, action: Action) {
        let time = self.nodes[id].time(self.now);
        match action {
            Action::Connect { link, addr, .. } => {
                let server = NodeId::of(addr).unwrap_or(NodeId(u32::MAX));
                let conn = self.connect(id, server, link.0);
                if let Client::Ours(ours) = &mut self.nodes[id].client {
                    ours.links.push((link, conn));
                }
            }
            Action::Request { link, blocks, sliced } => {
                let (conn, offers_seen) = self.way(id, link);
                let number = |block| self.wire_number(block, sliced);
                let blocks: Vec<_> = blocks.into_iter().map(number).collect();
                let asks = blocks.into_iter().map(|block| Ask { block: Some(block), sliced, offers_seen });
                conn.into_iter().for_each(|conn| self.ask(conn, asks.clone()));
            }
            Action::Poll { link, sliced } => {
                let (conn, offers_seen) = self.way(id, link);
                let ask = Ask { block: None, sliced, offers_seen };
                conn.into_iter().for_each(|conn| self.ask(conn, [ask]));
            }
            // Every peer here speaks the protocol, but for those that say nothing: they make room.
            Action::Probe { .. } => {}
            Action::Revoke { link, block, sliced } => {
                let there = self.wire_number(block, sliced);
                let in_time = !self.nodes[id].has(there, sliced);
                let conn = self.way(id, link).0.and_then(|conn| self.conns.get_mut(conn));
                if let Some(conn) = conn.filter(|_| in_time) {
                    conn.revoked.push((sliced, there));
                }
                if let Client::Ours(ours) = &mut self.nodes[id].client {
                    ours.plan.handle_revoked(time, link, block, in_time);
                }
            }
            Action::Close { link } => {
                let conn = self.way(id, link).0;
                if let Client::Ours(ours) = &mut self.nodes[id].client {
                    ours.links.retain(|(other, _)| *other != link);
                }
                conn.into_iter().for_each(|conn| self.close(conn));
            }
        }
    }

    /// The number by which a block of the plan is requested.
    fn wire_number(&self, block: Block, sliced: bool) -> Block {
        self.sliced.filter(|_| !sliced).map_or(block, |layout| layout.block_of(block))
    }

    /// The connection of a link, and what its next requests say of offers.
    fn way(&self, id: NodeId, link: LinkId) -> (Option<ConnId>, Option<u32>) {
        let Client::Ours(ours) = &self.nodes[id].client else { return (None, None) };
        (ours.conn(link), self.scenario.extension.then(|| ours.plan.offers_seen(link)))
    }

    /// Bytes of the first answer have arrived, or a short answer.
    pub(super) fn receive(&mut self, id: ConnId, bytes: u64) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (client, server) = (conn.client, conn.server);
        let link = LinkId(conn.link);
        let Some(answer) = conn.answers.front_mut() else { return };
        let news = (conn.got == 0 && answer.extended).then(|| std::mem::take(&mut answer.field));
        let sliced = answer.sliced;
        conn.got += bytes;
        let done = conn.got >= answer.bytes;
        let kind = done.then_some(answer.kind);
        if done {
            conn.answers.pop_front();
            conn.got = 0;
        }
        let time = self.nodes[client].time(self.now);
        match &mut self.nodes[client].client {
            Client::None => {}
            Client::Field(_) => kind.into_iter().for_each(|kind| self.field_answered(client, id, kind)),
            Client::Ours(ours) => {
                if let Some(items) = &news {
                    ours.plan.handle_news(time, link, items, sliced);
                }
                let Some(kind) = kind else {
                    ours.plan.handle_received(time, link, bytes, &[]);
                    return self.met(client, server, news.is_some(), false);
                };
                let outcome = self.what_became(client, id, kind);
                let gave = matches!(outcome, Outcome::Verified(_) | Outcome::VerifiedWhole(_));
                self.met(client, server, news.is_some(), gave);
                if let Client::Ours(ours) = &mut self.nodes[client].client {
                    ours.plan.handle_received(time, link, bytes, &[outcome]);
                }
            }
        }
        if kind.is_some() || news.is_some() {
            self.touch(client);
        }
    }

    /// A peer that has told news or given a block is told of to others.
    fn met(&mut self, id: NodeId, peer: NodeId, extended: bool, gave: bool) {
        if let Some(serving) = self.nodes[id].serving.as_mut().filter(|_| extended || gave) {
            serving.names.iter_mut().for_each(|named| named.upload.met(peer.addr(), extended));
        }
    }

    fn what_became(&mut self, client: NodeId, id: ConnId, kind: Kind) -> Outcome {
        let (block, sliced, wrong) = match kind {
            Kind::News => return Outcome::Told,
            Kind::Missing { block, sliced } => {
                return Outcome::Refused(self.plan_number(block, sliced), Status::MissingBlock);
            }
            Kind::Block { block, sliced, wrong } => (block, sliced, wrong),
        };
        let number = self.plan_number(block, sliced);
        if let Some(conn) = self.conns.get_mut(id)
            && let Some(at) = conn.revoked.iter().position(|revoked| *revoked == (sliced, block))
        {
            conn.revoked.remove(at);
            return Outcome::Discarded(number);
        }
        if wrong {
            return Outcome::Corrupt(number);
        }
        let behind = self.sliced.filter(|_| sliced).and_then(|layout| layout.verified_before(block));
        if behind.is_some_and(|behind| !self.nodes[client].has(behind, true)) {
            return Outcome::Discarded(number);
        }
        self.published(client, block, sliced);
        let node = &mut self.nodes[client];
        if HEAD.clone().all(|number| self.layout.block(number).is_none_or(|block| node.have.has(block)))
            && let Client::Ours(ours) = &mut node.client
        {
            ours.plan.want_first(0..0, false);
        }
        if self.sliced.is_some() && !sliced {
            Outcome::VerifiedWhole(number)
        } else {
            Outcome::Verified(number)
        }
    }

    /// The number by which the plan knows a requested block.
    fn plan_number(&self, block: Block, sliced: bool) -> Block {
        self.sliced.filter(|_| !sliced).map_or(block, |layout| layout.first_slice(block))
    }

    /// A short answer is received.
    pub(super) fn answer_in(&mut self, id: ConnId) {
        let bytes = self.conns.get(id).and_then(|conn| conn.answers.front()).map_or(0, |answer| answer.bytes);
        self.receive(id, bytes);
    }

    /// The peer has the whole file.
    pub(super) fn complete(&mut self, id: NodeId) {
        let node = &mut self.nodes[id];
        let client = std::mem::replace(&mut node.client, Client::None);
        node.complete = Some(self.now);
        (node.counters.busy_up, node.counters.busy_down) = (node.up.busy, node.down.busy);
        self.unfinished = self.unfinished.saturating_sub(1);
        if node.habit != Habit::Slow {
            self.last_complete = self.now;
        }
        let conns = match client {
            Client::Ours(ours) => {
                node.counters.duplicate = ours.plan.totals().bytes_duplicate;
                ours.links.into_iter().map(|(_, conn)| conn).collect()
            }
            Client::Field(field) => field.conns(),
            Client::None => Vec::new(),
        };
        conns.into_iter().for_each(|conn| self.close(conn));
        if let Some(after) = self.scenario.leave_after {
            let at = self.now + after;
            self.events.push(at, Event::Goodbye(id));
        }
    }
}
