//! What `download`, `seed` and `demo` need to run: a runtime, a listener, an ear for signals.

use super::{CliError, Switch};
use crate::catalog::Catalog;
use crate::clock;
use crate::link::farewell::FAREWELL;
use crate::report::Style;
use crate::serve::{Options, Pool};
use crate::session::Engine;
use crate::session::engine::Stop;
use crate::store::Records;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Threads of the runtime of sessions and trackers. They only decide and wait; links, hashing and serving
/// have threads of their own.
const CONTROL_THREADS: usize = 2;

/// How long background work may go on after the end.
const GRACE: Duration = Duration::from_millis(500);

/// How long a connection that the system has made may take to be noticed.
const NOTICE: Duration = Duration::from_millis(100);

/// How often it is looked whether the last connection has ended.
const GRANULE: Duration = Duration::from_millis(1);

/// How long a goodbye may take to leave.
const GOODBYE: Duration = Duration::from_millis(50);

/// Where a peer listens that is not told: on every address, on a port that the system chooses.
pub(super) const ANY_PORT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// Exit code of a second interrupt, which waits for nothing.
const INTERRUPTED: i32 = 130;

/// A process that downloads or seeds.
pub(super) struct Host {
    runtime: Runtime,
    door: Door,
    pub(super) engine: Engine,
}

/// The listener: bound at once, so that a port in use is told before anything else happens; served as
/// soon as there is something to serve. Until then the system keeps clients waiting.
pub(super) struct Door {
    style: Style,
    catalog: Arc<Catalog>,
    listener: Option<(TcpListener, SocketAddrV4)>,
    extension: bool,
    pool: Option<Pool>,
}

impl Door {
    /// Begins to serve.
    pub(super) fn open(&mut self) -> Result<(), CliError> {
        let Some((listener, address)) = self.listener.take() else { return Ok(()) };
        let options = Options { extension: self.extension, ..Options::default() };
        let pool = Pool::start(listener, Arc::clone(&self.catalog), options);
        let pool = pool.map_err(|error| CliError::failed(format!("cannot serve on {address}: {error}")))?;
        self.pool = Some(pool);
        self.style.listening(address);
        Ok(())
    }
}

impl Host {
    /// Takes the address `listen` (unless it is `None`) and starts everything that files share.
    pub(super) fn start(
        listen: Option<SocketAddrV4>,
        extension: Switch,
        style: &Style,
    ) -> Result<Self, CliError> {
        let runtime = Builder::new_multi_thread().worker_threads(CONTROL_THREADS).enable_all().build();
        let runtime = runtime.map_err(|error| CliError::failed(format!("cannot start threads: {error}")))?;
        let listener = listen.map(bind).transpose()?;
        let address = listener.as_ref().map(|(_, address)| *address);
        let stop = Stop::default();
        let engine = Engine::new(address, extension == Switch::On, Records::from_environment(), stop);
        let engine = engine.map_err(|error| CliError::failed(format!("cannot start threads: {error}")))?;
        runtime.spawn(hear_signals(engine.stop.clone()));
        let catalog = Arc::clone(&engine.catalog);
        let extension = engine.extension;
        let door = Door { style: style.clone(), catalog, listener, extension, pool: None };
        Ok(Self { runtime, door, engine })
    }

    /// Runs `work` to its end, then lets the answers to other peers finish.
    pub(super) fn run<T>(mut self, work: impl AsyncFnOnce(&mut Door) -> T) -> T {
        let result = self.runtime.block_on(work(&mut self.door));
        if let Some(pool) = self.door.pool.take() {
            if self.engine.catalog.leave() {
                // Those who wait for news hear the goodbye.
                std::thread::sleep(GOODBYE);
            }
            pool.stop();
        }
        // Connections that were given up may have an answer under way: see `link::farewell`.
        let start = clock::now();
        let is_needed = |passed: Duration| {
            let (open, connecting) = (self.engine.links.open_connections(), self.engine.links.connecting());
            (open > 0 && passed < FAREWELL) || (connecting > 0 && passed < NOTICE)
        };
        while is_needed(start.elapsed()) {
            std::thread::sleep(GRANULE);
        }
        self.runtime.shutdown_timeout(GRACE);
        result
    }
}

fn bind(listen: SocketAddrV4) -> Result<(TcpListener, SocketAddrV4), CliError> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("cannot listen on {listen}: {error}; choose another address with --listen"))
    };
    let listener = TcpListener::bind(listen).map_err(failed)?;
    match listener.local_addr().map_err(failed)? {
        SocketAddr::V4(address) => Ok((listener, address)),
        SocketAddr::V6(_) => Err(CliError::failed(format!("cannot listen on {listen}: not an IPv4 address"))),
    }
}

/// The first interrupt ends the work in order, the second at once.
async fn hear_signals(stop: Stop) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        /// `SIGXFSZ`: a file grows past the user's limit. Heard, so that the write fails with an error
        /// which says so, instead of the process ending without a word.
        const FILE_SIZE_EXCEEDED: i32 = 25;
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let _file_size = signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED));
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !first {
                std::process::exit(INTERRUPTED);
            }
            stop.stop();
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.stop();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED);
        }
    }
}
