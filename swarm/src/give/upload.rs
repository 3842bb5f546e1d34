//! What all clients of one file have in common.

use super::admission;
use super::askers::Askers;
use super::conversation::Conversation;
use super::have_log::HaveLog;
use super::met::{Acquaintance, Met};
use super::news_queue::NewsQueue;
use super::offers::Offers;
use super::streams::Streams;
use super::subscriber::Subscriber;
use super::subscriber_id::SubscriberId;
use super::tuning::Tuning;
use super::version1::Version1Share;
use crate::Time;
use crate::limits::MAX_PEERS_TOLD;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::extension::{Marker, Progress};
use cascade_format::{Block, Have, Layout};
use core::net::IpAddr;
use core::ops::Range;
use hashbrown::HashMap;

mod news;

/// The state of the server when it decides.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// The number of clients that wait for a block, of any file.
    pub waiting: usize,
    /// Whether the client that sent the request is one of them.
    pub counted: bool,
    /// Whether the uplink is full: what one client gets more, another gets less.
    pub full: bool,
    /// Whether this peer has a block.
    pub has: &'a dyn Fn(Block) -> bool,
}

/// Decides for one file which client is given what, and what the clients are told. [`Upload::request`] decides about
/// one request.
#[derive(Debug)]
pub struct Upload {
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
    /// Hosts of clients that do not say where they listen.
    asking_hosts: Askers<IpAddr>,
    /// Where subscribers say that they listen.
    asking_peers: Askers<PeerAddr>,
    /// Of a peer that had everything from the start.
    offers: Option<Offers>,
    /// Subscribers are told that slices of the file are given, by another name.
    gives_slices: bool,
    leaving: bool,
    /// Clients that wait for a block.
    waiting: u16,
    /// Blocks that went to subscribers, or were given to others.
    gone: u64,
    version1: Version1Share,
    subscribers: HashMap<SubscriberId, Subscriber>,
    /// Subscribers that are given a block which is not out yet.
    granted: usize,
    /// When a client with the extension got something last, by this name of the file or its other one.
    gave_at: Option<Time>,
    /// Of slices: to which subscribers they are given.
    streams: Streams,
    /// Subscribers that know all that there is, and are woken by what is new.
    idle: VecDeque<SubscriberId>,
    /// Subscribers that there is something for.
    queue: NewsQueue,
    /// Those whose turn it was, and who have not been woken yet.
    woken: Vec<SubscriberId>,
    was_choosing: bool,
    next: u64,
    /// The most blocks that there were since the file was sure the last time.
    had: u64,
    /// Subscribers before this one may have been told of blocks that are lost.
    lost_before: SubscriberId,
}

impl Upload {
    /// The upload of a peer that has the blocks of `have`. If these are all blocks, it is a seeder and chooses.
    #[must_use]
    pub fn new(layout: Layout, have: &Have, tuning: Tuning) -> Self {
        let seeder = have.is_complete() && layout.blocks() > 1;
        Self {
            tuning,
            layout,
            have: have.count(),
            log: HaveLog::default(),
            released: 0,
            release_at: Time::ZERO,
            met: Met::default(),
            asking_hosts: Askers::default(),
            asking_peers: Askers::default(),
            offers: seeder.then(|| Offers::new(layout, tuning)),
            gives_slices: false,
            leaving: false,
            waiting: 0,
            gone: 0,
            version1: Version1Share::default(),
            subscribers: HashMap::new(),
            granted: 0,
            gave_at: None,
            streams: Streams::default(),
            idle: VecDeque::new(),
            queue: NewsQueue::new(tuning.news_interval),
            woken: Vec::new(),
            was_choosing: false,
            next: 0,
            had: have.count(),
            lost_before: SubscriberId(0),
        }
    }

    /// The same upload, of a file whose slices are given by another name: subscribers are told so.
    #[must_use]
    pub fn with_slices(self) -> Self {
        Self { gives_slices: true, ..self }
    }

    /// A client with the extension has got `bytes` of the file by its other name: a whole block, of which these are the
    /// slices; or the last slice of a block, which is this one; or another slice, and no block.
    pub fn gave_by_other_name(&mut self, now: Time, blocks: Range<u64>, bytes: u64) {
        self.version1.sent(bytes, self.tuning.version1_part);
        self.gave_at = Some(now);
        if let Some(offers) = &mut self.offers {
            offers.gave(blocks);
        }
    }

