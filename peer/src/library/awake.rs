//! The files of a served folder that are ready to be given: few of thousands.
//!
//! A file that nobody asks for takes a few hundred bytes. The first request for it wakes it: its `.cascade` file is read,
//! and compared with what was checked; the client waits for some milliseconds. When nobody has asked for it for a time,
//! or others need its memory, it is put away again.

use super::cost::Cost;
use super::inspect::Checked;
use super::limits::{MAX_OPENINGS, MAX_WAITING_OPENINGS, SLEEP_AFTER};
use super::scan::data_of;
use crate::catalog::{Lookup, Served, Sleepers};
use crate::clock;
use crate::folder::{Special, Tree};
use crate::ground::HaveMap;
use crate::limits::GOODBYE_TIME;
use crate::metafile::MetafileOnDisk;
use crate::session::Engine;
use crate::store::closed_file::ClosedFile;
use crate::store::handles::Handles;
use crate::store::{DataFile, Shared};
use crate::view::{FileState, Shown};
use cascade_format::extension::slices;
use cascade_format::{CascadeHash, Have};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};

/// How often files are looked for that no client has asked for lately.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// One that was asked for so lately is not put away for another one.
pub(super) const BUSY: Duration = Duration::from_secs(1);

/// Between two tries to make room for one that is asked for.
pub(super) const ROOM_RETRY: Duration = Duration::from_millis(50);

/// What became of a file that was asked for.
#[derive(Debug)]
pub(super) enum Report {
    /// It is awake.
    Woken(CascadeHash),
    /// The origin does not have it, or it cannot be given from there.
    OriginFailed { hash: CascadeHash, message: String },
    /// Its blocks are not what they were; `distrusted`: and its stamp does not show it.
    Trouble { hash: CascadeHash, distrusted: bool },
}

/// The files, as the threads that serve see them.
#[derive(Debug)]
pub(super) struct Awake {
    engine: Engine,
    handles: Arc<Handles>,
    table: Mutex<HashMap<CascadeHash, Entry>>,
    /// The cascade hashes of files by the names of their slices.
    slices: Mutex<HashMap<CascadeHash, CascadeHash>>,
    orders: mpsc::Sender<CascadeHash>,
    reports: mpsc::Sender<Report>,
}

#[derive(Debug)]
struct Entry {
    metafile: Arc<Path>,
    checked: Checked,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Asleep,
    /// It waits to be opened, or is being opened.
    Waking,
    Awake(Box<Ready>),
    /// Nobody knows what its blocks are. Those who conversed about it still do: they hear what becomes of it.
    Doubtful(Option<Box<Ready>>),
}

impl Place {
    fn ready(self) -> Option<Box<Ready>> {
        match self {
            Self::Awake(ready) => Some(ready),
            Self::Doubtful(ready) => ready,
            Self::Asleep | Self::Waking => None,
        }
    }

    fn as_ready(&self) -> Option<&Ready> {
        match self {
            Self::Awake(ready) => Some(ready),
            Self::Doubtful(ready) => ready.as_deref(),
            Self::Asleep | Self::Waking => None,
        }
    }
}

/// A file that is ready.
#[derive(Debug)]
struct Ready {
    served: Arc<Served>,
    cost: Cost,
    /// Requests for it when it was looked at last, and when that number was another one last.
    asked: u64,
    asked_at: Instant,
    keeper: AbortHandle,
    _shown: Shown,
}

impl Sleepers for Awake {
    fn wake(&self, name: &CascadeHash) -> Lookup {
        let hash = self.slices().get(name).copied().unwrap_or(*name);
        let mut table = self.table();
        let Some(entry) = table.get_mut(&hash) else { return Lookup::Unknown };
        match &entry.place {
            Place::Asleep => {
                if self.orders.try_send(hash).is_ok() {
                    entry.place = Place::Waking;
                }
                Lookup::Opening
            }
            // It was added to the catalog after that was asked.
            Place::Waking | Place::Awake(_) => Lookup::Opening,
            Place::Doubtful(_) => Lookup::NotNow,
        }
    }

    fn asleep(&self) -> u64 {
        let table = self.table();
        table.values().filter(|entry| matches!(entry.place, Place::Asleep | Place::Waking)).count() as u64
    }
}

