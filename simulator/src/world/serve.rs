//! The answering side: blocks, refusals and news, in the order of the requests of a connection. What a request is
//! answered with is decided by the code that ships.

use super::World;
use super::conn::{Answer, Ask, Kind, Sending};
use super::event::Event;
use super::node::{Named, Node};
use super::node_id::NodeId;
use super::slab::ConnId;
use crate::scenario::Habit;
use crate::units::{MILLISECOND, Nanos};
use cascade_format::extension::field::LENGTH_LEN;
use cascade_format::extension::{Item, Marker, Progress};
use cascade_format::peer_wire::RESPONSE_HEADER_LEN;
use cascade_format::{Block, Layout};
use cascade_swarm::give::{self, Behind, Decision, Request, Wanted};
use std::ops::Range;

/// Bytes of the item with the state in front of a slice.
const STATE_ITEM_LEN: u64 = 35;

/// Bytes of the message that says that a block is missing.
const MESSAGE_LEN: u64 = 48;

/// Time from the goodbye to the end.
const GOODBYE: Nanos = 250 * MILLISECOND;

impl World {
    /// Requests are received.
    pub(super) fn asks_in(&mut self, id: ConnId, count: u32) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let server = conn.server;
        for ask in conn.asks.drain(..conn.asks.len().min(count as usize)) {
            self.nodes[server].queued += usize::from(ask.block.is_some());
            conn.queue.push_back(ask);
        }
        self.serve(id);
        self.tell_woken(server);
    }

    /// Answers what can be answered now.
    pub(super) fn serve(&mut self, id: ConnId) {
        while let Some(conn) = self.conns.get_mut(id)
            && !conn.serving
            && let Some(ask) = conn.queue.front().copied()
        {
            let server = conn.server;
            match (self.decide(id, ask), ask.block) {
                (Decision::Give(items), _) => {
                    if let Some(conn) = self.conns.get_mut(id) {
                        (conn.serving, conn.news) = (true, items);
                    }
                    return self.enqueue(server, id);
                }
                (Decision::Refuse(items), Some(block)) => self.refuse(id, (block, ask.sliced), items),
                (Decision::Tell(items), None) => self.tell(id, items, ask.sliced),
                (Decision::Wait(until), _) => {
                    let until = self.nodes[server].world_time(until);
                    return self.decide_again(id, until);
                }
                // A block is never told, news alone is never refused, and nothing is lost here.
                (Decision::Refuse(_), None) | (Decision::Tell(_), Some(_)) | (Decision::End, _) => {
                    self.pop(id);
                }
            }
        }
    }

    /// What the first request of the queue is answered with.
    fn decide(&mut self, id: ConnId, ask: Ask) -> Decision {
        let Some(conn) = self.conns.get_mut(id) else { return Decision::Refuse(None) };
        conn.waits_until = None;
        let (server, had) = (conn.server, self.nodes[conn.client].have.count());
        let progress = Progress::of(had, self.layout.blocks());
        let node = &mut self.nodes[server];
        let time = node.time(self.now);
        let wanted = match ask.block {
            Some(block) if has(node, block, ask.sliced) => Wanted::Block(block),
            Some(_) => Wanted::Missing,
            None => Wanted::News,
        };
        let at = usize::from(ask.sliced);
        let (named, conversation) = (
            node.serving.as_mut().and_then(|serving| serving.names.get_mut(at)),
            conn.conversations.get_mut(at),
        );
        let (Some(named), Some(conversation)) = (named, conversation) else {
            return if wanted == Wanted::Missing { Decision::Refuse(None) } else { Decision::Give(None) };
        };
        let port = conn.client.addr().port();
        let marker = ask.offers_seen.map(|offers_seen| Marker { port, offers_seen, progress });
        let request = Request { wanted, marker, behind: behind(conn.queue.iter().skip(1)) };
        // It waits for a block itself from now on, if it asks for one.
        let counted = matches!(wanted, Wanted::Block(_));
        let waiting = node.up.waiting.len() + node.up.active.len() + usize::from(counted);
        // A piece is leaving: the next one has to wait for it.
        let full = node.up.leaving.is_some();
        let have = if ask.sliced { node.slices.as_ref().unwrap_or(&node.have) } else { &node.have };
        let around = give::Server { waiting, counted, full, has: &|block| have.has(block) };
        let (known, askers) = (conversation.subscriber(), named.upload.askers());
        let decision = named.upload.request(time, conversation, request, around);
        let is_news = named.upload.askers() != askers;
        if let Some(subscriber) = conversation.subscriber().filter(|new| Some(*new) != known) {
            named.subscribers.push((subscriber, id));
            if let ([blocks, slices], Some(serving)) = (&conn.conversations, &mut node.serving)
                && slices.subscriber().is_some()
                && let Some(named) = serving.names.first_mut()
            {
                named.upload.asks_for_slices(time, blocks);
            }
        }
        if is_news || server == Self::SEEDER {
            self.touch(server);
        }
        if let Some(at) = self.nodes[server].next_wakeup(time) {
            self.wake_at(server, at);
        }
        decision
    }

    /// The first request is decided again at this time, if it still waits then.
    fn decide_again(&mut self, id: ConnId, until: Nanos) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.waits_until = Some(until);
        if conn.alarms.last().is_none_or(|next| until < *next) {
            conn.alarms.push(until);
            self.events.push(until, Event::Decide { conn: id });
        }
    }

    /// A time has come that a request may have waited for.
    pub(super) fn decide_due(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.alarms.pop();
        match conn.waits_until {
            Some(until) if until <= self.now => self.serve(id),
            Some(until) => self.decide_again(id, until),
            None => {}
        }
    }

    /// The first request of the queue is for a block that is not given.
    fn refuse(&mut self, id: ConnId, (block, sliced): (Block, bool), items: Option<Vec<Item>>) {
        self.pop(id);
        self.count_news(items.as_deref());
        self.counters.refusals += 1;
        let bytes = RESPONSE_HEADER_LEN as u64 + MESSAGE_LEN + length(items.as_deref());
        let extended = items.is_some();
        let field = items.unwrap_or_default();
        self.answer(
            id,
            bytes,
            Answer { kind: Kind::Missing { block, sliced }, sliced, bytes, field, extended },
        );
    }

    /// The first request of the queue is for news, and is answered.
    fn tell(&mut self, id: ConnId, items: Vec<Item>, sliced: bool) {
        self.pop(id);
        self.counters.polls += 1;
        if !items.is_empty() {
            self.count_news(Some(&items));
        }
        let bytes = RESPONSE_HEADER_LEN as u64 + length(Some(&items));
        self.answer(id, bytes, Answer { kind: Kind::News, sliced, bytes, field: items, extended: true });
    }

    fn count_news(&mut self, items: Option<&[Item]>) {
        self.counters.news += u64::from(items.is_some());
        self.counters.news_bytes += length(items);
    }

    /// The first request of the queue is done with.
    fn pop(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(ask) = conn.queue.pop_front() else { return };
        let server = conn.server;
        let node = &mut self.nodes[server];
        let time = node.time(self.now);
        node.queued = node.queued.saturating_sub(usize::from(ask.block.is_some()));
        if node.up.waiting.is_empty()
            && node.up.active.is_empty()
            && let Some(serving) = &mut node.serving
        {
            serving.names.iter_mut().for_each(|named| named.upload.set_waiting(time, 0));
            self.tell_woken(server);
        }
    }

    /// The block that the connection waits for begins to leave. False: the connection is gone.
    pub(super) fn begin_block(&mut self, id: ConnId) -> bool {
        let Some(ask) = self.conns.get(id).and_then(|conn| conn.queue.front()).copied() else { return false };
        let (Some(block), sliced) = (ask.block, ask.sliced) else { return false };
        let len = self.len_of(block, sliced);
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let habit = self.nodes[conn.server].habit;
        let items = conn.news.take();
        let field_len = match (&items, sliced) {
            // The state is told in any case.
            (None, true) => length(Some(&[])) + STATE_ITEM_LEN,
            (items, sliced) => length(items.as_deref()) + if sliced { STATE_ITEM_LEN } else { 0 },
        };
        let bytes = RESPONSE_HEADER_LEN as u64 + field_len + len;
        let left = if habit == Habit::Staller { bytes / 2 } else { bytes };
        conn.sending = Some(Sending { block, sliced, left });
        let kind = Kind::Block { block, sliced, wrong: habit == Habit::Liar };
        let extended = items.is_some();
        self.count_news(items.as_deref());
        if let Some(conn) = self.conns.get_mut(id) {
            conn.answers.push_back(Answer {
                kind,
                sliced,
                bytes,
                field: items.unwrap_or_default(),
                extended,
            });
        }
        true
    }

    /// An answer with a block is out to its last byte.
    pub(super) fn block_out(&mut self, id: ConnId, block: Block, sliced: bool) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let server = conn.server;
        conn.serving = false;
        let with_marker = conn.queue.front().is_some_and(|ask| ask.offers_seen.is_some());
        self.pop(id);
        let length = self.len_of(block, sliced);
        let elsewhere = self.sliced.map(|layout| by_other_name(&layout, block, sliced));
        let node = &mut self.nodes[server];
        let time = node.time(self.now);
        node.counters.sent += length;
        if let (Some(serving), Some(conn)) = (&mut node.serving, self.conns.get(id).filter(|_| with_marker)) {
            let at = usize::from(sliced);
            if let (Some(named), Some(conversation)) = (serving.names.get_mut(at), conn.conversations.get(at))
            {
                named.upload.sent(time, conversation, block);
            }
            if let (Some(numbers), Some(named)) = (elsewhere, serving.names.get_mut(1 - at.min(1))) {
                named.upload.gave_by_other_name(time, numbers, length);
            }
        }
        if node.habit == Habit::Version1Closing {
            self.end(id);
        } else {
            self.serve(id);
        }
        self.tell_woken(server);
        if server == Self::SEEDER {
            self.touch(server);
            self.seeder_may_leave();
        }
    }

    fn seeder_may_leave(&mut self) {
        let sent = self.nodes[Self::SEEDER].counters.sent as f64;
        let enough =
            self.scenario.seeder_leaves.is_some_and(|copies| sent >= copies * self.layout.length() as f64);
        if enough && !std::mem::replace(&mut self.seeder_leaving, true) {
            self.say_goodbye(Self::SEEDER);
        }
    }

    /// Tells all clients and the tracker, then leaves.
    pub(super) fn say_goodbye(&mut self, id: NodeId) {
        if self.scenario.extension && self.nodes[id].serving.is_some() {
            self.tracker.unregister(id.addr());
        }
        if let Some(serving) = &mut self.nodes[id].serving {
            serving.names.iter_mut().for_each(|named| named.upload.leave());
        }
        self.tell_woken(id);
        self.events.push(self.now + GOODBYE, Event::Gone(id));
    }

    /// A block, or slice, is verified.
    pub(super) fn published(&mut self, id: NodeId, block: Block, sliced: bool) {
        let node = &mut self.nodes[id];
        let time = node.time(self.now);
        let (slices, complete) = node.gets(block, sliced, self.sliced.as_ref());
        if let Some(serving) = &mut node.serving {
            if let Some(named) = serving.names.get_mut(1) {
                slices.iter().for_each(|slice| named.upload.published(time, *slice));
            }
            if let (Some(block), Some(named)) = (complete, serving.names.first_mut()) {
                named.upload.published(time, block);
            }
        }
        self.touch(id);
        self.tell_woken(id);
    }

    /// Answers questions for news that wait at the peer, where there is some now.
    pub(super) fn tell_woken(&mut self, id: NodeId) {
        let time = self.nodes[id].time(self.now);
        while let Some(serving) = &mut self.nodes[id].serving {
            let woken = |named: &mut Named| {
                let woken = named.upload.take_woken(time);
                woken.into_iter().filter_map(|subscriber| named.conn_of(subscriber)).collect::<Vec<_>>()
            };
            let conns: Vec<ConnId> = serving.names.iter_mut().flat_map(woken).collect();
            if conns.is_empty() {
                return;
            }
            conns.into_iter().for_each(|conn| self.serve(conn));
        }
    }
}

