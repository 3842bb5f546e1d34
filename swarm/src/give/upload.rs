//! What is told about one file, and what is given to those who read it.

use super::admission;
use super::have_log::HaveLog;
use super::met::{Acquaintance, Met};
use super::news_queue::NewsLine;
use super::offers::Offers;
use super::subscriber::{Reader, ReaderId};
use super::tuning::Tuning;
use super::version1::PlainShare;
use crate::Time;
use crate::limits::MAX_PEERS_TOLD;
use crate::meter::Meter;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::extension::Item;
use cascade_format::{Block, Have, Layout};
use core::net::SocketAddrV4;
use hashbrown::HashMap;

/// Whether a block that this peer has is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Serve,
    /// Not now: enough others wait for the uplink, and another peer may have the block, too; or the
    /// reader did not know yet that this seeder chooses.
    Later,
}

/// The news of one file.
#[derive(Debug)]
pub struct Board {
    tuning: Tuning,
    layout: Layout,
    /// Number of blocks that this peer has.
    have: u64,
    log: HaveLog,
    /// What came up to here is told.
    released: u64,
    /// What came since is told then.
    release_at: Time,
    met: Met,
    /// Of a peer that had everything from the start.
    offers: Option<Offers>,
    leaving: bool,
    /// Clients that wait for a block.
    load: u16,
    /// What goes to readers.
    sent: Meter,
    /// Blocks that went to readers, or were given to others.
    gone: u64,
    plain: PlainShare,
    readers: HashMap<ReaderId, Reader>,
    /// Readers that know all that there is, and are woken by what is new.
    quiet: VecDeque<ReaderId>,
    /// Readers that there is something for.
    line: NewsLine,
    /// Those whose turn it was, and who have not been woken yet.
    woken: Vec<ReaderId>,
    was_choosing: bool,
    next: u64,
}

impl Board {
    /// A board for a peer that has the blocks of `have`. One that has all is a seeder and chooses.
    /// `first_reader` is the number of the first reader.
    #[must_use]
    pub fn new(layout: Layout, have: &Have, first_reader: u64, tuning: Tuning) -> Self {
        let seeder = have.is_complete() && layout.blocks() > 1;
        Self {
            tuning,
            layout,
            have: have.count(),
            log: HaveLog::default(),
            released: 0,
            release_at: Time::ZERO,
            met: Met::default(),
            offers: seeder.then(|| Offers::new(layout, tuning)),
            leaving: false,
            load: 0,
            sent: Meter::new(tuning.rate_window),
            gone: 0,
            plain: PlainShare::new(tuning),
            readers: HashMap::new(),
            quiet: VecDeque::new(),
            line: NewsLine::new(tuning.news_batch),
            woken: Vec::new(),
            was_choosing: false,
            next: first_reader,
        }
    }

    /// Number that the next reader will have.
    #[must_use]
    pub fn next_reader(&self) -> u64 {
        self.next
    }

    /// `block` is verified and on disk, and was not before. It is told together with those that come
    /// soon after it, but at once where nobody waits for a block: an idle uplink is worse than a message more.
    pub fn published(&mut self, now: Time, block: Block) {
        self.have += 1;
        self.log.push(block);
        if self.is_complete() || now >= self.release_at || self.load == 0 {
            self.release(now);
        }
    }

    /// This peer has met another, which listens at `addr`, and may have shown that it knows the extension.
    pub fn met(&mut self, addr: SocketAddrV4, extended: bool) {
        if self.met.insert(Acquaintance { addr, extended }) {
            self.wake_quiet();
        }
    }

    /// This peer leaves; everybody is told.
    pub fn leave(&mut self) {
        self.leaving = true;
        self.wake_quiet();
    }

    /// So many clients wait for a block of any file. It is told along with other news; when none waits
    /// any more, a few readers are told at once: the uplink is free. And everybody is told what has come.
    pub fn set_load(&mut self, now: Time, clients: usize) {
        let was_free = self.load == 0;
        self.load = u16::try_from(clients).unwrap_or(u16::MAX);
        if self.load > 0 || was_free || self.offers.is_some() {
            return;
        }
        if self.released < self.log.end() {
            self.release(now);
        }
        for _ in 0..self.tuning.invitations.min(self.quiet.len()) {
            // Always others: they come to the end of the line when they are quiet again.
            let Some(id) = self.quiet.pop_front() else { break };
            if let Some(reader) = self.readers.get_mut(&id) {
                (reader.quiet, reader.invited) = (false, true);
            }
            self.join_line(id);
        }
    }

    /// A connection has shown the marker. `addr`: where its other end listens, if it does.
    pub fn open(&mut self, now: Time, addr: Option<SocketAddrV4>) -> ReaderId {
        let id = ReaderId(self.next);
        self.next += 1;
        let map_at = if self.have == 0 || self.is_complete() { self.layout.blocks() } else { 0 };
        let reader = Reader::new(addr, map_at, self.released, self.met.end());
        self.readers.insert(id, reader);
        if let Some(offers) = &mut self.offers {
            offers.open(id, addr.map(|addr| *addr.ip()));
        }
        if let Some(addr) = addr {
            self.met(addr, true);
        }
        self.look(now);
        id
    }

