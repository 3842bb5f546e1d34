//! Which clients may hold a connection: the bound on clients, which of them must make room, whose time is up.
//!
//! Slots are for clients that take blocks. So a new client gets the slot of the client that has taken no part of a
//! block for longest. Nothing else that a client sends or takes keeps its slot.
//!
//! A connection's progress is written into atomics of its own, without a lock, at every turn. The
//! table keeps the connections in the order in which they give way, as it was when it last looked; one that
//! has taken something since is put at its place only when it comes to the head. So making room for one
//! client looks at one connection, or at some that are then not looked at again for the time of an eviction;
//! there is no walk over all of them for each new client, and no lock on the way of data.

use super::hosts::Hosts;
use super::options::Timeouts;
use crate::limits::{BUSY_WINDOW, MAX_EVICTED};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of a request.
    Idle = 0,
    /// The rest of a request.
    Request = 1,
    /// The socket to take more of an answer.
    Answer = 2,
    /// The client to close its side too.
    Closing = 3,
}

/// What a connection tells of itself.
#[derive(Debug, Default)]
pub(super) struct Mark {
    /// When it last made progress, and what it waits for since: milliseconds times four, plus the [`Phase`].
    progress: AtomicU64,
    /// From when on it has to make room for a new client, in milliseconds.
    gives_way: AtomicU64,
}

impl Mark {
    /// Progress at `now` milliseconds.
    pub(super) fn set(&self, now: u64, phase: Phase) {
        self.progress.store(now << 2 | phase as u64, Ordering::Relaxed);
    }

    /// It need not make room before `at` milliseconds.
    pub(super) fn stays_until(&self, at: u64) {
        self.gives_way.store(at, Ordering::Relaxed);
    }

    /// It need not make room for this number of milliseconds longer.
    pub(super) fn stays_longer(&self, by: u64) {
        self.gives_way.fetch_add(by, Ordering::Relaxed);
    }

    fn gives_way(&self) -> u64 {
        self.gives_way.load(Ordering::Relaxed)
    }

    fn get(&self) -> (u64, Phase) {
        let mark = self.progress.load(Ordering::Relaxed);
        let phase = match mark & 3 {
            0 => Phase::Idle,
            1 => Phase::Request,
            2 => Phase::Answer,
            _ => Phase::Closing,
        };
        (mark >> 2, phase)
    }
}

/// The connections of a pool. `H` is the handle by which one is closed from outside. All times are
/// milliseconds since some start.
#[derive(Debug)]
pub(super) struct Slots<H> {
    entries: Vec<Entry<H>>,
    free: Vec<u32>,
    /// Connections that are held, by the last known time from which they give way.
    order: BTreeSet<(u64, u32)>,
    hosts: Hosts,
    /// Connections given to each worker that are busy, as of the last sweep.
    loads: Vec<usize>,
    next_worker: usize,
    max_clients: usize,
    timeouts: Timeouts,
}

#[derive(Debug)]
struct Entry<H> {
    state: State,
    host: IpAddr,
    /// Its key in the order.
    gives_way: u64,
    worker: usize,
    counted: bool,
    handle: Option<H>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Held,
    /// Told to close, not closed yet; does not count for the bound any more.
    Leaving,
}

/// What became of a new client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted<H> {
    /// The place of its [`Mark`].
    pub(super) index: u32,
    /// The worker that serves it.
    pub(super) worker: usize,
    /// Whether another client was evicted for it; close that one.
    pub(super) evicted: Option<Option<H>>,
}

