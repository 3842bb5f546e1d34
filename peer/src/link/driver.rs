//! The task of one link: connects, asks, receives, writes.

use super::acknowledge::acknowledge;
use super::buffers::{Buffer, BufferPool};
use super::farewell::Farewell;
use super::hashing::{HashPool, Job, Work};
use super::lease::Lease;
use super::response::{Ask, Lie, ResponseReader, Segment};
use super::threads::{Counted, LinkThreads};
use super::{FileContext, LinkEvent};
use crate::limits::{CONNECT_TIMEOUT, MAX_PIPELINE};
use crate::plan::{Ended, LinkId};
use crate::{clock, dial};
use cascade_format::extension::{Marker, NEWS};
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Requests written with one call.
const REQUESTS_A_WRITE: usize = 256;

/// Pieces received before the link looks at its requests again.
const PIECES_A_TURN: usize = 4;

/// What to ask the peer next.
#[derive(Debug)]
pub struct Questions {
    /// In this order, in as few calls as possible.
    pub asks: Vec<Ask>,
    /// Offered blocks that the peer has told of so far, modulo 2³²; for the marker.
    pub offers_seen: u32,
}

/// The session's end of a link. Dropping it ends the link: after that it writes nothing more.
#[derive(Debug)]
pub struct LinkHandle {
    requests: mpsc::Sender<Questions>,
    lease: Arc<Lease>,
}

impl LinkHandle {
    /// Asks. Never waits: the plan has no more under way than the queue takes.
    pub fn ask(&self, questions: Questions) {
        // A link that has ended tells so by its last event.
        let _ = self.requests.try_send(questions);
    }

    /// The link's right to write.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        // Waits for the write that is under way; the task ends by itself, its queue being closed.
        self.lease.close();
    }
}

/// A link that is to be started.
#[derive(Debug)]
pub struct LinkTask {
    /// Its name.
    pub id: LinkId,
    /// Where the peer listens.
    pub addr: SocketAddrV4,
    /// The file.
    pub file: Arc<FileContext>,
    /// Where this process listens.
    pub listen: Option<SocketAddrV4>,
    /// The port that the requests' markers tell, 0 for none; `None`: plain version 1 requests.
    pub marker_port: Option<u16>,
    /// The process's link threads.
    pub threads: LinkThreads,
    /// The process's piece buffers.
    pub buffers: BufferPool,
    /// The process's hash threads.
    pub hashers: HashPool,
}

impl LinkTask {
    /// Starts the link.
    #[must_use]
    pub fn start(self) -> LinkHandle {
        let (requests, queue) = mpsc::channel(MAX_PIPELINE);
        let lease = Arc::new(Lease::default());
        let (id, threads) = (self.id, self.threads.clone());
        let reader = ResponseReader::new(*self.file.shared.layout(), self.marker_port.is_some());
        let (to_send, out, offers_seen) = (VecDeque::new(), Vec::new(), 0);
        let (lease_of_link, last_sign) = (Arc::clone(&lease), clock::now());
        let link = Link { task: self, lease: lease_of_link, reader, to_send, offers_seen, out, last_sign };
        let connecting = threads.count_connecting();
        threads.spawn(id, link.run(queue, connecting));
        LinkHandle { requests, lease }
    }
}

/// How a link ends, and why, for people.
type End = (Ended, String);

struct Link {
    task: LinkTask,
    lease: Arc<Lease>,
    reader: ResponseReader,
    /// What to ask for.
    to_send: VecDeque<Ask>,
    offers_seen: u32,
    /// Requests that the socket did not take yet.
    out: Vec<u8>,
    /// When something was asked for where nothing was under way, or came, last.
    last_sign: Instant,
}

impl Link {
    async fn run(mut self, requests: mpsc::Receiver<Questions>, connecting: Counted) {
        let (ended, reason) = match self.connect().await {
            Ok(stream) => {
                let _open = self.task.threads.count_open();
                drop(connecting);
                let _ = self.task.file.events.send((self.task.id, LinkEvent::Connected)).await;
                self.transfer(&stream, requests).await
            }
            Err(end) => end,
        };
        self.submit(Work::End(ended, reason)).await;
    }

    async fn connect(&self) -> Result<TcpStream, End> {
        let to = self.task.addr;
        let from = self.task.listen.map_or(Ipv4Addr::UNSPECIFIED, |listen| *listen.ip());
        let connecting = async { tokio::time::timeout(CONNECT_TIMEOUT, dial::connect(from, to)).await? };
        let unreachable = |error: io::Error| (Ended::Unreachable, error.to_string());
        let stream: TcpStream = connecting.await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        // Whoever listens on every address reaches itself at those that it connects from.
        let everywhere = self.task.listen.filter(|listen| listen.ip().is_unspecified());
        let from_there = stream.local_addr().is_ok_and(|from| from.ip() == SocketAddr::V4(to).ip());
        if from_there && everywhere.is_some_and(|listen| listen.port() == to.port()) {
            return Err((Ended::Own, "it is an address of this peer itself".into()));
        }
        Ok(stream)
    }

