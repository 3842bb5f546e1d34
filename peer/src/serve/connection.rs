//! One client's connection: what it asked for, where its answer stands, and its turns.
//!
//! A turn is synchronous, never waits, sends about [`TURN_LEN`] bytes and borrows the worker's
//! buffers while it lasts. Between turns a connection keeps its begun request and its queue, but no
//! bytes of a block: an answer that the socket took in part is remembered as a position, and read
//! again from there.

use super::burst::{Burst, Segment};
use super::burst_size::BurstSize;
use super::clients::Slot;
use super::inbox::Inbox;
use super::large;
use super::reading::{Front, Reading};
use super::slots::Phase;
use super::socket::{self, Got, Took};
use super::verdict::{Refusal, Verdict, judge};
use super::worker::{Scratch, Worker};
use crate::clock;
use crate::limits::{MAX_QUEUED, MAX_SHARE_WAIT, QUEUE_LEN, TURN_LEN};
use crate::store::Shared;
use crate::swarm;
use cascade_format::Block;
use cascade_format::extension::{Marker, NEWS};
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN, RESPONSE_HEADER_LEN};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// What a connection needs after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another turn, after the others had theirs.
    Turn,
    /// More requests.
    Readable,
    /// News for the client, or more requests.
    News,
    /// Its share of the uplink, which others use.
    Share,
    /// Room in the socket.
    Writable,
    /// To be closed: all that it will get is on its way.
    Close,
}

/// What [`Connection::settle`] found.
enum Settled {
    /// Something to send.
    Answer,
    /// No request.
    Nothing,
    /// A question for news, and no news.
    Parked,
    /// A block that others are given before.
    Waits,
}

/// One client.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    slot: Slot,
    pub(super) worker: Rc<Worker>,
    inbox: Inbox,
    /// Requests to be answered; the first is the one that `current` answers.
    pub(super) queue: VecDeque<BlockRequest>,
    current: Option<Answer>,
    /// The client knows the swarm extension. Boxed: most that idle do not.
    pub(super) reading: Option<Box<Reading>>,
    burst: BurstSize,
    phase: Phase,
    /// The client sends no more.
    pub(super) ended: bool,
    /// What follows the queue cannot be understood.
    broken: bool,
    /// An answer after which the connection is closed has been sent.
    finished: bool,
    /// It waits for a block.
    busy: bool,
    /// The file's bulletin knows its host, as one that tells nothing of itself.
    told_host: bool,
    /// Since when it waits for its share of the uplink.
    waits_since: Option<Instant>,
    /// Blocks are copied through memory: it was asked for, or the file system knows no `sendfile`.
    pub(super) copy: bool,
}

/// An answer that is being sent.
struct Answer {
    verdict: Verdict,
    /// The file asked for, if it is known.
    file: Option<Arc<Shared>>,
    /// What stands in front, header included, as long as the socket has not taken it.
    front: Option<Front>,
    /// Bytes of the answer that the socket has taken.
    sent: u64,
    /// Decided for good: bytes of it are out, or the block could not be read.
    settled: bool,
}