    /// A marked request was read; `block` is what it asks for, `None` for news alone. `offers_seen` is
    /// the marker's. `others`: how many other clients wait for a block.
    pub fn asked(
        &mut self,
        now: Time,
        id: ReaderId,
        offers_seen: u32,
        block: Option<Block>,
        others: usize,
    ) -> Verdict {
        let (tuning, Some(reader)) = (&self.tuning, self.readers.get_mut(&id)) else { return Verdict::Serve };
        let most =
            admission::most(tuning, self.layout.block_size(), self.have, reader.patience.times_sent_away());
        let crowd = others as u64 >= most && self.sent.rate() < tuning.fast;
        let first = !core::mem::replace(&mut reader.asked, true);
        // A question for news takes no room.
        let busy = block.is_some() && reader.patience.finds(tuning, now, crowd, self.gone);
        let is_offered = |block| self.offers.as_ref().is_some_and(|offers| offers.is_offered(id, block));
        if busy && !block.is_some_and(is_offered) {
            reader.patience.was_sent_away(tuning, now);
            return Verdict::Later;
        }
        let Some(offers) = &mut self.offers else { return Verdict::Serve };
        let verdict = match block {
            Some(block) if first && offers.is_choosing(now) && offers.is_another_s(id, block) => {
                Verdict::Later
            }
            Some(block) => {
                offers.asked(id, block);
                Verdict::Serve
            }
            None => {
                offers.declined(now, id, offers_seen);
                Verdict::Serve
            }
        };
        self.look(now);
        verdict
    }

