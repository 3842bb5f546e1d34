//! What a link does with the bytes that come: writes them, has them hashed, and tells its session.

use super::LinkEvent;
use super::buffers::{Buffer, BufferPool};
use super::hashing::{HashPool, Job, Work};
use super::lane::{Lane, Piece};
use super::low_water::{HOLD, LowWater, Wait};
use super::response::{Lie, ResponseReader};
use super::wakeup::{After, Wakeup, fill};
use super::write::Writer;
use crate::clock;
use crate::limits::PIECE_LEN;
use crate::pace::{Allowance, Limit};
use cascade_swarm::ask::Ended;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// Pieces received before the link looks at its requests again.
const PIECES_A_TURN: usize = 4;

/// Bytes that a link itself reads back to come level with the verified prefix. More would hold up the other
/// links of its thread; the thread of the file's hash does it then.
const MAX_LEAP_HERE: u64 = PIECE_LEN as u64;

/// How a link ends, and why, for people.
pub(super) type End = (Ended, String);

/// The receiving half of a link.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) reader: ResponseReader,
    pub(super) wakeup: Wakeup,
    lane: Arc<Lane>,
    writer: Writer,
    buffers: BufferPool,
    hashers: HashPool,
    water: LowWater,
    /// When the session was told of progress last.
    told: Option<Instant>,
    /// When something was asked for where nothing was under way, or came, last.
    pub(super) last_sign: Instant,
    /// What may be received within the limit, if there is one.
    pub(super) allowance: Option<Allowance>,
}

impl Receiver {
    pub(super) fn new(
        reader: ResponseReader,
        lane: Arc<Lane>,
        buffers: BufferPool,
        hashers: HashPool,
        limit: Option<&Limit>,
    ) -> Self {
        let (wakeup, water) = (Wakeup::new(cfg!(target_os = "linux")), LowWater::default());
        let (allowance, last_sign) = (limit.map(Limit::allowance), clock::now());
        let writer = Writer::new(Arc::clone(&lane));
        Self { reader, wakeup, lane, writer, buffers, hashers, water, told: None, last_sign, allowance }
    }

    /// Receives what is there, and decides what to wait for.
    pub(super) async fn receive(&mut self, stream: &TcpStream) -> Result<(), End> {
        let (mut received, mut rests_until) = (0, None);
        for _ in 0..PIECES_A_TURN {
            let allowed = match self.allowance.as_mut().map_or(Ok(PIECE_LEN), |limit| limit.take(u64::MAX)) {
                Ok(allowed) => allowed,
                Err(until) => {
                    rests_until = Some(until);
                    break;
                }
            };
            let mut buffer = self.buffers.take().await;
            let room = buffer.len().min(allowed);
            let (length, after) = fill(stream, buffer.get_mut(..room).unwrap_or_default());
            if let Some(allowance) = &mut self.allowance {
                allowance.used(length);
            }
            received += length as u64;
            if length > 0 {
                // With more in the socket, or soon, this thread has enough to do.
                let busy = (matches!(after, After::More) && length == PIECE_LEN) || !self.water.is_calm();
                self.take_in(buffer, length, busy).await?;
            }
            match after {
                After::End => return Err(self.ended()),
                After::Broken(error) => return Err(self.broken(&error)),
                After::Empty => break,
                After::More => {}
            }
        }
        let now = clock::now();
        if received > 0 {
            self.last_sign = now;
        }
        if let Some(until) = rests_until {
            self.wakeup.rest(until);
            self.water.received_in_part(received);
            self.tell(now, Wait { mark: 1, hold: Some(HOLD) }).await;
            return Ok(());
        }
        self.water.received(now, received);
        let body = self.reader.left_of_body().max(self.reader.next_block());
        // The last answer may come in two parts of which the second waits for an acknowledgement of the first.
        let expected = if self.reader.owed() > 1 { self.reader.expected() } else { body };
        let wait = self.within_limit(self.water.next(body, expected));
        self.wakeup.set(stream, wait);
        self.tell(now, wait).await;
        Ok(())
    }

