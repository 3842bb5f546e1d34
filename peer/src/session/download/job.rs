//! A download as it is ordered, and its beginnings: looking at the disk, then a session; again when another program
//! has taken the part file away.

use super::super::ticks::TICK;
use super::{Ended, Session};
use crate::catalog::Served;
use crate::clock;
use crate::folder::{self, Head};
use crate::ground::Stamp;
use crate::limits::MAX_BEGINNINGS;
use crate::metafile::MetafileOnDisk;
use crate::session::download_error::DownloadError;
use crate::session::engine::Engine;
use crate::session::event::{Event, Observer};
use crate::session::recovery::blocking;
use crate::store::part::{self, part_path};
use crate::store::{Place, Preparation, PrepareError, Prepared, Shared};
use crate::view::{FileState, SeenFile};
use cascade_swarm::ask::Order;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a `.cascade` file has behind the name of its data file.
const SUFFIX_WITH_DOT: &str = ".cascade";

/// The order to download one file.
#[derive(Debug, Clone)]
pub struct Download {
    /// The `.cascade` file that describes it.
    pub metafile: Arc<MetafileOnDisk>,
    /// The path at which the complete file appears.
    pub target: PathBuf,
    /// `HOST:PORT` of each tracker.
    pub trackers: Vec<String>,
    /// `HOST:PORT` of peers to ask, in addition to those that trackers list.
    pub peers: Vec<String>,
    /// The order in which blocks are requested.
    pub order: Order,
    /// Whether the download fails if there is no peer, instead of waiting for one.
    pub no_wait: bool,
    /// If set, the archive of a folder is kept as one tar file instead of becoming a folder.
    pub as_tar: Option<AsTar>,
    /// An earlier version of the file or folder. Its blocks that are still right are copied.
    pub from: Option<PathBuf>,
    /// Whether an existing folder at `target` is brought up to date.
    pub update: bool,
    /// Whether peers on the local network are looked for, and can find this one.
    pub lan: bool,
    /// Which file may be replaced.
    pub replaces: Replaces,
}

/// The file at the target that may be replaced by the complete download. Any other that is there at the end is kept
/// under another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// The one that is there when the download begins.
    Found,
    /// The one that looked like this when it was examined, or none.
    Known(Option<Stamp>),
}

/// What to do if a download that keeps archives as tar files turns out not to be the archive of a folder.
#[derive(Debug, Clone)]
pub struct AsTar {
    /// The path of the file in that case.
    pub plain: PathBuf,
    /// Whether an existing file at that path may be replaced.
    pub replace: bool,
}

impl Download {
    /// A download of the file that `metafile` describes to the path `target`, with blocks in random order. It has no
    /// tracker and no peer yet.
    #[must_use]
    pub fn new(metafile: MetafileOnDisk, target: &Path) -> Self {
        Self {
            metafile: Arc::new(metafile),
            target: target.to_owned(),
            trackers: Vec::new(),
            peers: Vec::new(),
            order: Order::Random,
            no_wait: false,
            as_tar: None,
            from: None,
            update: false,
            lan: false,
            replaces: Replaces::Found,
        }
    }

    /// Adds a tracker, `HOST:PORT`.
    #[must_use]
    pub fn with_tracker(mut self, tracker: &str) -> Self {
        self.trackers.push(tracker.to_owned());
        self
    }

    /// Adds a peer, `HOST:PORT`.
    #[must_use]
    pub fn with_peer(mut self, peer: &str) -> Self {
        self.peers.push(peer.to_owned());
        self
    }

    /// Sets whether peers on the local network are looked for, and can find this one.
    #[must_use]
    pub fn with_lan(mut self, lan: bool) -> Self {
        self.lan = lan;
        self
    }

    /// It is no folder's archive: it goes where a file goes, and so does its `.cascade` file, if that came by a link.
    /// Tells whether a file that is there may be replaced.
    fn take_plain_name(&mut self) -> bool {
        let Some(AsTar { plain, replace }) = self.as_tar.take() else { return true };
        let beside = part::with_ending(&self.target, SUFFIX_WITH_DOT);
        if self.metafile.path() == beside {
            let to = part::with_ending(&plain, SUFFIX_WITH_DOT);
            part::move_to(&beside, &to);
            let same = MetafileOnDisk::open(&to)
                .is_ok_and(|there| there.cascade_hash() == self.metafile.cascade_hash() && to != beside);
            if same {
                let _ = std::fs::remove_file(beside);
            }
        }
        self.target = plain;
        self.replaces = Replaces::Found;
        replace
    }

    /// Fails if a file of the user's is there that would be replaced and must not be, unless `replace`. A file that comes
    /// up before a later beginning is not replaced either.
    fn unless_taken(&mut self, mut prepared: Prepared, replace: bool) -> Result<Prepared, DownloadError> {
        let complete = prepared.place.stamp();
        let Place::Part { target, .. } = &mut prepared.place else {
            // One that is complete now may be changed before this has ended.
            if matches!(self.replaces, Replaces::Found) {
                self.replaces = Replaces::Known(complete);
            }
            return Ok(prepared);
        };
        if !replace && target.is_some() {
            let what = "there already, and is not the file of the link";
            return Err(DownloadError::Prepare(PrepareError::NotAFile { path: prepared.target, what }));
        }
        match self.replaces {
            Replaces::Found => self.replaces = Replaces::Known(*target),
            Replaces::Known(known) => *target = known,
        }
        Ok(prepared)
    }

