//! The task that serves a folder: it looks, lets others look closer, and does what the [`Shelf`] says.

use super::Options;
use super::awake::{Awake, Report};
use super::downloads::{Downloads, Finished};
use super::inspect::Inspectors;
use super::lan::LanFiles;
use super::limits::{MAX_TRACKERS, MIN_RESCAN_INTERVAL, RESCAN_INTERVAL, RESCAN_SHARE, UNWATCHED_INTERVAL};
use super::registrar::{Order, Registrar};
use super::remote::{Both, Remotes};
use super::scan::data_of;
use super::scan::{Scan, scan};
use super::shelf::{Act, Ended, Missing, Shelf, Time};
use super::told::Told;
use super::watch::Watches;
use crate::catalog::Sleepers;
use crate::clock;
use crate::room::telling::progress;
use crate::session::Engine;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

/// How often it is told how far a check is.
const CHECK_TICK: Duration = Duration::from_secs(1);

/// Reports of files that are awake, which wait to be read.
const REPORTS: usize = 256;

/// Until the goodbye of a download has reached the trackers that its file is registered with again.
const AFTER_GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Librarian {
    engine: Engine,
    options: Options,
    told: mpsc::Sender<Told>,
    start: Instant,
    shelf: Shelf,
    inspectors: Inspectors,
    awake: Arc<Awake>,
    /// With its task.
    remotes: Option<(Arc<Remotes>, JoinHandle<()>)>,
    reports: mpsc::Receiver<Report>,
    downloads: Downloads,
    registrars: Vec<Registrar>,
    lan: LanFiles,
    watches: Watches,
    bell: Arc<Notify>,
    scanning: Option<JoinHandle<(Scan, Watches, Duration)>>,
    /// No scan before the first, none later than the second.
    scan_between: (Time, Time),
    /// Something is said to have changed since the last scan began.
    rung: bool,
    /// The first scan is over, and what is known from earlier runs was told.
    is_ready: bool,
    scanned: bool,
    /// What is being read: its data, its length, and when it is told next how far that is.
    reading: Option<(PathBuf, u64, Time)>,
    /// Files whose registrations are to be made again after a download.
    again: Vec<(Time, Order)>,
}

