//! What is decided about giving one file, as threads share it: hash threads publish blocks, serving threads decide what
//! their clients are answered.

use crate::clock;
use crate::store::Listener;
use cascade_format::{Block, Have, Layout, PeerAddr};
use cascade_swarm::Time;
use cascade_swarm::give::{Conversation, Decision, Request, Server, SubscriberId, Tuning, Upload};
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::time::timeout_at;

/// One file's [`Upload`], behind a lock that is held for one step of it.
#[derive(Debug)]
pub struct SharedUpload {
    start: Instant,
    inner: Mutex<Inner>,
    /// Somebody asks for the first time.
    new_asker: Notify,
    /// Subscribers that there are.
    subscribers: AtomicUsize,
    /// Time alone changes something sooner than was known.
    sooner: Notify,
}

#[derive(Debug)]
struct Inner {
    upload: Upload,
    /// By which the connection of each subscriber is woken.
    wakers: HashMap<SubscriberId, Arc<Notify>>,
    /// How many have asked, as [`SharedUpload::wait_for_askers`] has told.
    askers: u64,
    /// When time alone changes something, as [`SharedUpload::tick`] knows it.
    wakeup: Option<Time>,
}

impl SharedUpload {
    /// The upload of a peer that has the blocks of `have`; `slices`: each subscriber is told that slices of the file are
    /// given.
    #[must_use]
    pub fn new(layout: Layout, have: &Have, slices: bool) -> Self {
        let upload = Upload::new(layout, have, Tuning::DEFAULT);
        let upload = if slices { upload.with_slices() } else { upload };
        Self {
            start: clock::now(),
            inner: Mutex::new(Inner { upload, wakers: HashMap::new(), askers: 0, wakeup: None }),
            new_asker: Notify::new(),
            subscribers: AtomicUsize::new(0),
            sooner: Notify::new(),
        }
    }

    /// See [`Upload::request`].
    pub fn request(&self, conversation: &mut Conversation, request: Request, server: Server<'_>) -> Decision {
        if self.is_free(conversation, request) {
            return Decision::Give(None);
        }
        self.step(|upload, now| upload.request(now, conversation, request, server))
    }

    /// See [`Upload::further_request`].
    pub fn further_request(
        &self,
        conversation: &mut Conversation,
        request: Request,
        server: Server<'_>,
    ) -> bool {
        self.is_free(conversation, request)
            || self.step(|upload, now| upload.further_request(now, conversation, request, server))
    }

    /// Where nobody subscribes, version 1 must not pay for a lock.
    fn is_free(&self, conversation: &mut Conversation, request: Request) -> bool {
        conversation.is_free(request) && self.subscribers.load(Ordering::Relaxed) == 0
    }

    /// See [`Upload::sent`].
    pub fn sent(&self, conversation: &Conversation, block: Block) {
        self.step(|upload, now| upload.sent(now, conversation, block));
    }

    /// See [`Upload::gave_by_other_name`].
    pub fn gave_by_other_name(&self, blocks: Range<u64>, bytes: u64) {
        self.step(|upload, now| upload.gave_by_other_name(now, blocks, bytes));
    }

    /// See [`Upload::asks_for_slices`].
    pub fn asks_for_slices(&self, conversation: &Conversation) {
        self.step(|upload, now| upload.asks_for_slices(now, conversation));
    }

    /// See [`Upload::set_waiting`].
    pub fn set_waiting(&self, clients: usize) {
        self.step(|upload, now| upload.set_waiting(now, clients));
    }

    /// See [`Upload::close`].
    pub fn close(&self, conversation: &Conversation) {
        let Some(subscriber) = conversation.subscriber() else { return };
        self.step(|upload, now| upload.close(now, conversation));
        // Behind it: until then a step for somebody else may make a waker for it.
        self.lock().wakers.remove(&subscriber);
    }