/// The slices of a block; the block of its last slice, and none of another slice.
fn by_other_name(layout: &Layout, block: Block, sliced: bool) -> Range<u64> {
    if !sliced {
        return layout.slices_of(block);
    }
    let whole = layout.block_of(block);
    let last = block.number() + 1 == layout.slices_of(whole).end;
    whole.number()..whole.number() + u64::from(last)
}

impl World {
    fn len_of(&self, block: Block, sliced: bool) -> u64 {
        self.sliced.filter(|_| sliced).unwrap_or(self.layout).len_of(block)
    }
}

impl Named {
    fn conn_of(&self, subscriber: give::SubscriberId) -> Option<ConnId> {
        let at = self.subscribers.binary_search_by_key(&subscriber, |(other, _)| *other).ok()?;
        self.subscribers.get(at).map(|(_, conn)| *conn)
    }
}

fn has(node: &Node, block: Block, sliced: bool) -> bool {
    matches!(node.habit, Habit::Liar | Habit::Staller) || node.has(block, sliced)
}

/// What has followed a request.
fn behind<'a>(mut others: impl ExactSizeIterator<Item = &'a Ask>) -> Behind {
    if others.len() == 0 {
        Behind::Nothing
    } else if others.any(|ask| ask.block.is_some()) {
        Behind::Requests
    } else {
        Behind::Questions
    }
}

/// Bytes of a field.
fn length(field: Option<&[Item]>) -> u64 {
    field.map_or(0, |items| (LENGTH_LEN + items.iter().map(Item::encoded_len).sum::<usize>()) as u64)
}
