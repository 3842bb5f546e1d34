//! What one client is answered, request by request: the one place where that is decided.
//!
//! A server keeps a [`Conversation`] with each connection, and calls [`Upload::request`] once for each request when its
//! turn has come. What comes back says what to send, or until when the request waits.

use super::subscriber_id::SubscriberId;
use super::upload::{Server, Upload};
use crate::Time;
use crate::ask::address;
use crate::limits::{HURRIED_NEWS_INTERVAL, NEWS_TIMEOUT};
use alloc::vec::Vec;
use cascade_format::extension::{Item, Marker};
use cascade_format::{Block, PeerAddr};
use core::net::IpAddr;
use core::time::Duration;

/// What a server knows of one client's connection, for one file.
#[derive(Debug)]
pub struct Conversation {
    /// The client's address, if it has one.
    ip: Option<IpAddr>,
    /// Its host, with which it shares what a host may have.
    host: Option<IpAddr>,
    /// As which it is told things, once it has shown the marker.
    subscriber: Option<SubscriberId>,
    /// As which it was told things first: a file that is checked again makes it another subscriber.
    first: Option<SubscriberId>,
    /// Its host is known as one that asks without the marker.
    noted: bool,
    /// Since when a request without the marker waits for its share of the uplink.
    waits_since: Option<Time>,
}

impl Conversation {
    /// A conversation with a client at `ip` that has requested nothing yet. Its host is [`address::host`] of `ip`.
    #[must_use]
    pub fn new(ip: Option<IpAddr>) -> Self {
        let host = ip.map(address::host);
        Self { ip, host, subscriber: None, first: None, noted: false, waits_since: None }
    }

    /// The same conversation, with a client that belongs to `host`.
    #[must_use]
    pub fn on_host(self, host: IpAddr) -> Self {
        Self { host: Some(host), ..self }
    }

    /// The client as a subscriber, if it has shown the marker.
    #[must_use]
    pub const fn subscriber(&self) -> Option<SubscriberId> {
        self.subscriber
    }

    /// Whether the request is given, and [`Upload::request`] need not be called, if there is no subscriber.
    pub fn is_free(&mut self, request: Request) -> bool {
        let free = self.noted && request.marker.is_none() && matches!(request.wanted, Wanted::Block(_));
        if free {
            self.waits_since = None;
        }
        free
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A block that this peer has.
    Block(Block),
    /// A block that it does not have.
    Missing,
    /// News without a block. Only a request with the marker asks for it.
    News,
}

/// A request that is to be decided now.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// What it asks for.
    pub wanted: Wanted,
    /// The marker of the request; `None` if it has none, so that the client counts as one of version 1.
    pub marker: Option<Marker>,
    /// What has arrived on the connection after this request.
    pub behind: Behind,
}

/// What has arrived on a connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Nothing.
    Nothing,
    /// More questions for news.
    Questions,
    /// Something that must not wait until a question for news is answered.
    Requests,
}

/// How a request is answered. If there are items, they precede the answer, even if the list is empty: a client that
/// does not know yet whether this peer speaks the extension learns it from an empty field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Give the block.
    Give(Option<Vec<Item>>),
    /// Answer that the block is not here. The client may ask again later.
    Refuse(Option<Vec<Item>>),
    /// Answer with news alone.
    Tell(Vec<Item>),
    /// Do not answer yet. Decide again at this time, and earlier if [`Upload::take_woken`] returns the subscriber or
    /// something has arrived after the request.
    Wait(Time),
    /// Close the connection: blocks are lost of which the client was told on it. It asks again on another one, and is told
    /// what there is.
    End,
}

impl Upload {
    /// Decides how a request is answered.
    pub fn request(
        &mut self,
        now: Time,
        conversation: &mut Conversation,
        request: Request,
        server: Server<'_>,
    ) -> Decision {
        let Some(marker) = request.marker else {
            return self.version1_request(now, conversation, request.wanted, server);
        };
        let Some(id) = self.subscribe(now, conversation, marker) else { return Decision::End };
        // What came before it is out, or came to nothing.
        self.grant(id, |_| 0);
        match request.wanted {
            Wanted::News => self.news_request(now, id, marker, request.behind, server),
            Wanted::Block(block) if self.admits(now, id, block, server) => {
                self.grant(id, |_| 1);
                self.gives(now, id, block);
                Decision::Give(self.due_news(now, id, true, server))
            }
            Wanted::Block(_) | Wanted::Missing => Decision::Refuse(self.due_news(now, id, false, server)),
        }
    }

    /// Whether a request that follows another request for a block is answered together with it, immediately and without
    /// items. If not, call [`Upload::request`] when it is the turn of this request.
    pub fn further_request(
        &mut self,
        now: Time,
        conversation: &mut Conversation,
        request: Request,
        server: Server<'_>,
    ) -> bool {
        let known = conversation.subscriber.filter(|id| self.is_subscriber(*id));
        match (request.marker, request.wanted, known) {
            (None, wanted, _) => {
                matches!(
                    self.version1_request(now, conversation, wanted, server),
                    Decision::Give(_) | Decision::Refuse(_)
                )
            }
            (Some(_), Wanted::News, _) | (Some(_), _, None) => false,
            (Some(_), Wanted::Block(block), Some(id)) => {
                let given = !self.is_news_due(now, id, true) && self.admits(now, id, block, server);
                self.grant(id, |before| before + u32::from(given));
                given
            }
            (Some(_), Wanted::Missing, Some(id)) => !self.is_news_due(now, id, false),
        }
    }

