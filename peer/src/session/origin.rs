//! Seeding one file that an origin has: what is not on the disk is fetched when others ask for it.

mod flight;

use super::engine::Engine;
use super::event::{Event, Observer};
use super::recovery::{Cause, Recovery};
use super::seed::{Seed, SeedError};
use super::ticks::TICK;
use crate::catalog::Served;
use crate::ground::HaveMap;
use crate::ground::open::open_regular;
use crate::lan::found_on;
use crate::limits::SYNC_INTERVAL;
use crate::origin::cache::Stretches;
use crate::origin::{Fetcher, Origin, OriginError, Source};
use crate::room::telling::{Role, Told};
use crate::store::prepare::Trust;
use crate::store::{DataFile, Place, Preparation, PrepareError, Record, Records, Shared};
use crate::view::{FileState, Shown};
use cascade_format::Have;
use flight::{Flights, News};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::{JoinHandle, spawn_blocking};

/// A file that is seeded from an origin.
pub(crate) struct FromOrigin {
    pub(crate) seed: Seed,
    pub(crate) origin: Origin,
    pub(crate) source: Arc<dyn Source>,
}

/// Where what comes is kept.
enum Kept {
    /// The data is complete: the origin is not needed.
    Complete,
    /// In a file that has these blocks.
    In(DataFile, Have),
}

impl FromOrigin {
    /// Looks what is on the disk and whether the origin is there, and serves the file until the engine is stopped.
    ///
    /// # Errors
    /// Everything in [`SeedError`].
    pub(crate) async fn run(mut self, engine: &Engine, observer: &mut dyn Observer) -> Result<(), SeedError> {
        let layout = *self.seed.metafile.layout();
        let hash = self.seed.metafile.cascade_hash();
        let checking = FileState::Checking { done: 0, total: layout.length() };
        let shown = engine.seen.show(hash, &self.seed.data, Some(layout), checking);
        let (data, have) = match self.prepare(engine, &shown, observer).await? {
            Kept::Complete => return self.seed.run(engine, observer).await,
            Kept::In(data, have) => (data, have),
        };
        data.path().clone_into(&mut self.seed.data);
        let map = HaveMap::new(layout, &have);
        let shared = Arc::new(Shared::new(hash, data, map, None));
        shown.file().set_blocks(&shared);
        shared.describe_with(Arc::clone(&self.seed.metafile));
        if engine.paranoid {
            shared.prove_with(Arc::clone(&self.seed.metafile));
        }
        let (fetcher, beyond) = Fetcher::new(self.origin.to_string(), layout, &have, self.origin.cache);
        let fetcher = Arc::new(fetcher);
        shared.fetch_from(Arc::clone(&fetcher));
        let (source, metafile) = (Arc::clone(&self.source), Arc::clone(&self.seed.metafile));
        let permits = Arc::clone(&engine.origin_requests);
        let mut flights = Flights::new(fetcher, source, Arc::clone(&shared), metafile, permits);
        if shared.drops() {
            flights.make_room(&beyond)?;
        }
        let result = self.look_and_serve(engine, &shared, &shown, &mut flights, observer).await;
        flights.abort().await;
        engine.catalog.remove(&hash);
        let (records, path) = (engine.records.clone(), self.seed.data.clone());
        // What is kept is there when this is started again.
        let _ = spawn_blocking(move || remember(&shared, &records, &path)).await;
        result
    }

    async fn look_and_serve(
        &self,
        engine: &Engine,
        shared: &Arc<Shared>,
        shown: &Shown,
        flights: &mut Flights,
        observer: &mut dyn Observer,
    ) -> Result<(), SeedError> {
        tokio::select! {
            looked = look(flights, observer) => looked?,
            () = engine.stop.stopped() => return Ok(()),
        }
        let served = Served::whole(Arc::clone(shared));
        engine.catalog.add(Arc::clone(&served));
        shown.file().set_state(FileState::Seeding);
        self.serve(engine, &served, flights, observer).await
    }

    async fn serve(
        &self,
        engine: &Engine,
        served: &Served,
        flights: &mut Flights,
        observer: &mut dyn Observer,
    ) -> Result<(), SeedError> {
        let shared = &served.file;
        let told = Told::new(Arc::clone(shared), Role::Seeder);
        let mut announcer = engine.announce(&self.seed.trackers, shared.cascade_hash(), told, false);
        let mut lan = self.seed.lan.then(|| engine.lan.join(&shared.cascade_hash()));
        let blocks = shared.layout().blocks();
        observer.event(Event::Origin {
            origin: self.origin.to_string(),
            here: shared.have().count(),
            blocks,
        });
        let mut due = tokio::time::interval(SYNC_INTERVAL);
        let mut sync: Option<JoinHandle<()>> = None;
        loop {
            flights.begin()?;
            tokio::select! {
                answer = announcer.next() => observer.event(match answer.list {
                    Ok(list) => Event::Tracker { tracker: answer.tracker, peers: list.peers.len() },
                    Err(error) => Event::TrackerFailed { tracker: answer.tracker, error: error.to_string() },
                }),
                () = served.upload.tick() => {}
                _ = found_on(&mut lan) => {}
                news = flights.wait() => if let News::Line(line) = news? {
                    observer.event(Event::Warning(line));
                },
                trouble = shared.wait_trouble() => {
                    flights.abort().await;
                    self.mend(engine, shared, trouble.into(), observer).await?;
                    flights.restart(&shared.have().snapshot())?;
                }
                _ = due.tick() => if sync.as_ref().is_none_or(JoinHandle::is_finished) {
                    sync = keep(shared);
                },
                () = engine.stop.stopped() => return Ok(()),
            }
        }
    }