    /// Where there is a limit, no more is waited for than is read at once.
    fn within_limit(&self, wait: Wait) -> Wait {
        let most = self.allowance.as_ref().map_or(wait.mark, |allowance| allowance.limit().piece_len());
        Wait { mark: wait.mark.min(most), ..wait }
    }

    /// Tells the session what was hashed here: at once what its plan waits for, now and then what is progress
    /// alone, and never later than the link looks again.
    async fn tell(&mut self, now: Instant, wait: Wait) {
        let due = self.told.is_none_or(|told| now >= told + HOLD) || wait.hold.is_none();
        if self.lane.is_here()
            && (due || self.lane.has_news())
            && let Some(event) = self.lane.take_event()
        {
            self.told = Some(now);
            self.send(event).await;
        }
    }

    /// Tells the session all there is to tell. What is on a hash thread is told by that.
    pub(super) async fn tell_rest(&self) {
        if self.lane.is_here()
            && let Some(event) = self.lane.take_event()
        {
            self.send(event).await;
        }
    }

    /// Ends the link: tells the session all there is to tell, and the end behind it.
    pub(super) async fn end(&self, ended: Ended, reason: String) {
        self.tell_rest().await;
        if self.lane.is_here() {
            self.send(LinkEvent::Closed(ended, reason)).await;
        } else {
            let (lane, work) = (Arc::clone(&self.lane), Work::End(ended, reason));
            self.hashers.submit(Job { lane, work }).await;
        }
    }

    pub(super) async fn send(&self, event: LinkEvent) {
        // A session that is gone wants no news.
        let _ = self.lane.file.events.send((self.lane.link, event)).await;
    }

    /// Writes what the bytes are to the file, and has them hashed: here, or by a thread if this one is `busy`.
    async fn take_in(&mut self, buffer: Buffer, length: usize, busy: bool) -> Result<(), End> {
        let mut segments = Vec::new();
        let bytes = buffer.get(..length).unwrap_or_default();
        let understood = self.reader.read(bytes, &mut segments);
        let written = match self.writer.write(bytes, &segments) {
            Ok(written) => written,
            Err(error) => return Err(self.refused_by_disk(error).await),
        };
        if busy || !self.lane.is_here() {
            let work = Work::Piece { buffer, length, segments, written };
            self.hashers.submit(Job { lane: Arc::clone(&self.lane), work }).await;
        } else {
            let piece = Piece { bytes, segments, written: &written, max_leap: MAX_LEAP_HERE };
            let hashed = self.lane.hash(piece);
            // The buffer is free before anything waits for a session.
            drop(buffer);
            if let Err(error) = hashed {
                return Err(self.refused_by_disk(error).await);
            }
        }
        understood.map_err(|lie| {
            // A peer that is full says so before it is asked, and may have room later.
            let ended = if lie == Lie::Unasked { Ended::Cut } else { Ended::Lied };
            (ended, lie.to_string())
        })
    }

    async fn refused_by_disk(&self, error: io::Error) -> End {
        self.send(LinkEvent::Disk(error)).await;
        (Ended::Cut, "the disk refused the data".into())
    }

    /// The peer closed the connection.
    fn ended(&self) -> End {
        if self.reader.is_between() {
            (Ended::Between, "the peer closed the connection".into())
        } else if let Some(status) = self.reader.refusing() {
            (Ended::Refused(status), "the peer closed the connection in the middle of a message".into())
        } else {
            (Ended::Cut, "the peer closed the connection in the middle of an answer".into())
        }
    }

    pub(super) fn broken(&self, error: &io::Error) -> End {
        let between = if self.reader.is_between() { Ended::Between } else { Ended::Cut };
        (self.reader.refusing().map_or(between, Ended::Refused), error.to_string())
    }
}
