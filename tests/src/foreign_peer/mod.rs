//! A scripted foreign peer: a server that speaks protocol §3 with a chosen habit, or lies.
//!
//! ```text
//!  ForeignPeer ── accept thread ── a thread for each connection: requests ► Script ► delivery
//!                                                                   └─► Journal (what it saw and did)
//! ```
//!
//! Everything it sees is in its [`Journal`], so that a test can assert that the fault really happened.

mod connection;
mod journal;
mod script;
mod source;

pub use journal::{Journal, Seen};
pub use script::{Answer, Ask, Delivery, Greeting, Reading, Script};
pub use source::Source;

use crate::acceptor::{Acceptor, Gate};
use crate::address;
use crate::cascade_file::TestFile;
use crate::clock;
use crate::pace::Pace;
use connection::Connection;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What the threads of one foreign peer share.
struct Shared {
    files: Vec<Arc<dyn Source>>,
    /// Blocks that the peer holds of each of its files; `None`: all.
    holds: Mutex<Option<BTreeSet<u64>>>,
    script: Script,
    pace: Pace,
    journal: Mutex<Journal>,
    gate: Gate,
    /// Whose turn it is, where one connection is served after the other.
    turn: Mutex<()>,
}

impl Shared {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has died of a closed connection.
    fn is_dead(&self) -> bool {
        self.script.fragile && self.journal().deaths > 0
    }

    fn holds(&self, block: u64) -> bool {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.as_ref().is_none_or(|blocks| blocks.contains(&block))
    }
}

/// A foreign peer that listens; it vanishes when dropped.
pub struct ForeignPeer {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Acceptor,
}

impl ForeignPeer {
    /// An honest peer with the whole file that keeps its connections open.
    #[must_use]
    pub fn honest(file: &TestFile) -> Self {
        Self::start(file, Script::default())
    }

    /// A peer with one file.
    #[must_use]
    pub fn start(file: &TestFile, script: Script) -> Self {
        Self::with_files(vec![file.clone()], script)
    }

    /// A peer with several files.
    #[must_use]
    pub fn with_files(files: Vec<TestFile>, script: Script) -> Self {
        let files = files.into_iter().map(|file| Arc::new(file) as Arc<dyn Source>).collect();
        Self::over(address::listener(), files, script)
    }

    /// A peer with one file, on a port that was reserved for it.
    ///
    /// # Panics
    /// Somebody else listens there.
    #[must_use]
    pub fn start_at(file: &TestFile, script: Script, addr: SocketAddr) -> Self {
        let listener =
            TcpListener::bind(addr).unwrap_or_else(|error| panic!("cannot listen on {addr}: {error}"));
        Self::serving(listener, Arc::new(file.clone()), script)
    }

    /// A peer with one file that is kept elsewhere, and may grow.
    #[must_use]
    pub fn serving(listener: TcpListener, file: Arc<dyn Source>, script: Script) -> Self {
        Self::over(listener, vec![file], script)
    }

    fn over(listener: TcpListener, files: Vec<Arc<dyn Source>>, mut script: Script) -> Self {
        let shared = Arc::new(Shared {
            files,
            holds: Mutex::new(script.holds.take()),
            pace: Pace::new(script.rate),
            script,
            journal: Mutex::default(),
            gate: Gate::default(),
            turn: Mutex::default(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            Acceptor::start(listener, shared.gate.clone(), move |number, stream| {
                accept(number, stream, &shared);
            })
        };
        Self { addr: acceptor.addr(), shared, acceptor }
    }

    /// What it saw and did so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.shared.journal().clone()
    }

    /// Gives it more blocks.
    pub fn gain(&self, blocks: impl IntoIterator<Item = u64>) {
        let mut holds = self.shared.holds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holds) = holds.as_mut() {
            holds.extend(blocks);
        }
    }

    /// Whether the journal satisfies `condition` by now, in the form that waiting wants.
    #[must_use]
    pub fn sees(&self, condition: impl Fn(&Journal) -> bool) -> Option<()> {
        condition(&self.shared.journal()).then_some(())
    }

    /// Stops to listen, serves every connection that was made by now until it closes, and tells what the peer saw and
    /// did.
    #[must_use]
    pub fn finish(mut self) -> Journal {
        self.acceptor.finish();
        clock::eventually("the end of a foreign peer's connections", || {
            (self.shared.gate.connections() == 0).then_some(())
        });
        self.journal()
    }

    /// Cuts every connection and stops to listen, as a killed process does.
    pub fn vanish(&mut self) {
        self.acceptor.close();
    }
}

fn accept(number: usize, stream: TcpStream, shared: &Arc<Shared>) {
    {
        let mut journal = shared.journal();
        journal.connections.push(clock::now());
        journal.from.extend(stream.peer_addr());
    }
    if shared.script.greeting == Greeting::Close {
        shared.journal().told_a_lie();
        return;
    }
    let full = shared.script.clients.is_some_and(|most| shared.gate.connections() >= most);
    if full || shared.gate.keep(number, &stream).is_err() {
        return;
    }
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let turn = shared.script.serial.then(|| shared.turn.lock().unwrap_or_else(PoisonError::into_inner));
        if !shared.is_dead() {
            Connection::new(Arc::clone(&shared), stream, number).serve();
        }
        drop(turn);
        shared.gate.forget(number);
    });
}
