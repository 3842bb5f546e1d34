//! One client's connection: what it asked for, where its answer stands, and its turns.
//!
//! A turn is synchronous, never waits, sends about [`TURN_LEN`] bytes and borrows the worker's
//! buffers while it lasts. Between turns a connection keeps its begun request and its queue, but no
//! bytes of a block: an answer that the socket took in part is remembered as a position, and read
//! again from there.

use super::answer::Answer;
use super::burst_size::BurstSize;
use super::clients::Slot;
use super::conversation::Conversation;
use super::decide::Settled;
use super::fetching::Fetching;
use super::guest::Guest;
use super::inbox::Inbox;
use super::place::Place;
use super::proof::Proof;
use super::response::Response;
use super::slots::Phase;
use super::socket::{self, Got};
use super::thread::ServeThread;
use crate::limits::{QUEUE_LEN, TURN_LEN};
use crate::pace::{Allowance, Limit};
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What a connection needs after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another turn, after the others had theirs.
    Turn,
    /// More requests.
    Readable,
    /// News for the client, or more requests; no longer than until then.
    News(Instant),
    /// Its share of the uplink, which others use until then.
    Share(Instant),
    /// Its host's place at the uplink, which another connection has; to be looked at after this time.
    Place(Option<Duration>),
    /// The limit on what leaves, until then.
    Limit(Instant),
    /// The block, which comes from an origin.
    Origin,
    /// Room in the socket.
    Writable,
    /// To be closed: all that it will get is on its way.
    Close,
}

/// One client.
pub(super) struct Connection {
    /// Shared with [`Place`].
    pub(super) stream: Arc<TcpStream>,
    slot: Slot,
    pub(super) worker: Rc<ServeThread>,
    inbox: Inbox,
    /// Requests to be answered; the first is the one that `current` answers.
    pub(super) queue: VecDeque<BlockRequest>,
    pub(super) current: Option<Answer>,
    /// What blocks are hashed with before they are sent, while one is under way.
    pub(super) proof: Option<Box<Proof>>,
    /// About the file that it asked for last. Boxed: most that idle have asked for none.
    pub(super) conversation: Option<Box<Conversation>>,
    /// Requests at the front of the queue that are decided: their blocks are given.
    pub(super) granted: usize,
    pub(super) burst: BurstSize,
    phase: Phase,
    /// A request of it was read.
    asked: bool,
    /// The client sends no more.
    pub(super) ended: bool,
    /// What follows the queue cannot be understood.
    pub(super) broken: bool,
    /// An answer after which the connection is closed has been sent.
    pub(super) finished: bool,
    /// Its place at the uplink, as soon as it was sent a block. Boxed, as above.
    pub(super) place: Option<Box<Place>>,
    /// It waits for its share of the uplink.
    pub(super) waits_for_share: bool,
    /// It waits for a block to come from an origin. Boxed, as above.
    pub(super) fetching: Option<Box<Fetching>>,
    /// What has come of a tracker's request.
    pub(super) guest: Option<Box<Guest>>,
    /// Blocks are copied through memory: it was asked for, or the file system knows no `sendfile`.
    pub(super) copy: bool,
    /// What it may send within the limit, if there is one. Boxed, as above.
    allowance: Option<Box<Allowance>>,
}

impl Connection {
    /// A connection that has sent nothing yet.
    pub(super) fn new(stream: TcpStream, slot: Slot, worker: Rc<ServeThread>) -> Self {
        worker.opened();
        let allowance = worker.limit.as_ref().map(Limit::allowance).map(Box::new);
        Self {
            allowance,
            stream: Arc::new(stream),
            slot,
            copy: worker.copy,
            worker,
            inbox: Inbox::new(),
            queue: VecDeque::new(),
            current: None,
            proof: None,
            conversation: None,
            granted: 0,
            burst: BurstSize::new(),
            phase: Phase::Idle,
            asked: false,
            ended: false,
            broken: false,
            finished: false,
            place: None,
            waits_for_share: false,
            fetching: None,
            guest: None,
        }
    }