impl Librarian {
    /// Starts its threads.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn new(engine: &Engine, options: Options, told: mpsc::Sender<Told>) -> std::io::Result<Self> {
        let pool = options.origin.as_ref().and_then(|origin| origin.cache.clone());
        let inspectors = Inspectors::start(&engine.records, engine.stop.flag(), pool.as_ref())?;
        let (report, reports) = mpsc::channel(REPORTS);
        let awake = Awake::start(engine, options.handles(), report.clone());
        let origin = options.origin.clone();
        let remotes = origin.map(|origin| Remotes::start(engine, origin, report, told.clone()));
        let sleepers: Arc<dyn Sleepers> = match &remotes {
            Some((remotes, _)) => Arc::new(Both { awake: Arc::clone(&awake), remotes: Arc::clone(remotes) }),
            None => Arc::<Awake>::clone(&awake),
        };
        engine.catalog.set_sleepers(Arc::clone(&sleepers));
        engine.seen.set_sleepers(sleepers);
        let missing = match (&remotes, options.download) {
            (Some(_), _) => Missing::Remote,
            (None, true) => Missing::Downloaded,
            (None, false) => Missing::Told,
        };
        let trackers = options.trackers.iter().take(MAX_TRACKERS);
        let registrars = trackers.map(|tracker| Registrar::start(engine, tracker, told.clone())).collect();
        let bell = Arc::new(Notify::new());
        Ok(Self {
            engine: engine.clone(),
            shelf: Shelf::new(missing),
            downloads: Downloads::new(engine, &options, told.clone()),
            lan: LanFiles::new(engine, options.lan),
            options,
            told,
            start: clock::now(),
            inspectors,
            awake,
            remotes,
            reports,
            registrars,
            watches: Watches::new(Arc::clone(&bell)),
            bell,
            scanning: None,
            scan_between: (Time::ZERO, Time::ZERO),
            rung: false,
            is_ready: false,
            scanned: false,
            reading: None,
            again: Vec::new(),
        })
    }

    fn now(&self) -> Time {
        self.start.elapsed()
    }

    /// Serves the folder until everything ends.
    pub(super) async fn run(mut self) {
        let stop = self.engine.stop.clone();
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        loop {
            self.work().await;
            let wakeup = self.start + self.next_wakeup();
            tokio::select! {
                done = finished(&mut self.scanning) => self.handle_scan(done),
                Some(found) = self.inspectors.results.recv() => {
                    if found.slow {
                        self.reading = None;
                    }
                    self.shelf.handle_inspected(self.now(), found);
                }
                Some(report) = self.reports.recv() => self.handle_report(report).await,
                (id, ended) = self.downloads.next() => self.handle_downloaded(id, ended),
                () = self.bell.notified() => self.rung = true,
                () = tokio::time::sleep_until(wakeup.into()) => {}
                () = &mut stopped => break,
            }
        }
        self.downloads.end().await;
        if let Some((_, task)) = self.remotes {
            let _ = task.await;
        }
    }

    /// Does all that is to be done now.
    async fn work(&mut self) {
        let now = self.now();
        self.shelf.handle_time(now);
        while let Some(act) = self.shelf.poll_act() {
            self.act(act).await;
        }
        self.give_jobs();
        self.begin_downloads();
        self.begin_scan();
        self.register_again().await;
        if self.scanned && !self.is_ready && !self.shelf.is_looking() {
            self.is_ready = true;
            self.tell(Told::Ready(self.shelf.tally())).await;
        }
        self.tell_reading().await;
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Publish(metafile, checked) => {
                self.lan.touch(checked.described.hash);
                self.remotes.iter().for_each(|(remotes, _)| remotes.forget(&checked.described.hash));
                self.awake.put(metafile, checked);
            }
            Act::PublishRemote(metafile, described) => {
                self.lan.touch(described.hash);
                self.awake.withdraw(&described.hash, false);
                self.remotes.iter().for_each(|(remotes, _)| remotes.put(Arc::clone(&metafile), described));
            }
            Act::Withdraw { hash, known } => {
                if !known {
                    self.lan.leave(&hash);
                }
                self.awake.withdraw(&hash, known);
                self.remotes.iter().for_each(|(remotes, _)| remotes.withdraw(&hash, known));
            }
            Act::Register(hash) => self.order(Order::Add(hash)).await,
            Act::Unregister(hash) => self.order(Order::Remove(hash)).await,
            Act::EndDownload(id) => self.downloads.stop(id),
            Act::Tell(told) => self.tell(told).await,
        }
    }

    async fn order(&self, order: Order) {
        for registrar in &self.registrars {
            registrar.order(order).await;
        }
    }

    async fn tell(&self, told: Told) {
        // Who does not listen any more misses nothing.
        let _ = self.told.send(told).await;
    }

    fn give_jobs(&mut self) {
        for slow in [false, true] {
            while self.inspectors.has_room(slow)
                && !(slow && self.reading.is_some())
                && let Some(job) = self.shelf.poll_job(slow)
            {
                if slow {
                    let length = job.look.data.as_ref().map_or(0, |data| data.stamp.length);
                    self.reading = Some((data_of(&job.path), length, self.now() + CHECK_TICK));
                }
                self.inspectors.give(job);
            }
        }
    }

    fn begin_downloads(&mut self) {
        let now = self.now();
        while self.downloads.has_room()
            && let Some(order) = self.shelf.poll_download(now)
        {
            // One of the `.cascade` file before may not have ended yet: its disk is slow.
            if self.downloads.is_running(order.id) {
                self.shelf.handle_downloaded(now, order.id, &Ended::PutOff);
                break;
            }
            self.downloads.begin(order);
        }
        let waiting = self.shelf.has_download(now);
        self.downloads.make_room(waiting);
    }

    fn begin_scan(&mut self) {
        let (earliest, latest) = self.scan_between;
        let now = self.now();
        let wanted = self.rung || self.shelf.is_settling() || now >= latest;
        if self.scanning.is_some() || now < earliest || !wanted {
            return;
        }
        self.rung = false;
        let (folder, known) = (self.options.folder.clone(), self.shelf.paths());
        let mut watches = std::mem::replace(&mut self.watches, Watches::none());
        self.scanning = Some(spawn_blocking(move || {
            let begin = clock::now();
            let mut scan = scan(&folder, &known);
            watches.set(std::mem::take(&mut scan.folders));
            (scan, watches, begin.elapsed())
        }));
    }

    fn handle_scan(&mut self, done: Option<(Scan, Watches, Duration)>) {
        self.scanning = None;
        let Some((scan, watches, took)) = done else { return };
        self.watches = watches;
        let now = self.now();
        // Between the scan and the watch on a new folder something may have come into it: so the second scan is soon.
        let latest = match (self.scanned, self.watches.are_complete()) {
            (false, _) => MIN_RESCAN_INTERVAL,
            (true, true) => RESCAN_INTERVAL,
            (true, false) => UNWATCHED_INTERVAL,
        };
        let earliest = MIN_RESCAN_INTERVAL.max(took * RESCAN_SHARE);
        self.scan_between = (now + earliest, now + latest.max(earliest));
        self.shelf.handle_scan(now, clock::wall_ns(), scan);
        self.scanned = true;
    }

    async fn handle_report(&mut self, report: Report) {
        match report {
            Report::Woken(hash) => {
                self.lan.touch(hash);
                self.shelf.handle_woken(hash);
                // The trackers were told of the file when nobody got it, and had no report then.
                if self.shelf.is_registered(&hash) {
                    self.order(Order::Again(hash)).await;
                }
            }
            Report::OriginFailed { hash, message } => {
                self.shelf.handle_remote_failed(self.now(), hash, &message);
            }
            Report::Trouble { hash, distrusted } => {
                self.rung = true;
                self.shelf.handle_trouble(self.now(), hash, distrusted);
            }
        }
    }

    fn handle_downloaded(&mut self, id: u32, ended: Finished) {
        let now = self.now();
        self.shelf.handle_downloaded(now, id, &ended.ended);
        // Its conversation with the trackers has said goodbye, or is about to.
        let served = ended.served.as_ref().filter(|served| served.file.have().is_complete());
        let order = match served {
            Some(served) => Order::Downloaded(ended.hash, progress(&served.file)),
            None => Order::Again(ended.hash),
        };
        self.again.push((now + AFTER_GOODBYE, order));
        self.downloads.hand_over.extend(ended.served);
    }

    async fn register_again(&mut self) {
        for served in std::mem::take(&mut self.downloads.hand_over) {
            self.engine.seen.forget(&served.file.cascade_hash());
            self.awake.hand_over(&served);
        }
        let now = self.now();
        let due: Vec<Order> =
            self.again.extract_if(.., |(at, _)| *at <= now).map(|(_, order)| order).collect();
        for order in due {
            if self.shelf.is_registered(&order.file()) {
                self.order(order).await;
            }
        }
    }

    async fn tell_reading(&mut self) {
        let now = self.now();
        let Some((path, total, at)) = &mut self.reading else { return };
        if now >= *at && *total > 0 {
            *at = now + CHECK_TICK;
            let done = self.inspectors.reading.done.load(Ordering::Relaxed).min(*total);
            let told = Told::Checking { path: path.clone(), done, total: *total };
            self.tell(told).await;
        }
    }

    fn next_wakeup(&self) -> Time {
        let (earliest, latest) = self.scan_between;
        let wanted = self.rung || self.shelf.is_settling();
        let scan = if wanted { earliest } else { latest };
        let scan = if self.scanning.is_some() { None } else { Some(scan) };
        let reading = self.reading.as_ref().map(|(_, _, at)| *at);
        let again = self.again.iter().map(|(at, _)| *at).min();
        let downloads = self.downloads.next_wakeup().map(|at| at.saturating_duration_since(self.start));
        let shelf = self.shelf.next_wakeup(self.now());
        let times = [scan, reading, again, downloads, shelf].into_iter().flatten();
        times.min().unwrap_or(self.now() + RESCAN_INTERVAL)
    }
}

/// Waits for the scan that runs; for ever when none does.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => task.await.ok(),
        None => std::future::pending().await,
    }
}
