//! Seeding one file: checks the data that is there, registers the file, serves it until the end.

use super::download::Download;
use super::download_error::DownloadError;
use super::engine::Engine;
use super::event::{Event, Observer};
use crate::catalog::Served;
use crate::clock;
use crate::folder::{FolderError, Special, Tree};
use crate::ground::open::{OpenError, open_regular};
use crate::ground::{HaveMap, Stamp};
use crate::human::{Name, Why};
use crate::lan::found_on;
use crate::limits::{RETRY_INTERVAL, SETTLE};
use crate::metafile::MetafileOnDisk;
use crate::origin::OriginError;
use crate::room::telling::{Role, Told};
use crate::store::prepare::Trust;
use crate::store::{DataFile, Preparation, PrepareError, Record, Shared};
use crate::view::{FileState, SeenFile, Shown};
use cascade_format::Have;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

/// Why a file cannot be seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The data is missing, or cannot be opened.
    #[error("cannot open {}: {}; name the data with --data, or download it first", Name(.path), Why(.source))]
    Open {
        /// The data file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data is a directory, a device or a pipe.
    #[error("{} is {what}, not a data file; name the data file with --data", Name(.path))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// No block of the data is right.
    #[error("{} has no block of {}; is it the right file?", Name(.path), Name(.metafile))]
    Nothing {
        /// The data file.
        path: PathBuf,
        /// The `.cascade` file.
        metafile: PathBuf,
    },
    /// The data is a folder that has no valid archive, or cannot be read.
    #[error(transparent)]
    Folder(FolderError),
    /// The data could not be read.
    #[error(transparent)]
    Check(#[from] PrepareError),
    /// The origin cannot be used, or stopped being usable while the file was served.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// Blocks that were kept of an origin are in doubt, and cannot be read again.
    #[error(transparent)]
    Mend(Box<DownloadError>),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The order to seed one file.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The `.cascade` file that describes it.
    pub metafile: Arc<MetafileOnDisk>,
    /// The path of its data: a file or a folder.
    pub data: PathBuf,
    /// `HOST:PORT` of each tracker.
    pub trackers: Vec<String>,
    /// Whether peers on the local network can find it.
    pub lan: bool,
}

impl Seed {
    /// An order to seed the data at `data`, which `metafile` describes. It has no tracker yet.
    #[must_use]
    pub fn new(metafile: MetafileOnDisk, data: &Path) -> Self {
        Self { metafile: Arc::new(metafile), data: data.to_owned(), trackers: Vec::new(), lan: false }
    }

    /// Adds a tracker to register with, `HOST:PORT`.
    #[must_use]
    pub fn with_tracker(mut self, tracker: &str) -> Self {
        self.trackers.push(tracker.to_owned());
        self
    }

    /// Sets whether peers on the local network can find the file, without any tracker.
    #[must_use]
    pub fn with_lan(mut self, lan: bool) -> Self {
        self.lan = lan;
        self
    }

    /// The file of a download when it is complete.
    pub(crate) fn of(download: &Download) -> Self {
        let (metafile, trackers) = (Arc::clone(&download.metafile), download.trackers.clone());
        Self { metafile, data: download.target.clone(), trackers, lan: download.lan }
    }

    /// Checks the data and serves it until the engine is stopped.
    ///
    /// # Errors
    /// Everything in [`SeedError`].
    pub async fn run(mut self, engine: &Engine, observer: &mut dyn Observer) -> Result<(), SeedError> {
        let layout = *self.metafile.layout();
        let none = HaveMap::new(layout, &Have::none(&layout));
        let hash = self.metafile.cascade_hash();
        let checking = FileState::Checking { done: 0, total: layout.length() };
        let shown = engine.seen.show(hash, &self.data, Some(layout), checking);
        let data = self.open(engine).await?;
        // Of an unfinished folder it is a part of what was named.
        data.path().clone_into(&mut self.data);
        let shared = Arc::new(Shared::new(hash, data, none, None));
        shown.file().set_blocks(&shared);
        shared.describe_with(Arc::clone(&self.metafile));
        if engine.paranoid {
            shared.prove_with(Arc::clone(&self.metafile));
        }
        // A client that asks before the check is over hears "not yet", not "never heard of it".
        let served = Served::new(Arc::clone(&shared));
        engine.catalog.add(Arc::clone(&served));
        let checked = self.check(engine, (&shared, shown.file()), Trust::Record, observer).await;
        let (have, stamp) = checked.inspect_err(|_| engine.catalog.remove(&hash))?;
        if have.count() == 0 && layout.blocks() > 0 {
            engine.catalog.remove(&hash);
            let metafile = self.metafile.path().to_owned();
            return Err(SeedError::Nothing { path: self.data, metafile });
        }
        shared.set_stamp(Some(stamp));
        shared.settle(&have, true);
        self.serve_shown(engine, &served, &shown, Role::Seeder, observer).await
    }

    /// Opens the data: a file, or a folder, which is walked.
    async fn open(&self, engine: &Engine) -> Result<DataFile, SeedError> {
        let (path, layout) = (self.data.clone(), *self.metafile.layout());
        if !path.is_dir() {
            let (file, _) = open_regular(&path).map_err(|error| match error {
                OpenError::Io(source) => SeedError::Open { path: path.clone(), source },
                OpenError::NotRegular(what) => SeedError::NotAFile { path: path.clone(), what },
            })?;
            return Ok(DataFile::new(file, &path, layout));
        }
        let (metafile, records) = (Arc::clone(&self.metafile), engine.records.clone());
        let cancel = Arc::clone(engine.stop.flag());
        let opened = spawn_blocking(move || {
            let preparation = Preparation::new(&metafile, &records, &cancel);
            if let Some(unfinished) = preparation.unfinished_folder(&path)? {
                return Ok(unfinished);
            }
            // What was left out when it was described is left out here.
            let tree = Tree::walk(&path, Special::Skip, &cancel).map_err(SeedError::Folder)?;
            Ok(DataFile::of(Box::new(tree), &path, layout))
        });
        match opened.await {
            Ok(Err(
                SeedError::Folder(FolderError::Interrupted) | SeedError::Check(PrepareError::Interrupted),
            ))
            | Err(_) => Err(SeedError::Interrupted),
            Ok(opened) => opened,
        }
    }

    /// Serves a file that is in the catalog, until the engine is stopped; checks it again when it was
    /// changed under it.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub(crate) async fn serve(
        &self,
        engine: &Engine,
        served: &Served,
        role: Role,
        observer: &mut dyn Observer,
    ) -> Result<(), SeedError> {
        let (hash, layout) = (served.file.cascade_hash(), *served.file.layout());
        let shown = engine.seen.show(hash, &self.data, Some(layout), FileState::Seeding);
        shown.file().set_blocks(&served.file);
        self.serve_shown(engine, served, &shown, role, observer).await
    }

    async fn serve_shown(
        &self,
        engine: &Engine,
        served: &Served,
        shown: &Shown,
        role: Role,
        observer: &mut dyn Observer,
    ) -> Result<(), SeedError> {
        let (shared, seen) = (&served.file, shown.file());
        seen.set_state(FileState::Seeding);
        let told = Told::new(Arc::clone(shared), role);
        let mut announcer = engine.announce(&self.trackers, shared.cascade_hash(), told, (false, false));
        if role == Role::Receiver {
            announcer.conclude();
        }
        // Others find this peer by it; a seeder looks for nobody.
        let mut lan = self.lan.then(|| engine.lan.join(&shared.cascade_hash()));
        observer
            .event(Event::Seeding { blocks_done: shared.have().count(), blocks: shared.layout().blocks() });
        let mut unfinished = unfinished(shared).await;
        let mut look_again = tokio::time::interval(RETRY_INTERVAL);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look_again.reset();
        loop {
            tokio::select! {
                answer = announcer.next() => observer.event(Event::of_tracker(&answer)),
                () = served.tick() => {}
                _ = found_on(&mut lan) => {}
                _ = shared.wait_trouble() => match self.check_again(engine, (shared, seen), observer).await {
                    Err(SeedError::Interrupted) => return Ok(()),
                    Err(error) => return Err(error),
                    Ok(()) => {
                        unfinished = self::unfinished(shared).await;
                        look_again.reset();
                    }
                },
                // Nobody can ask for what is missing, so no request finds that it was mended.
                _ = look_again.tick(), if unfinished.is_some() => {
                    if unfinished != Some(look(shared).await) {
                        shared.found_wrong();
                    }
                }
                () = engine.stop.stopped() => return Ok(()),
            }
        }
    }

    /// The data was changed: nothing of it is served until it is checked.
    async fn check_again(
        &self,
        engine: &Engine,
        (shared, seen): (&Arc<Shared>, &SeenFile),
        observer: &mut dyn Observer,
    ) -> Result<(), SeedError> {
        seen.set_state(FileState::Checking { done: 0, total: shared.layout().length() });
        let (changed, data) = (shared.data().changed_path(), Name(&self.data));
        let again = if changed == self.data { "it".to_owned() } else { format!("{data}") };
        let changed = Name(&changed);
        observer.event(Event::Warning(format!(
            "{changed} was changed; checking {again} again before serving it"
        )));
        let (have, stamp) = loop {
            settled(engine, shared).await?;
            match self.check(engine, (shared, seen), Trust::Bytes, observer).await {
                Ok(found) => break found,
                Err(SeedError::Interrupted) => return Err(SeedError::Interrupted),
                // It was cut while it was read, say: it may be written anew.
                Err(error) => {
                    observer.event(Event::Warning(format!("{error}; it is not served until it can be read")));
                }
            }
            changed_or_late(engine, shared).await?;
        };
        shared.set_stamp(Some(stamp));
        shared.settle(&have, true);
        seen.set_state(FileState::Seeding);
        observer.event(Event::Seeding { blocks_done: have.count(), blocks: have.blocks() });
        Ok(())
    }

    /// What the file holds, and what it looked like before it was read.
    async fn check(
        &self,
        engine: &Engine,
        (shared, seen): (&Arc<Shared>, &SeenFile),
        trust: Trust,
        observer: &mut dyn Observer,
    ) -> Result<(Have, Stamp), SeedError> {
        let (shared, path) = (Arc::clone(shared), self.data.clone());
        let work = move |preparation: Preparation<'_>| {
            let data = shared.data().ground();
            // What only the system's memory has is not announced.
            let found = preparation.durable(&path, data, trust)?;
            let (stamp, file_hash_checked) = (found.stamp, found.file_hash_checked);
            let record = Record { have: found.have, file_hash_checked };
            let hash = preparation.metafile.cascade_hash();
            // Without it the next run hashes the file again; nothing else is lost.
            let _ = preparation.records.save(hash, &path, data, stamp, &record);
            Ok((record.have, stamp))
        };
        self.look_with(engine, seen, observer, work).await
    }
}