    /// Reads requests and answers them until the turn is over or the socket does not go on.
    ///
    /// # Errors
    /// The connection is of no more use: it broke, or the bytes of the answer under way are gone.
    pub(super) fn turn(&mut self) -> io::Result<Next> {
        let worker = Rc::clone(&self.worker);
        let scratch = &mut *worker.scratch.borrow_mut();
        self.receive(&mut scratch.requests)?;
        self.place.iter_mut().for_each(|place| place.begin_turn());
        let mut left = TURN_LEN;
        loop {
            let under_way = self.current.as_ref().is_some_and(|answer| answer.sent > 0);
            if self.finished || (worker.is_stopping() && !under_way) {
                return Ok(Next::Close);
            }
            let waits = match self.settle()? {
                Settled::Answer => None,
                Settled::Nothing => Some(self.wait_for_requests()),
                Settled::Parked(until) => Some(self.wait_for_news(until)),
                Settled::Waits(until) => Some(Next::Share(until)),
                Settled::InLine(pause) => Some(self.wait_in_line(pause)),
                Settled::Fetching => Some(self.wait_for_block()),
            };
            if let Some(next) = waits {
                self.count_limited(0);
                return Ok(next);
            }
            if let Some(next) = self.wait_for_limit() {
                return Ok(next);
            }
            if self.current.as_ref().is_some_and(|answer| matches!(answer.response, Response::Block(_))) {
                // Before it leaves: a client that has just got a block must not be the one to be evicted.
                self.slot.takes();
            }
            let took = self.send(scratch, left)?;
            let under_way = self.current.is_some();
            self.place.iter_mut().for_each(|place| place.count_sent(took.bytes, under_way));
            self.count_limited(took.bytes);
            if took.bytes > 0 || self.phase != Phase::Answer {
                self.enter(Phase::Answer);
            }
            left = left.saturating_sub(took.bytes);
            if took.full {
                return Ok(Next::Writable);
            }
            if left == 0 {
                return Ok(Next::Turn);
            }
        }
    }

    /// Whether a whole request of it was read.
    pub(super) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Bytes of a begun request.
    pub(super) fn begun(&self) -> usize {
        self.inbox.begun()
    }

    /// The number of its slot.
    pub(super) fn id(&self) -> u32 {
        self.slot.index()
    }

