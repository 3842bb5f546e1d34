//! A connection's place at the uplink: [`Uplink`] as the threads of a pool share it.

use super::socket;
use super::stats::ServeStats;
use super::uplink::{Asker, FlowId, Reply, Uplink};
use crate::clock;
use crate::limits::UNSENT_LEN;
use crate::pace::Limit;
use cascade_swarm::Time;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Pause until it is looked again whether a closing connection still keeps others waiting.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);

/// The places of a pool.
#[derive(Debug)]
pub(super) struct Places {
    uplink: Mutex<Uplink<Arc<Handle>>>,
    stats: Arc<ServeStats>,
    start: Instant,
}

/// By which others see how much of a connection's answers has gone, and wake it.
#[derive(Debug)]
struct Handle {
    stream: Arc<TcpStream>,
    waker: Notify,
}

/// A connection's place, or its wish for one.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: FlowId,
    host: IpAddr,
    handle: Arc<Handle>,
    /// Bytes that the socket has taken.
    sent: u64,
    /// It has the place, or waits for it.
    engaged: bool,
    /// It has the place, and need not ask again in this turn.
    has_turn: bool,
    /// It counts as one that waits for a block.
    counted: bool,
    /// What may wait in the socket unsent.
    unsent: Option<u32>,
}

impl Places {
    pub(super) fn new(stats: Arc<ServeStats>, limit: Option<&Limit>) -> Arc<Self> {
        let uplink = Mutex::new(Uplink::new(limit.map(Limit::rate)));
        Arc::new(Self { uplink, stats, start: clock::now() })
    }

    /// Clients that wait for a block, as of the last half second.
    pub(super) fn busy(&self) -> usize {
        if self.stats.busy() > 0 {
            self.with(|uplink, now| uplink.look(now, &queued));
        }
        self.stats.busy()
    }

    /// Whether what one client gets more, another gets less, as of the last half second.
    pub(super) fn is_full(&self) -> bool {
        self.lock().is_full()
    }

    fn with<T>(&self, step: impl FnOnce(&mut Uplink<Arc<Handle>>, Time) -> T) -> T {
        let now = clock::now().saturating_duration_since(self.start);
        let mut uplink = self.lock();
        let result = step(&mut uplink, now);
        self.stats.set_busy(uplink.busy());
        let woken = uplink.take_woken();
        drop(uplink);
        woken.iter().for_each(|handle| handle.waker.notify_one());
        result
    }

    fn lock(&self) -> MutexGuard<'_, Uplink<Arc<Handle>>> {
        self.uplink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn queued(handle: &Arc<Handle>) -> u64 {
    socket::queued(&handle.stream)
}

impl Place {
    pub(super) fn new(places: &Arc<Places>, id: FlowId, stream: &Arc<TcpStream>) -> Self {
        let host = socket::host(stream, socket::client(stream));
        let handle = Arc::new(Handle { stream: Arc::clone(stream), waker: Notify::new() });
        let places = Arc::clone(places);
        Self {
            places,
            id,
            host,
            handle,
            sent: 0,
            engaged: false,
            has_turn: false,
            counted: false,
            unsent: None,
        }
    }

    /// Takes the host's place for this turn, before a block is sent; or says how it waits for it. `fresh`: no answer
    /// of it is under way.
    pub(super) fn take(&mut self, fresh: bool) -> Result<(), Option<Duration>> {
        if self.has_turn {
            return Ok(());
        }
        self.engaged = true;
        let asker = Asker { id: self.id, host: self.host, sent: self.sent, fresh };
        match self.places.with(|uplink, now| uplink.ask(now, asker, &self.handle, &queued)) {
            Reply::Go { counted, unsent } => {
                (self.has_turn, self.counted) = (true, counted);
                if self.unsent != unsent {
                    self.unsent = unsent;
                    socket::limit_unsent(&self.handle.stream, unsent);
                }
                Ok(())
            }
            Reply::Wait(pause) => {
                self.counted = false;
                Err(pause)
            }
        }
    }

    /// A turn begins: whether the place is still its own is asked again.
    pub(super) fn begin_turn(&mut self) {
        self.has_turn = false;
    }

    /// The socket has taken bytes. After a block, or a burst of small ones, others of its host may be next.
    pub(super) fn count_sent(&mut self, bytes: usize, under_way: bool) {
        self.sent += bytes as u64;
        self.has_turn &= under_way;
    }

    /// Bytes that are sent with one call: where many share the system's buffers, no more than its part of them.
    pub(super) fn call_len(&self) -> usize {
        let unsent = self.unsent.filter(|unsent| *unsent < UNSENT_LEN);
        unsent.and_then(|unsent| usize::try_from(unsent).ok()).unwrap_or(usize::MAX)
    }

    /// Whether it is one of those that wait for a block.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// It waits for its class's share, not for its client.
    pub(super) fn hold_back(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.places.with(|uplink, _| uplink.hold_back(self.id));
        }
    }

    /// It has no block to send for now. True: nobody waits for a block any more.
    pub(super) fn rest(&mut self) -> bool {
        (self.has_turn, self.counted) = (false, false);
        let engaged = std::mem::take(&mut self.engaged);
        engaged && self.places.with(|uplink, _| uplink.rest(self.id, self.sent))
    }

    /// Waits until it may be free.
    pub(super) async fn is_free(&self, pause: Option<Duration>) {
        match pause {
            Some(pause) => drop(tokio::time::timeout(pause, self.handle.waker.notified()).await),
            None => self.handle.waker.notified().await,
        }
    }

    /// Waits, before the connection is closed, until it keeps nobody of its host waiting: a connection for each block
    /// must not be a share for each block.
    pub(super) async fn drain(&mut self) {
        self.rest();
        while self.places.with(|uplink, _| uplink.is_waited_for(self.id, &queued)) {
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.with(|uplink, _| uplink.leave(self.id));
    }
}
