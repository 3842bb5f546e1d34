//! What is fetched from one origin, as threads share it: serving threads ask for blocks and wait, the session fetches.

use super::cache::Dropped;
use super::cache::Part;
use super::plan::{Order, Plan, Reply};
use super::pool::Share;
use super::troubles::Wrong;
use crate::clock;
use cascade_format::{Block, Have, Layout};
use cascade_swarm::Time;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The origin of one file.
#[derive(Debug)]
pub struct Fetcher {
    start: Instant,
    inner: Mutex<Inner>,
    /// Held to read while blocks are read from a file of which parts may be dropped, and to write while they are.
    reading: RwLock<()>,
    drops: bool,
    over: AtomicBool,
    /// There is something to fetch.
    work: Notify,
    /// Bytes that have come from it.
    received: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    plan: Plan,
    waits: HashMap<u64, Arc<Ticket>>,
}

/// Lets a client wait for one block.
#[derive(Debug, Default)]
pub struct Ticket {
    over: AtomicBool,
    notify: Notify,
}

/// What a client that asks for a block hears.
#[derive(Debug)]
pub enum Answer {
    /// It is on the disk.
    Here,
    /// It comes; ask again when the ticket is called.
    Wait(Arc<Ticket>),
    /// It does not come soon.
    No,
}

impl Ticket {
    /// Waits until the block has come, or does not come.
    pub async fn called(&self) {
        let notified = self.notify.notified();
        tokio::pin!(notified);
        // Before the look: what is called between the two is not missed.
        notified.as_mut().enable();
        if !self.over.load(Ordering::Acquire) {
            notified.await;
        }
    }

    fn call(&self) {
        self.over.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }
}

impl Fetcher {
    /// Of a file that holds the blocks of `here`, of which no more than this share of a pool may be kept, if there is one. Gives
    /// what is there beyond the bound.
    #[must_use]
    pub fn new(layout: Layout, here: &Have, share: Option<Share>) -> (Self, Vec<Dropped>) {
        let (plan, dropped) = Plan::new(layout, here, share);
        let drops = plan.drops();
        let fetcher = Self {
            start: clock::now(),
            inner: Mutex::new(Inner { plan, waits: HashMap::new() }),
            reading: RwLock::new(()),
            drops,
            over: AtomicBool::new(false),
            work: Notify::new(),
            received: AtomicU64::new(0),
        };
        (fetcher, dropped)
    }

    /// Bytes that have come from it.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether blocks that are there may be dropped at any time.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.drops
    }

    /// Whether it was given up.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// A client asks for `block`. `next`: what it asks for behind it.
    #[must_use]
    pub fn ask(&self, block: Block, next: Option<Block>) -> Answer {
        if self.is_over() {
            return Answer::No;
        }
        let now = self.now();
        let mut inner = self.lock();
        let reply = inner.plan.ask(now, block, next);
        if inner.plan.has_work() {
            self.work.notify_one();
        }
        match reply {
            Reply::Here => Answer::Here,
            Reply::Wait => Answer::Wait(Arc::clone(inner.waits.entry(block.number()).or_default())),
            Reply::No => Answer::No,
        }
    }

    /// Blocks may be read while this is held, if they are there: none is dropped meanwhile.
    pub fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.reading.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// No block is read while this is held.
    pub(crate) fn dropping(&self) -> RwLockWriteGuard<'_, ()> {
        self.reading.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there may be something to fetch.
    pub(crate) async fn wait_for_work(&self) {
        let now = self.now();
        let wakeup = self.lock().plan.next_wakeup(now);
        match wakeup {
            Some(at) => drop(tokio::time::timeout(at.saturating_sub(now), self.work.notified()).await),
            None => self.work.notified().await,
        }
    }

    /// See [`Plan::next`].
    pub(crate) fn next(&self) -> Option<Order> {
        let now = self.now();
        self.lock().plan.next(now)
    }

    /// Drops parts of other files.
    pub(crate) fn evict_others(&self, others: &[Part]) {
        // Without the plan's lock: those others may want to drop parts of this one.
        if let Some(share) = self.share().filter(|_| !others.is_empty()) {
            share.pool().evict(others);
        }
    }

    /// See [`Plan::evict`].
    pub(crate) fn evict(&self, stretch: u64) -> Vec<Dropped> {
        self.lock().plan.evict(stretch)
    }

    /// The share of a pool, if only so much may be kept.
    pub(crate) fn share(&self) -> Option<Share> {
        self.lock().plan.share().cloned()
    }

    /// The file is read again: nothing of it is dropped for other files before the [`restart`](Self::restart). False:
    /// something of it is being dropped.
    pub(crate) fn wake(&self) -> bool {
        self.share().is_none_or(|share| share.wake())
    }

    /// See [`Plan::restart`]; who waits asks again.
    pub(crate) fn restart(&self, here: &Have) -> Vec<Dropped> {
        let mut inner = self.lock();
        inner.waits.drain().for_each(|(_, ticket)| ticket.call());
        let dropped = inner.plan.restart(here);
        self.work.notify_one();
        dropped
    }

    /// See [`Plan::arrived`].
    pub(crate) fn arrived(&self, block: Block) {
        let now = self.now();
        let mut inner = self.lock();
        let ticket = inner.waits.remove(&block.number());
        inner.plan.arrived(now, block, ticket.is_some());
        ticket.iter().for_each(|ticket| ticket.call());
    }

    /// See [`Plan::wrong`]; who waits for the block is refused.
    pub(crate) fn wrong(&self, block: Block) -> Wrong {
        let now = self.now();
        let mut inner = self.lock();
        let verdict = inner.plan.wrong(now, block);
        inner.waits.remove(&block.number()).iter().for_each(|ticket| ticket.call());
        verdict
    }

    /// See [`Plan::failed`].
    pub(crate) fn failed(&self) -> (Duration, bool) {
        let now = self.now();
        self.lock().plan.failed(now)
    }

    /// See [`Plan::refused`].
    pub(crate) fn refused(&self) -> Option<Duration> {
        let now = self.now();
        self.lock().plan.refused(now)
    }

    /// Bytes have come; see [`Plan::comes`].
    pub(crate) fn comes(&self, bytes: u64) -> bool {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.lock().plan.comes()
    }

    /// See [`Plan::landed`].
    pub(crate) fn landed(&self, blocks: &Range<u64>) {
        let mut inner = self.lock();
        inner.plan.landed(blocks);
        self.work.notify_one();
    }

    /// The origin is given up: whoever waits is refused.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.lock().waits.drain().for_each(|(_, ticket)| ticket.call());
    }

    fn now(&self) -> Time {
        clock::now().saturating_duration_since(self.start)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
