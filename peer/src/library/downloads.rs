//! The downloads of a served folder: a bounded number at a time, which take turns while none of them gets on.

use super::Options;
use super::limits::{DESCRIPTORS_A_DOWNLOAD, DOWNLOAD_PATIENCE, MAX_DOWNLOADS};
use super::own::{There, examine, left_alone};
use super::scan::data_of;
use super::shelf::{Ended, Order};
use super::told::Told;
use crate::catalog::Served;
use crate::clock;
use crate::metafile::MetafileOnDisk;
use crate::serve::descriptors;
use crate::session::engine::Stop;
use crate::session::{Download, DownloadError, Engine, Event, Observer, Replaces};
use crate::store::{Preparation, PrepareError};
use cascade_format::CascadeHash;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What has come of a download.
pub(super) struct Finished {
    pub(super) hash: CascadeHash,
    pub(super) ended: Ended,
    /// The file as clients of the download are served it.
    pub(super) served: Option<Arc<Served>>,
}

pub(super) struct Downloads {
    engine: Engine,
    trackers: Vec<String>,
    lan: bool,
    told: mpsc::Sender<Told>,
    tasks: JoinSet<(u32, Finished)>,
    running: HashMap<u32, Running>,
    most: usize,
    /// Complete files that are still served by what has downloaded them.
    pub(super) hand_over: Vec<Arc<Served>>,
}

struct Running {
    stop: Stop,
    /// Bytes that are there, as it has told.
    done: Arc<AtomicU64>,
    /// What that was when it was another number last, and when.
    done_before: u64,
    since: Instant,
}

impl Downloads {
    pub(super) fn new(engine: &Engine, options: &Options, told: mpsc::Sender<Told>) -> Self {
        Self {
            engine: engine.clone(),
            trackers: options.trackers.clone(),
            lan: options.lan,
            told,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            most: (descriptors::raise_limit() / DESCRIPTORS_A_DOWNLOAD).clamp(1, MAX_DOWNLOADS),
            hand_over: Vec::new(),
        }
    }

    /// Whether one more may begin.
    pub(super) fn has_room(&self) -> bool {
        self.running.len() < self.most
    }

    /// Whether that of this file has not ended yet.
    pub(super) fn is_running(&self, id: u32) -> bool {
        self.running.contains_key(&id)
    }

    /// Begins one, of a file of which none is running.
    pub(super) fn begin(&mut self, order: Order) {
        let (stop, done) = (Stop::default(), Arc::<AtomicU64>::default());
        let engine = Engine { stop: stop.clone(), ..self.engine.clone() };
        let since = clock::now();
        let running = Running { stop, done: Arc::clone(&done), done_before: 0, since };
        let id = order.id;
        self.running.insert(id, running);
        let path = data_of(&order.path);
        let teller = Teller { path: path.clone(), hash: order.hash, told: self.told.clone(), done };
        let job = Job { engine, path, order, trackers: self.trackers.clone(), lan: self.lan };
        self.tasks.spawn(async move { (id, job.run(teller).await) });
    }

    /// Ends this one.
    pub(super) fn stop(&mut self, id: u32) {
        if let Some(running) = self.running.get(&id) {
            running.stop.stop();
        }
    }

    /// Waits for the end of one; for ever while none runs.
    pub(super) async fn next(&mut self) -> (u32, Finished) {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((id, finished))) => {
                    self.running.remove(&id);
                    return (id, finished);
                }
                // It has panicked, and said so.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// While others are `waiting`, one that has got nothing for a time ends for now.
    pub(super) fn make_room(&mut self, waiting: bool) {
        let now = clock::now();
        for running in self.running.values_mut() {
            let done = running.done.load(Ordering::Relaxed);
            if std::mem::replace(&mut running.done_before, done) != done {
                running.since = now;
            }
        }
        if waiting && !self.has_room() {
            let is_late =
                |running: &&Running| now.saturating_duration_since(running.since) >= DOWNLOAD_PATIENCE;
            let late = self.running.values().filter(is_late).min_by_key(|running| running.since);
            late.into_iter().for_each(|running| running.stop.stop());
        }
    }