    /// By which the conversation is woken when its request is to be decided again.
    #[must_use]
    pub fn waker(&self, conversation: &Conversation) -> Arc<Notify> {
        let mut inner = self.lock();
        match conversation.subscriber() {
            Some(subscriber) if inner.upload.is_subscriber(subscriber) => {
                Arc::clone(inner.wakers.entry(subscriber).or_default())
            }
            // The file was checked again meanwhile: it is decided anew at once.
            Some(_) | None => {
                let woken = Notify::new();
                woken.notify_one();
                Arc::new(woken)
            }
        }
    }

    /// A time of [`Decision::Wait`].
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        self.start + time
    }

    /// See [`Upload::met`].
    pub fn met(&self, addr: PeerAddr, extended: bool) {
        self.step(|upload, _| upload.met(addr, extended));
    }

    /// See [`Upload::leave`]; tells whether there is anybody to hear it.
    pub fn leave(&self) -> bool {
        self.step(|upload, _| {
            upload.leave();
            upload.subscribers() > 0
        })
    }

    /// Waits until time alone has changed something, and wakes the clients that it concerns. The owner of the file
    /// calls this again and again.
    pub async fn tick(&self) {
        loop {
            let wakeup = {
                let now = self.now();
                let mut inner = self.lock();
                inner.wakeup = inner.upload.next_wakeup(now);
                inner.wakeup
            };
            let Some(wakeup) = wakeup else {
                self.sooner.notified().await;
                continue;
            };
            if timeout_at((self.start + wakeup).into(), self.sooner.notified()).await.is_err() {
                self.step(|upload, now| upload.handle_time(now));
                return;
            }
        }
    }

    /// Waits until somebody asks for the first time; then see [`SharedUpload::asking_peers_since`] and
    /// [`SharedUpload::asking_hosts_since`].
    pub async fn wait_for_askers(&self) {
        self.new_asker.notified().await;
    }

    /// See [`Upload::asking_peers_since`].
    pub fn asking_peers_since(&self, at: &mut u64) -> Vec<PeerAddr> {
        self.lock().upload.asking_peers_since(at)
    }

    /// See [`Upload::asking_hosts_since`].
    #[must_use]
    pub fn asking_hosts_since(&self, at: &mut u64) -> Vec<IpAddr> {
        self.lock().upload.asking_hosts_since(at)
    }

    /// One step, and what follows from it: wakes the clients that it concerns.
    fn step<T>(&self, step: impl FnOnce(&mut Upload, Time) -> T) -> T {
        let now = self.now();
        let mut inner = self.lock();
        let result = step(&mut inner.upload, now);
        let Inner { upload, wakers, .. } = &mut *inner;
        for subscriber in
            upload.take_woken(now).into_iter().filter(|subscriber| upload.is_subscriber(*subscriber))
        {
            // Whether it waits already or only begins to: the permit stays.
            wakers.entry(subscriber).or_default().notify_one();
        }
        self.subscribers.store(inner.upload.subscribers(), Ordering::Relaxed);
        let askers = inner.upload.askers();
        if std::mem::replace(&mut inner.askers, askers) != askers {
            self.new_asker.notify_one();
        }
        let next = inner.upload.next_wakeup(now);
        if next.is_some_and(|next| inner.wakeup.is_none_or(|known| next < known)) {
            inner.wakeup = next;
            self.sooner.notify_one();
        }
        result
    }

    fn now(&self) -> Time {
        clock::now().saturating_duration_since(self.start)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for SharedUpload {
    fn published(&self, block: Block) {
        self.step(|upload, now| upload.published(now, block));
    }

    fn restarted(&self, have: &Have, sure: bool) {
        let mut inner = self.lock();
        inner.upload.restart(have, sure);
        // Those that were there before come as others.
        inner.wakers.drain().for_each(|(_, waker)| waker.notify_one());
        drop(inner);
        self.step(|_, _| ());
    }
}
