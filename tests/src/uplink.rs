//! A narrow line in front of a real peer: what it sends passes at a bounded rate, over all connections;
//! what it is sent passes at once.

use crate::acceptor::{Acceptor, Gate};
use crate::address;
use crate::pace::Pace;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What is passed on at once, in bytes.
const STEP: usize = 4096;

struct Shared {
    target: SocketAddr,
    pace: Pace,
    passed: AtomicU64,
    gate: Gate,
}

/// The line; it is cut when dropped.
pub struct Uplink {
    /// Where to connect instead of to the peer itself.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Acceptor,
}

impl Uplink {
    /// A line in front of the peer that listens at `target`, of `rate` bytes a second.
    #[must_use]
    pub fn to(target: SocketAddr, rate: u64) -> Self {
        let shared = Arc::new(Shared {
            target,
            pace: Pace::new(Some(rate)),
            passed: AtomicU64::new(0),
            gate: Gate::default(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            Acceptor::start(address::listener(), shared.gate.clone(), move |number, client| {
                // Whatever fails here, the client sees a close.
                let _ = join(number, &client, &shared);
            })
        };
        Self { addr: acceptor.addr(), shared, _acceptor: acceptor }
    }

    /// Bytes that the peer has sent over it.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }
}

/// Starts both directions of a connection.
fn join(number: usize, client: &TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let peer = TcpStream::connect(shared.target)?;
    client.set_nodelay(true)?;
    peer.set_nodelay(true)?;
    // What has been sent and not passed on must not be much: the peer is to feel how narrow the line is.
    rustix::net::sockopt::set_socket_recv_buffer_size(&peer, 16 * STEP)?;
    shared.gate.keep(2 * number, client)?;
    shared.gate.keep(2 * number + 1, &peer)?;
    let (up, down) = ((client.try_clone()?, peer.try_clone()?), (peer, client.try_clone()?));
    thread::spawn(move || pass(up, |_| {}));
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        pass(down, |bytes| {
            shared.passed.fetch_add(bytes as u64, Ordering::Relaxed);
            shared.pace.take(bytes);
        });
    });
    Ok(())
}

/// Passes bytes on until either end closes.
fn pass((mut from, mut to): (TcpStream, TcpStream), wait: impl Fn(usize)) {
    let mut bytes = [0; STEP];
    while let Ok(read) = from.read(&mut bytes)
        && read > 0
    {
        wait(read);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
