//! A scripted peer that knows the swarm extension, or lies in it. It speaks what `docs/protocol.md` says.
//!
//! Its rule decides what precedes each answer, or what comes in the answer's place.

mod connection;

use crate::acceptor::{Acceptor, Gate};
use crate::address;
use crate::cascade_file::TestFile;
use crate::clock;
use crate::extension::{Item, Marker, NEWS, field};
use crate::slices::{Slices, State};
use std::collections::BTreeSet;
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A request that needs an answer.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The block asked for; [`NEWS`] for news alone.
    pub block: u64,
    /// Whether this is the number of a slice, and news are of slices.
    pub sliced: bool,
    /// Whether the connection had no request by this name before.
    pub first: bool,
    /// The request's marker.
    pub marker: Option<Marker>,
    /// How many requests the connection had before.
    pub nth: usize,
    /// How long the question has waited.
    pub waited: Duration,
}

impl Question {
    /// Whether it asks for news alone.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.block == NEWS
    }
}

/// What the rule says to a question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The block if it is held, else status 2; to a question for news an empty field.
    Plain,
    /// The same behind these items.
    Telling(Vec<Item>),
    /// The same behind this field, whatever it is; its length is the first two bytes of it.
    Behind(Vec<u8>),
    /// As many bytes as the block has, all wrong, behind these items.
    WrongBytes(Vec<Item>),
    /// A slice of these bytes with this state; `None`: with none.
    Slice(Option<State>, Vec<u8>),
    /// Status 2, whatever is held, behind these items.
    Refuse(Vec<Item>),
    /// The right answer, half of it, and then nothing until the connection is closed.
    Half,
    /// The question is put off: the rule is asked again and again, until another request waits behind it;
    /// then it is answered plainly.
    Wait,
    /// The connection is closed.
    Close,
}

/// One request that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// On which connection, counted from 0.
    pub connection: usize,
    /// The block asked for, or [`NEWS`].
    pub block: u64,
    /// Whether this is the number of a slice.
    pub sliced: bool,
    /// Its reserved bytes.
    pub reserved: [u8; 16],
    /// Its marker.
    pub marker: Option<Marker>,
}

/// Everything that an extended peer saw and did.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// When each connection was made.
    pub connections: Vec<Instant>,
    /// The requests.
    pub requests: Vec<Heard>,
    /// Blocks handed whole and right to the system.
    pub served: Vec<u64>,
    /// The same of slices.
    pub slices: Vec<u64>,
    /// Slices whose answers were something else.
    pub lies: usize,
    /// Blocks asked for and not held.
    pub missing: Vec<u64>,
}

impl Log {
    /// Number of questions for news.
    #[must_use]
    pub fn news(&self) -> usize {
        self.requests.iter().filter(|heard| heard.block == NEWS).count()
    }

    /// The most questions for news that came within one second.
    #[must_use]
    pub fn most_news_in_a_second(&self) -> usize {
        let times: Vec<_> =
            self.requests.iter().filter(|heard| heard.block == NEWS).map(|heard| heard.at).collect();
        let within =
            |from: usize| times[from..].partition_point(|at| *at - times[from] < Duration::from_secs(1));
        (0..times.len()).map(within).max().unwrap_or(0)
    }
}

type Rule = Arc<dyn Fn(Question) -> Reply + Send + Sync>;

struct Shared {
    file: TestFile,
    /// The slices of the file, if its blocks are divided.
    slices: Option<Slices>,
    rule: Rule,
    /// Blocks that the peer holds; `None`: all.
    holds: Mutex<Option<BTreeSet<u64>>>,
    log: Mutex<Log>,
    gate: Gate,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of the block or slice that is asked for.
    fn bytes(&self, question: Question) -> Option<&[u8]> {
        match &self.slices {
            Some(slices) if question.sliced => slices.bytes(question.block),
            _ => self.file.block(question.block),
        }
    }

    /// Whether the block is held that is asked for, or a slice of.
    fn holds(&self, question: Question) -> bool {
        let slices = self.slices.as_ref().filter(|_| question.sliced);
        let block = slices.map_or(question.block, |slices| question.block / slices.a_block());
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.as_ref().is_none_or(|blocks| blocks.contains(&block))
    }
}

