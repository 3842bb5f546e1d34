//! A connection's conversation about one file: what it asks is decided by [`cascade_swarm::give`].

use super::response::{Refusal, Response};
use super::socket;
use crate::catalog::Served;
use crate::store::Shared;
use cascade_format::Block;
use cascade_format::extension::{EXTENDED, Item, Marker, NEWS, field};
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_swarm::give::{self, Behind, Decision, Request, Server, Wanted};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// With one client about one file; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Conversation {
    served: Arc<Served>,
    state: give::Conversation,
    /// The port that the client listens on, as its markers say; 0: none.
    port: u16,
}

/// The clients that wait for a block at the moment of a request, of any file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) clients: usize,
    /// Whether the one that asks is among them.
    pub(super) counted: bool,
}

/// What stands in front of an answer's ordinary body: the header, and the extension's field.
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
            Box::new(Self { served: Arc::clone(served), state, port: 0 })
        })
    }

    /// Whether it is about `file`.
    pub(super) fn is_about(&self, file: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.served.file, file)
    }

    /// The port that the client listens on, 0 if it does not say.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Decides what a request is answered with.
    pub(super) fn request(&mut self, request: Request, waiting: Waiting) -> Decision {
        self.port = request.marker.map_or(self.port, |marker| marker.port);
        let file = &self.served.file;
        self.served.upload.request(&mut self.state, request, waiting.server(&|block| file.have().has(block)))
    }

    /// Whether a further request is answered together with those before it.
    pub(super) fn further_request(&mut self, request: Request, waiting: Waiting) -> bool {
        let file = &self.served.file;
        self.served.upload.further_request(
            &mut self.state,
            request,
            waiting.server(&|block| file.have().has(block)),
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
}
