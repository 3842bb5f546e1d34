//! Downloading one file: prepares the disk, drives the plan, finishes the file.

use super::announcer::{Announcer, Answer};
use super::download_error::DownloadError;
use super::engine::Engine;
use super::event::{Event, Observer, Progress, Summary};
use super::links::LinkSet;
use super::rate::Rate;
use crate::clock;
use crate::limits::{MAX_LINKS, SYNC_INTERVAL, WANTED_PEERS};
use crate::link::{FileContext, LinkEvent, PrefixHash};
use crate::metafile::MetafileOnDisk;
use crate::plan::{GivenUp, LinkId, Options, Order, Outcome, Plan, Source};
use crate::store::finish::finish;
use crate::store::{HaveMap, Place, Preparation, Prepared, Record, Shared, Stamp};
use crate::tracker_client::{TrackerError, resolve};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Link events that wait to be read.
const EVENTS: usize = 256;

/// Events handled between two looks at the plan.
const EVENTS_A_TURN: usize = 64;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(250);

/// A pause between two arrivals up to this long counts as busy: packets come in bunches.
const BUSY_GAP: Duration = Duration::from_millis(100);

/// A file that is to be downloaded.
#[derive(Debug, Clone)]
pub struct Download {
    /// Describes it.
    pub metafile: Arc<MetafileOnDisk>,
    /// Where it goes.
    pub target: PathBuf,
    /// `HOST:PORT` of each tracker.
    pub trackers: Vec<String>,
    /// `HOST:PORT` of peers that the user named.
    pub peers: Vec<String>,
    /// The order of blocks.
    pub order: Order,
    /// Fail rather than wait for peers.
    pub no_wait: bool,
}

impl Download {
    /// Downloads the file. Returns the file as it can be served when it is complete and verified.
    ///
    /// # Errors
    /// Everything in [`DownloadError`].
    pub async fn run(
        self,
        engine: &Engine,
        observer: &mut dyn Observer,
    ) -> Result<Arc<Shared>, DownloadError> {
        let start = clock::now();
        let prepared = prepare(&self, engine, observer).await?;
        let mut session = Session::begin(self, engine.clone(), start, prepared)?;
        let result = session.run(observer).await;
        session.end(result.is_ok());
        result.map(|()| session.shared)
    }
}

async fn prepare(
    download: &Download,
    engine: &Engine,
    observer: &mut dyn Observer,
) -> Result<Prepared, DownloadError> {
    let done = Arc::new(AtomicU64::new(0));
    let total = download.metafile.layout().length();
    let work = {
        let (metafile, target) = (Arc::clone(&download.metafile), download.target.clone());
        let (records, cancel, done) =
            (engine.records.clone(), Arc::clone(engine.stop.flag()), Arc::clone(&done));
        move || {
            let progress = |bytes| {
                done.fetch_add(bytes, Ordering::Relaxed);
            };
            let (metafile, records, cancel) = (&*metafile, &records, &*cancel);
            Preparation { metafile, records, progress: &progress, cancel }.run(&target)
        }
    };
    let mut work = tokio::task::spawn_blocking(work);
    loop {
        tokio::select! {
            result = &mut work => {
                let result = result.map_err(|_| DownloadError::Interrupted)?;
                return result.map_err(DownloadError::from);
            }
            () = tokio::time::sleep(TICK) => {
                observer.event(Event::Checking { done: done.load(Ordering::Relaxed).min(total), total });
            }
        }
    }
}

struct Session {
    download: Download,
    engine: Engine,
    start: Instant,
    shared: Arc<Shared>,
    prefix: Arc<PrefixHash>,
    plan: Plan,
    links: LinkSet,
    events: mpsc::Receiver<(LinkId, LinkEvent)>,
    announcer: Announcer,
    place: Place,
    target: PathBuf,
    resumed_bytes: u64,
    rate: Rate,
    /// Trackers that have not answered yet, and what the others said.
    silent_trackers: usize,
    tracker_news: Vec<String>,
    received: u64,
    /// When something arrived last, and for how long something was arriving.
    last_arrival: Duration,
    busy: Duration,
    /// How many of the peers that have shown themselves the plan knows.
    met: u64,
    /// Askers on the bulletin up to here are known to the plan.
    askers: u64,
}

