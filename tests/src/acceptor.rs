//! The listening half of every scripted peer, tracker and line: a thread that accepts, and what cuts all
//! connections at once when the script ends.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// What an [`Acceptor`] and the threads of its connections share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    closed: AtomicBool,
    /// Where the connection comes from behind which nothing is accepted.
    last: Mutex<Option<SocketAddr>>,
    /// Copies of the open connections' descriptors, to cut them from outside.
    streams: Mutex<BTreeMap<usize, TcpStream>>,
}

impl Gate {
    /// Whether it is all over.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.streams().len()
    }

    fn last(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a connection that is to be cut in the end.
    pub(crate) fn keep(&self, number: usize, stream: &TcpStream) -> io::Result<()> {
        let copy = stream.try_clone()?;
        self.streams().insert(number, copy);
        Ok(())
    }

    /// The connection has ended.
    pub(crate) fn forget(&self, number: usize) {
        self.streams().remove(&number);
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<usize, TcpStream>> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that accepts connections until it is closed or dropped.
#[derive(Debug)]
pub(crate) struct Acceptor {
    addr: SocketAddr,
    gate: Gate,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Gives each connection of `listener`, with its number, to `accept`.
    pub(crate) fn start(
        listener: TcpListener,
        gate: Gate,
        mut accept: impl FnMut(usize, TcpStream) + Send + 'static,
    ) -> Self {
        let addr = listener.local_addr().expect("a bound socket has an address");
        let thread = {
            let gate = gate.clone();
            thread::spawn(move || {
                for number in 0.. {
                    let Ok((stream, from)) = listener.accept() else { return };
                    if gate.is_closed() || *gate.last() == Some(from) {
                        return;
                    }
                    accept(number, stream);
                }
            })
        };
        Self { addr, gate, thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops to listen, after it has accepted every connection that was made by now. Their connections go on.
    pub(crate) fn finish(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // The thread looks at the address of each connection, and waits for this lock before.
        let mut last = self.gate.last();
        let own = TcpStream::connect(self.addr).expect("the script listens");
        *last = own.local_addr().ok();
        drop(last);
        drop(thread.join());
    }

    /// Stops to listen and cuts every connection, as a killed process does.
    pub(crate) fn close(&mut self) {
        self.gate.0.closed.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Wakes the thread; where that fails, it is not waiting.
            drop(TcpStream::connect(self.addr));
            drop(thread.join());
        }
        self.gate.streams().values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.close();
    }
}