    /// The client of this `conversation` about blocks also asks for slices of them. It takes offers of slices alone from then
    /// on, so it is offered no blocks: these would be kept from those that ask for blocks.
    pub fn asks_for_slices(&mut self, now: Time, conversation: &Conversation) {
        if let (Some(id), Some(offers)) = (conversation.subscriber(), &mut self.offers) {
            offers.offer_no_more(id);
            self.look(now);
        }
    }

    /// The file has the blocks of `have`; it is `sure` that there are no others, or it is still to be checked. All
    /// conversations begin anew. But what was told on a connection cannot be taken back: those on which blocks may have been
    /// told that turn out to be lost end.
    pub fn restart(&mut self, have: &Have, sure: bool) {
        let fresh = Self::new(self.layout, have, self.tuning);
        let before = core::mem::replace(self, fresh);
        self.next = before.next;
        let had = before.had.max(before.have);
        self.had = if sure { have.count() } else { had };
        self.lost_before =
            if sure && have.count() < had { SubscriberId(self.next) } else { before.lost_before };
        (self.met, self.asking_hosts, self.asking_peers) =
            (before.met, before.asking_hosts, before.asking_peers);
        (self.waiting, self.gives_slices, self.leaving) =
            (before.waiting, before.gives_slices, before.leaving);
        self.woken = before.subscribers.into_keys().collect();
        // A fixed order: hash maps have none.
        self.woken.sort_unstable();
    }

    /// `block` is verified and on the disk since now. Subscribers are told of it together with the blocks that follow
    /// soon. If no client waits for a block they are told at once, because an idle uplink costs more than a message.
    pub fn published(&mut self, now: Time, block: Block) {
        self.have += 1;
        self.log.push(block);
        if self.is_complete() || now >= self.release_at || self.waiting == 0 {
            self.release(now);
        }
    }

    /// This peer has met the peer that listens at `addr`. `extended` says whether that peer has shown that it knows the
    /// extension.
    pub fn met(&mut self, addr: PeerAddr, extended: bool) {
        if self.met.insert(Acquaintance { addr, extended }) {
            self.wake_idle();
        }
    }

    /// This peer leaves the swarm; every subscriber is told a goodbye.
    pub fn leave(&mut self) {
        self.leaving = true;
        self.wake_idle();
    }

    /// Sets the number of clients that wait for a block of any file. Subscribers are told this number along with other
    /// news. When it falls to 0, some subscribers are told at once that the uplink is free, and all are told the new
    /// blocks.
    pub fn set_waiting(&mut self, now: Time, clients: usize) {
        let was_free = self.waiting == 0;
        self.waiting = u16::try_from(clients).unwrap_or(u16::MAX);
        if self.waiting > 0 || was_free || self.offers.is_some() {
            return;
        }
        if self.released < self.log.end() {
            self.release(now);
        }
        for _ in 0..self.tuning.invitations.min(self.idle.len()) {
            // Always others: they come to the end of the queue when they are idle again.
            let Some(id) = self.idle.pop_front() else { break };
            if let Some(subscriber) = self.subscribers.get_mut(&id) {
                (subscriber.idle, subscriber.invited) = (false, true);
            }
            self.join_queue(id);
        }
    }

    /// A connection has shown `marker`. `addr` and `host` as for [`Upload::open_on`].
    pub(super) fn open_for(
        &mut self,
        now: Time,
        marker: Marker,
        addr: Option<PeerAddr>,
        host: Option<IpAddr>,
    ) -> SubscriberId {
        let over = self.offers.as_ref().is_some_and(|offers| offers.is_over(now));
        let id = self.open_on(now, addr, host);
        self.note_progress(id, marker);
        if let Some(offers) = self.offers.as_mut().filter(|offers| over && offers.is_new_crowd()) {
            offers.begin_again();
            self.look(now);
        }
        id
    }

    /// The subscriber says how much it has, if it does. One that does not say it counts as one that has something.
    pub(super) fn note_progress(&mut self, id: SubscriberId, marker: Marker) {
        let nothing = marker.progress == Some(Progress::NOTHING);
        if let Some(offers) = &mut self.offers {
            offers.has_nothing(id, nothing);
        }
    }

