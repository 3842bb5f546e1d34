//! A board that threads share: hash threads publish, serving threads read it out to their clients.

use super::board::{Board, ReaderId, Verdict};
use crate::clock;
use crate::plan::Time;
use cascade_format::extension::Item;
use cascade_format::{Block, Have, Layout};
use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// One file's board, behind a lock that is held for one step of it.
#[derive(Debug)]
pub struct Bulletin {
    start: Instant,
    inner: Mutex<Inner>,
    met: Notify,
}

#[derive(Debug)]
struct Inner {
    board: Board,
    /// Wakes the connection of each reader.
    bells: HashMap<ReaderId, Arc<Notify>>,
    /// The next board's readers have other names.
    first_reader: u64,
}

impl Bulletin {
    /// A bulletin for a peer that has the blocks of `have`.
    #[must_use]
    pub fn new(layout: Layout, have: &Have) -> Self {
        let board = Board::new(layout, have, 0);
        let inner = Inner { board, bells: HashMap::new(), first_reader: 0 };
        Self { start: clock::now(), inner: Mutex::new(inner), met: Notify::new() }
    }

    /// The file was checked again: who reads must begin anew.
    pub fn restart(&self, layout: Layout, have: &Have) {
        let mut inner = self.lock();
        inner.first_reader = inner.board.next_reader();
        inner.board = Board::new(layout, have, inner.first_reader);
        inner.bells.drain().for_each(|(_, bell)| bell.notify_one());
    }

    /// See [`Board::published`].
    pub fn published(&self, block: Block) {
        let now = self.now();
        let mut inner = self.lock();
        inner.board.published(now, block);
        inner.ring();
    }

    /// See [`Board::met`].
    pub fn met(&self, addr: SocketAddrV4, extended: bool) {
        let mut inner = self.lock();
        inner.board.met(addr, extended);
        inner.ring();
    }

    /// See [`Board::leave`]; tells whether there is anybody to hear it.
    pub fn leave(&self) -> bool {
        let mut inner = self.lock();
        inner.board.leave();
        inner.ring();
        !inner.bells.is_empty()
    }

    /// See [`Board::open`]. The bell rings when there is news for the reader.
    pub fn open(&self, addr: Option<SocketAddrV4>) -> (ReaderId, Arc<Notify>) {
        let (now, bell) = (self.now(), Arc::new(Notify::new()));
        let mut inner = self.lock();
        let reader = inner.board.open(now, addr);
        inner.bells.insert(reader, Arc::clone(&bell));
        inner.ring();
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
        inner.ring();
        verdict
    }

    /// See [`Board::has_news`].
    #[must_use]
    pub fn has_news(&self, reader: ReaderId) -> bool {
        self.lock().board.has_news(reader)
    }

    /// See [`Board::news`]. `load`: see [`Board::set_load`].
    pub fn news(&self, reader: ReaderId, load: usize, have: &dyn Fn(Block) -> bool) -> Option<Vec<Item>> {
        let now = self.now();
        let mut inner = self.lock();
        inner.board.set_load(load);
        let items = inner.board.news(now, reader, have);
        inner.ring();
        items
    }

    /// See [`Board::set_load`].
    pub fn set_load(&self, clients: usize) {
        let mut inner = self.lock();
        inner.board.set_load(clients);
        inner.ring();
    }

    /// See [`Board::sent`].
    pub fn sent(&self, reader: ReaderId, block: Block) {
        let now = self.now();
        let mut inner = self.lock();
        inner.board.sent(now, reader, block);
        inner.ring();
    }

    /// See [`Board::close`].
    pub fn close(&self, reader: ReaderId) {
        let now = self.now();
        let mut inner = self.lock();
        inner.bells.remove(&reader);
        inner.board.close(now, reader);
        inner.ring();
    }

    /// When time alone may bring news; call [`Bulletin::news`] then.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Instant> {
        let now = self.now();
        self.lock().board.next_wakeup(now).map(|at| self.start + at)
    }

    /// Waits until a peer has shown itself; then see [`Bulletin::met_since`].
    pub async fn wait_met(&self) {
        self.met.notified().await;
    }

    /// See [`Board::met_since`].
    pub fn met_since(&self, at: &mut u64) -> Vec<SocketAddrV4> {
        self.lock().board.met_since(at)
    }

    fn now(&self) -> Time {
        clock::now().saturating_duration_since(self.start)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn ring(&mut self) {
        for reader in self.board.take_woken() {
            if let Some(bell) = self.bells.get(&reader) {
                bell.notify_one();
            }
        }
    }
}
