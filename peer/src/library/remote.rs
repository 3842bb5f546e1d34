//! The files of a served folder that an origin has: few of thousands are fetched from it at a time.
//!
//! One that nobody asks for costs nothing, and nothing is asked of the origin for it. The first request for it begins its
//! session: what was kept of it earlier is found, the origin is asked whether it has the file, and then it is served like
//! a file that [`peer seed`](crate::session::Seed) has from an origin. When nobody has asked for it for a time, or others
//! need its memory, the session ends, and remembers what is kept.

use super::awake::{Awake, BUSY, LOOK, ROOM_RETRY, Report};
use super::cost::Cost;
use super::inspect::Described;
use super::limits::{MAX_WAITING_OPENINGS, SLEEP_AFTER};
use super::scan::data_of;
use super::told::Told;
use crate::catalog::{Lookup, Served, Sleepers};
use crate::clock;
use crate::limits::{GOODBYE_TIME, ORIGIN_PATIENCE};
use crate::metafile::MetafileOnDisk;
use crate::origin::{Origin, OriginError};
use crate::session::engine::Stop;
use crate::session::{Engine, Event, FromOrigin, Observer, Seed, SeedError};
use cascade_format::CascadeHash;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

/// The files, as the threads that serve see them.
#[derive(Debug)]
pub(super) struct Remotes {
    engine: Engine,
    origin: Origin,
    table: Mutex<Table>,
    orders: mpsc::Sender<CascadeHash>,
    reports: mpsc::Sender<Report>,
}

#[derive(Debug, Default)]
struct Table {
    /// `None`: it is not given now, and may be soon.
    files: HashMap<CascadeHash, Option<File>>,
    sessions: HashMap<CascadeHash, Session>,
    /// Those that are in the queue.
    waiting: HashSet<CascadeHash>,
}

#[derive(Debug, Clone, PartialEq)]
struct File {
    metafile: Arc<Path>,
    described: Described,
}

/// One that is awake, or about to be, or falls asleep.
#[derive(Debug)]
struct Session {
    file: File,
    stop: Stop,
    cost: Cost,
    begun_at: Instant,
    /// Since it is awake.
    served: Option<Arc<Served>>,
    /// Requests for it when it was looked at last, and when that number was another one last.
    asked: u64,
    asked_at: Instant,
}

/// Those that have their data, and those that have not.
#[derive(Debug)]
pub(super) struct Both {
    pub(super) awake: Arc<Awake>,
    pub(super) remotes: Arc<Remotes>,
}

impl Sleepers for Both {
    fn wake(&self, hash: &CascadeHash) -> Lookup {
        match self.awake.wake(hash) {
            Lookup::Unknown => self.remotes.wake(hash),
            found @ (Lookup::Served(_) | Lookup::Opening | Lookup::NotNow) => found,
        }
    }

    fn asleep(&self) -> u64 {
        self.awake.asleep() + self.remotes.asleep()
    }
}

impl Sleepers for Remotes {
    fn wake(&self, hash: &CascadeHash) -> Lookup {
        let mut table = self.table();
        match table.files.get(hash) {
            None => return Lookup::Unknown,
            Some(None) => return Lookup::NotNow,
            Some(Some(_)) => {}
        }
        if let Some(session) = table.sessions.get_mut(hash)
            && !session.is_stopping()
        {
            session.asked_at = clock::now();
            // The origin does not answer.
            if session.served.is_none() && session.asked_at >= session.begun_at + ORIGIN_PATIENCE {
                return Lookup::NotNow;
            }
        } else if !table.waiting.contains(hash) && self.orders.try_send(*hash).is_ok() {
            table.waiting.insert(*hash);
        }
        Lookup::Opening
    }

    fn asleep(&self) -> u64 {
        let table = self.table();
        let awake = |hash| table.sessions.get(hash).is_some_and(|session: &Session| session.served.is_some());
        table.files.keys().filter(|hash| !awake(*hash)).count() as u64
    }
}

impl Remotes {
    /// No file yet. The task ends when the engine stops.
    pub(super) fn start(
        engine: &Engine,
        origin: Origin,
        reports: mpsc::Sender<Report>,
        told: mpsc::Sender<Told>,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let (orders, waiting) = mpsc::channel(MAX_WAITING_OPENINGS);
        let table = Mutex::default();
        let remotes = Arc::new(Self { engine: engine.clone(), origin, table, orders, reports });
        let task = tokio::spawn(Arc::clone(&remotes).run(waiting, told));
        (remotes, task)
    }

