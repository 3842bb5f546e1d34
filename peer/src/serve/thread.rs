//! What the connections of one thread of the pool share. None of it is locked: it never leaves the thread.

use super::clients::{Clients, Slot};
use super::options::{Guests, Options};
use super::place::Places;
use super::segment::Segment;
use super::stats::ServeStats;
use crate::catalog::Catalog;
use crate::limits::{BURST_LEN, MAX_QUEUED, OWN_QUEUE_LEN, QUEUE_LEN, QUEUE_SHARE};
use crate::pace::Limit;
use cascade_format::peer_wire::REQUEST_LEN;
use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Whether the pool goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running {
    /// It does.
    Yes,
    /// Answers under way are finished, nothing new begins.
    Stopping,
    /// Everything ends at once.
    No,
}

/// An accepted connection on its way to a worker.
pub(super) struct Handover {
    pub(super) stream: TcpStream,
    pub(super) slot: Slot,
}

/// What every thread of a pool is given.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) catalog: Arc<Catalog>,
    pub(super) clients: Arc<Clients>,
    pub(super) stats: Arc<ServeStats>,
    pub(super) places: Arc<Places>,
    pub(super) options: Options,
    pub(super) running: watch::Receiver<Running>,
}

/// The thread, as its connections know it.
pub(super) struct ServeThread {
    pub(super) catalog: Arc<Catalog>,
    pub(super) stats: Arc<ServeStats>,
    pub(super) places: Arc<Places>,
    /// Never send from the page cache.
    pub(super) copy: bool,
    /// Heed the markers of the swarm extension.
    pub(super) extension: bool,
    /// Answers clients that take this peer for a tracker.
    pub(super) guests: Option<Guests>,
    /// What leaves in a second at most.
    pub(super) limit: Option<Limit>,
    pub(super) scratch: RefCell<Scratch>,
    /// Requests in the queues of all connections, beyond the first few of each.
    queued: Cell<usize>,
    pub(super) open: Cell<usize>,
    pub(super) stopping: Cell<bool>,
    pub(super) all_closed: Notify,
}

/// Buffers that a connection uses during its turn: their number is that of the workers, not of the
/// clients.
pub(super) struct Scratch {
    /// For requests as they arrive: as many as a queue takes.
    pub(super) requests: Box<[u8]>,
    /// For a burst of small blocks.
    pub(super) burst: Box<[u8]>,
    /// What is in the burst; at most as many as a queue takes.
    pub(super) segments: Vec<Segment>,
}

impl ServeThread {
    pub(super) fn new(setup: &Setup) -> Rc<Self> {
        let scratch = Scratch {
            requests: vec![0; QUEUE_LEN * REQUEST_LEN].into(),
            burst: vec![0; BURST_LEN].into(),
            segments: Vec::new(),
        };
        Rc::new(Self {
            catalog: Arc::clone(&setup.catalog),
            stats: Arc::clone(&setup.stats),
            places: Arc::clone(&setup.places),
            copy: setup.options.copy,
            extension: setup.options.extension,
            guests: setup.options.guests.clone(),
            limit: setup.options.limit.clone(),
            scratch: RefCell::new(scratch),
            queued: Cell::new(0),
            open: Cell::new(0),
            stopping: Cell::new(false),
            all_closed: Notify::new(),
        })
    }

    /// Requests that one connection may hold, given what all of them hold. Each takes a part of what is left,
    /// so that clients that take no answers cannot fill the queues of the others.
    pub(super) fn queue_share(&self) -> usize {
        let free = MAX_QUEUED.saturating_sub(self.queued.get());
        (free / QUEUE_SHARE).clamp(OWN_QUEUE_LEN, QUEUE_LEN)
    }

    /// A connection holds `after` requests now, and held `before`.
    pub(super) fn count_queued(&self, before: usize, after: usize) {
        let beyond = |held: usize| held.saturating_sub(OWN_QUEUE_LEN);
        self.queued.update(|queued| (queued + beyond(after)).saturating_sub(beyond(before)));
    }

    /// Whether only answers under way are to be finished.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    pub(super) fn opened(&self) {
        self.open.update(|open| open + 1);
    }

    pub(super) fn closed(&self) {
        self.open.update(|open| open.saturating_sub(1));
        if self.open.get() == 0 {
            self.all_closed.notify_one();
        }
    }
}
