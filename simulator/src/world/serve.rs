//! The answering side: blocks, refusals and news, in the order of the requests of a connection.

use super::World;
use super::conn::{Answer, Ask, Kind, Sending};
use super::event::Event;
use super::node::{Client, News, Node, NodeId};
use super::slab::ConnId;
use crate::scenario::Habit;
use crate::units::{MILLISECOND, Nanos, SECOND};
use cascade_format::Block;
use cascade_format::extension::Item;
use cascade_format::extension::field::LENGTH_LEN;
use cascade_format::peer_wire::RESPONSE_HEADER_LEN;
use cascade_swarm::give::{ReaderId, Verdict};
use cascade_swarm::limits::NEWS_TIMEOUT;
use std::time::Duration;

/// Bytes of the message that says that a block is missing.
const MESSAGE_LEN: u64 = 48;

/// Time from the goodbye to the end.
const GOODBYE: Nanos = 250 * MILLISECOND;

const TIMEOUT: Nanos = span(NEWS_TIMEOUT);

const fn span(duration: Duration) -> Nanos {
    duration.as_secs() * SECOND + duration.subsec_nanos() as Nanos
}

impl World {
    /// Requests are received.
    pub(super) fn asks_in(&mut self, id: ConnId, count: u32) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (server, client) = (conn.server, conn.client);
        if conn.asks.front().is_some_and(|ask| ask.offers_seen.is_none()) {
            self.asked_plainly(server, client);
            self.touch(server);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        for ask in conn.asks.drain(..conn.asks.len().min(count as usize)) {
            self.nodes[server].load += usize::from(ask.block.is_some());
            conn.queue.push_back(ask);
        }
        self.serve(id);
        self.tell_woken(server);
    }

    /// The plan hears of a host that does not tell where it listens.
    fn asked_plainly(&mut self, server: NodeId, client: NodeId) {
        let node = &mut self.nodes[server];
        let time = node.time(self.now);
        if let Client::Ours(ours) = &mut node.client {
            ours.plan.handle_askers(time, &[*client.addr().ip()]);
        }
    }

    /// Answers what can be answered now.
    pub(super) fn serve(&mut self, id: ConnId) {
        while let Some(conn) = self.conns.get_mut(id)
            && !conn.serving
            && let Some(ask) = conn.queue.front().copied()
        {
            let server = conn.server;
            self.open_reader(id, ask);
            if !self.may_have_share(id, ask) {
                return;
            }
            match ask.block {
                Some(block) if has(&self.nodes[server], block) && self.judge(id, ask) => {
                    if let Some(conn) = self.conns.get_mut(id) {
                        conn.serving = true;
                    }
                    return self.enqueue(server, id);
                }
                Some(block) => self.refuse(id, block),
                None if !self.answer_news(id, ask) => return,
                None => {}
            }
        }
    }