    /// When [`Downloads::make_room`] may find one that has got nothing.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let now = clock::now();
        let next = self.running.values().map(|running| running.since + DOWNLOAD_PATIENCE).min();
        // Whether it gets on is looked at a few times in between.
        next.map(|next| next.clamp(now + DOWNLOAD_PATIENCE / 12, now + DOWNLOAD_PATIENCE))
    }

    /// Everything ends.
    pub(super) async fn end(&mut self) {
        self.running.values().for_each(|running| running.stop.stop());
        while self.tasks.join_next().await.is_some() {}
    }
}

struct Job {
    engine: Engine,
    path: PathBuf,
    order: Order,
    trackers: Vec<String>,
    lan: bool,
}

impl Job {
    async fn run(self, mut teller: Teller) -> Finished {
        let Self { engine, path, order, trackers, lan } = self;
        let described = order.path;
        let opened = tokio::task::spawn_blocking(move || MetafileOnDisk::open(&*described)).await;
        // What is wrong with it is told when it is looked at again.
        let hash = order.hash;
        let Ok(Ok(metafile)) = opened else { return Finished { hash, ended: Ended::Failed, served: None } };
        let (metafile, replaces) = match look(metafile, path.clone(), &engine).await {
            Ok(found) => found,
            Err(ended) => {
                let (ended, fault) = *ended;
                fault.into_iter().for_each(|fault| teller.event(Event::Failed(fault)));
                return Finished { hash, ended, served: None };
            }
        };
        let download = Download { trackers, lan, replaces, ..Download::new(metafile, &path) };
        let result = download.run(&engine, &mut teller).await;
        // The file is registered with those that are served: one conversation with a tracker is enough.
        drop(engine.unpark(&hash));
        match result {
            Ok(served) => {
                let stamp = served.file.stamp().filter(|_| served.file.have().is_complete());
                Finished { hash, ended: Ended::Done(stamp), served: Some(served) }
            }
            Err(DownloadError::Interrupted) => Finished { hash, ended: Ended::PutOff, served: None },
            Err(error) => {
                teller.event(Event::Failed(error.to_string()));
                Finished { hash, ended: Ended::Failed, served: None }
            }
        }
    }
}

/// Looks whether data may be replaced that is there already; gives the `.cascade` file back if it may, and which data.
/// Otherwise what has come of the download, and the fault that is to be told.
async fn look(
    metafile: MetafileOnDisk,
    path: PathBuf,
    engine: &Engine,
) -> Result<(MetafileOnDisk, Replaces), Box<(Ended, Option<String>)>> {
    let (records, cancel) = (engine.records.clone(), Arc::clone(engine.stop.flag()));
    let looked = tokio::task::spawn_blocking(move || {
        match examine(&Preparation::new(&metafile, &records, &cancel), &path) {
            Ok(There::Replaceable(stamp)) => Ok((metafile, Replaces::Known(stamp))),
            Ok(There::OwnWork) => Err(Box::new((Ended::Kept(left_alone(&path, &metafile)), None))),
            Err(PrepareError::Interrupted) => Err(Box::new((Ended::PutOff, None))),
            Err(error) => Err(Box::new((Ended::Failed, Some(error.to_string())))),
        }
    });
    looked.await.unwrap_or_else(|_| Err(Box::new((Ended::Failed, None))))
}

/// Passes on what a download tells.
struct Teller {
    path: PathBuf,
    hash: CascadeHash,
    told: mpsc::Sender<Told>,
    done: Arc<AtomicU64>,
}

impl Observer for Teller {
    fn event(&mut self, event: Event) {
        if let Event::Start(progress) | Event::Progress(progress) = &event {
            self.done.store(progress.bytes_done, Ordering::Relaxed);
        }
        // Room is kept for what is told once.
        if !event.is_momentary() || self.told.capacity() > self.told.max_capacity() / 2 {
            let told = Told::Download { path: self.path.clone(), hash: self.hash, event };
            let _ = self.told.try_send(told);
        }
    }
}