    /// A connection has shown the marker. `addr`: where its other end listens, if it does, on this host.
    pub(super) fn open_on(
        &mut self,
        now: Time,
        addr: Option<PeerAddr>,
        host: Option<IpAddr>,
    ) -> SubscriberId {
        let id = SubscriberId(self.next);
        self.next += 1;
        let map_at = if self.have == 0 || self.is_complete() { self.layout.blocks() } else { 0 };
        let subscriber = Subscriber::new(addr, map_at, self.released, self.met.end());
        self.subscribers.insert(id, subscriber);
        if let Some(offers) = &mut self.offers {
            offers.open(now, id, host);
        }
        if let Some(addr) = addr {
            self.met(addr, true);
            // Of those that claim too many ports of one host nothing is told to anybody.
            if self.met.knows(addr) {
                self.asking_peers.insert(addr);
            }
        }
        self.look(now);
        id
    }

    /// A subscriber asks for `block`, and this peer has it: whether it is given now. If not, enough others wait for
    /// the uplink, and another peer may have the block, too; or the subscriber did not know yet that this seeder
    /// chooses.
    pub(super) fn admits(&mut self, now: Time, id: SubscriberId, block: Block, server: Server<'_>) -> bool {
        let (tuning, Some(subscriber)) = (&self.tuning, self.subscribers.get_mut(&id)) else { return true };
        let others = server.waiting.saturating_sub(usize::from(server.counted));
        let most = admission::most(tuning, self.have, self.layout.block_size());
        // Where none of a seeder's subscribers listens, nobody else can give the block.
        let elsewhere = self.offers.as_ref().is_none_or(Offers::has_listeners);
        let full = others as u64 >= most && elsewhere;
        let first = !core::mem::replace(&mut subscriber.asked, true);
        let is_offered = |block| self.offers.as_ref().is_some_and(|offers| offers.is_offered(id, block));
        let whole = self.layout.block_of(block);
        let before = subscriber.refused.take();
        let follows = before.is_some() && before == self.layout.verified_before(block);
        let has_room = || self.streams.has_room(now, whole, tuning.min_waiting, tuning.lapse);
        let crowded = self.layout.slices_a_block() > 1 && (follows || !has_room());
        let refused = subscriber.admission.refuses(tuning, now, full, self.gone) || crowded;
        if refused && !is_offered(block) {
            subscriber.refused = Some(block);
            return false;
        }
        let Some(offers) = &mut self.offers else { return true };
        let later = first && offers.is_choosing(now) && offers.is_premature(id, block);
        if !later {
            offers.asked(now, id, block);
        }
        self.look(now);
        !later
    }