impl<H: Clone> Slots<H> {
    pub(super) fn new(max_clients: usize, workers: usize, timeouts: Timeouts) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            order: BTreeSet::new(),
            hosts: Hosts::new(max_clients),
            loads: vec![0; workers.max(1)],
            next_worker: 0,
            max_clients,
            timeouts,
        }
    }

    /// Number of marks that the table needs.
    pub(super) fn places(max_clients: usize) -> usize {
        max_clients + MAX_EVICTED
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Finds a place for a new client of `host`, evicting another when all are taken. `None`: everybody has
    /// made progress only just now, or the host has its share of the places.
    pub(super) fn admit(&mut self, now: u64, host: IpAddr, marks: &[Mark]) -> Option<Admitted<H>> {
        if !self.hosts.has_room(host) {
            return None;
        }
        if self.free.is_empty() && self.entries.len() >= Self::places(self.max_clients) {
            return None;
        }
        let evicted = if self.order.len() >= self.max_clients { Some(self.evict(now, marks)?) } else { None };
        let worker = self.choose_worker();
        let gives_way = now.saturating_add(millis(self.timeouts.silent));
        let entry = Entry { state: State::Held, host, gives_way, worker, counted: true, handle: None };
        let index = self.take_place(entry);
        self.hosts.add(host);
        if let Some(mark) = marks.get(index as usize) {
            mark.set(now, Phase::Idle);
            mark.stays_until(gives_way);
        }
        self.order.insert((gives_way, index));
        Some(Admitted { index, worker, evicted })
    }

    /// Chooses whom to close when there is need: the client that has taken no part of a block for longest,
    /// if that is longer than the time of an eviction. `Some(None)` is one that has no handle yet.
    pub(super) fn evict(&mut self, now: u64, marks: &[Mark]) -> Option<Option<H>> {
        loop {
            let &(gives_way, index) = self.order.first()?;
            if gives_way > now {
                return None;
            }
            if !self.look_again(index, marks) {
                return Some(self.dismiss(index));
            }
        }
    }

    /// Remembers how to close the connection. False: it is to be closed already.
    pub(super) fn attach(&mut self, index: u32, handle: H) -> bool {
        match self.entries.get_mut(index as usize) {
            Some(entry) if entry.state == State::Held => {
                entry.handle = Some(handle);
                true
            }
            _ => false,
        }
    }

    /// The connection is closed.
    pub(super) fn release(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index as usize) else { return };
        if entry.state == State::Held {
            self.order.remove(&(entry.gives_way, index));
        }
        if let Some(load) = self.loads.get_mut(entry.worker) {
            *load -= usize::from(entry.counted);
        }
        (entry.state, entry.counted, entry.handle) = (State::Free, false, None);
        self.hosts.remove(entry.host);
        self.free.push(index);
    }

    /// Finds the connections whose time is up, to be closed, and counts the busy ones anew. Walks over all of
    /// them, about once a second.
    pub(super) fn sweep(&mut self, now: u64, marks: &[Mark]) -> Vec<H> {
        self.count_loads(now, marks);
        let Timeouts { idle, request, send, drain, .. } = self.timeouts;
        let is_late = |&(_, index): &(u64, u32)| {
            let Some((since, phase)) = marks.get(index as usize).map(Mark::get) else { return false };
            let limit = match phase {
                Phase::Idle => idle,
                Phase::Request => request,
                Phase::Answer => send,
                Phase::Closing => drain,
            };
            since.saturating_add(millis(limit)) <= now
        };
        let late: Vec<u32> = self.order.iter().copied().filter(is_late).map(|(_, index)| index).collect();
        late.into_iter().filter_map(|index| self.dismiss(index)).collect()
    }

    /// Chooses the connections of a stopping worker that no answer is under way on.
    pub(super) fn dismiss_idle(&mut self, worker: usize, marks: &[Mark]) -> Vec<H> {
        let held: Vec<u32> = self.order.iter().map(|(_, index)| *index).collect();
        let mut idle = Vec::new();
        for index in held {
            let waits = marks.get(index as usize).map(|mark| mark.get().1);
            let mine = self.entries.get(index as usize).is_some_and(|entry| entry.worker == worker);
            if mine && matches!(waits, Some(Phase::Idle | Phase::Request)) {
                idle.extend(self.dismiss(index));
            }
        }
        idle
    }

    fn take_place(&mut self, entry: Entry<H>) -> u32 {
        if let Some(index) = self.free.pop() {
            if let Some(place) = self.entries.get_mut(index as usize) {
                *place = entry;
            }
            return index;
        }
        self.entries.push(entry);
        u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
    }

    /// Puts a connection at its place in the order; true when it had taken something since.
    fn look_again(&mut self, index: u32, marks: &[Mark]) -> bool {
        let (Some(entry), Some(mark)) = (self.entries.get_mut(index as usize), marks.get(index as usize))
        else {
            return false;
        };
        let gives_way = mark.gives_way();
        if gives_way <= entry.gives_way {
            return false;
        }
        self.order.remove(&(entry.gives_way, index));
        self.order.insert((gives_way, index));
        entry.gives_way = gives_way;
        true
    }

    fn dismiss(&mut self, index: u32) -> Option<H> {
        let entry = self.entries.get_mut(index as usize)?;
        self.order.remove(&(entry.gives_way, index));
        entry.state = State::Leaving;
        entry.handle.clone()
    }

    /// The worker with the fewest busy clients; in turn where several have as few. Idle clients do not
    /// count: thousands of them, spread unevenly, must not send all the busy ones to one core.
    fn choose_worker(&mut self) -> usize {
        let workers = self.loads.len();
        let order = (0..workers).map(|step| (self.next_worker + step) % workers);
        let chosen = order.min_by_key(|worker| self.loads.get(*worker)).unwrap_or(0);
        if let Some(load) = self.loads.get_mut(chosen) {
            *load += 1;
        }
        self.next_worker = chosen + 1;
        chosen
    }

    fn count_loads(&mut self, now: u64, marks: &[Mark]) {
        self.loads.fill(0);
        for (entry, mark) in self.entries.iter_mut().zip(marks) {
            entry.counted =
                entry.state != State::Free && mark.get().0.saturating_add(millis(BUSY_WINDOW)) > now;
            if let Some(load) = self.loads.get_mut(entry.worker) {
                *load += usize::from(entry.counted);
            }
        }
    }
}

/// A duration in the milliseconds of this table.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
