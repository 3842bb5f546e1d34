//! Takes new connections and gives them to workers, or refuses them.
//!
//! One thread accepts for all workers. Were every worker to accept by itself, the one that wakes first
//! would take all of several clients that arrive together, and one core would serve what several could;
//! and accepting would wait for the turns of a busy worker. Here a new client is taken at once, goes to
//! the worker with the fewest busy ones, and the bound on connections is kept in one place. The price
//! is that a connection changes threads once.

use super::clients::Clients;
use super::options::Warn;
use super::response::Refusal;
use super::socket;
use super::spare::Spare;
use super::stats::ServeStats;
use super::thread::{Handover, Running};
use crate::limits::{ACCEPT_BACKOFF, DRAIN_TIMEOUT, MAX_REFUSALS, REFUSAL_DRAIN_LEN};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::MissedTickBehavior;

/// The accepting thread's state.
pub(super) struct Acceptor {
    clients: Arc<Clients>,
    stats: Arc<ServeStats>,
    workers: Vec<mpsc::Sender<Handover>>,
    refusals: Arc<Semaphore>,
    spare: Spare,
    warn: Warn,
}

impl Acceptor {
    pub(super) fn new(
        clients: Arc<Clients>,
        stats: Arc<ServeStats>,
        workers: Vec<mpsc::Sender<Handover>>,
        warn: Warn,
    ) -> Self {
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        Self { clients, stats, workers, refusals, spare: Spare::new(), warn }
    }

    /// Accepts until the pool stops; looks once in a while for clients whose time is up.
    pub(super) async fn run(
        mut self,
        listener: TcpListener,
        sweep_every: Duration,
        mut running: watch::Receiver<Running>,
    ) {
        let mut sweep = tokio::time::interval(sweep_every);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = running.wait_for(|running| *running != Running::Yes) => return,
                // Without clients nobody needs to look.
                _ = sweep.tick(), if self.stats.clients() > 0 => self.clients.sweep(),
                accepted = listener.accept() => match accepted {
                    Ok((stream, addr)) => self.welcome(stream, addr.ip()).await,
                    Err(error) if concerns_one_client(&error) => {}
                    Err(_) => self.recover(&listener).await,
                },
            }
        }
    }

    async fn welcome(&self, stream: TcpStream, client: IpAddr) {
        // On a socket for both families an IPv4 client has an IPv6 address.
        let host = socket::host(&stream, client.to_canonical());
        let Some((slot, worker)) = self.clients.admit(host) else {
            self.stats.add_refused();
            return self.refuse(stream);
        };
        let (Ok(stream), Some(worker)) = (stream.into_std(), self.workers.get(worker)) else { return };
        if let Err(TrySendError::Full(handover)) = worker.try_send(Handover { stream, slot }) {
            // The worker is behind: clients that come meanwhile wait in the system's queue. A worker that
            // is gone takes the connection with it.
            let _ = worker.send(handover).await;
        }
    }

    /// Tells a client that there is no place for it. A few at a time get the chance to close first,
    /// so that the message is not lost; beyond that, most are still lucky.
    fn refuse(&self, stream: TcpStream) {
        let answer = Refusal::Full { clients: self.clients.max_clients() }.encode();
        // The socket is new and empty: it takes the message whole.
        let sent = stream.try_write(&answer).is_ok();
        if let (true, Ok(permit)) = (sent, Arc::clone(&self.refusals).try_acquire_owned()) {
            tokio::spawn(async move {
                let _ = tokio::time::timeout(DRAIN_TIMEOUT, see_off(stream)).await;
                drop(permit);
            });
        }
    }

    /// There was no descriptor or memory for another connection, if one waits at all: the system finds out in
    /// that order. It gets the place of a client that takes nothing, else a refusal, by the descriptor in
    /// hand. If that is gone, too, it waits in the system's queue.
    async fn recover(&mut self, listener: &TcpListener) {
        self.spare.give_up();
        if let Ok(Ok((stream, addr))) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            // Perhaps one has become free meanwhile.
            if self.spare.take_back() {
                return self.welcome(stream, addr.ip()).await;
            }
            if let Some(text) = self.spare.warning(self.stats.clients()) {
                (self.warn.0)(&text);
            }
            if self.clients.evict() {
                self.welcome(stream, addr.ip()).await;
            } else {
                self.stats.add_refused();
                self.refuse_at_once(&stream);
            }
        }
        if !self.spare.take_back() {
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            self.spare.take_back();
        }
    }

    /// Tells a client that there is no place for it, without another moment for its descriptor. The bytes that it has
    /// sent so far are read, so that no reset destroys the message.
    fn refuse_at_once(&self, stream: &TcpStream) {
        let _ = stream.try_read(&mut [0; 1024]);
        let answer = Refusal::Full { clients: self.clients.max_clients() }.encode();
        let _ = stream.try_write(&answer);
    }
}

/// Whether accepting failed because of the connection that was to be accepted: the next may be fine.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

async fn see_off(mut stream: TcpStream) -> io::Result<()> {
    SockRef::from(&stream).shutdown(Shutdown::Write)?;
    let (mut scratch, mut drained) = ([0; 1024], 0);
    while drained < REFUSAL_DRAIN_LEN {
        match stream.read(&mut scratch).await? {
            0 => break,
            bytes => drained += bytes,
        }
    }
    Ok(())
}
