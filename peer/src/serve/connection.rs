//! One client's connection: what it asked for, and where its answer stands.
//!
//! Between turns a connection keeps its begun request and its queue, but no bytes of a block: an answer that the
//! socket took in part is remembered as a position, and read again from there.

use super::answer::Answer;
use super::awaited::Awaited;
use super::burst_size::BurstSize;
use super::clients::Slot;
use super::conversation::Conversation;
use super::guest::Guest;
use super::inbox::Inbox;
use super::place::Place;
use super::proof::Proof;
use super::slots::Phase;
use super::thread::ServeThread;
use crate::limits::QUEUE_LEN;
use crate::pace::{Allowance, Limit};
use cascade_format::peer_wire::BlockRequest;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// One client.
pub(super) struct Connection {
    /// Shared with [`Place`].
    pub(super) stream: Arc<TcpStream>,
    pub(super) slot: Slot,
    pub(super) worker: Rc<ServeThread>,
    pub(super) inbox: Inbox,
    /// Requests to be answered; the first is the one that `current` answers.
    pub(super) queue: VecDeque<BlockRequest>,
    pub(super) current: Option<Answer>,
    /// What blocks are hashed with before they are sent, while one is under way.
    pub(super) proof: Option<Box<Proof>>,
    /// About the file that it asked for last, by either of its names. Boxed: most that idle have asked for none.
    pub(super) conversation: Option<Box<Conversation>>,
    /// Requests at the front of the queue that are decided: their blocks are given.
    pub(super) granted: usize,
    pub(super) burst: BurstSize,
    pub(super) phase: Phase,
    /// A request of it was read.
    pub(super) asked: bool,
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
    pub(super) fetching: Option<Box<Awaited>>,
    /// What has come of a tracker's request.
    pub(super) guest: Option<Box<Guest>>,
    /// Blocks are copied through memory: it was asked for, or the file system knows no `sendfile`.
    pub(super) copy: bool,
    /// What it may send within the limit, if there is one. Boxed, as above.
    pub(super) allowance: Option<Box<Allowance>>,
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

    /// Takes its host's place for this turn, before a block is sent.
    ///
    /// # Errors
    /// Another connection has it; when to look again, unless it is woken.
    pub(super) fn take_place(&mut self, under_way: bool) -> Result<(), Option<Duration>> {
        // A version 1 client that waits for its share keeps the place meanwhile.
        let fresh = !under_way && !self.waits_for_share;
        let (places, id, stream) = (&self.worker.places, self.id(), &self.stream);
        let place = self.place.get_or_insert_with(|| Box::new(Place::new(places, id, stream)));
        place.take(fresh)
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

    /// `bytes` have left within the limit; 0: what was promised is not used.
    pub(super) fn count_limited(&mut self, bytes: usize) {
        match &mut self.allowance {
            Some(allowance) if bytes > 0 => allowance.used(bytes),
            Some(allowance) => allowance.give_back(),
            None => {}
        }
    }

    /// It has no block to send for now.
    pub(super) fn give_place_back(&mut self) {
        if self.place.as_mut().is_some_and(|place| place.rest())
            && let Some(conversation) = &self.conversation
        {
            conversation.uplink_is_free();
        }
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
