//! The task of one link: connects, asks, and receives.

use super::acknowledge::Acknowledge;
use super::buffers::BufferPool;
use super::farewell::Farewell;
use super::hashing::HashPool;
use super::lane::Lane;
use super::lease::Lease;
use super::low_water::Wait;
use super::receive::{End, Receiver};
use super::response::{Ask, ResponseReader};
use super::threads::{Counted, LinkThreads};
use super::{FileContext, LinkEvent};
use crate::clock;
use crate::dial::{self, Dial};
use crate::limits::{CONNECT_TIMEOUT, MAX_PIPELINE};
use crate::pace::Limit;
use cascade_format::PeerAddr;
use cascade_format::extension::{Marker, NEWS, Progress};
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN};
use cascade_swarm::Listening;
use cascade_swarm::ask::{Ended, LinkId};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Requests written with one call.
const REQUESTS_A_WRITE: usize = 256;

/// What to ask the peer next.
#[derive(Debug)]
pub struct Questions {
    /// In this order, in as few calls as possible.
    pub asks: Vec<Ask>,
    /// Offered blocks that the peer has told of so far, modulo 2³²; for the marker. Where slices or their news are asked
    /// for, the offered slices; so a question is about one of the two.
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
    pub addr: PeerAddr,
    /// The file.
    pub file: Arc<FileContext>,
    /// Where this process listens.
    pub listening: Option<Listening>,
    /// The port that the requests' markers tell, 0 for none; `None`: plain version 1 requests.
    pub marker_port: Option<u16>,
    /// The process's link threads.
    pub threads: LinkThreads,
    /// The process's piece buffers.
    pub buffers: BufferPool,
    /// The process's hash threads.
    pub hashers: HashPool,
    /// What the process receives in a second at most.
    pub limit: Option<Limit>,
}

impl LinkTask {
    /// Starts the link.
    #[must_use]
    pub fn start(self) -> LinkHandle {
        let (requests, queue) = mpsc::channel(MAX_PIPELINE);
        let lease = Arc::new(Lease::default());
        let (id, threads) = (self.id, self.threads.clone());
        let sliced = self.file.slices.as_ref().map(|slices| slices.layout);
        let reader = ResponseReader::new(*self.file.shared.layout(), sliced, self.marker_port.is_some());
        let (to_send, out, offers_seen) = (VecDeque::new(), Vec::new(), OffersSeen::default());
        let lane = Arc::new(Lane::new(id, Arc::clone(&self.file), Arc::clone(&lease)));
        let (buffers, hashers) = (self.buffers.clone(), self.hashers.clone());
        let receiver = Receiver::new(reader, lane, buffers, hashers, self.limit.as_ref());
        let driver = Driver { task: self, receiver, to_send, offers_seen, out };
        let connecting = threads.count_connecting();
        threads.spawn(id, driver.run(queue, connecting));
        LinkHandle { requests, lease }
    }
}

/// The task of one link.
struct Driver {
    task: LinkTask,
    receiver: Receiver,
    /// What to ask for.
    to_send: VecDeque<Ask>,
    offers_seen: OffersSeen,
    /// Requests that the socket did not take yet.
    out: Vec<u8>,
}

impl Driver {
    async fn run(mut self, requests: mpsc::Receiver<Questions>, connecting: Counted) {
        let (ended, reason) = match self.connect().await {
            Ok(stream) => {
                let _open = self.task.threads.count_open();
                drop(connecting);
                self.receiver.send(LinkEvent::Connected).await;
                self.transfer(&stream, requests).await
            }
            Err(end) => end,
        };
        self.receiver.end(ended, reason).await;
    }

    async fn connect(&self) -> Result<TcpStream, End> {
        let (to, listening) = (self.task.addr, self.task.listening);
        let dial = Dial { listening, window_len: self.task.limit.as_ref().and_then(Limit::window_len) };
        let connecting = async { tokio::time::timeout(CONNECT_TIMEOUT, dial.connect(to.into())).await? };
        let unreachable = |error: io::Error| (Ended::Unreachable, error.to_string());
        let stream: TcpStream = connecting.await.map_err(|error| {
            let no_way = dial::has_no_way(&error, to.into());
            (if no_way { Ended::NoWay } else { Ended::Unreachable }, error.to_string())
        })?;
        stream.set_nodelay(true).map_err(unreachable)?;
        // A peer that listens on every address reaches itself at those that it connects from.
        let from_there = stream.local_addr().is_ok_and(|from| from.ip() == to.ip());
        let everywhere = listening.filter(|listening| listening.is_everywhere_like(to.ip()));
        if from_there && everywhere.is_some_and(|listening| listening.port() == to.port()) {
            return Err((Ended::Own, "it is an address of this peer itself".into()));
        }
        Ok(stream)
    }