/// What the data looks like now; of a folder that takes a look at each file.
async fn look(shared: &Arc<Shared>) -> Option<Stamp> {
    let shared = Arc::clone(shared);
    spawn_blocking(move || shared.data().ground().look().ok()).await.ok().flatten()
}

/// What data that lacks something looks like now; `None`: it lacks nothing.
async fn unfinished(shared: &Arc<Shared>) -> Option<Option<Stamp>> {
    if shared.have().is_complete() { None } else { Some(look(shared).await) }
}

/// Waits until nothing has changed the data for [`SETTLE`]. An error: everything ends.
async fn settled(engine: &Engine, shared: &Arc<Shared>) -> Result<(), SeedError> {
    let mut before = look(shared).await;
    loop {
        pause(engine).await?;
        let now = look(shared).await;
        if now == before {
            return Ok(());
        }
        before = now;
    }
}

/// Waits until the data is changed, for [`RETRY_INTERVAL`] at most. An error: everything ends.
async fn changed_or_late(engine: &Engine, shared: &Arc<Shared>) -> Result<(), SeedError> {
    let (begin, before) = (clock::now(), look(shared).await);
    while look(shared).await == before && begin.elapsed() < RETRY_INTERVAL {
        pause(engine).await?;
    }
    Ok(())
}

async fn pause(engine: &Engine) -> Result<(), SeedError> {
    tokio::select! {
        () = tokio::time::sleep(SETTLE) => Ok(()),
        () = engine.stop.stopped() => Err(SeedError::Interrupted),
    }
}
