//! What a foreign peer does: its habits, its holdings, its lies.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a peer reads requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Like a stream: requests may arrive split and pipelined.
    Stream,
    /// With one `recv(64)`: what arrives split gets status 4 and a close.
    OneRecv,
    /// With one `recv(64)`; a request behind which the next is waiting gets status 4 and a close, too.
    OneAtATime,
}

/// How a peer hands its responses to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Header and start of the body with one call.
    Joined,
    /// Every byte of the header with a call and a segment of its own.
    HeaderByteByByte,
    /// The responses to all requests that wait, with one call.
    Batched,
    /// Header and body with two calls, under Nagle's algorithm: the body leaves when the header is acknowledged.
    TwoSegments,
}

/// What a peer does with a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Waits for requests.
    Serve,
    /// Closes it.
    Close,
    /// Sends random bytes for as long as somebody takes them.
    Garbage,
}

/// A request that needs an answer.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The block asked for; it exists, and the peer holds it.
    pub block: u64,
    /// How many requests this peer had before, over all connections.
    pub nth: usize,
}

/// An answer to a request for a block that exists and is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The block.
    Block,
    /// As many bytes as the block has, all wrong.
    WrongBytes,
    /// A status with a message.
    Message {
        /// The status; anything.
        status: u8,
        /// The body.
        text: Vec<u8>,
        /// Whether the connection is closed after it.
        close: bool,
    },
    /// A header with any claim, then the start of the block, as many bytes as it has at most, then
    /// silence.
    Claim {
        /// The status; anything.
        status: u8,
        /// The length claimed.
        length: u64,
    },
    /// A right header, half of the block, then the end of the connection.
    HalfThenClose,
    /// A right header, half of the block, then silence.
    HalfThenSilence,
    /// Silence from the start; the connection stays open.
    Silence,
    /// The connection is closed without an answer.
    Close,
    /// A header with this status and the greatest length, and bytes without end.
    Endless {
        /// The status; anything.
        status: u8,
    },
}

type Rule = Arc<dyn Fn(Ask) -> Answer + Send + Sync>;

/// What a foreign peer does. The default is honest, fast, holds everything and keeps connections open.
#[derive(Clone)]
pub struct Script {
    pub(super) reading: Reading,
    pub(super) delivery: Delivery,
    pub(super) greeting: Greeting,
    pub(super) close_after_response: bool,
    pub(super) serial: bool,
    pub(super) fragile: bool,
    pub(super) zeros_only: bool,
    pub(super) holds: Option<BTreeSet<u64>>,
    pub(super) rate: Option<u64>,
    pub(super) clients: Option<usize>,
    pub(super) idle: Option<Duration>,
    pub(super) rule: Rule,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            reading: Reading::Stream,
            delivery: Delivery::Joined,
            greeting: Greeting::Serve,
            close_after_response: false,
            serial: false,
            fragile: false,
            zeros_only: false,
            holds: None,
            rate: None,
            clients: None,
            idle: None,
            rule: Arc::new(|_| Answer::Block),
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.reading, self.delivery, self.greeting)
    }
}

impl Script {
    /// Sets how requests are read.
    #[must_use]
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// Sets how responses are sent.
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Sets what happens to a new connection.
    #[must_use]
    pub fn greeting(mut self, greeting: Greeting) -> Self {
        self.greeting = greeting;
        self
    }

    /// Closes after each response.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close_after_response = true;
        self
    }

    /// Serves one connection after the other, as a program without threads does.
    #[must_use]
    pub fn serial(mut self) -> Self {
        self.serial = true;
        self
    }

    /// Dies, as a C program does of SIGPIPE, when it writes to a connection that the other side has closed: when one
    /// is opened and closed without a request, which it answers with an error, or in the middle of an answer.
    #[must_use]
    pub fn fragile(mut self) -> Self {
        self.fragile = true;
        self
    }

    /// Answers requests whose reserved bytes are not all zero with status 4, and closes.
    #[must_use]
    pub fn zeros_only(mut self) -> Self {
        self.zeros_only = true;
        self
    }

    /// Holds only these blocks, until it is given more.
    #[must_use]
    pub fn holding(mut self, blocks: impl IntoIterator<Item = u64>) -> Self {
        self.holds = Some(blocks.into_iter().collect());
        self
    }

    /// Sends at most `bytes_per_second`, over all connections.
    #[must_use]
    pub fn slow(mut self, bytes_per_second: u64) -> Self {
        self.rate = Some(bytes_per_second);
        self
    }

    /// Closes new connections while it has this number of them.
    #[must_use]
    pub fn at_most(mut self, clients: usize) -> Self {
        self.clients = Some(clients);
        self
    }

    /// Closes a connection on which nothing comes, or nothing can be sent, for this time.
    #[must_use]
    pub fn closing_idle(mut self, after: Duration) -> Self {
        self.idle = Some(after);
        self
    }

    /// Gives always the same answer.
    #[must_use]
    pub fn answering(self, answer: Answer) -> Self {
        self.ruled(move |_| answer.clone())
    }

    /// Gives the answer that a rule chooses.
    #[must_use]
    pub fn ruled(mut self, rule: impl Fn(Ask) -> Answer + Send + Sync + 'static) -> Self {
        self.rule = Arc::new(rule);
        self
    }
}