    /// A subscriber asks for news, and has seen `offers_seen` offered blocks: what it was told, and did not ask
    /// for before, it does not want.
    pub(super) fn declined(&mut self, now: Time, id: SubscriberId, offers_seen: u32) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            (subscriber.asked, subscriber.refused) = (true, None);
        }
        if let Some(offers) = &mut self.offers {
            offers.declined(now, id, offers_seen);
            self.look(now);
        }
    }

    /// An answer that carried `block` to a subscriber is out to its last byte.
    pub(super) fn sent_to(&mut self, now: Time, id: SubscriberId, block: Block) {
        self.gone += 1;
        self.gave_at = Some(now);
        self.grant(id, |before| before.saturating_sub(1));
        self.version1.sent(self.layout.len_of(block), self.tuning.version1_part);
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.times_told = 0;
            if let Some(place) = subscriber.place.take() {
                self.queue.leave(place);
                subscriber.place = Some(self.queue.join(id, 0));
            }
        }
        if let Some(offers) = &mut self.offers {
            offers.sent(now, id, block);
            self.look(now);
        }
    }

    /// A client that knows only version 1 asks for `block`, and has waited long enough (`must`) or not: whether it is
    /// given now. A seeder that chooses, and a leecher, let it wait while leechers with the extension wait for blocks.
    pub(super) fn gives_to_version1(
        &mut self,
        now: Time,
        block: Block,
        must: bool,
        server: Server<'_>,
    ) -> bool {
        let free = self.is_complete() && !self.was_choosing;
        // Those that take nothing of what they are sent are granted blocks, too, but do not count at the uplink.
        // A block that is out to its last byte may still be in the system, and its client waits for it.
        let lately = self.gave_at.is_some_and(|at| now < at + self.tuning.idle);
        let waits = self.granted > 0 && server.waiting > usize::from(server.counted);
        let others = server.full && (waits || lately);
        let given = free || self.version1.gives(self.layout.len_of(block), others, must);
        self.gone += u64::from(given);
        given
    }

    /// A subscriber is given `block`.
    pub(super) fn gives(&mut self, now: Time, id: SubscriberId, block: Block) {
        if self.layout.slices_a_block() > 1 {
            self.streams.begin(now, id, self.layout.block_of(block));
        }
    }

    /// The blocks that a subscriber is given, and that are not out yet, were `before`, and are what this makes of it.
    pub(super) fn grant(&mut self, id: SubscriberId, after: impl FnOnce(u32) -> u32) {
        self.streams.end(id);
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        let before = subscriber.granted;
        subscriber.granted = after(before);
        self.granted = self.granted + usize::from(subscriber.granted > 0) - usize::from(before > 0);
    }

    /// A subscriber has gone.
    pub(super) fn unsubscribe(&mut self, now: Time, id: SubscriberId) {
        self.grant(id, |_| 0);
        if let Some(subscriber) = self.subscribers.remove(&id) {
            if subscriber.idle {
                self.idle.retain(|other| *other != id);
            }
            subscriber.place.into_iter().for_each(|place| self.queue.leave(place));
        }
        self.woken.retain(|other| *other != id);
        if let Some(offers) = &mut self.offers {
            offers.close(id);
            self.look(now);
        }
    }

    /// When to call [`Upload::handle_time`] if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let offers = self.offers.as_ref().and_then(|offers| offers.next_wakeup(now));
        let release = (self.released < self.log.end()).then_some(self.release_at);
        [offers, release, self.queue.next_wakeup()].into_iter().flatten().min()
    }

    /// Does what is due by now.
    pub fn handle_time(&mut self, now: Time) {
        self.look(now);
    }

    /// The addresses of peers that have subscribed since `at`, each once. Begin with 0; the call sets `at` to where the
    /// next call goes on.
    pub fn asking_peers_since(&self, at: &mut u64) -> Vec<PeerAddr> {
        self.asking_peers.since(at)
    }

    /// The hosts that have sent requests without the marker since `at`. Begin with 0; the call sets `at` to where the
    /// next call goes on.
    pub fn asking_hosts_since(&self, at: &mut u64) -> Vec<IpAddr> {
        self.asking_hosts.since(at)
    }

    /// The number of peers and hosts that have asked so far.
    #[must_use]
    pub fn askers(&self) -> u64 {
        self.asking_peers.end() + self.asking_hosts.end()
    }

    /// The number of subscribers.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    pub(super) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(super) fn subscriber(&mut self, id: SubscriberId) -> Option<&mut Subscriber> {
        self.subscribers.get_mut(&id)
    }

    /// Whether blocks may be lost of which the subscriber `first` was told. Then its connection ends.
    pub(super) fn has_lost_since(&self, first: SubscriberId) -> bool {
        first < self.lost_before
    }

    /// Whether there is such a subscriber: since the file was checked again, those from before are none.
    #[must_use]
    pub fn is_subscriber(&self, id: SubscriberId) -> bool {
        self.subscribers.contains_key(&id)
    }

    /// A client at `host` has asked without the marker.
    pub(super) fn note_host(&mut self, host: IpAddr) {
        self.asking_hosts.insert(host);
    }

    fn is_complete(&self) -> bool {
        self.have == self.layout.blocks()
    }

    /// Tells what has come, makes offers, and tells all when this seeder begins or ceases to choose.
    fn look(&mut self, now: Time) {
        if self.released < self.log.end() && now >= self.release_at {
            self.release(now);
        }
        let Some(offers) = &mut self.offers else { return };
        offers.handle_time(now);
        for subscriber in offers.offer(now) {
            self.wake(subscriber);
        }
        let choosing = self.offers.as_ref().is_some_and(|offers| offers.is_choosing(now));
        if choosing != self.was_choosing {
            self.was_choosing = choosing;
            self.wake_idle();
        }
    }
}
