//! The files of a process, and what their sessions let be seen of them.

use super::LOOK_INTERVAL;
use super::block_set::BlockSet;
use super::data::{DownloadView, FileState, FileView, ReceiverView};
use crate::catalog::Sleepers;
use crate::clock;
use crate::store::{SeenReceiver, Shared};
use cascade_format::{CascadeHash, Layout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// The files, in the order in which they were begun. The list is locked when a file comes or goes, and for a look.
#[derive(Debug)]
pub(crate) struct Files {
    start: Instant,
    received: Arc<AtomicU64>,
    /// The peer ends: what is shown now stays, for the last answers are still leaving and are counted.
    ends: Arc<AtomicBool>,
    /// Told when a receiver of any file comes.
    came: Arc<Notify>,
    list: Mutex<Vec<Arc<SeenFile>>>,
    /// Know of more files, which are not open.
    sleepers: OnceLock<Arc<dyn Sleepers>>,
}

impl Files {
    /// None yet; `ends` becomes true when the peer ends.
    pub(crate) fn new(ends: Arc<AtomicBool>) -> Self {
        Self {
            start: clock::now(),
            received: Arc::default(),
            ends,
            came: Arc::default(),
            list: Mutex::default(),
            sleepers: OnceLock::new(),
        }
    }

    /// There are more files, which are not open.
    pub(crate) fn set_sleepers(&self, sleepers: Arc<dyn Sleepers>) {
        let _ = self.sleepers.set(sleepers);
    }

    /// How many these are.
    pub(super) fn asleep(&self) -> u64 {
        self.sleepers.get().map_or(0, |sleepers| sleepers.asleep())
    }

    /// The file is shown no longer.
    pub(crate) fn forget(&self, hash: &CascadeHash) {
        self.lock().retain(|file| file.hash != *hash);
    }

    /// When the process began.
    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Bytes that have come over all links.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until a receiver of any file comes, or has come since this was called last.
    pub(super) async fn receiver_came(&self) {
        self.came.notified().await;
    }

    pub(super) fn list(&self) -> Vec<Arc<SeenFile>> {
        self.lock().clone()
    }

    /// The file with this name in the swarm is worked at from now on, under the name of `path`. It stays until what is
    /// returned is dropped. Whoever works at it next takes its place.
    pub(crate) fn show(
        self: &Arc<Self>,
        hash: CascadeHash,
        path: &Path,
        layout: Option<Layout>,
        state: FileState,
    ) -> Shown {
        // `.` and `..` have a name, too, but not in the path.
        let path = if path.file_name().is_some() {
            path.to_owned()
        } else {
            path.canonicalize().unwrap_or_default()
        };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let file = Arc::new(SeenFile {
            hash,
            name,
            layout,
            since: clock::now(),
            state: Mutex::new(state),
            shared: Mutex::default(),
            received: AtomicU64::new(0),
            received_by_all: Arc::clone(&self.received),
            came: Arc::clone(&self.came),
            download: watch::channel(None).0,
            looked_at: AtomicBool::new(false),
            shown_at: AtomicU64::new(0),
            look: Notify::new(),
        });
        let mut list = self.lock();
        match list.iter_mut().find(|other| other.hash == hash) {
            Some(other) => *other = Arc::clone(&file),
            None => list.push(Arc::clone(&file)),
        }
        Shown { files: Arc::clone(self), file, stays: false }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<SeenFile>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is shown; dropped, it is shown no longer, unless it [stays](Shown::stays), or the peer ends.
#[derive(Debug)]
pub(crate) struct Shown {
    files: Arc<Files>,
    file: Arc<SeenFile>,
    stays: bool,
}

impl Shown {
    /// The file.
    pub(crate) fn file(&self) -> &Arc<SeenFile> {
        &self.file
    }

    /// It is served from now on, whoever works at it.
    pub(crate) fn stays(&mut self) {
        self.stays = true;
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if !self.stays && !self.files.ends.load(Ordering::Relaxed) {
            self.files.lock().retain(|file| !Arc::ptr_eq(file, &self.file));
        }
    }
}

/// What a session lets be seen of its file. Each part is written by the session alone.
#[derive(Debug)]
pub(crate) struct SeenFile {
    hash: CascadeHash,
    name: String,
    layout: Option<Layout>,
    since: Instant,
    state: Mutex<FileState>,
    /// Its blocks, and what was given of them.
    shared: Mutex<Option<Arc<Shared>>>,
    received: AtomicU64,
    received_by_all: Arc<AtomicU64>,
    came: Arc<Notify>,
    /// How the download stood when it was looked at last.
    download: watch::Sender<Option<Arc<DownloadView>>>,
    /// It was looked at since the download has shown itself.
    looked_at: AtomicBool,
    /// When that was, in milliseconds since the beginning.
    shown_at: AtomicU64,
    /// The download is to show itself.
    look: Notify,
}

impl SeenFile {
    /// What is done with the file from now on.
    pub(crate) fn set_state(&self, state: FileState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Where its blocks are.
    pub(crate) fn set_blocks(&self, shared: &Arc<Shared>) {
        shared.given().tell(Arc::clone(&self.came));
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(shared));
    }

    /// So many bytes have come over a link.
    pub(crate) fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.received_by_all.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Waits until the download is to show itself.
    pub(crate) async fn is_looked_at(&self) {
        self.look.notified().await;
    }

    /// How the download stands; `None`: it is over.
    pub(crate) fn show_download(&self, download: Option<DownloadView>) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shown_at.store(now, Ordering::Relaxed);
        self.looked_at.store(false, Ordering::Relaxed);
        self.download.send_replace(download.map(Arc::new));
    }

    /// Asks the download to show itself, and tells when it has; `None`: there is none, or it has just done so.
    pub(super) fn ask(&self) -> Option<watch::Receiver<Option<Arc<DownloadView>>>> {
        let mut seen = self.download.subscribe();
        seen.borrow_and_update().as_ref()?;
        self.call().then_some(seen)
    }

    /// Whether the download will show itself.
    fn call(&self) -> bool {
        let shown = Duration::from_millis(self.shown_at.load(Ordering::Relaxed));
        let old = self.since.elapsed().saturating_sub(shown) >= LOOK_INTERVAL;
        if old && !self.looked_at.swap(true, Ordering::Relaxed) {
            self.look.notify_one();
        }
        old
    }

    /// The file as it is now. The download shows itself soon, for the next look.
    pub(super) fn view(&self) -> FileView {
        let now = clock::now();
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let layout = shared.as_ref().map(|shared| *shared.layout()).or(self.layout);
        let blocks = layout.map_or(0, |layout| layout.blocks());
        let length = layout.map_or(0, |layout| layout.length());
        let download = self.download.borrow().clone();
        if download.is_some() {
            self.call();
        }
        let given = shared.as_ref().map(|shared| shared.given());
        let bytes_given = given.map_or(0, |given| given.bytes());
        let receivers = given.map(|given| given.look(now)).unwrap_or_default();
        #[allow(clippy::cast_precision_loss, reason = "a shown number")]
        let copies_given = if length > 0 { bytes_given as f64 / length as f64 } else { 0.0 };
        FileView {
            hash: self.hash,
            name: self.name.clone(),
            length,
            block_size: layout.map_or(0, |layout| layout.block_size()),
            blocks,
            have: shared.map_or_else(|| BlockSet::none(blocks), |shared| BlockSet::of(shared.have())),
            state: *self.state.lock().unwrap_or_else(PoisonError::into_inner),
            age: now.saturating_duration_since(self.since),
            download,
            receivers_known: receivers.known,
            receivers_given: receivers.given,
            receivers: receivers.seen.iter().map(|seen| receiver(seen, blocks)).collect(),
            bytes_given,
            copies_given,
            bytes_received: self.received.load(Ordering::Relaxed),
        }
    }
}

fn receiver(seen: &SeenReceiver, blocks: u64) -> ReceiverView {
    let blocks_done = seen.told.map(|told| told.blocks(blocks));
    ReceiverView {
        ip: seen.ip,
        port: seen.port,
        extension: seen.extension,
        blocks_done,
        complete: blocks_done.map(|had| had == blocks),
        bytes_given: seen.bytes,
        rate: seen.rate,
        active: seen.active,
        first_seen: seen.first_seen,
        last_seen: seen.last_seen,
        completed: seen.completed,
    }
}
