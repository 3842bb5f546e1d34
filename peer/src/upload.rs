//! A board that threads share: hash threads publish, serving threads read it out to their clients.

use crate::clock;
use cascade_format::extension::Item;
use cascade_format::{Block, Have, Layout};
use cascade_swarm::Time;
use cascade_swarm::give::{Askers, Board, ReaderId, Tuning, Verdict};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::time::timeout_at;

/// One file's board, behind a lock that is held for one step of it.
#[derive(Debug)]
pub struct Bulletin {
    start: Instant,
    inner: Mutex<Inner>,
    met: Notify,
    /// Readers on the board.
    readers: AtomicUsize,
    /// Rings when time alone changes something sooner than was known.
    sooner: Notify,
}

#[derive(Debug)]
struct Inner {
    board: Board,
    askers: Askers,
    /// Wakes the connection of each reader.
    bells: HashMap<ReaderId, Arc<Notify>>,
    /// The next board's readers have other names.
    first_reader: u64,
    /// When time alone changes something, as [`Bulletin::tick`] knows it.
    wakeup: Option<Time>,
}

impl Bulletin {
    /// A bulletin for a peer that has the blocks of `have`.
    #[must_use]
    pub fn new(layout: Layout, have: &Have) -> Self {
        let board = Board::new(layout, have, 0, Tuning::DEFAULT);
        let inner =
            Inner { board, askers: Askers::default(), bells: HashMap::new(), first_reader: 0, wakeup: None };
        Self {
            start: clock::now(),
            inner: Mutex::new(inner),
            met: Notify::new(),
            readers: AtomicUsize::new(0),
            sooner: Notify::new(),
        }
    }

    /// The file was checked again: who reads must begin anew.
    pub fn restart(&self, layout: Layout, have: &Have) {
        let mut inner = self.lock();
        inner.first_reader = inner.board.next_reader();
        inner.board = Board::new(layout, have, inner.first_reader, Tuning::DEFAULT);
        inner.bells.drain().for_each(|(_, bell)| bell.notify_one());
    }

    /// See [`Board::published`].
    pub fn published(&self, block: Block) {
        let now = self.now();
        let mut inner = self.lock();
        inner.board.published(now, block);
        self.ring(&mut inner);
    }

    /// See [`Board::met`].
    pub fn met(&self, addr: SocketAddrV4, extended: bool) {
        let mut inner = self.lock();
        inner.board.met(addr, extended);
        self.ring(&mut inner);
    }

    /// See [`Board::leave`]; tells whether there is anybody to hear it.
    pub fn leave(&self) -> bool {
        let mut inner = self.lock();
        inner.board.leave();
        self.ring(&mut inner);
        !inner.bells.is_empty()
    }

    /// See [`Board::open`]. The bell rings when there is news for the reader.
    pub fn open(&self, addr: Option<SocketAddrV4>) -> (ReaderId, Arc<Notify>) {
        let (now, bell) = (self.now(), Arc::new(Notify::new()));
        let mut inner = self.lock();
        let reader = inner.board.open(now, addr);
        inner.bells.insert(reader, Arc::clone(&bell));
        self.readers.store(inner.bells.len(), Ordering::Relaxed);
        self.ring(&mut inner);
        if addr.is_some() {
            self.met.notify_one();
        }
        (reader, bell)
    }

    /// Whether the reader is one of the present board's.
    #[must_use]
    pub fn knows(&self, reader: ReaderId) -> bool {
        self.lock().bells.contains_key(&reader)
    }

    /// See [`Board::asked`].
    pub fn asked(&self, reader: ReaderId, offers_seen: u32, block: Option<Block>, others: usize) -> Verdict {
        let now = self.now();
        let mut inner = self.lock();
        let verdict = inner.board.asked(now, reader, offers_seen, block, others);
        self.ring(&mut inner);
        verdict
    }

    /// See [`Board::has_news`].
    #[must_use]
    pub fn has_news(&self, reader: ReaderId) -> bool {
        self.lock().board.has_news(reader)
    }