    async fn transfer(&mut self, stream: &TcpStream, mut requests: mpsc::Receiver<Questions>) -> End {
        let acknowledge = Acknowledge::on(stream);
        loop {
            let unsent = !self.out.is_empty() || !self.to_send.is_empty();
            let until = self.receiver.wakeup.until();
            let step = tokio::select! {
                questions = requests.recv() => {
                    let Some(questions) = questions else {
                        self.receiver.tell_rest().await;
                        self.say_farewell(stream).await;
                        return (Ended::Between, "closed".into());
                    };
                    if self.receiver.reader.owed() == 0 {
                        self.receiver.last_sign = clock::now();
                    }
                    self.offers_seen.tell(&questions);
                    self.to_send.extend(questions.asks);
                    self.send(stream)
                }
                ready = stream.writable(), if unsent => {
                    ready.map_err(|error| self.receiver.broken(&error)).and_then(|()| self.send(stream))
                }
                ready = stream.readable(), if self.receiver.wakeup.is_told_by_socket() => match ready {
                    Ok(()) => self.receive(stream, &acknowledge).await,
                    Err(error) => Err(self.receiver.broken(&error)),
                },
                () = sleep_until(until), if until.is_some() => self.receive(stream, &acknowledge).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn receive(&mut self, stream: &TcpStream, acknowledge: &Acknowledge) -> Result<(), End> {
        let received = self.receiver.receive(stream).await;
        acknowledge.received(stream, &self.receiver.reader);
        received
    }

    async fn say_farewell(&mut self, stream: &TcpStream) {
        let hash = self.task.file.shared.cascade_hash();
        let complete = self.task.file.shared.have().is_complete();
        if complete && self.task.marker_port.is_some() && self.receiver.reader.knows_extension() {
            // The peer hears that this one has everything; the answer is not waited for.
            self.to_send.clear();
            self.out.extend_from_slice(&self.encode(Ask::News));
            // A socket that takes nothing now is no reason to stay.
            let _ = self.send(stream);
        }
        let (unsent, last_sign) = (std::mem::take(&mut self.out), self.receiver.last_sign);
        self.receiver.wakeup.set(stream, Wait::BYTE);
        let Receiver { reader, allowance, .. } = &mut self.receiver;
        Farewell { reader, unsent, hash, last_sign, allowance: allowance.as_mut() }.say(stream).await;
    }

    /// Sends requests, many with one call, until the socket takes no more.
    fn send(&mut self, stream: &TcpStream) -> Result<(), End> {
        loop {
            while self.out.len() < REQUESTS_A_WRITE * REQUEST_LEN
                && let Some(ask) = self.to_send.pop_front()
            {
                self.out.extend_from_slice(&self.encode(ask));
                self.receiver.reader.asked(ask);
            }
            if self.out.is_empty() {
                return Ok(());
            }
            match stream.try_write(&self.out) {
                Ok(sent) => drop(self.out.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(self.receiver.broken(&error)),
            }
        }
    }

    fn encode(&self, ask: Ask) -> [u8; REQUEST_LEN] {
        let file = &self.task.file;
        let (hash, have) = (file.shared.cascade_hash(), file.shared.have());
        let progress = Progress::of(have.count(), have.layout().blocks());
        let offers_seen = self.offers_seen.of(ask);
        let marker = self.task.marker_port.map(|port| Marker { port, offers_seen, progress });
        // Only a peer that has answered a marker is asked for news or slices.
        let always = || marker.unwrap_or(Marker { port: 0, offers_seen: 0, progress: None });
        let slices = || file.slices.as_ref().map_or(hash, |slices| slices.name);
        match ask {
            Ask::Block(block) => match marker {
                Some(marker) => marker.request(hash, block.number()),
                None => BlockRequest::new(hash, block).encode(),
            },
            Ask::News => always().request(hash, NEWS),
            Ask::Slice(slice) => always().request(slices(), slice.number()),
            Ask::SliceNews => always().request(slices(), NEWS),
            Ask::NoBlock => {
                let block = self.receiver.reader.blocks();
                BlockRequest { reserved: [0; 16], block, cascade_hash: hash }.encode()
            }
        }
    }
}

/// Offers that the peer has told of so far, modulo 2³². It counts those of blocks and those of slices apart.
#[derive(Debug, Default)]
struct OffersSeen {
    blocks: u32,
    slices: u32,
}

impl OffersSeen {
    fn tell(&mut self, questions: &Questions) {
        if questions.asks.iter().any(|ask| ask.is_sliced()) {
            self.slices = questions.offers_seen;
        } else {
            self.blocks = questions.offers_seen;
        }
    }

    const fn of(&self, ask: Ask) -> u32 {
        if ask.is_sliced() { self.slices } else { self.blocks }
    }
}

/// Sleeps until then; for ever without a time.
async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
