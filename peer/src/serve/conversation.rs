//! A connection's conversation about one file: what it asks is decided by [`cascade_swarm::give`].

use super::response::{Refusal, Response, layout_by_name};
use super::socket;
use crate::catalog::Served;
use crate::store::{Receiver, Shared};
use cascade_format::extension::{EXTENDED, Item, Marker, NEWS, field};
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_format::{Block, CascadeHash};
use cascade_swarm::give::{self, Behind, Decision, Request, Server, Wanted};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// With one client about one file; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Conversation {
    file: Arc<Shared>,
    /// About its blocks, and about its slices.
    sides: [Option<Side>; 2],
    /// The client's host.
    ip: IpAddr,
    /// The client's host as the bounds on hosts count it: of IPv6 a network.
    host: IpAddr,
    /// The port that the client listens on, as its markers say; 0: none.
    port: u16,
    /// What it is counted as, once it was given something or has shown the marker.
    receiver: Option<Arc<Receiver>>,
}

/// What is said of one file by one of its two names.
#[derive(Debug)]
struct Side {
    served: Arc<Served>,
    state: give::Conversation,
}

/// The clients that wait for a block at the moment of a request, of any file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) clients: usize,
    /// Whether the one that asks is among them.
    pub(super) counted: bool,
    /// Whether the uplink is full.
    pub(super) full: bool,
}

/// The bytes in front of an answer's ordinary body: the header, and the extension's field.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// Bytes of it that the socket has taken.
    pub(super) sent: usize,
}

impl Conversation {
    /// The conversation in `slot`, if it is about this file; or a new one, in its place.
    pub(super) fn about<'a>(
        slot: &'a mut Option<Box<Self>>,
        stream: &TcpStream,
        file: &Arc<Shared>,
    ) -> &'a mut Self {
        if !slot.as_ref().is_some_and(|conversation| conversation.is_about(file)) {
            // The old one ends before the new one begins.
            *slot = None;
        }
        slot.get_or_insert_with(|| {
            let ip = socket::client(stream);
            let (file, host) = (Arc::clone(file), socket::host(stream, ip));
            Box::new(Self { file, sides: [None, None], ip, host, port: 0, receiver: None })
        })
    }

    /// Whether it is about `file`.
    pub(super) fn is_about(&self, file: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.file, file)
    }

    /// What is said of the file as `served`.
    fn side(&mut self, served: &Arc<Served>) -> &mut Side {
        let [blocks, slices] = &mut self.sides;
        let slot = if served.is_sliced() { slices } else { blocks };
        drop(slot.take_if(|side| !Arc::ptr_eq(&side.served, served)));
        slot.get_or_insert_with(|| {
            let state = give::Conversation::new(Some(self.ip)).on_host(self.host);
            Side { served: Arc::clone(served), state }
        })
    }

    /// What was said of the file by this name.
    fn named(&self, name: &CascadeHash) -> Option<&Side> {
        self.sides.iter().flatten().find(|side| side.served.name() == *name)
    }

    /// Bytes of blocks or slices of `file` are on their way to the client.
    pub(super) fn gave(&mut self, file: &Shared, bytes: u64) {
        if std::ptr::eq(&raw const *self.file, file)
            && let Some(receiver) = self.receiver()
        {
            receiver.add(bytes);
        }
    }

    /// What a request that has just come says of the client. It may be its last one: then nothing is decided of it.
    pub(super) fn hear_request(&mut self, request: &BlockRequest) {
        let layout = layout_by_name(&self.file, &request.cascade_hash);
        if layout.is_some_and(|layout| give::is_told(layout.blocks())) {
            self.hear(Marker::of(request));
        }
    }

    /// What the client says of itself in a marker.
    fn hear(&mut self, marker: Option<Marker>) {
        let Some(Marker { port, progress, .. }) = marker else { return };
        self.port = port;
        if let Some(receiver) = self.receiver() {
            receiver.tells(progress);
        }
    }

    /// What the client is counted as. Clients behind one address are told apart by the ports that they tell.
    fn receiver(&mut self) -> Option<&Receiver> {
        let given = self.file.given();
        if let Some(other) = self.receiver.take_if(|receiver| receiver.port() != self.port) {
            given.close(&other);
        }
        if self.receiver.is_none() {
            self.receiver = given.open(self.ip, self.host, self.port);
        }
        self.receiver.as_deref()
    }

    /// Decides what a request for `served` is answered with.
    pub(super) fn request(&mut self, served: &Arc<Served>, request: Request, waiting: Waiting) -> Decision {
        self.hear(request.marker);
        let Side { served, state } = self.side(served);
        let known = state.subscriber();
        let decision = served.upload.request(state, request, waiting.server(&|block| served.gives(block)));
        if state.subscriber() != known
            && let [Some(blocks), Some(slices)] = &self.sides
            && slices.state.subscriber().is_some()
        {
            blocks.served.upload.asks_for_slices(&blocks.state);
        }
        decision
    }

    /// Whether a further request for blocks is answered together with those before it.
    pub(super) fn further_request(&mut self, request: Request, waiting: Waiting) -> bool {
        let [Some(Side { served, state }), _] = &mut self.sides else { return false };
        let has = |block| served.gives(block);
        served.upload.further_request(state, request, waiting.server(&has))
    }

    /// `block`, the answer to `request`, is out to its last byte.
    pub(super) fn sent(&self, request: &BlockRequest, block: Block) {
        // One connection may ask for other files too, or as version 1 does.
        if let Some(Side { served, state }) = self.named(&request.cascade_hash)
            && state.subscriber().is_some()
            && Marker::of(request).is_some()
        {
            served.sent(state, block);
        }
    }

    /// No client waits for a block any more.
    pub(super) fn uplink_is_free(&self) {
        let told = self.sides.iter().flatten().filter(|side| side.state.subscriber().is_some());
        told.for_each(|side| side.served.upload.set_waiting(0));
    }

    /// Waits until a question for news under this `name` may be answered, at `until` at the latest.
    pub(super) async fn wait(&self, name: &CascadeHash, until: Instant) {
        let waker = self.named(name).map(|side| side.served.upload.waker(&side.state));
        let woken = async {
            match &waker {
                Some(waker) => waker.notified().await,
                None => std::future::pending().await,
            }
        };
        let _ = tokio::time::timeout_at(until.into(), woken).await;
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.served.upload.close(&self.state);
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.receiver.iter().for_each(|receiver| self.file.given().close(receiver));
    }
}