    async fn transfer(&mut self, stream: &TcpStream, mut requests: mpsc::Receiver<Questions>) -> End {
        loop {
            let unsent = !self.out.is_empty() || !self.to_send.is_empty();
            let step = tokio::select! {
                questions = requests.recv() => {
                    let Some(questions) = questions else {
                        self.say_farewell(stream).await;
                        return (Ended::Between, "closed".into());
                    };
                    if self.reader.owed() == 0 {
                        self.last_sign = clock::now();
                    }
                    self.to_send.extend(questions.asks);
                    self.offers_seen = questions.offers_seen;
                    self.send(stream)
                }
                ready = stream.writable(), if unsent => {
                    ready.map_err(|error| self.broken(&error)).and_then(|()| self.send(stream))
                }
                ready = stream.readable() => match ready {
                    Ok(()) => {
                        self.last_sign = clock::now();
                        let received = self.receive(stream).await;
                        acknowledge(stream, &self.reader);
                        received
                    }
                    Err(error) => Err(self.broken(&error)),
                },
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn say_farewell(&mut self, stream: &TcpStream) {
        let hash = self.task.file.shared.cascade_hash();
        let (unsent, last_sign) = (std::mem::take(&mut self.out), self.last_sign);
        Farewell { reader: &mut self.reader, unsent, hash, last_sign }.say(stream).await;
    }

    /// Sends requests, many with one call, until the socket takes no more.
    fn send(&mut self, stream: &TcpStream) -> Result<(), End> {
        loop {
            while self.out.len() < REQUESTS_A_WRITE * REQUEST_LEN
                && let Some(ask) = self.to_send.pop_front()
            {
                self.out.extend_from_slice(&self.encode(ask));
                self.reader.asked(ask);
            }
            if self.out.is_empty() {
                return Ok(());
            }
            match stream.try_write(&self.out) {
                Ok(sent) => drop(self.out.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn encode(&self, ask: Ask) -> [u8; REQUEST_LEN] {
        let hash = self.task.file.shared.cascade_hash();
        let marker = self.task.marker_port.map(|port| Marker { port, offers_seen: self.offers_seen });
        match (marker, ask) {
            (Some(marker), Ask::Block(block)) => marker.request(hash, block.number()),
            (Some(marker), Ask::News) => marker.request(hash, NEWS),
            (None, Ask::Block(block)) => BlockRequest::new(hash, block).encode(),
            // Only a peer that has answered a marker is asked so.
            (None, Ask::News) => Marker { port: 0, offers_seen: 0 }.request(hash, NEWS),
            (_, Ask::NoBlock) => {
                let block = self.reader.blocks();
                BlockRequest { reserved: [0; 16], block, cascade_hash: hash }.encode()
            }
        }
    }

    /// Receives what is there.
    async fn receive(&mut self, stream: &TcpStream) -> Result<(), End> {
        for _ in 0..PIECES_A_TURN {
            let mut buffer = self.task.buffers.take().await;
            let (length, after) = fill(stream, &mut buffer);
            let full = length == buffer.len();
            if length > 0 {
                self.take_in(buffer, length).await?;
            }
            match after {
                After::End => return Err(self.ended()),
                After::Broken(error) => return Err(self.broken(&error)),
                After::Open if !full => return Ok(()),
                After::Open => {}
            }
        }
        Ok(())
    }

    /// Writes what the bytes are to the file, and hands them to the hash thread.
    async fn take_in(&mut self, buffer: Buffer, length: usize) -> Result<(), End> {
        let mut segments = Vec::new();
        let bytes = buffer.get(..length).unwrap_or_default();
        let understood = self.reader.read(bytes, &mut segments);
        let written = match self.write(bytes, &segments) {
            Ok(written) => written,
            Err(error) => {
                let _ = self.task.file.events.send((self.task.id, LinkEvent::Disk(error))).await;
                return Err((Ended::Cut, "the disk refused the data".into()));
            }
        };
        self.submit(Work::Piece { buffer, length, segments, written }).await;
        understood.map_err(|lie| {
            // A peer that is full says so before it is asked, and may have room later.
            let ended = if lie == Lie::Unasked { Ended::Cut } else { Ended::Lied };
            (ended, lie.to_string())
        })
    }

    /// Writes bodies at their places, neighbours with one call, under the lease. Tells for each segment
    /// whether it is written: only the writer knows, for the lease may change at any moment.
    fn write(&self, bytes: &[u8], segments: &[Segment]) -> io::Result<Vec<bool>> {
        let data = self.task.file.shared.data();
        let writing = self.lease.write();
        let mut written = Vec::with_capacity(segments.len());
        let mut slices = Vec::new();
        let (mut start, mut end) = (0, 0);
        for segment in segments {
            let Segment::Body { block, offset, range, .. } = segment else {
                written.push(false);
                continue;
            };
            let allowed = writing.allows(*block);
            written.push(allowed);
            if !allowed {
                continue;
            }
            let at = data.layout().start(*block) + offset;
            if at != end {
                data.write_all_at(&mut slices, start)?;
                slices.clear();
                start = at;
            }
            slices.push(IoSlice::new(bytes.get(range.clone()).unwrap_or_default()));
            end = at + range.len() as u64;
        }
        data.write_all_at(&mut slices, start)?;
        Ok(written)
    }

    async fn submit(&self, work: Work) {
        let (file, lease) = (Arc::clone(&self.task.file), Arc::clone(&self.lease));
        self.task.hashers.submit(Job { link: self.task.id, file, lease, work }).await;
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

    fn broken(&self, error: &io::Error) -> End {
        let between = if self.reader.is_between() { Ended::Between } else { Ended::Cut };
        (self.reader.refusing().map_or(between, Ended::Refused), error.to_string())
    }
}

/// What follows the bytes that were received.
enum After {
    Open,
    End,
    Broken(io::Error),
}

/// Receives until the buffer is full or the socket empty: fewer and larger pieces.
fn fill(stream: &TcpStream, buffer: &mut [u8]) -> (usize, After) {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match stream.try_read(rest) {
            Ok(0) => return (filled, After::End),
            Ok(received) => filled += received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return (filled, After::Broken(error)),
        }
    }
    (filled, After::Open)
}