    /// The last byte of an answer with `block`, to a request with the marker, has left.
    pub fn sent(&mut self, now: Time, conversation: &Conversation, block: Block) {
        if let Some(id) = conversation.subscriber {
            self.sent_to(now, id, block);
        }
    }

    /// The connection has ended, or its client now requests another file.
    pub fn close(&mut self, now: Time, conversation: &Conversation) {
        if let Some(id) = conversation.subscriber {
            self.unsubscribe(now, id);
        }
    }

    /// The client as a subscriber: the one that it is, or a new one, if this is its first marker, or the file was
    /// checked again since. `None`: it was told of blocks that are lost.
    fn subscribe(
        &mut self,
        now: Time,
        conversation: &mut Conversation,
        marker: Marker,
    ) -> Option<SubscriberId> {
        if conversation.first.is_some_and(|first| self.has_lost_since(first)) {
            return None;
        }
        if let Some(id) = conversation.subscriber.filter(|id| self.is_subscriber(*id)) {
            self.note_progress(id, marker);
            return Some(id);
        }
        let listens = |ip: &Option<IpAddr>| ip.filter(|_| marker.port != 0);
        let addr = listens(&conversation.ip).map(|ip| PeerAddr::new(ip, marker.port));
        let id = self.open_for(now, marker, addr, listens(&conversation.host));
        conversation.subscriber = Some(id);
        conversation.first.get_or_insert(id);
        Some(id)
    }

    /// A request of a client that knows only version 1.
    fn version1_request(
        &mut self,
        now: Time,
        conversation: &mut Conversation,
        wanted: Wanted,
        server: Server<'_>,
    ) -> Decision {
        if !core::mem::replace(&mut conversation.noted, true) {
            conversation.ip.into_iter().for_each(|ip| self.note_host(ip));
        }
        let Wanted::Block(block) = wanted else { return Decision::Refuse(None) };
        let since = conversation.waits_since.unwrap_or(now);
        let must = now >= since + self.tuning().version1_max_wait;
        if self.gives_to_version1(now, block, must, server) {
            conversation.waits_since = None;
            Decision::Give(None)
        } else {
            conversation.waits_since = Some(since);
            Decision::Wait(now + self.tuning().news_interval)
        }
    }

    /// Whether there is something to tell in front of an answer: the last telling is long enough ago, and if the
    /// answer brings no block, it is the subscriber's turn.
    fn is_news_due(&mut self, now: Time, id: SubscriberId, brings_block: bool) -> bool {
        let told_at = self.subscriber(id).and_then(|subscriber| subscriber.told_at);
        after(told_at, self.tuning().news_interval) <= now
            && self.has_news(id)
            && (brings_block || self.may_answer(now, id))
    }

    /// What to put in front of an answer now.
    fn due_news(
        &mut self,
        now: Time,
        id: SubscriberId,
        brings_block: bool,
        server: Server<'_>,
    ) -> Option<Vec<Item>> {
        if !self.is_news_due(now, id, brings_block) {
            return None;
        }
        self.set_waiting(now, server.waiting);
        let items = self.news(now, id, server.has)?;
        if let Some(subscriber) = self.subscriber(id) {
            subscriber.told_at = Some(now);
        }
        Some(items)
    }

    /// A question for news: it waits until there is some, or something hurries it.
    fn news_request(
        &mut self,
        now: Time,
        id: SubscriberId,
        marker: Marker,
        behind: Behind,
        server: Server<'_>,
    ) -> Decision {
        let waits_since = self.subscriber(id).and_then(|subscriber| subscriber.waits_since);
        let since = waits_since.unwrap_or_else(|| {
            self.declined(now, id, marker.offers_seen);
            now
        });
        let items = self.due_news(now, id, false, server).or_else(|| {
            let over = now >= since + NEWS_TIMEOUT || now >= self.hurried_at(now, id, behind);
            over.then(|| {
                self.answered(id);
                Vec::new()
            })
        });
        let Some(subscriber) = self.subscriber(id) else { return Decision::Tell(Vec::new()) };
        if let Some(items) = items {
            (subscriber.waits_since, subscriber.answered_at) = (None, Some(now));
            return Decision::Tell(items);
        }
        subscriber.waits_since = Some(since);
        let mut until = since + NEWS_TIMEOUT;
        let told_at = subscriber.told_at;
        if self.has_news(id) && self.may_answer(now, id) {
            until = until.min(after(told_at, self.tuning().news_interval));
        }
        Decision::Wait(until.min(self.hurried_at(now, id, behind)))
    }

    /// When a question for news is answered because of what has followed it. While the subscriber's turn has not come,
    /// it is woken when it has.
    fn hurried_at(&mut self, now: Time, id: SubscriberId, behind: Behind) -> Time {
        let answered_at = self.subscriber(id).and_then(|subscriber| subscriber.answered_at);
        match behind {
            Behind::Requests => after(answered_at, HURRIED_NEWS_INTERVAL),
            Behind::Questions if self.may_answer(now, id) => after(answered_at, self.tuning().news_interval),
            Behind::Questions | Behind::Nothing => Time::MAX,
        }
    }
}

/// `pause` after `at`; at once, if that never was.
fn after(at: Option<Time>, pause: Duration) -> Time {
    at.map_or(Time::ZERO, |at| at + pause)
}