impl Session {
    fn begin(
        download: Download,
        engine: Engine,
        start: Instant,
        prepared: Prepared,
    ) -> Result<Self, DownloadError> {
        let Prepared { data, have, place, target } = prepared;
        let (metafile, layout) = (Arc::clone(&download.metafile), *download.metafile.layout());
        let resumed_bytes =
            layout.iter().filter(|block| have.has(*block)).map(|block| layout.len_of(block)).sum();
        let stamp = match &place {
            Place::Target { stamp, .. } => Some(*stamp),
            Place::Part { .. } => None,
        };
        let hash = metafile.cascade_hash();
        let shared = Arc::new(Shared::new(hash, data, HaveMap::new(layout, &have), stamp));
        let prefix = PrefixHash::new(Arc::clone(&shared));
        if !matches!(place, Place::Target { file_hash_checked: true, .. }) {
            prefix.start().map_err(DownloadError::Thread)?;
        }
        if engine.listen.is_some() {
            engine.catalog.add(Arc::clone(&shared));
        }
        let (send, events) = mpsc::channel(EVENTS);
        let (shared_file, prefix_file) = (Arc::clone(&shared), Arc::clone(&prefix));
        let file = Arc::new(FileContext { shared: shared_file, metafile, prefix: prefix_file, events: send });
        let options = Options { order: download.order, max_links: MAX_LINKS };
        let mut plan = Plan::new(layout, &have, options, Box::new(|| fastrand::u64(..)));
        engine.listen.into_iter().for_each(|listen| plan.set_listening(listen));
        let trackers: &[String] = if plan.is_complete() { &[] } else { &download.trackers };
        Ok(Self {
            announcer: Announcer::start(&engine, trackers, hash, true),
            silent_trackers: trackers.len(),
            links: LinkSet::new(engine.clone(), file),
            download,
            engine,
            start,
            shared,
            prefix,
            plan,
            events,
            place,
            target,
            resumed_bytes,
            rate: Rate::default(),
            tracker_news: Vec::new(),
            received: 0,
            last_arrival: Duration::ZERO,
            busy: Duration::ZERO,
            met: 0,
            askers: 0,
        })
    }

    async fn run(&mut self, observer: &mut dyn Observer) -> Result<(), DownloadError> {
        observer.event(Event::Start(self.progress()));
        if !self.plan.is_complete() {
            self.learn_named_peers(observer).await;
            let sync = tokio::spawn(sync_now_and_then(Arc::clone(&self.shared)));
            let result = self.fetch(observer).await;
            sync.abort();
            self.links.clear();
            result?;
        }
        observer.event(Event::Progress(self.progress()));
        self.check_file_hash().await?;
        self.name_file().await?;
        observer.event(Event::Done(self.summary()));
        Ok(())
    }

