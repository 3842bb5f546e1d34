//! One connection: what is on its way in both directions.

use super::node_id::NodeId;
use crate::units::Nanos;
use cascade_format::Block;
use cascade_format::extension::Item;
use cascade_swarm::give::Conversation;
use std::collections::VecDeque;

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// `None`: for news alone.
    pub(super) block: Option<Block>,
    /// By the name of the slices: `block` is a slice.
    pub(super) sliced: bool,
    /// The marker's count of offers, if the request has a marker.
    pub(super) offers_seen: Option<u32>,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    /// It answers a request by the name of the slices.
    pub(super) sliced: bool,
    /// Bytes, for a block.
    pub(super) bytes: u64,
    pub(super) field: Vec<Item>,
    pub(super) extended: bool,
}

/// What an answer is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Block { block: Block, sliced: bool, wrong: bool },
    Missing { block: Block, sliced: bool },
    News,
}

/// An answer that is being sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending {
    pub(super) block: Block,
    pub(super) sliced: bool,
    pub(super) left: u64,
}

/// One connection; the client asks, the server answers.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) client: NodeId,
    pub(super) server: NodeId,
    /// The client's name for it: the plan's link, or a slot.
    pub(super) link: u64,
    pub(super) open: bool,
    /// One way.
    pub(super) latency: Nanos,

    /// To be sent when it is open.
    pub(super) early: Vec<Ask>,

    // On the way to the server.
    pub(super) asks: VecDeque<Ask>,

    // At the server.
    pub(super) queue: VecDeque<Ask>,
    /// The first of the queue waits for the uplink or is being sent.
    pub(super) serving: bool,
    pub(super) sending: Option<Sending>,
    /// Bytes that have begun to leave and are not received.
    pub(super) in_flight: u64,
    /// The most bytes in flight: no piece begins to leave while there are more.
    pub(super) window: u64,
    /// About the file, and about its slices.
    pub(super) conversations: [Conversation; 2],
    /// What goes in front of the block that waits for the uplink.
    pub(super) news: Option<Vec<Item>>,
    /// Until when the first of the queue waits to be decided again.
    pub(super) waits_until: Option<Nanos>,
    /// When that is looked at; the next one is the last.
    pub(super) alarms: Vec<Nanos>,

    // On the way to the client, and there.
    pub(super) answers: VecDeque<Answer>,
    /// Bytes of the first answer that have arrived.
    pub(super) got: u64,
    /// Blocks (`false`) and slices (`true`) that the client does not want from here any more.
    pub(super) revoked: Vec<(bool, Block)>,
}

impl Conn {
    pub(super) fn new(client: NodeId, server: NodeId, link: u64, latency: Nanos, window: u64) -> Self {
        Self {
            client,
            server,
            link,
            open: false,
            latency,
            early: Vec::new(),
            asks: VecDeque::new(),
            queue: VecDeque::new(),
            serving: false,
            sending: None,
            in_flight: 0,
            window,
            conversations: [(); 2].map(|()| Conversation::new(Some(client.addr().ip()))),
            news: None,
            waits_until: None,
            alarms: Vec::new(),
            answers: VecDeque::new(),
            got: 0,
            revoked: Vec::new(),
        }
    }
}
