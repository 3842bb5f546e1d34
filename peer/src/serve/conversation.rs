//! A connection's conversation about one file: what it asks is decided by [`cascade_swarm::give`].

use super::response::{Refusal, Response};
use super::socket;
use crate::catalog::Served;
use crate::store::{Receiver, Shared};
use cascade_format::extension::{EXTENDED, Item, Marker, NEWS, field};
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_format::{Block, Layout};
use cascade_swarm::give::{self, Behind, Decision, Request, Server, Wanted};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// With one client about one file; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Conversation {
    served: Arc<Served>,
    state: give::Conversation,
    /// The client's host.
    ip: IpAddr,
    /// The port that the client listens on, as its markers say; 0: none.
    port: u16,
    /// What it is counted as, once it was given something or has shown the marker.
    receiver: Option<Arc<Receiver>>,
}

/// The clients that wait for a block at the moment of a request, of any file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) clients: usize,
    /// Whether the one that asks is among them.
    pub(super) counted: bool,
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
        served: &Arc<Served>,
    ) -> &'a mut Self {
        if !slot.as_ref().is_some_and(|conversation| Arc::ptr_eq(&conversation.served, served)) {
            // The old one ends before the new one begins.
            *slot = None;
        }
        slot.get_or_insert_with(|| {
            let client = socket::client(stream);
            let state = give::Conversation::new(Some(client)).on_host(socket::host(stream, client));
            Box::new(Self { served: Arc::clone(served), state, ip: client, port: 0, receiver: None })
        })
    }

    /// Whether it is about `file`.
    pub(super) fn is_about(&self, file: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.served.file, file)
    }

    /// Bytes of blocks of `file` are on their way to the client.
    pub(super) fn gave(&mut self, file: &Shared, bytes: u64) {
        if std::ptr::eq(&raw const *self.served.file, file)
            && let Some(receiver) = self.receiver()
        {
            receiver.add(bytes);
        }
    }

    /// What a request that has just come says of the client. It may be its last one: then nothing is decided of it.
    pub(super) fn hear_request(&mut self, request: &BlockRequest) {
        let file = &self.served.file;
        if request.cascade_hash == file.cascade_hash() && give::is_told(file.layout().blocks()) {
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
        let given = self.served.file.given();
        if let Some(other) = self.receiver.take_if(|receiver| receiver.port() != self.port) {
            given.close(&other);
        }
        if self.receiver.is_none() {
            self.receiver = given.open(self.ip, self.port);
        }
        self.receiver.as_deref()
    }

    /// Decides what a request is answered with.
    pub(super) fn request(&mut self, request: Request, waiting: Waiting) -> Decision {
        self.hear(request.marker);
        let file = &self.served.file;
        self.served.upload.request(&mut self.state, request, waiting.server(&|block| file.gives(block)))
    }

    /// Whether a further request is answered together with those before it.
    pub(super) fn further_request(&mut self, request: Request, waiting: Waiting) -> bool {
        let file = &self.served.file;
        self.served.upload.further_request(
            &mut self.state,
            request,
            waiting.server(&|block| file.gives(block)),
        )
    }

    /// `block`, the answer to `request`, is out to its last byte.
    pub(super) fn sent(&self, request: &BlockRequest, block: Block) {
        // One connection may ask for other files too, or as version 1 does.
        if request.cascade_hash == self.served.file.cascade_hash()
            && self.state.subscriber().is_some()
            && Marker::of(request).is_some()
        {
            self.served.upload.sent(&self.state, block);
        }
    }

    /// No client waits for a block any more.
    pub(super) fn uplink_is_free(&self) {
        if self.state.subscriber().is_some() {
            self.served.upload.set_waiting(0);
        }
    }

    /// Waits until a question for news may be answered, at `until` at the latest.
    pub(super) async fn wait(&self, until: Instant) {
        let waker = self.served.upload.waker(&self.state);
        let _ = tokio::time::timeout_at(until.into(), waker.notified()).await;
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.receiver.iter().for_each(|receiver| self.served.file.given().close(receiver));
        self.served.upload.close(&self.state);
    }
}

impl Waiting {
    fn server<'a>(&self, has: &'a dyn Fn(Block) -> bool) -> Server<'a> {
        Server { waiting: self.clients, counted: self.counted, has }
    }
}

/// What `response` is to the one that decides; `None`: nothing, it is for the server alone.
pub(super) fn wanted(response: Response) -> Option<Wanted> {
    match response {
        Response::Block(block) => Some(Wanted::Block(block)),
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
    pub(super) fn new(response: Response, served: &Served, items: &[Item]) -> Self {
        let field = field::encode(items);
        let status = u8::from(response.status()) | EXTENDED;
        let layout = served.file.layout();
        let body_len = response.answer_len(layout) - RESPONSE_HEADER_LEN as u64 + field.len() as u64;
        let header = ResponseHeader { status: Status::from(status), body_len };
        Self { bytes: [header.encode().as_slice(), &field].concat(), sent: 0 }
    }

    /// The same in front of another answer; nothing of it has left.
    pub(super) fn before(mut self, response: Response, layout: &Layout) -> Self {
        let status = u8::from(response.status()) | EXTENDED;
        let field_len = self.bytes.len().saturating_sub(RESPONSE_HEADER_LEN) as u64;
        let body_len = response.answer_len(layout) - RESPONSE_HEADER_LEN as u64 + field_len;
        let header = ResponseHeader { status: Status::from(status), body_len }.encode();
        self.bytes.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        self
    }
}
