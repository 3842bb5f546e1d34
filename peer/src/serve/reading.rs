//! A client that knows the swarm extension, and what it is told.

use super::verdict::Verdict;
use crate::clock;
use crate::limits::{HURRIED_NEWS_INTERVAL, NEWS_INTERVAL, NEWS_TIMEOUT};
use crate::store::Shared;
use cascade_format::Block;
use cascade_format::extension::{EXTENDED, Marker, field};
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_swarm::give::{self, ReaderId};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// The client as a reader of one file's bulletin.
#[derive(Debug)]
pub(super) struct Reading {
    file: Arc<Shared>,
    reader: ReaderId,
    /// Where the client listens, as it says.
    port: u16,
    bell: Arc<Notify>,
    /// When it was told something last.
    told_at: Option<Instant>,
    /// When a question for news was answered last.
    answered_at: Option<Instant>,
    /// Since when its question for news waits.
    parked_at: Option<Instant>,
    /// What had followed the question when it was looked at last.
    behind: Behind,
}

/// What has followed a question for news on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// Nothing: it waits until there is news.
    Nothing,
    /// More questions for news.
    Questions,
    /// Something that must not wait for it.
    Requests,
}

/// What stands in front of an answer's ordinary body: the header, and the extension's field.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) bytes: Vec<u8>,
    /// Bytes of it that the socket has taken.
    pub(super) sent: usize,
}

impl Reading {
    /// The client's reading of `file`: the one that there is, or a new one.
    pub(super) fn of<'a>(
        slot: &'a mut Option<Box<Self>>,
        stream: &TcpStream,
        file: &Arc<Shared>,
        marker: Marker,
    ) -> &'a mut Self {
        let fits = |reading: &Self| Arc::ptr_eq(&reading.file, file) && file.bulletin().knows(reading.reader);
        if !slot.as_ref().is_some_and(|reading| fits(reading)) {
            // The old one ends before the new one begins.
            *slot = None;
        }
        slot.get_or_insert_with(|| {
            let addr = match stream.peer_addr() {
                Ok(SocketAddr::V4(addr)) if marker.port != 0 => {
                    Some(SocketAddrV4::new(*addr.ip(), marker.port))
                }
                Ok(_) | Err(_) => None,
            };
            let (reader, bell) = file.bulletin().open(addr);
            Box::new(Self {
                file: Arc::clone(file),
                reader,
                port: marker.port,
                bell,
                told_at: None,
                answered_at: None,
                parked_at: None,
                behind: Behind::Nothing,
            })
        })
    }

    /// The port that the client listens on, 0 if it does not.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it reads `file`.
    pub(super) fn reads(&self, file: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.file, file)
    }

    /// Whether it was asked with `request`: one connection may ask for other files too, or as version 1 does.
    pub(super) fn is_of(&self, request: &BlockRequest) -> bool {
        request.cascade_hash == self.file.cascade_hash() && Marker::of(request).is_some()
    }

    /// The client asks for `block`, and this peer has it: whether it is to be given. `others`: clients
    /// that wait for a block besides.
    pub(super) fn asked(&self, marker: Marker, block: Block, others: usize) -> bool {
        let seen = marker.offers_seen;
        self.file.bulletin().asked(self.reader, seen, Some(block), others) == give::Verdict::Serve
    }

    /// `block` is out to its last byte.
    pub(super) fn sent(&self, block: Block) {
        self.file.bulletin().sent(self.reader, block);
    }

    /// Nobody waits for a block any more.
    pub(super) fn uplink_is_free(&self) {
        self.file.bulletin().set_load(0);
    }

    /// Whether there is something to tell in front of the answer `verdict`: the last telling is long enough
    /// ago, and if the answer brings no block, it is the client's turn.
    pub(super) fn is_due(&self, verdict: Verdict) -> bool {
        let bulletin = self.file.bulletin();
        let brings_block = matches!(verdict, Verdict::Block(_));
        rested(self.told_at, NEWS_INTERVAL)
            && bulletin.has_news(self.reader)
            && (brings_block || bulletin.may_answer(self.reader))
    }

    /// What to put in front of the answer `verdict`, if there is something to tell now. `load`: clients
    /// that wait for a block here.
    pub(super) fn front(&mut self, verdict: Verdict, load: usize) -> Option<Front> {
        self.is_due(verdict).then(|| self.tell(verdict, load)).flatten()
    }

    /// The answer to a question for news alone; `None`: it waits.
    pub(super) fn news(&mut self, marker: Marker, behind: Behind, load: usize) -> Option<Front> {
        if self.parked_at.is_none() {
            self.file.bulletin().asked(self.reader, marker.offers_seen, None, 0);
        }
        let parked_at = *self.parked_at.get_or_insert_with(clock::now);
        self.behind = behind;
        let front = self.front(Verdict::News, load).or_else(|| {
            let over = parked_at.elapsed() >= NEWS_TIMEOUT || self.hurries();
            over.then(|| {
                self.file.bulletin().answered(self.reader);
                Front::new(Verdict::News, &self.file, &field::encode(&[]))
            })
        });
        if front.is_some() {
            (self.parked_at, self.answered_at) = (None, Some(clock::now()));
        }
        front
    }

    /// Whether the question for news is answered now because of what has followed it.
    fn hurries(&self) -> bool {
        match self.behind {
            Behind::Nothing => false,
            Behind::Questions => {
                rested(self.answered_at, NEWS_INTERVAL) && self.file.bulletin().may_answer(self.reader)
            }
            Behind::Requests => rested(self.answered_at, HURRIED_NEWS_INTERVAL),
        }
    }

    /// When the question for news is answered if nothing happens before. While the client's turn has not come,
    /// the bell tells of it.
    fn answer_at(&self) -> Instant {
        let now = clock::now();
        let after = |at: Option<Instant>, pause| at.map_or(now, |at| at + pause);
        let (file, mut until) = (self.file.bulletin(), self.parked_at.unwrap_or(now) + NEWS_TIMEOUT);
        if file.has_news(self.reader) && file.may_answer(self.reader) {
            until = until.min(after(self.told_at, NEWS_INTERVAL));
        }
        match self.behind {
            Behind::Nothing => until,
            Behind::Questions if !file.may_answer(self.reader) => until,
            Behind::Questions => until.min(after(self.answered_at, NEWS_INTERVAL)),
            Behind::Requests => until.min(after(self.answered_at, HURRIED_NEWS_INTERVAL)),
        }
    }

    /// Waits until a question for news may be answered.
    pub(super) async fn wait(&self) {
        let _ = tokio::time::timeout_at(self.answer_at().into(), self.bell.notified()).await;
    }

    fn tell(&mut self, verdict: Verdict, load: usize) -> Option<Front> {
        let items = self.file.bulletin().news(self.reader, load, &|block| self.file.have().has(block))?;
        self.told_at = Some(clock::now());
        Some(Front::new(verdict, &self.file, &field::encode(&items)))
    }
}

/// Whether `pause` has gone by since `at`.
fn rested(at: Option<Instant>, pause: Duration) -> bool {
    at.is_none_or(|at| at.elapsed() >= pause)
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.file.bulletin().close(self.reader);
    }
}

impl Front {
    fn new(verdict: Verdict, file: &Shared, field: &[u8]) -> Self {
        let status = u8::from(verdict.status()) | EXTENDED;
        let body_len = verdict.answer_len(file.layout()) - RESPONSE_HEADER_LEN as u64 + field.len() as u64;
        let header = ResponseHeader { status: Status::from(status), body_len };
        Self { bytes: [header.encode().as_slice(), field].concat(), sent: 0 }
    }
}