    /// Notes progress, and what is waited for from now on.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.slot.mark(phase);
    }

    /// Takes what has arrived, as far as the queue has room.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let room = self.room();
        if room == 0 {
            return Ok(());
        }
        let wanted = room * REQUEST_LEN - self.inbox.begun();
        match socket::receive(&self.stream, buffer.get_mut(..wanted).unwrap_or_default())? {
            Got::Nothing => {}
            Got::End => {
                self.ended = true;
                self.broken = self.inbox.begun() > 0 && self.guest.is_none();
            }
            Got::Bytes(bytes) => {
                let before = self.queue.len();
                let arrived = buffer.get(..bytes).unwrap_or_default();
                if self.receive_guest(arrived) {
                    return Ok(());
                }
                let queue = &mut self.queue;
                self.broken = self.inbox.take(arrived, |request| queue.push_back(request)).is_err();
                self.worker.count_queued(before, self.queue.len());
                if self.queue.len() > before {
                    if let (true, Some(conversation), Some(last)) =
                        (self.worker.extension, &mut self.conversation, self.queue.back())
                    {
                        conversation.hear_request(last);
                    }
                    if !std::mem::replace(&mut self.asked, true) {
                        self.slot.asked();
                    }
                    self.enter(Phase::Answer);
                }
            }
        }
        Ok(())
    }

    /// Requests that may be read now, within the connection's share of what the worker's queues hold. None
    /// while the queue is more than half full: a call for a few requests costs as much as one for many.
    /// None either when nothing that follows can be understood. A connection that waits for requests without room for
    /// one would be woken again and again by those that it does not read.
    pub(super) fn room(&self) -> usize {
        if self.ended || self.broken || self.queue.len() > QUEUE_LEN / 2 {
            return 0;
        }
        self.worker.queue_share().saturating_sub(self.queue.len())
    }

    /// Takes its host's place for this turn, before a block is sent; or says how it waits for it.
    pub(super) fn take_place(&mut self, under_way: bool) -> Result<(), Settled> {
        // A version 1 client that waits for its share keeps the place meanwhile.
        let fresh = !under_way && !self.waits_for_share;
        let (places, id, stream) = (&self.worker.places, self.id(), &self.stream);
        let place = self.place.get_or_insert_with(|| Box::new(Place::new(places, id, stream)));
        place.take(fresh).map_err(Settled::InLine)
    }

    /// Bytes that may leave with one call: within the limit, and where many share the system's buffers, no more than
    /// its part of them.
    pub(super) fn call_len(&self) -> usize {
        self.place.as_ref().map_or(usize::MAX, |place| place.call_len()).min(self.promised())
    }

    /// Bytes that may leave within the limit.
    pub(super) fn promised(&self) -> usize {
        self.allowance.as_ref().map_or(usize::MAX, |allowance| allowance.promised())
    }

    /// So many bytes have left within the limit.
    fn count_limited(&mut self, bytes: usize) {
        match &mut self.allowance {
            Some(allowance) if bytes > 0 => allowance.used(bytes),
            Some(allowance) => allowance.give_back(),
            None => {}
        }
    }

    /// There is something to send: how it waits for the limit, if it must.
    fn wait_for_limit(&mut self) -> Option<Next> {
        let allowance = self.allowance.as_mut()?;
        // A message takes no more of the limit than it has bytes.
        let wanted = self.current.as_ref().and_then(Answer::message_len).unwrap_or(u64::MAX);
        let until = allowance.take(wanted).err()?;
        if let Some(answer) = &mut self.current {
            // It keeps its place at the uplink, and what it took part in to get it.
            answer.settled = true;
        }
        // It is we who are slow, not the client.
        self.enter(Phase::Answer);
        Some(Next::Limit(until))
    }

    /// It has no block to send for now.
    pub(super) fn give_place_back(&mut self) {
        if self.place.as_mut().is_some_and(|place| place.rest())
            && let Some(conversation) = &self.conversation
        {
            conversation.uplink_is_free();
        }
    }

    /// It waits for a block that comes from an origin.
    fn wait_for_block(&mut self) -> Next {
        self.give_place_back();
        if self.phase != Phase::Idle {
            // It is we who are slow, not the client.
            self.enter(Phase::Idle);
        }
        Next::Origin
    }

    /// It waits for its host's place.
    fn wait_in_line(&mut self, pause: Option<Duration>) -> Next {
        let under_way = self.current.as_ref().is_some_and(|answer| answer.sent > 0);
        if !under_way && self.phase != Phase::Idle {
            // It is we who are slow, not the client.
            self.enter(Phase::Idle);
        }
        Next::Place(pause)
    }

    fn wait_for_requests(&mut self) -> Next {
        if self.ended {
            return Next::Close;
        }
        self.give_place_back();
        // The queue's memory goes back while there is nothing in it.
        self.queue = VecDeque::new();
        if socket::may_be_readable(&self.stream) {
            return Next::Turn;
        }
        let begun = self.inbox.begun() > 0 || self.guest.is_some();
        let phase = if begun { Phase::Request } else { Phase::Idle };
        // A client that sends its request byte by byte makes no progress by it.
        if phase != self.phase {
            self.enter(phase);
        }
        Next::Readable
    }

    /// A question for news waits; whatever else arrives makes it be answered.
    fn wait_for_news(&mut self, until: Instant) -> Next {
        if self.ended {
            return Next::Close;
        }
        if self.room() > 0 && socket::may_be_readable(&self.stream) {
            return Next::Turn;
        }
        if self.phase != Phase::Idle {
            self.enter(Phase::Idle);
        }
        Next::News(until)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Before the slot, whose number it uses.
        self.give_place_back();
        self.place = None;
        self.worker.count_queued(self.queue.len(), 0);
        self.worker.closed();
    }
}