    /// See [`Board::may_answer`].
    #[must_use]
    pub fn may_answer(&self, reader: ReaderId) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        let may = inner.board.may_answer(now, reader);
        self.ring(&mut inner);
        may
    }

    /// See [`Board::answered`].
    pub fn answered(&self, reader: ReaderId) {
        self.lock().board.answered(reader);
    }

    /// See [`Board::news`]. `load`: see [`Board::set_load`].
    pub fn news(&self, reader: ReaderId, load: usize, have: &dyn Fn(Block) -> bool) -> Option<Vec<Item>> {
        let now = self.now();
        let mut inner = self.lock();
        inner.board.set_load(now, load);
        let items = inner.board.news(now, reader, have);
        self.ring(&mut inner);
        items
    }

    /// See [`Board::set_load`].
    pub fn set_load(&self, clients: usize) {
        let now = self.now();
        let mut inner = self.lock();
        inner.board.set_load(now, clients);
        self.ring(&mut inner);
    }

    /// See [`Board::sent`].
    pub fn sent(&self, reader: ReaderId, block: Block) {
        let now = self.now();
        let mut inner = self.lock();
        inner.board.sent(now, reader, block);
        self.ring(&mut inner);
    }

    /// A client without the extension has asked for a block, from this host.
    pub fn asked_from(&self, host: Ipv4Addr) {
        if self.lock().askers.insert(host) {
            self.met.notify_one();
        }
    }

    /// Hosts of [`Bulletin::asked_from`] since `at`, which is set to where the next call goes on; begin
    /// with 0.
    #[must_use]
    pub fn askers_since(&self, at: &mut u64) -> Vec<Ipv4Addr> {
        self.lock().askers.since(at)
    }

    /// See [`Board::plain_asked`].
    pub fn plain_asked(&self, block: Block, must: bool) -> bool {
        // Where nobody reads, nobody chooses, and version 1 must not pay for a lock.
        self.readers.load(Ordering::Relaxed) == 0 || self.lock().board.plain_asked(self.now(), block, must)
    }

    /// See [`Board::close`].
    pub fn close(&self, reader: ReaderId) {
        let now = self.now();
        let mut inner = self.lock();
        inner.bells.remove(&reader);
        self.readers.store(inner.bells.len(), Ordering::Relaxed);
        inner.board.close(now, reader);
        self.ring(&mut inner);
    }

    /// Waits until time alone has changed something, and tells those whom it concerns. The owner of
    /// the file calls this again and again.
    pub async fn tick(&self) {
        loop {
            let wakeup = {
                let now = self.now();
                let mut inner = self.lock();
                inner.wakeup = inner.board.next_wakeup(now);
                inner.wakeup
            };
            let Some(wakeup) = wakeup else {
                self.sooner.notified().await;
                continue;
            };
            if timeout_at((self.start + wakeup).into(), self.sooner.notified()).await.is_err() {
                let now = self.now();
                let mut inner = self.lock();
                inner.board.handle_time(now);
                self.ring(&mut inner);
                return;
            }
        }
    }

    /// Waits until a peer has shown itself; then see [`Bulletin::met_since`] and
    /// [`Bulletin::askers_since`].
    pub async fn wait_met(&self) {
        self.met.notified().await;
    }

    /// See [`Board::met_since`].
    pub fn met_since(&self, at: &mut u64) -> Vec<SocketAddrV4> {
        self.lock().board.met_since(at)
    }

    /// After every step of the board: wakes those whom it concerns.
    fn ring(&self, inner: &mut Inner) {
        let now = self.now();
        inner.ring(now);
        let next = inner.board.next_wakeup(now);
        if next.is_some_and(|next| inner.wakeup.is_none_or(|known| next < known)) {
            inner.wakeup = next;
            self.sooner.notify_one();
        }
    }

    fn now(&self) -> Time {
        clock::now().saturating_duration_since(self.start)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn ring(&mut self, now: Time) {
        for reader in self.board.take_woken(now) {
            if let Some(bell) = self.bells.get(&reader) {
                bell.notify_one();
            }
        }
    }
}
