//! The whole-file hash (protocol §1), computed along the verified prefix while the download runs.
//!
//! SHA-256 can only go forward. Where a block at the end of the prefix arrives, its bytes are fed to a
//! fork of the file's hash together with its own, while they are hot; when the block is verified, the
//! fork becomes the hash. Blocks that came earlier, in another order or in an earlier run, are read
//! back by a thread of its own, so that no second pass over the file is left for the end.

use crate::limits::PIECE_LEN;
use crate::page_buffer::PageBuffer;
use crate::store::Shared;
use cascade_format::{Block, FileHash};
use cascade_hash::Sha256Stream;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A hash thread reads so much itself to come level with the prefix, in bytes: then it goes on from
/// hot data. More than that is left to the other thread. Less than a block would not do: the other thread
/// can only follow, so with one link it is always one block behind.
pub(super) const MAX_LEAP: u64 = 32 << 20;

/// The hash of the verified prefix of one file.
#[derive(Debug)]
pub struct PrefixHash {
    shared: Arc<Shared>,
    state: Mutex<State>,
    more: Condvar,
    result: watch::Sender<Option<Result<FileHash, Arc<io::Error>>>>,
}

#[derive(Debug)]
struct State {
    hasher: Sha256Stream,
    stopped: bool,
}

impl PrefixHash {
    /// The hash of nothing yet.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        let state = State { hasher: Sha256Stream::new(), stopped: false };
        let (result, _) = watch::channel(None);
        Arc::new(Self { shared, state: Mutex::new(state), more: Condvar::new(), result })
    }

    /// Starts the thread that reads back what is not hashed on arrival. It ends with the file, or by
    /// [`PrefixHash::stop`].
    ///
    /// # Errors
    /// The system's, when it has no thread left.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        let this = Arc::clone(self);
        let run = move || {
            if let Err(error) = this.catch_up() {
                this.result.send_replace(Some(Err(Arc::new(error))));
            }
        };
        std::thread::Builder::new().name("file-hash".into()).spawn(run).map(drop)
    }

    /// Ends the thread, wherever it is.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.more.notify_all();
    }

    /// Number of bytes that are hashed.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.lock().hasher.len()
    }

    /// Whether nothing is hashed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the hash of the whole file.
    ///
    /// # Errors
    /// The file could not be read back.
    pub async fn result(&self) -> Result<FileHash, Arc<io::Error>> {
        let mut result = self.result.subscribe();
        let done = result.wait_for(Option::is_some).await;
        let done = done.ok().and_then(|value| value.clone());
        done.unwrap_or_else(|| Err(Arc::new(io::Error::other("the file hash was abandoned"))))
    }

    /// A copy of the hash at `start`, if the prefix reaches there, to be fed with the block that begins
    /// there. Up to `max_leap` bytes are read back for it.
    pub(super) fn fork_at(&self, start: u64, max_leap: u64) -> Option<Sha256Stream> {
        let mut hasher = {
            let state = self.lock();
            let gap = start.checked_sub(state.hasher.len())?;
            if gap == 0 {
                return Some(state.hasher.clone());
            }
            if gap > max_leap || self.verified_end(state.hasher.len(), gap) < start {
                return None;
            }
            state.hasher.clone()
        };
        let from = hasher.len();
        self.read_back(&mut hasher, start).ok()?;
        self.offer(from, &hasher);
        Some(hasher)
    }

    /// Takes a fork that began at `from` and was fed with verified bytes; a slower one is dropped.
    pub(super) fn offer(&self, from: u64, fork: &Sha256Stream) {
        let mut state = self.lock();
        if state.hasher.len() == from {
            state.hasher = fork.clone();
        }
        self.finish_or_wake(&state);
    }

    /// `block` was published without a fork.
    pub(super) fn published(&self, block: Block) {
        let state = self.lock();
        if self.shared.layout().block_at(state.hasher.len()) == Some(block) {
            self.more.notify_one();
        }
    }

    fn finish_or_wake(&self, state: &State) {
        let at = state.hasher.len();
        match self.shared.layout().block_at(at) {
            None => {
                let hash = FileHash(state.hasher.clone().finish());
                self.result.send_replace(Some(Ok(hash)));
                self.more.notify_one();
            }
            Some(block) if self.shared.have().has(block) => self.more.notify_one(),
            Some(_) => {}
        }
    }

    fn catch_up(&self) -> io::Result<()> {
        self.finish_or_wake(&self.lock());
        loop {
            let (mut hasher, end) = {
                let mut state = self.lock();
                loop {
                    let from = state.hasher.len();
                    if state.stopped || from == self.shared.layout().length() {
                        return Ok(());
                    }
                    let end = self.verified_end(from, PIECE_LEN as u64);
                    if end > from {
                        break (state.hasher.clone(), end);
                    }
                    state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            };
            let from = hasher.len();
            self.read_back(&mut hasher, end)?;
            self.offer(from, &hasher);
        }
    }

    /// Feeds verified bytes up to `end`.
    fn read_back(&self, hasher: &mut Sha256Stream, end: u64) -> io::Result<()> {
        let mut buffer = PageBuffer::new(PIECE_LEN);
        while hasher.len() < end {
            let length = usize::try_from(end - hasher.len()).unwrap_or(usize::MAX).min(PIECE_LEN);
            let piece = buffer.get_mut(..length).unwrap_or_default();
            self.shared.data().read_exact_at(piece, hasher.len())?;
            hasher.update(piece);
        }
        Ok(())
    }

    /// The end of the verified bytes that begin at `from`, at most `length` further.
    fn verified_end(&self, from: u64, length: u64) -> u64 {
        let (layout, limit) = (self.shared.layout(), from.saturating_add(length));
        let mut end = from;
        while end < limit
            && let Some(block) = layout.block_at(end)
            && self.shared.have().has(block)
        {
            end = layout.range(block).end;
        }
        end.min(limit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