    /// The answer that carried `block` is out to its last byte.
    pub fn sent(&mut self, now: Time, id: ReaderId, block: Block) {
        self.sent.add(now, self.layout.len_of(block));
        self.gone += 1;
        self.plain.sent(now, self.layout.len_of(block));
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.patience.got_a_block();
            reader.tellings = 0;
            if let Some(place) = reader.place.take() {
                self.line.leave(place);
                reader.place = Some(self.line.join(id, 0));
            }
        }
        if let Some(offers) = &mut self.offers {
            offers.sent(now, id, block);
            self.look(now);
        }
    }

    /// A client that knows only version 1 asks for `block`, and has waited long enough (`must`) or not:
    /// whether it is given now. A seeder that chooses, and a leecher, let it wait while leechers with the
    /// extension fill the uplink.
    pub fn plain_asked(&mut self, now: Time, block: Block, must: bool) -> bool {
        let free = (self.is_complete() && !self.was_choosing) || self.sent.rate() >= self.tuning.fast;
        let given = free || self.plain.asked(now, self.layout.len_of(block), must);
        self.gone += u64::from(given);
        given
    }

    /// The connection has ended.
    pub fn close(&mut self, now: Time, id: ReaderId) {
        if let Some(reader) = self.readers.remove(&id) {
            if reader.quiet {
                self.quiet.retain(|other| *other != id);
            }
            reader.place.into_iter().for_each(|place| self.line.leave(place));
        }
        if let Some(offers) = &mut self.offers {
            offers.close(id);
            self.look(now);
        }
    }

    /// Whether there is something that the reader does not know. If not, it is woken when there is.
    #[must_use]
    pub fn has_news(&mut self, id: ReaderId) -> bool {
        let has_news = self.is_untold(id);
        if !has_news
            && let Some(reader) = self.readers.get_mut(&id)
            && !core::mem::replace(&mut reader.quiet, true)
        {
            self.quiet.push_back(id);
        }
        has_news
    }

    fn is_untold(&self, id: ReaderId) -> bool {
        let Some(reader) = self.readers.get(&id) else { return false };
        let has_peers = reader.met_at < self.met.end() && reader.peers_told < MAX_PEERS_TOLD;
        let has_blocks = if self.is_complete() {
            reader.choosing_told != Some(self.was_choosing)
        } else {
            reader.map_at < self.layout.blocks() || reader.log_at < self.released
        };
        let has_offers = self.offers.as_ref().is_some_and(|offers| offers.has_untold(id));
        let has_goodbye = self.leaving && !reader.goodbye_told;
        !reader.greeted || reader.invited || has_blocks || has_offers || has_peers || has_goodbye
    }

    /// Whether the reader may have an answer that brings no block now. If not, it stands in line, and is woken
    /// when its turn has come.
    pub fn may_answer(&mut self, now: Time, id: ReaderId) -> bool {
        self.join_line(id);
        self.call(now);
        let may = self.readers.get(&id).is_some_and(|reader| reader.ticket);
        if may {
            self.woken.retain(|other| *other != id);
        }
        may
    }

    /// The reader has had an answer that brings no block, and no news either.
    pub fn answered(&mut self, id: ReaderId) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.ticket = false;
            reader.tellings = reader.tellings.saturating_add(1);
            reader.place.take().into_iter().for_each(|place| self.line.leave(place));
        }
    }

    /// What to put in front of the next answer to the reader; `None`: nothing, a plain answer. `have`
    /// tells which blocks this peer has.
    pub fn news(&mut self, now: Time, id: ReaderId, have: &dyn Fn(Block) -> bool) -> Option<Vec<Item>> {
        self.look(now);
        let items = self.is_untold(id).then(|| self.items(now, id, have));
        if items.is_some() {
            self.answered(id);
        }
        let _ = self.has_news(id);
        items
    }

    /// Readers for which there is news since the last call, and whose turn it is: their questions for news are
    /// to be answered.
    pub fn take_woken(&mut self, now: Time) -> Vec<ReaderId> {
        self.call(now);
        core::mem::take(&mut self.woken)
    }

    /// When to call [`Board::handle_time`] if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let offers = self.offers.as_ref().and_then(|offers| offers.next_wakeup(now));
        let release = (self.released < self.log.end()).then_some(self.release_at);
        [offers, release, self.line.next_wakeup()].into_iter().flatten().min()
    }

    /// Looks whether time has changed something.
    pub fn handle_time(&mut self, now: Time) {
        self.look(now);
    }

    /// The peers that know the extension and were met since `at`, which is set to where the next call goes on; begin with 0.
    pub fn met_since(&self, at: &mut u64) -> Vec<SocketAddrV4> {
        let mut peers = Vec::new();
        while let Some((number, peer)) = self.met.get(*at) {
            if peer.extended {
                peers.push(peer.addr);
            }
            *at = number + 1;
        }
        peers
    }

    fn is_complete(&self) -> bool {
        self.have == self.layout.blocks()
    }

    /// Lets everybody know what has come.
    fn release(&mut self, now: Time) {
        self.released = self.log.end();
        // So many readers, so many messages: together they stay below a bound.
        let readers = u32::try_from(self.readers.len()).unwrap_or(u32::MAX);
        self.release_at = now + self.tuning.news_spacing * readers.min(self.tuning.news_spacing_clients);
        self.wake_quiet();
    }

    /// Tells what has come, makes offers, and tells everybody when this seeder begins or ceases to choose.
    fn look(&mut self, now: Time) {
        if self.released < self.log.end() && now >= self.release_at {
            self.release(now);
        }
        let Some(offers) = &mut self.offers else { return };
        offers.handle_time(now);
        for reader in offers.offer(now) {
            self.wake(reader);
        }
        let choosing = self.offers.as_ref().is_some_and(|offers| offers.is_choosing(now));
        if choosing != self.was_choosing {
            self.was_choosing = choosing;
            self.wake_quiet();
        }
    }

    fn wake(&mut self, id: ReaderId) {
        if let Some(reader) = self.readers.get_mut(&id)
            && core::mem::take(&mut reader.quiet)
        {
            self.quiet.retain(|other| *other != id);
            self.join_line(id);
        }
    }

    fn wake_quiet(&mut self) {
        for id in core::mem::take(&mut self.quiet) {
            if let Some(reader) = self.readers.get_mut(&id) {
                reader.quiet = false;
            }
            self.join_line(id);
        }
    }

    /// The reader waits to be told something, unless it does already; if it is its turn, it is woken.
    fn join_line(&mut self, id: ReaderId) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        if reader.ticket {
            self.woken.push(id);
        } else if reader.place.is_none() {
            reader.place = Some(self.line.join(id, reader.tellings));
        }
    }

    /// Lets those be told whose turn it is.
    fn call(&mut self, now: Time) {
        while let Some(id) = self.line.next(now, self.leaving) {
            if let Some(reader) = self.readers.get_mut(&id) {
                (reader.place, reader.ticket) = (None, true);
                self.woken.push(id);
            }
        }
    }

    fn items(&mut self, now: Time, id: ReaderId, have: &dyn Fn(Block) -> bool) -> Vec<Item> {
        let (complete, choosing, leaving) = (self.is_complete(), self.was_choosing, self.leaving);
        let Some(reader) = self.readers.get_mut(&id) else { return Vec::new() };
        reader.greeted = true;
        let mut items = Vec::new();
        if leaving && !core::mem::replace(&mut reader.goodbye_told, true) {
            items.push(Item::Goodbye);
        }
        if complete {
            if reader.choosing_told.replace(choosing) != Some(choosing) {
                items.push(if choosing { Item::Choosing } else { Item::Everything });
            }
        } else {
            if self.log.has_forgotten(reader.log_at) {
                // The map holds what has come, whether it is released or not.
                (reader.map_at, reader.log_at) = (0, self.log.end());
            }
            items.extend(reader.map_part(&self.layout, have));
            items.extend(reader.new_blocks(&self.log, self.released));
        }
        if let Some(offers) = &mut self.offers {
            let runs = offers.tell(now, id);
            if !runs.is_empty() {
                items.push(Item::Offer(runs));
            }
        }
        items.extend(reader.new_peers(&self.met));
        if core::mem::take(&mut reader.invited) || reader.load_told != self.load {
            reader.load_told = self.load;
            items.push(Item::Load(self.load));
        }
        items
    }
}
