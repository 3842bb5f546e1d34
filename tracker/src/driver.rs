//! Runs a tracker: in the binary, or inside another program.

use crate::clock;
use crate::limits::MAX_EMBEDDED_CONNECTIONS;
#[cfg(feature = "cli")]
use crate::others::Handover;
use crate::policy::Policy;
use crate::registry::Bounds;
use crate::responder::Responder;
use crate::server::{Patience, REQUEST_TIMEOUT, Server, Stopper, time_since};
use crate::state::{Keeper, Loaded, StateFile};
#[cfg(feature = "cli")]
use crate::store::{Running, Store};
use crate::view::View;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Connections that the kernel completes before the tracker accepts them. The kernel may know a lower
/// bound (`net.core.somaxconn`).
pub const BACKLOG: i32 = 4096;

/// A tracker with an address, which accepts connections once it runs.
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use cascade_tracker::{Policy, Tracker};
/// let tracker = Tracker::bind(([127, 0, 0, 1], 0).into(), Policy::open())?;
/// println!("listening on {}", tracker.local_addr());
/// tracker.run(async { /* returns when it is time to stop */ }).await
/// # }
/// ```
#[derive(Debug)]
pub struct Tracker {
    listener: TcpListener,
    local_addr: SocketAddr,
    responder: Responder,
    started: Instant,
    state: Option<(StateFile, Duration)>,
    #[cfg(feature = "cli")]
    store: Option<Store>,
    patience: Patience,
}

impl Tracker {
    /// Takes an address; port 0 lets the system choose one. From here on clients can connect, and
    /// wait until the tracker runs.
    ///
    /// # Errors
    /// The address is in use, not this host's, or not permitted.
    pub fn bind(addr: SocketAddr, policy: Policy) -> io::Result<Self> {
        Self::on(listen(addr)?, policy)
    }

    /// The same on a listener that somebody else has made.
    ///
    /// # Errors
    /// The listener is broken.
    pub fn on(listener: TcpListener, policy: Policy) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let patience = Patience { connections: MAX_EMBEDDED_CONNECTIONS, request: REQUEST_TIMEOUT };
        let responder = Responder::new(policy, Bounds::default(), fastrand::u64(..));
        Ok(Self {
            listener,
            local_addr,
            responder,
            started: clock::now(),
            state: None,
            #[cfg(feature = "cli")]
            store: None,
            patience,
        })
    }

    /// Where the tracker listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes over the registrations in the file, and writes all registrations to it at every `interval`, and at the
    /// end.
    #[must_use]
    pub fn with_state(mut self, state: StateFile, interval: Duration) -> (Self, Loaded) {
        let loaded = state.load(&mut self.responder, time_since(self.started, clock::now()));
        self.state = Some((state, interval));
        (self, loaded)
    }

    /// Shares the swarms with all trackers that name the same store.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn with_store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Keeps at most `max` connections waiting for the rest of their request; without it
    /// [`MAX_EMBEDDED_CONNECTIONS`].
    #[must_use]
    pub const fn with_max_connections(mut self, max: usize) -> Self {
        self.patience.connections = max;
        self
    }

    /// Gives requests this long to arrive; without it [`REQUEST_TIMEOUT`].
    #[must_use]
    pub const fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.patience.request = timeout;
        self
    }

    /// Serves until `shutdown` is ready, or until the future is dropped. The work is done by a thread
    /// of its own: the runtime only waits.
    ///
    /// # Errors
    /// The system refuses a poll or a thread, or the listener breaks.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        self.run_seen(|_| (), shutdown).await
    }

    /// The same; `seen` is given a way to look at the tracker while it runs.
    ///
    /// # Errors
    /// Those of [`Tracker::run`].
    pub async fn run_seen(
        self,
        seen: impl FnOnce(View),
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        #[allow(unused_mut, reason = "a tracker inside another program shares no store")]
        let mut server = Server::new(self.listener, self.responder, self.patience, self.started)?;
        #[cfg(feature = "cli")]
        let shared = match self.store {
            Some(store) => {
                let handover = Handover::default();
                server.share(handover.clone());
                Some(Running::start(store, handover, server.view(), self.started)?)
            }
            None => None,
        };
        let stop = StopOnDrop(server.stopper());
        let keep = |(state, interval)| Keeper::start(state, server.view(), interval);
        let keeper = self.state.map(keep).transpose()?;
        seen(server.view());
        let (ended, end) = oneshot::channel();
        thread::Builder::new().name("tracker".to_owned()).spawn(move || {
            let (served, responder, now) = server.run();
            #[cfg(feature = "cli")]
            if let Some(shared) = shared {
                shared.finish();
            }
            if let Some(keeper) = keeper {
                keeper.finish(&responder, now);
            }
            ended.send(served)
        })?;
        let mut end = std::pin::pin!(end);
        tokio::select! {
            result = &mut end => return flatten(result),
            () = shutdown => {}
        }
        stop.0.stop();
        flatten(end.await)
    }
}

/// A dropped future must not leave its thread behind.
struct StopOnDrop(Stopper);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn flatten(result: Result<io::Result<()>, oneshot::error::RecvError>) -> io::Result<()> {
    result.unwrap_or_else(|_| Err(io::Error::other("the tracker's thread died")))
}

/// A listener with a backlog for many clients at once.
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        // Every address of both families, whatever this system's custom is.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the last run's connections to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