    /// From now on this file is given.
    pub(super) fn put(&self, metafile: Arc<Path>, described: Described) {
        let (hash, file) = (described.hash, File { metafile, described });
        let mut table = self.table();
        if let Some(session) = table.sessions.get(&hash).filter(|session| session.file != file) {
            self.end(session);
        }
        table.files.insert(hash, Some(file));
    }

    /// A file is not given any more. `known`: it may be again soon; else those who wait for news of it hear a goodbye.
    pub(super) fn withdraw(&self, hash: &CascadeHash, known: bool) {
        let mut table = self.table();
        if table.files.remove(hash).is_some() && known {
            table.files.insert(*hash, None);
        }
        let Some(session) = table.sessions.get(hash) else { return };
        if !known && session.served.as_ref().is_some_and(|served| served.leave()) {
            let stop = session.stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GOODBYE_TIME).await;
                stop.stop();
            });
        } else {
            self.end(session);
        }
    }

    /// Others give the file from now on, or nobody does.
    pub(super) fn forget(&self, hash: &CascadeHash) {
        let mut table = self.table();
        table.files.remove(hash);
        if let Some(session) = table.sessions.get(hash) {
            self.end(session);
        }
    }

    fn end(&self, session: &Session) {
        session.served.iter().for_each(|served| self.engine.catalog.remove_this(served));
        session.stop.stop();
    }

    /// Begins and ends sessions. It lets go of `told` when it ends: then nothing more comes.
    async fn run(self: Arc<Self>, mut waiting: mpsc::Receiver<CascadeHash>, told: mpsc::Sender<Told>) {
        let stop = self.engine.stop.clone();
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        let mut tasks = JoinSet::new();
        let mut next = None;
        let mut look = tokio::time::interval(LOOK);
        loop {
            if let Some(hash) = next.take_if(|hash| self.make_room(hash)) {
                self.begin(hash, &mut tasks, &told);
            }
            tokio::select! {
                Some(hash) = waiting.recv(), if next.is_none() => next = Some(hash),
                Some(ended) = tasks.join_next() => if let Ok((hash, result)) = ended {
                    let report = self.ended(hash, result);
                    if let Some(report) = report {
                        tokio::select! {
                            _ = self.reports.send(report) => {}
                            () = &mut stopped => break,
                        }
                    }
                },
                _ = look.tick() => self.put_away_unused(),
                () = tokio::time::sleep(ROOM_RETRY), if next.is_some() => {}
                () = &mut stopped => break,
            }
        }
        self.table().sessions.values().for_each(|session| session.stop.stop());
        // They remember what is kept.
        while tasks.join_next().await.is_some() {}
    }

    /// Whether a session may begin; ends the one that nobody has asked for for longest, if it must be.
    fn make_room(&self, hash: &CascadeHash) -> bool {
        let mut table = self.table();
        let Some(Some(file)) = table.files.get(hash) else { return true };
        let mut cost = Cost::of_fetched(&file.described.layout);
        // The one before must have remembered what it kept.
        if let Some(session) = table.sessions.get(hash) {
            return !session.is_stopping();
        }
        cost = table.sessions.values().fold(cost, |sum, session| sum.plus(session.cost));
        if cost.fits() {
            return true;
        }
        let now = clock::now();
        table.sessions.values_mut().for_each(|session| session.note_asked(now));
        // One at a time: it has its room until it has ended.
        if !table.sessions.values().any(Session::is_stopping) {
            let unused = table.sessions.values().filter(|session| session.is_unused(now, BUSY));
            unused.min_by_key(|session| session.asked_at).iter().for_each(|session| self.end(session));
        }
        false
    }

    fn begin(
        self: &Arc<Self>,
        hash: CascadeHash,
        tasks: &mut JoinSet<(CascadeHash, Result<(), SeedError>)>,
        told: &mpsc::Sender<Told>,
    ) {
        let mut table = self.table();
        table.waiting.remove(&hash);
        let Some(Some(file)) = table.files.get(&hash).cloned() else { return };
        if table.sessions.contains_key(&hash) {
            return;
        }
        let (stop, cost) = (Stop::default(), Cost::of_fetched(&file.described.layout));
        let engine = Engine { stop: stop.clone(), ..self.engine.clone() };
        let (this, metafile) = (Arc::clone(self), Arc::clone(&file.metafile));
        let now = clock::now();
        let session = Session { file, stop, cost, begun_at: now, served: None, asked: 0, asked_at: now };
        table.sessions.insert(hash, session);
        let mut teller = Teller { hash, remotes: this, told: told.clone() };
        tasks.spawn(async move { (hash, teller.serve(&engine, metafile).await) });
    }

    /// A session has ended.
    fn ended(&self, hash: CascadeHash, result: Result<(), SeedError>) -> Option<Report> {
        let mut table = self.table();
        let session = table.sessions.remove(&hash)?;
        session.served.iter().for_each(|served| self.engine.catalog.remove_this(served));
        let error = result.err().filter(|error| !matches!(error, SeedError::Interrupted))?;
        let file = table.files.get_mut(&hash)?;
        // Until it is known what becomes of it.
        file.take_if(|file| *file == session.file)?;
        Some(Report::OriginFailed { hash, message: error.to_string() })
    }

    /// A session serves its file from now on.
    fn woken(&self, hash: CascadeHash) {
        let served = self.engine.catalog.get(&hash);
        if let Some(session) = self.table().sessions.get_mut(&hash) {
            session.asked = served.as_ref().map_or(0, |served| served.asked());
            (session.served, session.asked_at) = (served, clock::now());
        }
        // Nothing is lost where it is not heard.
        let _ = self.reports.try_send(Report::Woken(hash));
    }

    fn put_away_unused(&self) {
        let now = clock::now();
        let mut table = self.table();
        table.sessions.values_mut().for_each(|session| session.note_asked(now));
        let unused = table.sessions.values().filter(|session| session.is_unused(now, SLEEP_AFTER));
        unused.filter(|session| !session.has_clients()).for_each(|session| self.end(session));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_stopping(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Notes whether somebody has asked for it since the last time.
    fn note_asked(&mut self, now: Instant) {
        if let Some(asked) = self.served.as_ref().map(|served| served.asked())
            && std::mem::replace(&mut self.asked, asked) != asked
        {
            self.asked_at = now;
        }
    }

    fn is_unused(&self, now: Instant, since: Duration) -> bool {
        !self.is_stopping() && now.saturating_duration_since(self.asked_at) >= since
    }

    /// Whether a client converses about it.
    fn has_clients(&self) -> bool {
        /// What serves it, and this.
        const OWNERS: usize = 2;
        self.served.as_ref().is_some_and(|served| served.has_clients(OWNERS))
    }
}

#[cfg(feature = "origin")]
fn connect(seed: Seed, origin: &Origin, engine: &Engine) -> Result<FromOrigin, OriginError> {
    FromOrigin::connect(seed, origin, &engine.origin_clients)
}

#[cfg(not(feature = "origin"))]
fn connect(_: Seed, origin: &Origin, _: &Engine) -> Result<FromOrigin, OriginError> {
    Err(OriginError::Setup {
        origin: origin.to_string(),
        why: "this program was built without origins".into(),
    })
}

/// Hears what a session tells.
struct Teller {
    hash: CascadeHash,
    remotes: Arc<Remotes>,
    told: mpsc::Sender<Told>,
}

impl Teller {
    /// Serves the file until its session is ended.
    async fn serve(&mut self, engine: &Engine, path: Arc<Path>) -> Result<(), SeedError> {
        let data = data_of(&path);
        let opened = spawn_blocking(move || MetafileOnDisk::open(&*path).ok()).await.ok().flatten();
        // What is wrong with it is told when it is looked at again.
        let Some(metafile) = opened.filter(|metafile| metafile.cascade_hash() == self.hash) else {
            return Err(SeedError::Interrupted);
        };
        // Trackers, and the local network, are told of all files together.
        let session = connect(Seed::new(metafile, &data), &self.remotes.origin, engine)?;
        session.run(engine, self).await
    }
}

impl Observer for Teller {
    #[expect(clippy::wildcard_enum_match_arm, reason = "of many events two concern a folder")]
    fn event(&mut self, event: Event) {
        match event {
            Event::Origin { .. } | Event::Seeding { .. } => self.remotes.woken(self.hash),
            // Who does not listen any more misses nothing.
            Event::Warning(line) => drop(self.told.try_send(Told::Warning(line))),
            _ => {}
        }
    }
}
