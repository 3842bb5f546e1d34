//! Seeding one file that an origin has: what is not on the disk is fetched when others ask for it.

mod crew;
mod flight;
mod room;

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
#[cfg(feature = "origin")]
use crate::origin::Clients;
use crate::origin::pool::Share;
use crate::origin::{Fetcher, Origin, OriginError, Pool, Source};
use crate::room::telling::{Role, Told};
use crate::store::prepare::{KeptFile, Trust, kept_path};
use crate::store::{DataFile, Place, Preparation, PrepareError, Record, Records, Shared};
use crate::view::{FileState, Shown};
use cascade_format::Have;
use crew::Candidate;
use flight::{Flights, News};
use std::path::Path;
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};

/// A file that is seeded from an origin.
pub(crate) struct FromOrigin {
    seed: Seed,
    /// What may be kept; `None`: everything.
    pool: Option<Arc<Pool>>,
    /// The file is the first of them that can be.
    objects: Vec<Candidate>,
}

/// Where what comes is kept.
enum Kept {
    /// The data is complete: the origin is not needed.
    Complete,
    /// In a file that has these blocks.
    In(DataFile, Have),
}

impl FromOrigin {
    /// The file is what `source` gives; `origin` is what is told of it, and how much of it may be kept.
    pub(crate) fn of_source(seed: Seed, origin: &Origin, source: Arc<dyn Source>) -> Self {
        let objects = vec![Candidate { shown: origin.to_string(), source }];
        Self { seed, pool: origin.cache.clone(), objects }
    }

    /// The file is at `origin`, or is the object there that has its name. Nothing is asked yet.
    ///
    /// # Errors
    /// The address, or what the environment says, cannot be used.
    #[cfg(feature = "origin")]
    pub(crate) fn connect(seed: Seed, origin: &Origin, clients: &Arc<Clients>) -> Result<Self, OriginError> {
        let name = seed.data.file_name().unwrap_or(seed.data.as_os_str()).to_string_lossy();
        let (hash, length) = (seed.metafile.cascade_hash(), seed.metafile.layout().length());
        let objects = origin.of_file(&name, hash, length).into_iter().map(|object| {
            let source = clients.connect(&object)?;
            Ok(Candidate { shown: object.to_string(), source })
        });
        let objects = objects.collect::<Result<_, OriginError>>()?;
        Ok(Self { seed, pool: origin.cache.clone(), objects })
    }

    /// Looks what is on the disk and whether the origin is there, and serves the file until the engine is stopped.
    ///
    /// # Errors
    /// Everything in [`SeedError`].
    pub(crate) async fn run(self, engine: &Engine, observer: &mut dyn Observer) -> Result<(), SeedError> {
        let (hash, layout) = (self.seed.metafile.cascade_hash(), *self.seed.metafile.layout());
        let mut share = None;
        if let Some(pool) = self.pool.clone().filter(|pool| pool.bounds(layout.length())) {
            let least = pool.least(&layout);
            if pool.bound() < least {
                let (cache, metafile) = (pool.bound(), self.seed.metafile.path().to_owned());
                return Err(OriginError::CacheTooSmall { cache, metafile, least }.into());
            }
            while share.is_none() {
                let (path, records) = (kept_path(&self.seed.data), engine.records.clone());
                share = pool.open(hash, layout, Arc::new(KeptFile { hash, path, layout, records }));
                if share.is_none() {
                    tokio::time::sleep(TICK).await;
                }
            }
        }
        let result = self.run_with(engine, share.clone(), observer).await;
        share.iter().for_each(Share::close);
        result
    }

    async fn run_with(
        mut self,
        engine: &Engine,
        share: Option<Share>,
        observer: &mut dyn Observer,
    ) -> Result<(), SeedError> {
        let layout = *self.seed.metafile.layout();
        let hash = self.seed.metafile.cascade_hash();
        let checking = FileState::Checking { done: 0, total: layout.length() };
        let shown = engine.seen.show(hash, &self.seed.data, Some(layout), checking);
        let (target, bounded) = (self.seed.data.clone(), share.is_some());
        let find = move |preparation: Preparation<'_>| find(preparation, &target, bounded);
        let (data, have) = match self.seed.look_with(engine, shown.file(), observer, find).await? {
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
        let (fetcher, beyond) = Fetcher::new(layout, &have, share);
        let fetcher = Arc::new(fetcher);
        shared.fetch_from(Arc::clone(&fetcher));
        let (metafile, gate) = (Arc::clone(&self.seed.metafile), engine.origin_gate.clone());
        let objects = std::mem::take(&mut self.objects);
        let mut flights = Flights::new(fetcher, Arc::clone(&shared), metafile, objects, gate)?;
        flights.make_room(&beyond)?;
        let result = self.look_and_serve(engine, &shared, &shown, &mut flights, observer).await;
        flights.abort().await;
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
        let result = self.serve(engine, &served, flights, observer).await;
        engine.catalog.remove_this(&served);
        result
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
        let mut announcer = engine.announce(&self.seed.trackers, shared.cascade_hash(), told, (false, false));
        let mut lan = self.seed.lan.then(|| engine.lan.join(&shared.cascade_hash()));
        let blocks = shared.layout().blocks();
        observer.event(Event::Origin {
            origin: flights.shown().to_owned(),
            blocks_done: shared.have().count(),
            blocks,
        });
        let mut due = tokio::time::interval(SYNC_INTERVAL);
        let mut sync: Option<JoinHandle<()>> = None;
        loop {
            flights.begin()?;
            tokio::select! {
                answer = announcer.next() => observer.event(Event::of_tracker(&answer)),
                () = served.tick() => {}
                _ = found_on(&mut lan) => {}
                news = flights.wait() => if let News::Line(line) = news? {
                    observer.event(Event::Warning(line));
                },
                trouble = shared.wait_trouble() => {
                    flights.pause().await;
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

/// What there is of the file, and where more of it is kept: where parts may be dropped, in a file of its own.
fn find(preparation: Preparation<'_>, target: &Path, bounded: bool) -> Result<Kept, SeedError> {
    let layout = preparation.metafile.layout();
    if target.is_dir() {
        return Err(OriginError::Folder(target.to_owned()).into());
    }
    if !bounded {
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
            Place::Part { .. } => {
                // An archive is kept as one file.
                prepared.data.stay();
                Ok(Kept::In(prepared.data, prepared.have))
            }
        };
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