    /// Drives the plan until every block is verified.
    async fn fetch(&mut self, observer: &mut dyn Observer) -> Result<(), DownloadError> {
        let stop = self.engine.stop.clone();
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = self.start.elapsed();
            self.links.obey(now, &mut self.plan);
            self.tell_wrong_blocks(observer)?;
            if self.plan.is_complete() {
                return Ok(());
            }
            let wakeup = self.plan.next_wakeup(now).unwrap_or(now + TICK);
            tokio::select! {
                Some((link, event)) = self.events.recv() => {
                    self.handle(link, event, observer)?;
                    for _ in 0..EVENTS_A_TURN {
                        let Ok((link, event)) = self.events.try_recv() else { break };
                        self.handle(link, event, observer)?;
                    }
                }
                answer = self.announcer.next() => self.handle_tracker(answer, observer),
                () = self.shared.bulletin().wait_met() => {
                    let met = self.shared.bulletin().met_since(&mut self.met);
                    self.plan.handle_peers(self.start.elapsed(), Source::Swarm, &met);
                    let askers = self.shared.bulletin().askers_since(&mut self.askers);
                    self.plan.handle_askers(self.start.elapsed(), &askers);
                }
                () = self.shared.bulletin().tick() => {}
                () = tokio::time::sleep_until((self.start + wakeup).into()) => {}
                _ = tick.tick() => {
                    observer.event(Event::Progress(self.progress()));
                    self.announcer.set_hungry(self.plan.useful(self.start.elapsed()) < WANTED_PEERS);
                    self.give_up_if_hopeless()?;
                }
                () = &mut stopped => return Err(DownloadError::Interrupted),
            }
        }
    }

    fn handle(
        &mut self,
        link: LinkId,
        event: LinkEvent,
        observer: &mut dyn Observer,
    ) -> Result<(), DownloadError> {
        let now = self.start.elapsed();
        match event {
            LinkEvent::Connected => {
                self.plan.handle_connected(now, link);
                if let Some(addr) = self.links.addr(link) {
                    observer.event(Event::Connected(addr));
                }
            }
            LinkEvent::Received { bytes, news, outcomes, message } => {
                self.received += bytes;
                let gap = now.saturating_sub(self.last_arrival);
                if gap <= BUSY_GAP {
                    self.busy += gap;
                }
                self.last_arrival = now;
                self.tell_of(link, news.is_some(), &outcomes);
                if let Some(items) = news {
                    self.plan.handle_news(now, link, &items);
                }
                self.plan.handle_received(now, link, bytes, &outcomes);
                if let (Some(text), Some(addr)) = (message, self.links.addr(link)) {
                    observer.event(Event::Warning(format!("peer {addr} refuses: {text}")));
                }
            }
            LinkEvent::Closed(ended, reason) => {
                self.plan.handle_closed(now, link, ended);
                if let Some(addr) = self.links.addr(link) {
                    observer.event(Event::Dropped(addr, reason));
                    self.links.ended(link);
                }
            }
            LinkEvent::Disk(source) => {
                return Err(DownloadError::Disk { path: self.shared.data().path().to_owned(), source });
            }
        }
        Ok(())
    }

    /// A peer that has answered is told of to others, once as what it has shown to be.
    fn tell_of(&mut self, link: LinkId, extended: bool, outcomes: &[Outcome]) {
        let gave = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Verified(_)));
        if let Some(addr) = self.links.show(link, extended, gave) {
            self.shared.bulletin().met(addr, extended);
        }
    }

    /// Tells which blocks came wrong; fails if nobody is left to give what is missing.
    fn tell_wrong_blocks(&mut self, observer: &mut dyn Observer) -> Result<(), DownloadError> {
        while let Some(wrong) = self.plan.poll_wrong() {
            observer.event(Event::WrongBlock(wrong));
        }
        let Some(GivenUp { block, times, addrs, left }) = self.plan.given_up() else { return Ok(()) };
        let from: Vec<String> = addrs.iter().map(ToString::to_string).collect();
        let (target, block) = (self.target.clone(), block.number());
        Err(DownloadError::WrongBlocks { target, block, times: *times, from: from.join(", "), left: *left })
    }

    fn handle_tracker(&mut self, answer: Answer, observer: &mut dyn Observer) {
        self.silent_trackers = self.silent_trackers.saturating_sub(1);
        let tracker = answer.tracker;
        match answer.list {
            Ok(list) => {
                if self.engine.listen.is_some() {
                    self.plan.set_own_address(list.announced);
                }
                self.plan.handle_peers(self.start.elapsed(), Source::Tracker(answer.number), &list.peers);
                self.note(format!("tracker {tracker} knows {} peers", list.peers.len()));
                observer.event(Event::Tracker { tracker, peers: list.peers.len() });
            }
            Err(error) => {
                self.note(format!("tracker {tracker}: {error}"));
                observer.event(Event::TrackerFailed { tracker, error: error.to_string() });
            }
        }
    }

    /// Keeps the last word of the trackers, for the message of `--no-wait`.
    fn note(&mut self, news: String) {
        if self.tracker_news.len() >= self.download.trackers.len() + self.download.peers.len() {
            self.tracker_news.clear();
        }
        self.tracker_news.push(news);
    }

    async fn learn_named_peers(&mut self, observer: &mut dyn Observer) {
        for name in self.download.peers.clone() {
            let found: Result<_, TrackerError> = resolve(&name).await;
            match found {
                Ok(addr) => self.plan.handle_peers(self.start.elapsed(), Source::User, &[addr]),
                Err(error) => {
                    self.note(format!("peer {name}: {error}"));
                    observer.event(Event::Warning(format!("peer {name}: {error}")));
                }
            }
        }
    }

    fn give_up_if_hopeless(&self) -> Result<(), DownloadError> {
        let hopeless = self.download.no_wait && self.silent_trackers == 0 && self.plan.is_hopeless();
        if hopeless {
            return Err(DownloadError::NoPeers { target: self.target.clone(), why: self.why_no_peers() });
        }
        Ok(())
    }

    fn why_no_peers(&self) -> String {
        let known = self.plan.known_peers();
        let peers = (known > 0).then(|| format!("{known} known, none of them useful"));
        let news: Vec<String> = self.tracker_news.iter().cloned().chain(peers).collect();
        if news.is_empty() { "no tracker and no peer is named".into() } else { news.join("; ") }
    }

    async fn check_file_hash(&self) -> Result<(), DownloadError> {
        if matches!(self.place, Place::Target { file_hash_checked: true, .. }) {
            return Ok(());
        }
        let path = self.shared.data().path();
        let hash = tokio::select! {
            hash = self.prefix.result() => hash,
            () = self.engine.stop.stopped() => return Err(DownloadError::Interrupted),
        };
        let hash = hash.map_err(|source| DownloadError::ReadBack { path: path.to_owned(), source })?;
        if hash == self.download.metafile.file_hash() {
            return Ok(());
        }
        let metafile = self.download.metafile.path().to_owned();
        Err(DownloadError::FileHash { path: path.to_owned(), metafile })
    }

    /// Gives a complete part file its name, and remembers that it is right.
    async fn name_file(&self) -> Result<(), DownloadError> {
        let (shared, target) = (Arc::clone(&self.shared), self.target.clone());
        let (part, known) = match &self.place {
            Place::Part { path, .. } => (Some(path.clone()), None),
            Place::Target { stamp, .. } => (None, Some(*stamp)),
        };
        let records = self.engine.records.clone();
        let work = move || -> Result<(), DownloadError> {
            let stamp = match (&part, known) {
                (Some(part), _) => finish(shared.data(), part, &target).map_err(|source| {
                    DownloadError::Rename { part: part.clone(), target: target.clone(), source }
                })?,
                (None, Some(stamp)) => stamp,
                (None, None) => return Ok(()),
            };
            shared.set_stamp(Some(stamp));
            let record = Record { have: shared.have().snapshot(), file_hash_checked: true };
            // Without them the next run hashes the file again; nothing else is lost.
            let _ = records.remember_consistent(shared.cascade_hash());
            let _ = records.save(shared.cascade_hash(), &target, shared.data().file(), stamp, &record);
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| DownloadError::Interrupted)?
    }

    /// Nothing is written after this. An unfinished part file is remembered as it is.
    fn end(&mut self, done: bool) {
        self.links.clear();
        self.prefix.stop();
        if done {
            return;
        }
        self.engine.catalog.remove(&self.shared.cascade_hash());
        if let Place::Part { path, new } = &self.place {
            if *new && self.shared.have().count() == 0 {
                // It was made in vain, and holds nothing.
                let _ = std::fs::remove_file(path);
            } else {
                save_part(&self.engine, &self.shared, path);
            }
        }
    }

    fn progress(&mut self) -> Progress {
        let (layout, have) = (self.shared.layout(), self.shared.have());
        Progress {
            bytes_done: (self.resumed_bytes + self.plan.totals().bytes).min(layout.length()),
            bytes_total: layout.length(),
            blocks_done: have.count(),
            blocks_total: layout.blocks(),
            bytes_per_second: self.rate.update(self.start.elapsed(), self.received),
            peers: self.plan.connected(),
        }
    }

    fn summary(&self) -> Summary {
        let totals = self.plan.totals();
        Summary {
            path: self.target.clone(),
            bytes: self.shared.layout().length(),
            resumed_bytes: self.resumed_bytes,
            time: self.start.elapsed(),
            shares: self.plan.shares(),
            blocks_refused: totals.blocks_refused,
            bytes_duplicate: totals.bytes_duplicate,
            busy: self.busy.as_secs_f64() / self.start.elapsed().as_secs_f64().max(f64::EPSILON),
        }
    }
}

fn save_part(engine: &Engine, shared: &Shared, part: &Path) {
    let file = shared.data().file();
    // The bytes must be on the disk before their stamp says that they are right.
    if file.sync_data().is_err() {
        return;
    }
    if let Ok(stamp) = Stamp::of(file) {
        let record = Record { have: shared.have().snapshot(), file_hash_checked: false };
        let _ = engine.records.save(shared.cascade_hash(), part, file, stamp, &record);
    }
}

/// Sends what was written to the disk every few seconds, so that a power loss costs no more than that
/// and the file's end does not wait for all of it.
async fn sync_now_and_then(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SYNC_INTERVAL).await;
        let shared = Arc::clone(&shared);
        // A disk that cannot keep the data says so to the next write, too.
        let _ = tokio::task::spawn_blocking(move || shared.data().file().sync_data()).await;
    }
}