    /// Downloads the file. When it is complete and verified, returns it ready to be served.
    ///
    /// # Errors
    /// Everything in [`DownloadError`].
    pub async fn run(
        mut self,
        engine: &Engine,
        observer: &mut dyn Observer,
    ) -> Result<Arc<Served>, DownloadError> {
        let start = clock::now();
        let (hash, layout) = (self.metafile.cascade_hash(), *self.metafile.layout());
        let checking = FileState::Checking { done: 0, total: layout.length() };
        let mut shown = engine.seen.show(hash, &self.target, Some(layout), checking);
        let (mut beginnings, mut file, mut earlier) = (0, None::<Arc<Shared>>, Vec::new());
        let mut came = 0;
        // No folder's archive has this length.
        let mut replace = Head::of(layout.length()).is_some() || self.take_plain_name();
        loop {
            let prepared = prepare(&self, engine, shown.file(), observer).await;
            let prepared = prepared.and_then(|prepared| self.unless_taken(prepared, replace));
            let prepared = prepared.inspect_err(|_| engine.catalog.remove(&hash))?;
            let part = prepared.data.path().to_owned();
            let seen = Arc::clone(shown.file());
            let mut session = Session::begin(self.clone(), engine.clone(), start, (prepared, seen))?;
            session.earlier = std::mem::take(&mut earlier);
            session.came_before = came;
            // Until now its blocks were served as those of a file; a client that waits for news of that file asks the
            // folder now.
            file.take().into_iter().for_each(|file| file.doubt_all());
            let result = session.run(observer).await;
            session.end(result.as_ref().ok());
            (earlier, came) = (session.shares(), session.came());
            let ended = result?;
            // The conversation with the trackers goes on: the file is served, or begun anew.
            if !matches!(ended, Ended::Done) {
                session.announcer.put_back(session.answers.into_values());
                engine.park(hash, session.announcer);
            } else {
                engine.park_unheard(hash, session.announcer);
            }
            match ended {
                Ended::Done => {
                    if engine.listen.is_some() {
                        shown.stays();
                    }
                    return Ok(session.served);
                }
                ended @ (Ended::Folder | Ended::Plain) => {
                    if matches!(ended, Ended::Folder) {
                        make_folder(&part).await?;
                    } else {
                        replace = self.take_plain_name();
                        let (from, to) = (part.clone(), part_path(&self.target));
                        blocking(move || part::move_to(&from, &to)).await?;
                    }
                    unlock(&session.shared)?;
                    file = Some(Arc::clone(&session.shared));
                    beginnings += 1;
                }
                Ended::Elsewhere(why) => {
                    observer.event(Event::Warning(format!("{why}; looking at what is there")));
                    unlock(&session.shared)?;
                    beginnings += 1;
                }
            }
            if beginnings == MAX_BEGINNINGS {
                return Err(DownloadError::Meddled(part));
            }
        }
    }
}

/// The next beginning may write to the file, though clients that are still answered from it hold it open.
fn unlock(shared: &Shared) -> Result<(), DownloadError> {
    let path = shared.data().path();
    let unlocked = shared.data().file().map_or(Ok(()), File::unlock);
    unlocked.map_err(|source| DownloadError::Disk { path: path.to_owned(), source })
}

/// From now on the file at `part` is the head of a folder that is downloaded.
async fn make_folder(part: &Path) -> Result<(), DownloadError> {
    let path = part.to_owned();
    let made = blocking(move || folder::Place::make(&path)).await?;
    made.map_err(|source| DownloadError::Disk { path: part.to_owned(), source })
}

async fn prepare(
    download: &Download,
    engine: &Engine,
    seen: &SeenFile,
    observer: &mut dyn Observer,
) -> Result<Prepared, DownloadError> {
    let done = Arc::new(AtomicU64::new(0));
    let total = download.metafile.layout().length();
    let work = {
        let (metafile, target) = (Arc::clone(&download.metafile), download.target.clone());
        let (from, update) = (download.from.clone(), download.update);
        let (records, cancel, done) =
            (engine.records.clone(), Arc::clone(engine.stop.flag()), Arc::clone(&done));
        move || {
            let progress = |bytes| {
                done.fetch_add(bytes, Ordering::Relaxed);
            };
            let usual = Preparation::new(&metafile, &records, &cancel);
            Preparation { progress: &progress, from: from.as_deref(), update, ..usual }.run(&target)
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
                let done = done.load(Ordering::Relaxed).min(total);
                seen.set_state(FileState::Checking { done, total });
                observer.event(Event::Checking { done, total });
            }
        }
    }
}
