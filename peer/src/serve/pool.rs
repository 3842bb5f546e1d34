//! The threads that serve, and how they begin and end.

use super::accept::Acceptor;
use super::clients::Clients;
use super::descriptors;
use super::options::Options;
use super::place::Places;
use super::stats::ServeStats;
use super::thread::{Handover, Running, Setup};
use super::worker::work;
use crate::catalog::Catalog;
use crate::limits::{HANDOVER_LEN, LISTEN_BACKLOG, MAX_CLIENTS};
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use tokio::runtime::{Builder, LocalOptions, Runtime};
use tokio::sync::{mpsc, watch};

/// A running server of blocks. Dropping it closes every connection at once; [`Pool::stop`] lets the
/// answers under way finish.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    stats: Arc<ServeStats>,
    running: watch::Sender<Running>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Serves the files of `catalog`, as it is at any time, to every client that connects to `listener`. Raises
    /// this process's limit on open descriptors as far as the system lets it.
    ///
    /// # Errors
    /// The system's: no thread, no descriptor, or the socket does not listen.
    pub fn start(listener: TcpListener, catalog: Arc<Catalog>, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let workers = match options.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let allowed = descriptors::clients_within(descriptors::raise_limit(), descriptors::open_now());
        let max_clients = options.max_clients.min(MAX_CLIENTS).min(allowed).max(1);
        let stats = Arc::new(ServeStats::default());
        let clients = Clients::new(max_clients, workers, &options, Arc::clone(&stats));
        let (running, watching) = watch::channel(Running::Yes);
        let sweep_every = options.timeouts.sweep_interval();
        let (warn, places) = (options.warn.clone(), Places::new(Arc::clone(&stats), options.limit.as_ref()));
        let setup = Setup { catalog, clients, stats: Arc::clone(&stats), places, options, running: watching };
        // From here on a failure drops the pool, and that ends the threads that run already.
        let mut pool = Self { address, stats, running, threads: Vec::new() };
        let mut to_workers = Vec::new();
        for index in 0..workers {
            let (to_worker, arriving) = mpsc::channel(HANDOVER_LEN);
            to_workers.push(to_worker);
            pool.spawn_worker(index, setup.clone(), arriving)?;
        }
        let runtime = runtime().build()?;
        let listener = listen(listener, &runtime)?;
        let acceptor = Acceptor::new(setup.clients, setup.stats, to_workers, warn);
        pool.spawn("serve-accept".to_owned(), move || {
            runtime.block_on(acceptor.run(listener, sweep_every, setup.running));
        })?;
        Ok(pool)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> &Arc<ServeStats> {
        &self.stats
    }

    /// Stops accepting, closes idle connections, lets the answers under way finish for at most the
    /// time of [`Timeouts::stop`](super::Timeouts::stop), and waits for the threads. Blocks the caller.
    pub fn stop(mut self) {
        self.running.send_replace(Running::Stopping);
        self.join();
    }

    /// Starts worker `index`. Its runtime never leaves its thread, and so need not lock what its tasks share.
    fn spawn_worker(
        &mut self,
        index: usize,
        setup: Setup,
        arriving: mpsc::Receiver<Handover>,
    ) -> io::Result<()> {
        let (to_caller, begun) = sync_channel(1);
        self.spawn(format!("serve-{index}"), move || match runtime().build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = to_caller.send(Ok(()));
                runtime.block_on(work(index, setup, arriving));
            }
            Err(error) => drop(to_caller.send(Err(error))),
        })?;
        begun.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name).spawn(body)?);
        Ok(())
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; its connections are closed either way.
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.running.send_replace(Running::No);
        self.join();
    }
}

fn runtime() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_io().enable_time();
    builder
}

/// Hands the caller's listener to the runtime that accepts.
fn listen(listener: TcpListener, runtime: &Runtime) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    // The standard library asks for 128 waiting connections: too few for hundreds of clients that
    // arrive together, whose connecting would be delayed by seconds. Where it cannot be changed any
    // more, it stays.
    let _ = SockRef::from(&listener).listen(LISTEN_BACKLOG);
    let _context = runtime.enter();
    tokio::net::TcpListener::from_std(listener)
}