    /// Whether a version 1 client is served now; if not, it looks again soon.
    fn may_have_share(&mut self, id: ConnId, ask: Ask) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let node = &mut self.nodes[conn.server];
        let time = node.time(self.now);
        let (None, Some(block), Some(news)) = (ask.offers_seen, ask.block, &mut node.news) else {
            return true;
        };
        let since = *conn.waits_since.get_or_insert(self.now);
        let must = self.now >= since + span(self.scenario.give.version1_max_wait);
        let may = !node.have.has(block) || news.board.plain_asked(time, block, must);
        if may {
            conn.waits_since = None;
        } else if !std::mem::replace(&mut conn.share_set, true) {
            self.events.push(self.now + span(self.scenario.give.version1_pause), Event::Share { conn: id });
        }
        may
    }

    /// The board hears of a client that shows the marker.
    fn open_reader(&mut self, id: ConnId, ask: Ask) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let node = &mut self.nodes[conn.server];
        let time = node.time(self.now);
        if let (None, Some(_), Some(news)) = (conn.reader, ask.offers_seen, &mut node.news) {
            let reader = news.board.open(time, Some(conn.client.addr()));
            conn.reader = Some(reader);
            news.readers.push((reader, id));
            let server = conn.server;
            self.touch(server);
        }
    }

    /// Tells the board of a request whose turn it is; whether its block is to be given.
    fn judge(&mut self, id: ConnId, ask: Ask) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let server = conn.server;
        let node = &mut self.nodes[server];
        let time = node.time(self.now);
        let others = node.up.waiting.len() + node.up.active.len();
        let verdict = match (conn.reader, ask.offers_seen, &mut node.news) {
            (Some(reader), Some(seen), Some(news)) => news.board.asked(time, reader, seen, ask.block, others),
            _ => Verdict::Serve,
        };
        if server == Self::SEEDER {
            self.touch(server);
        }
        verdict == Verdict::Serve
    }

    /// The first request of the queue is for a block that is not given.
    fn refuse(&mut self, id: ConnId, block: Block) {
        self.pop(id);
        let field = self.field(id);
        self.counters.refusals += 1;
        let bytes = RESPONSE_HEADER_LEN as u64 + MESSAGE_LEN + length(field.as_deref());
        let extended = field.is_some();
        let field = field.unwrap_or_default();
        self.answer(id, bytes, Answer { kind: Kind::Missing(block), bytes, field, extended });
    }

    /// The first request of the queue is done with.
    fn pop(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && let Some(ask) = conn.queue.pop_front()
        {
            let node = &mut self.nodes[conn.server];
            let time = node.time(self.now);
            let load = &mut node.load;
            *load = load.saturating_sub(usize::from(ask.block.is_some()));
            let server = conn.server;
            let up = &self.nodes[server].up;
            if up.waiting.is_empty()
                && up.active.is_empty()
                && let Some(news) = &mut self.nodes[server].news
            {
                news.board.set_load(time, 0);
                self.tell_woken(server);
            }
        }
    }

    /// The first request of the queue is for news: answers it, or leaves it waiting (false).
    fn answer_news(&mut self, id: ConnId, ask: Ask) -> bool {
        if self.conns.get(id).is_some_and(|conn| conn.parked.is_none()) {
            self.judge(id, ask);
        }
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let since = *conn.parked.get_or_insert(self.now);
        let (due, timeout) =
            (conn.last_news.map_or(0, |last| last + span(self.scenario.give.news_interval)), since + TIMEOUT);
        let hurry = conn.queue.len() > 1 || self.now >= timeout;
        let time = self.nodes[conn.server].time(self.now);
        let news = &mut self.nodes[conn.server].news;
        let has_news =
            conn.reader.zip(news.as_mut()).is_some_and(|(reader, news)| news.board.has_news(reader));
        // When its turn has come, the board wakes it.
        let stands_in_line = !hurry
            && has_news
            && conn
                .reader
                .zip(news.as_mut())
                .is_some_and(|(reader, news)| !news.board.may_answer(time, reader));
        if stands_in_line {
            return false;
        }
        if !hurry && has_news && self.now < due {
            if !std::mem::replace(&mut conn.due_set, true) {
                self.events.push(due, Event::NewsDue { conn: id });
            }
            return false;
        }
        if !hurry && !has_news {
            if !std::mem::replace(&mut conn.timeout_set, true) {
                self.events.push(timeout, Event::NewsTimeout { conn: id });
            }
            return false;
        }
        conn.parked = None;
        let field = self.field(id).unwrap_or_default();
        self.pop(id);
        self.counters.polls += 1;
        let bytes = RESPONSE_HEADER_LEN as u64 + length(Some(&field));
        self.answer(id, bytes, Answer { kind: Kind::News, bytes, field, extended: true });
        true
    }

    /// News to put in front of the next answer, if there is some and the last is long enough ago.
    fn field(&mut self, id: ConnId) -> Option<Vec<Item>> {
        let conn = self.conns.get_mut(id)?;
        let time = self.nodes[conn.server].time(self.now);
        let Node { news, have, up, .. } = &mut self.nodes[conn.server];
        let reader = conn.reader?;
        let board = &mut news.as_mut()?.board;
        if conn.last_news.is_some_and(|last| self.now < last + span(self.scenario.give.news_interval)) {
            return None;
        }
        board.set_load(time, up.waiting.len() + up.active.len());
        let items = board.news(time, reader, &|block| have.has(block))?;
        conn.last_news = Some(self.now);
        self.counters.news += 1;
        self.counters.news_bytes += length(Some(&items));
        Some(items)
    }

    /// The block that the connection waits for begins to leave. False: the connection is gone.
    pub(super) fn begin_block(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get(id) else { return false };
        let Some(block) = conn.queue.front().and_then(|ask| ask.block) else { return false };
        let habit = self.nodes[conn.server].habit;
        let field = self.field(id);
        let bytes = RESPONSE_HEADER_LEN as u64 + length(field.as_deref()) + self.layout.len_of(block);
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let left = if habit == Habit::Staller { bytes / 2 } else { bytes };
        conn.sending = Some(Sending { block, left });
        let kind = Kind::Block { block, wrong: habit == Habit::Liar };
        let extended = field.is_some();
        conn.answers.push_back(Answer { kind, bytes, field: field.unwrap_or_default(), extended });
        true
    }

    /// An answer with a block is out to its last byte.
    pub(super) fn block_out(&mut self, id: ConnId, block: Block) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (server, reader) = (conn.server, conn.reader);
        conn.serving = false;
        self.pop(id);
        let length = self.layout.len_of(block);
        let node = &mut self.nodes[server];
        let time = node.time(self.now);
        node.counters.sent += length;
        if let (Some(news), Some(reader)) = (&mut node.news, reader) {
            news.board.sent(time, reader, block);
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

    /// Tells everybody, then leaves.
    pub(super) fn say_goodbye(&mut self, id: NodeId) {
        if let Some(news) = &mut self.nodes[id].news {
            news.board.leave();
        }
        self.tell_woken(id);
        self.events.push(self.now + GOODBYE, Event::Gone(id));
    }

    /// A block is verified.
    pub(super) fn published(&mut self, id: NodeId, block: Block) {
        let time = self.nodes[id].time(self.now);
        if let Some(news) = &mut self.nodes[id].news {
            news.board.published(time, block);
        }
        self.touch(id);
        self.tell_woken(id);
    }

    /// Answers questions for news that wait at the peer, where there is some now.
    pub(super) fn tell_woken(&mut self, id: NodeId) {
        let time = self.nodes[id].time(self.now);
        while let Some(news) = &mut self.nodes[id].news {
            let woken = news.board.take_woken(time);
            if woken.is_empty() {
                return;
            }
            for reader in woken {
                let Some(conn) = self.nodes[id].news.as_ref().and_then(|news| conn_of(news, reader)) else {
                    continue;
                };
                if self.conns.get(conn).is_some_and(|conn| conn.parked.is_some()) {
                    self.serve(conn);
                }
            }
        }
    }

    pub(super) fn news_due(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.due_set = false;
        if conn.parked.is_some() {
            self.serve(id);
        }
    }

    pub(super) fn share_due(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.share_set = false;
        self.serve(id);
    }

    pub(super) fn news_timeout(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.timeout_set = false;
        let Some(since) = conn.parked else { return };
        if self.now >= since + TIMEOUT {
            self.serve(id);
        } else {
            conn.timeout_set = true;
            self.events.push(since + TIMEOUT, Event::NewsTimeout { conn: id });
        }
    }
}

fn has(node: &Node, block: Block) -> bool {
    matches!(node.habit, Habit::Liar | Habit::Staller) || node.have.has(block)
}

/// Bytes of a field.
fn length(field: Option<&[Item]>) -> u64 {
    field.map_or(0, |items| (LENGTH_LEN + items.iter().map(Item::encoded_len).sum::<usize>()) as u64)
}

fn conn_of(news: &News, reader: ReaderId) -> Option<ConnId> {
    let at = news.readers.binary_search_by_key(&reader, |(other, _)| *other).ok()?;
    news.readers.get(at).map(|(_, conn)| *conn)
}