impl Waiting {
    fn server<'a>(&self, has: &'a dyn Fn(Block) -> bool) -> Server<'a> {
        Server { waiting: self.clients, counted: self.counted, full: self.full, has }
    }
}

/// What `response` is to the one that decides; `None`: nothing, it is for the server alone.
pub(super) fn wanted(response: Response) -> Option<Wanted> {
    match response {
        Response::Block(block) | Response::Slice(block) => Some(Wanted::Block(block)),
        Response::Refusal(Refusal::MissingBlock) => Some(Wanted::Missing),
        Response::News => Some(Wanted::News),
        Response::Part { .. } | Response::Refusal(_) | Response::Guest => None,
    }
}

/// What follows the first request of `queue`; `broken`: the client has sent what is no request.
pub(super) fn behind(queue: &VecDeque<BlockRequest>, broken: bool) -> Behind {
    if broken || queue.iter().skip(1).any(|request| request.block != NEWS) {
        Behind::Requests
    } else if queue.len() > 1 {
        Behind::Questions
    } else {
        Behind::Nothing
    }
}

impl Head {
    pub(super) fn new(response: Response, file: &Shared, items: &[Item]) -> Self {
        let field = field::encode(items);
        let status = u8::from(response.status()) | EXTENDED;
        let body_len = response.answer_len(file) - RESPONSE_HEADER_LEN as u64 + field.len() as u64;
        let header = ResponseHeader { status: Status::from(status), body_len };
        Self { bytes: [header.encode().as_slice(), &field].concat(), sent: 0 }
    }

    /// The same in front of another answer; nothing of it has left.
    pub(super) fn before(mut self, response: Response, file: &Shared) -> Self {
        let status = u8::from(response.status()) | EXTENDED;
        let field_len = self.bytes.len().saturating_sub(RESPONSE_HEADER_LEN) as u64;
        let body_len = response.answer_len(file) - RESPONSE_HEADER_LEN as u64 + field_len;
        let header = ResponseHeader { status: Status::from(status), body_len }.encode();
        self.bytes.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        self
    }
}