impl Awake {
    /// No file yet. Opens files in a task of its own, until the engine stops; what becomes of them is told.
    pub(super) fn start(engine: &Engine, handles: Arc<Handles>, reports: mpsc::Sender<Report>) -> Arc<Self> {
        let (orders, waiting) = mpsc::channel(MAX_WAITING_OPENINGS);
        let engine = engine.clone();
        let (table, slices) = (Mutex::default(), Mutex::default());
        let awake = Arc::new(Self { engine, handles, table, slices, orders, reports });
        let (opener, stop) = (Arc::clone(&awake), awake.engine.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = opener.open_all(waiting) => {}
                () = stop.stopped() => {}
            }
        });
        awake
    }

    /// From now on this is what there is of a file.
    pub(super) fn put(&self, metafile: Arc<Path>, checked: Checked) {
        let hash = checked.described.hash;
        if !self.engine.paranoid && checked.described.layout.sliced().is_some() {
            self.slices().insert(slices::name(&hash), hash);
        }
        let before = self.table().insert(hash, Entry { metafile, checked, place: Place::Asleep });
        if let Some(ready) = before.and_then(|before| before.place.ready()) {
            self.hand_over(&ready.served);
        }
    }

    /// Whoever asks for this file from now on is given another one with its name; what is under way ends well.
    pub(super) fn hand_over(&self, served: &Arc<Served>) {
        self.engine.catalog.remove_this(served);
        // Those who wait for news ask again.
        served.file.doubt_all();
    }

    /// A file is not given any more. `known`: it may be again soon; else those who wait for news of it hear a goodbye.
    pub(super) fn withdraw(&self, hash: &CascadeHash, known: bool) {
        let mut table = self.table();
        let Some(mut entry) = table.remove(hash) else { return };
        let ready = std::mem::replace(&mut entry.place, Place::Doubtful(None)).ready();
        if let Some(ready) = &ready {
            ready.keeper.abort();
            ready.served.file.found_wrong();
            ready.served.file.data().withdraw();
        }
        if known {
            entry.place = Place::Doubtful(ready);
            table.insert(*hash, entry);
            return;
        }
        drop(table);
        self.slices().remove(&slices::name(hash));
        let Some(ready) = ready else { return };
        let (served, catalog) = (Arc::clone(&ready.served), Arc::clone(&self.engine.catalog));
        if served.leave() {
            tokio::spawn(async move {
                tokio::time::sleep(GOODBYE_TIME).await;
                catalog.remove_this(&served);
            });
        } else {
            catalog.remove_this(&served);
        }
    }

    /// It is not served any more by what is awake.
    fn put_away(&self, hash: &CascadeHash) {
        let mut table = self.table();
        let Some(entry) = table.get_mut(hash) else { return };
        let asleep = match &entry.place {
            Place::Doubtful(_) => Place::Doubtful(None),
            Place::Asleep | Place::Waking | Place::Awake(_) => Place::Asleep,
        };
        if let Some(ready) = std::mem::replace(&mut entry.place, asleep).ready() {
            self.engine.catalog.remove_this(&ready.served);
        }
    }

    /// Opens what is asked for, and puts away what is not.
    async fn open_all(self: Arc<Self>, mut waiting: mpsc::Receiver<CascadeHash>) {
        let mut openings = JoinSet::new();
        let mut next = None;
        let mut look = tokio::time::interval(LOOK);
        loop {
            if let Some(hash) = next.take_if(|hash| openings.len() < MAX_OPENINGS && self.make_room(hash)) {
                openings.spawn(Arc::clone(&self).open(hash));
            }
            tokio::select! {
                Some(hash) = waiting.recv(), if next.is_none() => next = Some(hash),
                Some(_) = openings.join_next() => {}
                _ = look.tick() => self.put_away_unused(SLEEP_AFTER),
                () = tokio::time::sleep(ROOM_RETRY), if next.is_some() => {}
            }
        }
    }

    /// Whether there is room for one more; puts away the one that nobody has asked for for longest, if it must be.
    fn make_room(&self, hash: &CascadeHash) -> bool {
        loop {
            let (cost, oldest) = {
                let table = self.table();
                let Some(new) = table.get(hash) else { return true };
                let now = clock::now();
                let mut cost = Cost::of(&new.checked);
                let mut oldest: Option<(Instant, CascadeHash)> = None;
                for (hash, entry) in &*table {
                    let Some(ready) = entry.place.as_ready() else { continue };
                    cost = cost.plus(ready.cost);
                    let asked_at = if ready.served.asked() == ready.asked { ready.asked_at } else { now };
                    if oldest.is_none_or(|(at, _)| asked_at < at) {
                        oldest = Some((asked_at, *hash));
                    }
                }
                (cost, oldest.filter(|(at, _)| now.saturating_duration_since(*at) >= BUSY))
            };
            if cost.fits() {
                return true;
            }
            let Some((_, oldest)) = oldest else {
                self.note_asked();
                return false;
            };
            self.put_away(&oldest);
        }
    }

    /// Notes of each file whether somebody has asked for it since the last time.
    fn note_asked(&self) {
        let now = clock::now();
        for entry in self.table().values_mut() {
            if let Place::Awake(ready) | Place::Doubtful(Some(ready)) = &mut entry.place {
                let asked = ready.served.asked();
                if std::mem::replace(&mut ready.asked, asked) != asked {
                    ready.asked_at = now;
                }
            }
        }
    }

    fn put_away_unused(&self, after: Duration) {
        self.note_asked();
        let now = clock::now();
        let unused: Vec<CascadeHash> = {
            let table = self.table();
            let unused = table.iter().filter(|(_, entry)| {
                entry.place.as_ready().is_some_and(|ready| {
                    now.saturating_duration_since(ready.asked_at) >= after && !ready.has_clients()
                })
            });
            unused.map(|(hash, _)| *hash).collect()
        };
        unused.iter().for_each(|hash| self.put_away(hash));
    }

    async fn open(self: Arc<Self>, hash: CascadeHash) {
        let found = self
            .table()
            .get(&hash)
            .filter(|entry| matches!(entry.place, Place::Waking))
            .map(|entry| (Arc::clone(&entry.metafile), entry.checked.clone()));
        let Some((metafile, checked)) = found else { return };
        let opened = {
            let (this, metafile, checked) = (Arc::clone(&self), Arc::clone(&metafile), checked.clone());
            spawn_blocking(move || this.served(&metafile, &checked)).await
        };
        if let Some(report) = self.opened(&metafile, &checked, opened.ok().flatten()) {
            let _ = self.reports.send(report).await;
        }
    }

    /// A file is open, or cannot be.
    fn opened(&self, metafile: &Path, checked: &Checked, served: Option<Arc<Served>>) -> Option<Report> {
        let hash = checked.described.hash;
        let mut table = self.table();
        // It may have been withdrawn, or checked again, meanwhile.
        let entry = table
            .get_mut(&hash)
            .filter(|entry| matches!(entry.place, Place::Waking) && entry.checked.stamp == checked.stamp)?;
        Some(if let Some(served) = served {
            entry.place = Place::Awake(Box::new(self.ready(Arc::clone(&served), checked, metafile)));
            self.engine.catalog.add(served);
            Report::Woken(hash)
        } else {
            entry.place = Place::Doubtful(None);
            Report::Trouble { hash, distrusted: false }
        })
    }

    /// The file as it is served; `None`: it is not what was checked.
    fn served(&self, metafile: &Path, checked: &Checked) -> Option<Arc<Served>> {
        let described = &checked.described;
        let opened = MetafileOnDisk::open(metafile).ok()?;
        if opened.cascade_hash() != described.hash {
            return None;
        }
        let (path, layout, metafile) = (data_of(metafile), described.layout, Arc::new(opened));
        let data = if checked.stamp.files.is_some() {
            let tree = Tree::walk(&path, Special::Skip, self.engine.stop.flag()).ok()?;
            DataFile::of(Box::new(tree), &path, layout)
        } else {
            DataFile::of(Box::new(ClosedFile::new(&path, &checked.stamp, &self.handles)), &path, layout)
        };
        if data.ground().look().ok()? != checked.stamp {
            return None;
        }
        let have = checked.have.as_deref().cloned().unwrap_or_else(|| Have::all(&layout));
        let shared = Shared::new(described.hash, data, HaveMap::new(layout, &have), Some(checked.stamp));
        shared.describe_with(Arc::clone(&metafile));
        if self.engine.paranoid {
            shared.prove_with(metafile);
        }
        Some(Served::new(Arc::new(shared)))
    }

    /// Keeps a file that is served.
    fn ready(&self, served: Arc<Served>, checked: &Checked, metafile: &Path) -> Ready {
        let (hash, layout) = (served.file.cascade_hash(), *served.file.layout());
        let shown = self.engine.seen.show(hash, &data_of(metafile), Some(layout), FileState::Seeding);
        shown.file().set_blocks(&served.file);
        let keeper = tokio::spawn(keep(Arc::clone(&served), self.reports.clone())).abort_handle();
        let (asked, asked_at) = (served.asked(), clock::now());
        Ready { served, cost: Cost::of(checked), asked, asked_at, keeper, _shown: shown }
    }

    fn slices(&self) -> MutexGuard<'_, HashMap<CascadeHash, CascadeHash>> {
        self.slices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<CascadeHash, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ready {
    /// Whether a client converses about it.
    fn has_clients(&self) -> bool {
        /// Its keeper and this.
        const OWNERS: usize = 2;
        self.served.has_clients(OWNERS)
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Does for a file what time alone demands, until something is wrong with it.
async fn keep(served: Arc<Served>, reports: mpsc::Sender<Report>) {
    let hash = served.file.cascade_hash();
    loop {
        tokio::select! {
            () = served.tick() => {}
            _ = served.file.wait_trouble() => break,
        }
    }
    let distrusted = served.file.stamp().is_some_and(|stamp| served.file.data().ground().looks_like(&stamp));
    let _ = reports.send(Report::Trouble { hash, distrusted }).await;
}

#[cfg(test)]
mod tests;
