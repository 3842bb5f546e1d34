//! What comes over one link, on its way to verified blocks: the hashes of the block that it is at, and what its
//! session has not been told yet.
//!
//! Pieces of a link are hashed one after the other, in order: on the link's own thread where it has nothing else
//! to do, on a hash thread where more bytes are waiting in the socket.

use super::lease::Lease;
use super::response::Segment;
use super::{FileContext, LinkEvent};
use crate::folder::HostileArchive;
use cascade_format::extension::Item;
use cascade_format::peer_wire::Status;
use cascade_format::{Block, BlockHash};
use cascade_hash::{Sha256Stream, update_both};
use cascade_swarm::ask::{LinkId, Outcome};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Received bytes, written already.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// What they are.
    pub(super) segments: Vec<Segment>,
    /// For each segment, whether it is written; of a refusal it says nothing.
    pub(super) written: &'a [bool],
    /// How many bytes of the file may be read back to come level with the verified prefix.
    pub(super) max_leap: u64,
}

/// One link's.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) link: LinkId,
    pub(super) file: Arc<FileContext>,
    pub(super) lease: Arc<Lease>,
    /// Pieces on their way through a hash thread, until the session is told of them.
    away: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    block_hash: Sha256Stream,
    /// The file's hash, if the block is the first behind the verified prefix.
    file_hash: Option<Sha256Stream>,
    /// Whether all of the block so far was written.
    written: bool,
    untold: Untold,
}

#[derive(Debug, Default)]
struct Untold {
    bytes: u64,
    news: Option<Vec<Item>>,
    outcomes: Vec<Outcome>,
    message: Option<String>,
}

impl Lane {
    pub(super) fn new(link: LinkId, file: Arc<FileContext>, lease: Arc<Lease>) -> Self {
        Self { link, file, lease, away: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// A piece goes to a hash thread.
    pub(super) fn leaves(&self) {
        self.away.fetch_add(1, Ordering::Relaxed);
    }

    /// The session has been told of `pieces` that were hashed by a hash thread.
    pub(super) fn returned(&self, pieces: usize) {
        self.away.fetch_sub(pieces, Ordering::Release);
    }

    /// Whether no piece is on a hash thread: then the next one may be hashed by the thread that has it.
    pub(super) fn is_here(&self) -> bool {
        self.away.load(Ordering::Acquire) == 0
    }

    /// Bytes of which the session has not been told.
    pub(super) fn untold(&self) -> u64 {
        self.lock().untold.bytes
    }

    /// Whether something is to be told that the plan waits for, and not progress alone.
    pub(super) fn has_news(&self) -> bool {
        let untold = &self.lock().untold;
        untold.news.is_some() || untold.message.is_some() || !untold.outcomes.is_empty()
    }

    /// What the session has not been told, for it.
    pub(super) fn take_event(&self) -> Option<LinkEvent> {
        let Untold { bytes, news, outcomes, message } = std::mem::take(&mut self.lock().untold);
        (bytes > 0).then_some(LinkEvent::Received { bytes, news, outcomes, message })
    }

    /// Hashes a piece, and publishes the blocks that end in it and are right.
    pub(super) fn hash(&self, piece: Piece<'_>) -> io::Result<()> {
        let state = &mut *self.lock();
        state.untold.bytes += piece.bytes.len() as u64;
        for (segment, written) in piece.segments.into_iter().zip(piece.written) {
            match segment {
                Segment::Body { block, offset, range, last } => {
                    state.written = *written && (offset == 0 || state.written);
                    if offset == 0 {
                        self.begin(state, block, piece.max_leap);
                    }
                    state.feed(piece.bytes.get(range).unwrap_or_default());
                    if last {
                        let outcome = self.end(state, block)?;
                        state.untold.outcomes.push(outcome);
                    }
                }
                Segment::Refused { block, status, message } => {
                    self.lease.hold().forget(block);
                    state.untold.outcomes.push(Outcome::Refused(block, status));
                    if status != Status::MissingBlock {
                        state.untold.message = Some(message);
                    }
                }
                Segment::News(items) => state.untold.news.get_or_insert_default().extend(items),
                Segment::Told => state.untold.outcomes.push(Outcome::Told),
            }
        }
        Ok(())
    }

    fn begin(&self, state: &mut State, block: Block, max_leap: u64) {
        state.block_hash = Sha256Stream::new();
        state.file_hash = self.file.prefix.fork_at(self.file.shared.layout().start(block), max_leap);
    }

    /// The block is complete: compares its hash, and publishes it if its link still may.
    fn end(&self, state: &mut State, block: Block) -> io::Result<Outcome> {
        let hash = BlockHash(std::mem::take(&mut state.block_hash).finish());
        let fork = state.file_hash.take();
        let (file, start) = (&self.file, self.file.shared.layout().start(block));
        let mut held = self.lease.hold();
        // Not written, or written by a link that has lost the block since: then it is another's.
        if !state.written || !held.allows(block) {
            held.forget(block);
            return Ok(Outcome::Discarded(block));
        }
        if hash != file.metafile.hash_of(block)? {
            return Ok(Outcome::Corrupt(block));
        }
        if !file.shared.data().is_canonical(block) {
            return Err(io::Error::other(HostileArchive(block)));
        }
        file.shared.publish(block);
        drop(held);
        match fork {
            Some(fork) => file.prefix.offer(start, &fork),
            None => file.prefix.published(block),
        }
        Ok(Outcome::Verified(block))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn feed(&mut self, bytes: &[u8]) {
        match &mut self.file_hash {
            Some(file_hash) => update_both(file_hash, &mut self.block_hash, bytes),
            None => self.block_hash.update(bytes),
        }
    }
}