impl Connection {
    /// A connection that has sent nothing yet.
    pub(super) fn new(stream: TcpStream, slot: Slot, worker: Rc<Worker>) -> Self {
        worker.opened();
        Self {
            stream,
            slot,
            copy: worker.copy,
            worker,
            inbox: Inbox::new(),
            queue: VecDeque::new(),
            current: None,
            reading: None,
            burst: BurstSize::new(),
            phase: Phase::Idle,
            ended: false,
            broken: false,
            finished: false,
            busy: false,
            told_host: false,
            waits_since: None,
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
        let mut left = TURN_LEN;
        loop {
            let under_way = self.current.as_ref().is_some_and(|answer| answer.sent > 0);
            if self.finished || (worker.is_stopping() && !under_way) {
                return Ok(Next::Close);
            }
            match self.settle()? {
                Settled::Answer => {}
                Settled::Nothing => return Ok(self.wait_for_requests()),
                Settled::Parked => return Ok(self.wait_for_news()),
                Settled::Waits => return Ok(Next::Share),
            }
            let took = self.send(scratch, left)?;
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

    /// Notes progress, and what is waited for from now on.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.slot.mark(phase);
    }

    /// Takes what has arrived, as far as the queue has room.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let room = self.room();
        if self.ended || self.broken || room == 0 {
            return Ok(());
        }
        let wanted = room * REQUEST_LEN - self.inbox.begun();
        match socket::receive(&self.stream, buffer.get_mut(..wanted).unwrap_or_default())? {
            Got::Nothing => {}
            Got::End => {
                self.ended = true;
                self.broken = self.inbox.begun() > 0;
            }
            Got::Bytes(bytes) => {
                let (before, queue) = (self.queue.len(), &mut self.queue);
                let arrived = buffer.get(..bytes).unwrap_or_default();
                self.broken = self.inbox.take(arrived, |request| queue.push_back(request)).is_err();
                let requests = self.queue.len() - before;
                self.worker.add_queued(requests);
                if requests > 0 {
                    // Before the answer: who has just got one must not be the one to be evicted.
                    self.enter(Phase::Answer);
                }
            }
        }
        Ok(())
    }

    /// Requests that may be read now: what this queue has room for, and all queues of the worker
    /// together; but always one. None while the queue is more than half full: a call for a few requests
    /// costs as much as one for many.
    fn room(&self) -> usize {
        if self.queue.len() > QUEUE_LEN / 2 {
            return 0;
        }
        let own = QUEUE_LEN - self.queue.len();
        let common = MAX_QUEUED.saturating_sub(self.worker.queued());
        own.min(common.max(usize::from(self.queue.is_empty())))
    }

    fn wait_for_requests(&mut self) -> Next {
        if self.ended {
            return Next::Close;
        }
        self.set_busy(false);
        // The queue's memory goes back while there is nothing in it.
        self.queue = VecDeque::new();
        if socket::may_be_readable(&self.stream) {
            return Next::Turn;
        }
        let phase = if self.inbox.begun() > 0 { Phase::Request } else { Phase::Idle };
        // A client that sends its request byte by byte makes no progress by it.
        if phase != self.phase {
            self.enter(phase);
        }
        Next::Readable
    }

    /// A question for news waits; whatever else arrives makes it be answered.
    fn wait_for_news(&mut self) -> Next {
        if self.ended {
            return Next::Close;
        }
        if socket::may_be_readable(&self.stream) {
            return Next::Turn;
        }
        if self.phase != Phase::Idle {
            self.enter(Phase::Idle);
        }
        Next::News
    }

    /// Decides what is answered next, and looks whether it still can be.
    fn settle(&mut self) -> io::Result<Settled> {
        if let Some(Answer { verdict, file: Some(file), settled: true, .. }) = &self.current {
            // A block is not finished with other bytes than those that it began with.
            let gone = matches!(verdict, Verdict::Block(_)) && !file.is_unchanged();
            return if gone { Err(io::ErrorKind::InvalidData.into()) } else { Ok(Settled::Answer) };
        }
        if self.current.as_ref().is_some_and(|answer| answer.settled) {
            return Ok(Settled::Answer);
        }
        let (verdict, file, front) = match self.queue.front().copied() {
            Some(request) => match self.worker.catalog.get(&request.cascade_hash) {
                Some(file) => match self.decide(&request, &file) {
                    Ok((verdict, front)) => (verdict, Some(file), front),
                    Err(waits) => {
                        self.set_busy(false);
                        return Ok(waits);
                    }
                },
                None => (Verdict::Refusal(Refusal::UnknownFile), None, None),
            },
            None if self.broken => (Verdict::Refusal(Refusal::BadRequest), None, None),
            None => return Ok(Settled::Nothing),
        };
        self.set_busy(matches!(verdict, Verdict::Block(_)));
        // What was told once is not told again: it is decided for good.
        self.current = Some(Answer { verdict, file, sent: 0, settled: front.is_some(), front });
        Ok(Settled::Answer)
    }

    fn set_busy(&mut self, busy: bool) {
        match (std::mem::replace(&mut self.busy, busy), busy) {
            (false, true) => self.worker.stats.add_busy(),
            (true, false) => {
                let left = self.worker.stats.remove_busy();
                if let Some(reading) = self.reading.as_ref().filter(|_| left == 0) {
                    reading.uplink_is_free();
                }
            }
            (true, true) | (false, false) => {}
        }
    }

    /// The answer to a request for `file`, with what stands in front of it for a client that knows the
    /// swarm extension; or what it waits for.
    fn decide(
        &mut self,
        request: &BlockRequest,
        file: &Arc<Shared>,
    ) -> Result<(Verdict, Option<Front>), Settled> {
        let verdict = judge(request, file, file.is_unchanged());
        let marker = self.marker(request, file);
        let Some(marker) = marker else {
            self.tell_host(file);
            let waits = matches!(verdict, Verdict::Block(block) if !self.plain_asked(file, block));
            return if waits { Err(Settled::Waits) } else { Ok((verdict, None)) };
        };
        let (hurry, load) = (self.queue.len() > 1, self.worker.stats.busy());
        let others = load.saturating_sub(usize::from(self.busy));
        let reading = Reading::of(&mut self.reading, &self.stream, file, marker);
        if others > 0 {
            reading.shares_uplink(&self.stream);
        }
        if request.block == NEWS {
            let front = reading.news(marker, hurry, load).ok_or(Settled::Parked)?;
            return Ok((Verdict::News, Some(front)));
        }
        let verdict = match verdict {
            Verdict::Block(block) if !reading.asked(marker, block, others) => {
                Verdict::Refusal(Refusal::MissingBlock)
            }
            Verdict::Block(_) | Verdict::Refusal(_) | Verdict::News => verdict,
        };
        let front = reading.front(verdict, load);
        Ok((verdict, front))
    }

    /// The marker of a request for `file`, if it shows one that counts.
    fn marker(&self, request: &BlockRequest, file: &Arc<Shared>) -> Option<Marker> {
        let counts = self.worker.extension && swarm::is_told(file.layout().blocks());
        if counts { Marker::of(request) } else { None }
    }

    /// A client that tells nothing of itself has asked for `file`.
    fn tell_host(&mut self, file: &Arc<Shared>) {
        if !std::mem::replace(&mut self.told_host, true)
            && let Ok(SocketAddr::V4(addr)) = self.stream.peer_addr()
        {
            file.bulletin().asked_from(*addr.ip());
        }
    }

    /// A client that knows only version 1 asks for `block`: whether it is given now, or after others.
    fn plain_asked(&mut self, file: &Arc<Shared>, block: Block) -> bool {
        if self.current.is_some() {
            // It was decided; the socket did not take it.
            return true;
        }
        let since = *self.waits_since.get_or_insert_with(clock::now);
        let given = file.bulletin().plain_asked(block, since.elapsed() >= MAX_SHARE_WAIT);
        if given {
            self.waits_since = None;
        }
        given
    }

    /// The answer to a further request of a burst; `None`: it must be decided by itself.
    fn decide_in_burst(&self, request: &BlockRequest, file: &Arc<Shared>) -> Option<Verdict> {
        // A file that has changed has no blocks by now.
        let verdict = judge(request, file, true);
        let Some(reading) = self.reading.as_ref().filter(|reading| reading.reads(file)) else {
            let plain = self.marker(request, file).is_none();
            let given = |verdict: &Verdict| match verdict {
                Verdict::Block(block) => file.bulletin().plain_asked(*block, false),
                Verdict::Refusal(_) | Verdict::News => true,
            };
            return Some(verdict).filter(|verdict| plain && given(verdict));
        };
        let Some(marker) = self.marker(request, file) else { return Some(verdict) };
        if request.block == NEWS || reading.is_due() {
            return None;
        }
        let others = self.worker.stats.busy().saturating_sub(usize::from(self.busy));
        match verdict {
            Verdict::Block(block) => reading.asked(marker, block, others).then_some(verdict),
            Verdict::Refusal(_) | Verdict::News => Some(verdict),
        }
    }

    /// Sends some of what is to be sent, in the way that suits it.
    fn send(&mut self, scratch: &mut Scratch, left: usize) -> io::Result<Took> {
        let Some(Answer { verdict, file, sent, front, .. }) = self.current.take() else {
            return Ok(Took { bytes: 0, full: false });
        };
        if let Some(front) = front {
            return self.send_front(verdict, file, front);
        }
        match (verdict, file) {
            (Verdict::Block(block), Some(file)) if large::is_large(self.copy, &file, verdict) => {
                large::send(self, block, file, sent, left)
            }
            (_, Some(file)) => self.send_burst(verdict, file, sent, scratch),
            (Verdict::Refusal(refusal), None) => self.send_refusal(refusal, sent),
            (Verdict::Block(_) | Verdict::News, None) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends what stands in front of an answer; the rest follows as if its header had been sent.
    fn send_front(
        &mut self,
        verdict: Verdict,
        file: Option<Arc<Shared>>,
        mut front: Front,
    ) -> io::Result<Took> {
        let alone = verdict == Verdict::News;
        let rest = front.bytes.get(front.sent..).unwrap_or_default();
        let took =
            if alone { socket::send(&self.stream, rest)? } else { socket::send_more(&self.stream, rest)? };
        self.worker.stats.add_sent(took.bytes, 0);
        front.sent += took.bytes;
        let (sent, front) = if front.sent < front.bytes.len() {
            (0, Some(front))
        } else if alone {
            self.answered(verdict);
            return Ok(took);
        } else {
            (RESPONSE_HEADER_LEN as u64, None)
        };
        self.current = Some(Answer { verdict, file, front, sent, settled: true });
        Ok(took)
    }

    /// Sends this answer and the next ones of the same file with one call.
    fn send_burst(
        &mut self,
        verdict: Verdict,
        file: Arc<Shared>,
        sent: u64,
        scratch: &mut Scratch,
    ) -> io::Result<Took> {
        let out = scratch.burst.get_mut(..self.burst.next()).unwrap_or_default();
        let mut burst = Burst::new(&file, out, &mut scratch.segments);
        let mut open = burst.push(verdict, sent) && !verdict.closes();
        for request in self.queue.iter().skip(1) {
            if !open || request.cascade_hash != file.cascade_hash() {
                break;
            }
            let Some(verdict) = self.decide_in_burst(request, &file) else { break };
            open = !large::is_large(self.copy, &file, verdict) && burst.push(verdict, 0) && !verdict.closes();
        }
        let filled = burst.finish();
        if filled == 0 {
            return self.cannot_read(file, sent);
        }
        let took = socket::send(&self.stream, scratch.burst.get(..filled).unwrap_or_default())?;
        self.burst.took(took.bytes, took.full);
        self.account(&scratch.segments, &file, took.bytes);
        Ok(took)
    }

    /// The block to be sent cannot be read: the client is told to look elsewhere, if it is not too late.
    fn cannot_read(&mut self, file: Arc<Shared>, sent: u64) -> io::Result<Took> {
        if sent > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let verdict = Verdict::Refusal(Refusal::MissingBlock);
        self.current = Some(Answer { verdict, file: Some(file), front: None, sent: 0, settled: true });
        Ok(Took { bytes: 0, full: false })
    }

    /// Sends a refusal that concerns no file of ours.
    fn send_refusal(&mut self, refusal: Refusal, sent: u64) -> io::Result<Took> {
        let answer = refusal.encode();
        let rest = answer.get(usize::try_from(sent).unwrap_or(usize::MAX)..).unwrap_or_default();
        let took = socket::send(&self.stream, rest)?;
        self.worker.stats.add_sent(took.bytes, 0);
        let verdict = Verdict::Refusal(refusal);
        if took.bytes == rest.len() {
            self.answered(verdict);
        } else {
            let sent = sent + took.bytes as u64;
            self.current = Some(Answer { verdict, file: None, front: None, sent, settled: sent > 0 });
        }
        Ok(took)
    }

    /// Notes which answers of a burst are done when the socket took `bytes` of it, and where the next
    /// one stands.
    fn account(&mut self, segments: &[Segment], file: &Arc<Shared>, bytes: usize) {
        let (mut left, mut blocks) = (bytes as u64, 0);
        for Segment { verdict, part, total } in segments {
            let len = part.end - part.start;
            if left < len || part.end < *total {
                self.remember(*verdict, Arc::clone(file), part.start + left.min(len));
                break;
            }
            left -= len;
            blocks += u64::from(matches!(verdict, Verdict::Block(_)));
            self.answered(*verdict);
        }
        self.worker.stats.add_sent(bytes, blocks);
    }

    /// Notes where an answer stands that the socket took in part.
    pub(super) fn remember(&mut self, verdict: Verdict, file: Arc<Shared>, sent: u64) {
        self.current =
            (sent > 0).then_some(Answer { verdict, file: Some(file), front: None, sent, settled: true });
    }

    /// The first answer is out to its last byte.
    pub(super) fn answered(&mut self, verdict: Verdict) {
        self.current = None;
        if let (Verdict::Block(block), Some(reading)) = (verdict, &self.reading)
            && self.queue.front().is_some_and(|request| reading.is_of(request))
        {
            reading.sent(block);
        }
        self.finished = verdict.closes();
        if self.queue.pop_front().is_some() {
            self.worker.remove_queued(1);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.set_busy(false);
        self.worker.remove_queued(self.queue.len());
        self.worker.closed();
    }
}