/// An extended peer that listens; it vanishes when dropped.
pub struct ExtendedPeer {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Acceptor,
}

impl ExtendedPeer {
    /// A peer with all blocks and this rule.
    #[must_use]
    pub fn start(file: &TestFile, rule: impl Fn(Question) -> Reply + Send + Sync + 'static) -> Self {
        Self::over(file, None, rule)
    }

    /// A peer with these blocks and this rule.
    #[must_use]
    pub fn holding(
        file: &TestFile,
        blocks: impl IntoIterator<Item = u64>,
        rule: impl Fn(Question) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::over(file, Some(blocks.into_iter().collect()), rule)
    }

    /// A peer with all blocks that says so once on each connection, and has no other news.
    #[must_use]
    pub fn honest(file: &TestFile) -> Self {
        Self::start(file, |question| tell_once(question, || vec![Item::Everything]))
    }

    /// A peer that tells that it has everything and gives slices, refuses whole blocks, and answers about slices what
    /// a rule says.
    #[must_use]
    pub fn giving_slices(file: &TestFile, rule: impl Fn(Question) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(file, move |question| match question {
            Question { sliced: true, .. } => rule(question),
            _ if question.is_news() => tell_of_slices(question),
            Question { first: true, .. } => Reply::Refuse(vec![Item::Everything, Item::Slices]),
            _ => Reply::Refuse(Vec::new()),
        })
    }

    fn over(
        file: &TestFile,
        holds: Option<BTreeSet<u64>>,
        rule: impl Fn(Question) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            file: file.clone(),
            slices: Slices::of(file),
            rule: Arc::new(rule),
            holds: Mutex::new(holds),
            log: Mutex::default(),
            gate: Gate::default(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            Acceptor::start(address::listener(), shared.gate.clone(), move |number, stream| {
                accept(number, stream, &shared);
            })
        };
        Self { addr: acceptor.addr(), shared, _acceptor: acceptor }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: it listens on an IPv4 address.
    #[must_use]
    pub fn addr_v4(&self) -> SocketAddrV4 {
        let (ip, port) = address::v4(self.addr);
        SocketAddrV4::new(ip, port)
    }

    /// What it saw and did so far.
    #[must_use]
    pub fn log(&self) -> Log {
        self.shared.log().clone()
    }

    /// Whether `condition` holds for what it saw and did so far.
    pub fn sees(&self, condition: impl FnOnce(&Log) -> bool) -> Option<()> {
        condition(&self.shared.log()).then_some(())
    }

    /// Gives it more blocks.
    pub fn gain(&self, blocks: impl IntoIterator<Item = u64>) {
        if let Some(holds) = self.shared.holds.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            holds.extend(blocks);
        }
    }
}

/// The items in front of the first answer on a connection; after that blocks without news, and questions
/// for news that wait.
pub fn tell_once(question: Question, items: impl FnOnce() -> Vec<Item>) -> Reply {
    match question {
        Question { marker: None, .. } => Reply::Plain,
        Question { first: true, .. } => Reply::Telling(items()),
        _ if question.is_news() => Reply::Wait,
        _ => Reply::Plain,
    }
}

/// The same of a peer with everything that gives slices, too.
pub fn tell_of_slices(question: Question) -> Reply {
    let all = [Item::Everything, Item::Slices];
    tell_once(question, || all[..if question.sliced { 1 } else { 2 }].to_vec())
}

/// A field of `length` bytes that are all the same; its length in front says the same.
#[must_use]
pub fn field_of(byte: u8, length: usize) -> Vec<u8> {
    let claimed = u16::try_from(length).expect("a field's length has two bytes");
    [&claimed.to_be_bytes()[..], &vec![byte; length]].concat()
}

/// A field without items.
#[must_use]
pub fn empty_field() -> Vec<u8> {
    field(&[])
}

fn accept(number: usize, stream: TcpStream, shared: &Arc<Shared>) {
    shared.log().connections.push(clock::now());
    if shared.gate.keep(number, &stream).is_err() {
        return;
    }
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        // What goes wrong is the other side's doing; it sees a close.
        let _ = connection::serve(&shared, &stream, number);
        let _ = stream.shutdown(Shutdown::Both);
    });
}
