//! The connections of a pool, as its threads share them.

use super::options::{Options, Timeouts};
use super::slots::{Mark, Phase, Slots, millis};
use super::stats::ServeStats;
use crate::clock;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::AbortHandle;

/// [`Slots`] behind a lock that is taken when a connection begins and ends and once a second, and the
/// marks that each connection writes without it.
#[derive(Debug)]
pub(super) struct Clients {
    slots: Mutex<Slots<AbortHandle>>,
    marks: Box<[Mark]>,
    start: Instant,
    stats: Arc<ServeStats>,
    max_clients: usize,
    /// Milliseconds for which a client keeps its place by taking a part of a block.
    taking_keeps: u64,
    /// And for how much longer by asking for the first time.
    asking_keeps: u64,
}

impl Clients {
    pub(super) fn new(
        max_clients: usize,
        workers: usize,
        options: &Options,
        stats: Arc<ServeStats>,
    ) -> Arc<Self> {
        let Timeouts { evict, silent, .. } = options.timeouts;
        let places = Slots::<AbortHandle>::places(max_clients);
        Arc::new(Self {
            slots: Mutex::new(Slots::new(max_clients, workers, options.timeouts)),
            marks: (0..places).map(|_| Mark::default()).collect(),
            start: clock::now(),
            stats,
            max_clients,
            taking_keeps: millis(evict),
            asking_keeps: millis(evict.saturating_sub(silent)),
        })
    }

    /// Connections that may be held at once.
    pub(super) fn max_clients(&self) -> usize {
        self.max_clients
    }

    /// Finds a slot for a new client of `host`, closing another where it must; with the worker that is to
    /// serve it. `None`: the bound is reached and everybody takes blocks, or the host has its share.
    pub(super) fn admit(self: &Arc<Self>, host: IpAddr) -> Option<(Slot, usize)> {
        let mut slots = self.lock();
        let admitted = slots.admit(self.now(), host, &self.marks)?;
        self.stats.set_clients(slots.open());
        drop(slots);
        if let Some(evicted) = admitted.evicted {
            self.stats.add_evicted();
            evicted.inspect(AbortHandle::abort);
        }
        Some((Slot { clients: Arc::clone(self), index: admitted.index }, admitted.worker))
    }

    /// Lets the task that serves slot `index` be ended from outside.
    pub(super) fn attach(&self, index: u32, task: &AbortHandle) {
        if !self.lock().attach(index, task.clone()) {
            task.abort();
        }
    }

    /// Closes the client that has taken nothing for longest, if that is long enough; whether there was one.
    pub(super) fn evict(&self) -> bool {
        let evicted = self.lock().evict(self.now(), &self.marks);
        let Some(evicted) = evicted else { return false };
        self.stats.add_evicted();
        evicted.inspect(AbortHandle::abort);
        true
    }

    /// Closes the clients whose time is up.
    pub(super) fn sweep(&self) {
        let late = self.lock().sweep(self.now(), &self.marks);
        late.iter().for_each(AbortHandle::abort);
    }

    /// Closes the clients of `worker` that no answer is under way to.
    pub(super) fn close_idle(&self, worker: usize) {
        let idle = self.lock().dismiss_idle(worker, &self.marks);
        idle.iter().for_each(AbortHandle::abort);
    }

    /// Milliseconds since the pool began.
    fn now(&self) -> u64 {
        u64::try_from(clock::now().saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Slots<AbortHandle>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to hold a connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    clients: Arc<Clients>,
    index: u32,
}

impl Slot {
    /// Notes that the connection made progress just now, and what it waits for next.
    pub(super) fn mark(&self, phase: Phase) {
        if let Some(mark) = self.clients.marks.get(self.index as usize) {
            mark.set(self.clients.now(), phase);
        }
    }

    /// Notes that the client has asked for something, for the first time.
    pub(super) fn asked(&self) {
        if let Some(mark) = self.clients.marks.get(self.index as usize) {
            mark.stays_longer(self.clients.asking_keeps);
        }
    }

    /// Notes that the client takes a part of a block just now.
    pub(super) fn takes(&self) {
        if let Some(mark) = self.clients.marks.get(self.index as usize) {
            mark.stays_until(self.clients.now().saturating_add(self.clients.taking_keeps));
        }
    }

    /// The number by which [`Clients::attach`] knows it.
    pub(super) fn index(&self) -> u32 {
        self.index
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.clients.lock();
        slots.release(self.index);
        self.clients.stats.set_clients(slots.open());
    }
}