    /// Nothing of the file, or of what came lately, can be believed: it is read again.
    async fn mend(
        &self,
        engine: &Engine,
        shared: &Arc<Shared>,
        cause: Cause,
        observer: &mut dyn Observer,
    ) -> Result<(), SeedError> {
        cause.warning(&self.seed.data).into_iter().for_each(|line| observer.event(Event::Warning(line)));
        let (shared, metafile, stop) =
            (Arc::clone(shared), Arc::clone(&self.seed.metafile), engine.stop.clone());
        let recovery = Recovery { shared, metafile, stop };
        recovery.run(cause).await.map_err(|error| SeedError::Mend(Box::new(error)))
    }

    /// What there is on the disk.
    async fn prepare(
        &self,
        engine: &Engine,
        shown: &Shown,
        observer: &mut dyn Observer,
    ) -> Result<Kept, SeedError> {
        let _permit = tokio::select! {
            permit = engine.checks.acquire() => permit,
            () = engine.stop.stopped() => return Err(SeedError::Interrupted),
        };
        let (done, total) = (Arc::new(AtomicU64::new(0)), self.seed.metafile.layout().length());
        let work = {
            let (metafile, target) = (Arc::clone(&self.seed.metafile), self.seed.data.clone());
            let (records, cancel) = (engine.records.clone(), Arc::clone(engine.stop.flag()));
            let (done, cache) = (Arc::clone(&done), self.origin.cache);
            move || {
                let progress = |bytes| {
                    done.fetch_add(bytes, Ordering::Relaxed);
                };
                let (metafile, records, cancel) = (&*metafile, &records, &*cancel);
                let (from, update) = (None, false);
                let preparation =
                    Preparation { metafile, records, progress: &progress, cancel, from, update };
                find(preparation, &target, cache)
            }
        };
        let mut work = spawn_blocking(work);
        loop {
            tokio::select! {
                result = &mut work => {
                    return match result {
                        Ok(Err(SeedError::Check(PrepareError::Interrupted))) | Err(_) => Err(SeedError::Interrupted),
                        Ok(found) => found,
                    };
                }
                () = tokio::time::sleep(TICK) => {
                    let done = done.load(Ordering::Relaxed).min(total);
                    shown.file().set_state(FileState::Checking { done, total });
                    observer.event(Event::Checking { done, total });
                }
            }
        }
    }
}

/// Waits until the origin answers as it should.
async fn look(flights: &mut Flights, observer: &mut dyn Observer) -> Result<(), SeedError> {
    loop {
        match flights.look().await? {
            Some(line) => observer.event(Event::Warning(line)),
            None => return Ok(()),
        }
    }
}

/// What there is of the file, and where more of it is kept.
fn find(preparation: Preparation<'_>, target: &Path, cache: Option<u64>) -> Result<Kept, SeedError> {
    let layout = preparation.metafile.layout();
    if target.is_dir() {
        return Err(OriginError::Folder(target.to_owned()).into());
    }
    let bound = cache.filter(|cache| *cache < layout.length());
    let Some(cache) = bound else {
        let prepared = match preparation.run(target) {
            Ok(prepared) => prepared,
            Err(PrepareError::NoSpace { path, needed, free }) => {
                return Err(OriginError::NoRoom { path, needed, free }.into());
            }
            Err(error) => return Err(error.into()),
        };
        return match prepared.place {
            Place::Target { .. } => Ok(Kept::Complete),
            Place::Part { path, .. } if prepared.data.file().is_none() => {
                Err(OriginError::Folder(path).into())
            }
            Place::Part { .. } => Ok(Kept::In(prepared.data, prepared.have)),
        };
    };
    let least = Stretches::new(*layout, cache).largest();
    if cache < least {
        let metafile = preparation.metafile.path().to_owned();
        return Err(OriginError::CacheTooSmall { cache, metafile, least }.into());
    }
    if let Ok((file, _)) = open_regular(target)
        && preparation.durable(target, &file, Trust::Record)?.have.is_complete()
        && file.metadata().is_ok_and(|there| there.len() == layout.length())
    {
        return Ok(Kept::Complete);
    }
    let kept = preparation.kept(target)?;
    Ok(Kept::In(kept.data, kept.have))
}

/// Sends what has come to the disk, if something has.
fn keep(shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let is_due = {
        let ledger = shared.ledger();
        ledger.doubtful().is_none() && ledger.has_unsynced()
    };
    let shared = Arc::clone(shared);
    // Who waits for trouble is told of a failure.
    is_due.then(|| spawn_blocking(move || drop(shared.sync())))
}

/// Remembers what is on the disk, for the next start.
fn remember(shared: &Shared, records: &Records, path: &Path) {
    let data = shared.data();
    if !shared.is_unchanged() || shared.sync().is_err() {
        return;
    }
    if let Ok(stamp) = data.ground().look()
        && shared.is_unchanged()
    {
        let record = Record { have: shared.have().snapshot(), file_hash_checked: false };
        // Without it the next run hashes the file; nothing else is lost.
        let _ = records.save(shared.cascade_hash(), path, data.ground(), stamp, &record);
    }
}
