//! A connection's turn: it reads requests and answers them.
//!
//! A turn is synchronous, never waits, sends about [`TURN_LEN`] bytes and borrows the worker's buffers while it lasts.

use super::answer::Answer;
use super::connection::Connection;
use super::decide::Settled;
use super::slots::Phase;
use super::socket;
use crate::limits::TURN_LEN;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

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

impl Connection {
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
            let waits = match self.settle(&mut scratch.burst)? {
                Settled::Answer => None,
                Settled::Nothing => Some(self.wait_for_requests()),
                Settled::Parked(until) => Some(self.wait_for_news(until)),
                Settled::Waits(until) => Some(Next::Share(until)),
                Settled::InLine(pause) => Some(self.wait_in_line(pause)),
                Settled::Fetching => Some(self.wait_for_block()),
                Settled::Ends => Some(Next::Close),
            };
            if let Some(next) = waits {
                self.count_limited(0);
                return Ok(next);
            }
            if let Some(next) = self.wait_for_limit() {
                return Ok(next);
            }
            if self.current.as_ref().is_some_and(|answer| answer.response.carried().is_some()) {
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
