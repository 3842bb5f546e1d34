//! What comes over one link, on its way to verified blocks and slices: the hashes of the one that it is at, and what
//! its session has not been told yet.
//!
//! Pieces of a link are hashed one after the other, in order: on the link's own thread where it has nothing else
//! to do, on a hash thread where more bytes are waiting in the socket.

use super::lease::{Held, Lease};
use super::response::{News, Segment};
use super::unit::{Sliced, Unit};
use super::{FileContext, LinkEvent};
use crate::folder::HostileArchive;
use crate::store::slices::{self, Proof};
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
    /// For each segment, whether it is written; without meaning for segments that are not bytes of a block or a slice.
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
    /// The hash of the block, over the bytes from its start or from the slice on.
    block_hash: Sha256Stream,
    /// The state in front of the slice, as the peer tells it.
    in_front: slices::State,
    /// The file's hash, if the block is the first behind the verified prefix.
    file_hash: Option<Sha256Stream>,
    /// Whether all of the block or the slice so far was written.
    written: bool,
    untold: Untold,
}

#[derive(Debug, Default)]
struct Untold {
    bytes: u64,
    news: Vec<News>,
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
        !untold.news.is_empty() || untold.message.is_some() || !untold.outcomes.is_empty()
    }

    /// What the session has not been told, for it.
    pub(super) fn take_event(&self) -> Option<LinkEvent> {
        let Untold { bytes, news, outcomes, message } = std::mem::take(&mut self.lock().untold);
        (bytes > 0).then_some(LinkEvent::Received { bytes, news, outcomes, message })
    }

    /// Hashes a piece, and publishes the blocks and slices that end in it and are right.
    pub(super) fn hash(&self, piece: Piece<'_>) -> io::Result<()> {
        let state = &mut *self.lock();
        state.untold.bytes += piece.bytes.len() as u64;
        for (segment, written) in piece.segments.into_iter().zip(piece.written) {
            match segment {
                Segment::State(told) => state.in_front = told,
                Segment::Body { unit, offset, range, last } => {
                    state.written = *written && (offset == 0 || state.written);
                    if offset == 0 {
                        self.begin(state, unit, piece.max_leap);
                    }
                    state.feed(piece.bytes.get(range).unwrap_or_default());
                    if last {
                        let outcome = self.end(state, unit)?;
                        state.untold.outcomes.push(outcome);
                    }
                }
                Segment::Refused { unit, status, message } => {
                    self.lease.hold().forget(unit);
                    state.untold.outcomes.push(Outcome::Refused(self.file.named(unit), status));
                    if status != Status::MissingBlock {
                        state.untold.message = Some(message);
                    }
                }
                Segment::News(news) => state.untold.add(news),
                Segment::Told => state.untold.outcomes.push(Outcome::Told),
            }
        }
        Ok(())
    }

    fn begin(&self, state: &mut State, unit: Unit, max_leap: u64) {
        (state.block_hash, state.file_hash) = match unit {
            Unit::Block(block) => {
                let start = self.file.shared.layout().start(block);
                (Sha256Stream::new(), self.file.prefix.fork_at(start, max_leap))
            }
            Unit::Slice(slice) => {
                let before = self.file.slices.map_or(0, |slices| slices.layout.offset_in_block(slice));
                // Every slice begins where a state can be.
                (Sha256Stream::resumed(state.in_front, before).unwrap_or_default(), None)
            }
        };
    }

    /// The block or the slice is complete: verifies it, and publishes it if its link still may.
    fn end(&self, state: &mut State, unit: Unit) -> io::Result<Outcome> {
        let (hash, fork) = (std::mem::take(&mut state.block_hash), state.file_hash.take());
        let mut held = self.lease.hold();
        // Not written, or written by a link that has lost it since: then it is another's.
        if !state.written || !held.allows(unit) {
            held.forget(unit);
            return Ok(Outcome::Discarded(self.file.named(unit)));
        }
        match (unit, &self.file.slices) {
            (Unit::Block(block), _) => self.end_block(block, hash, fork, held),
            (Unit::Slice(slice), Some(slices)) => self.end_slice(slices, slice, state.in_front, hash, held),
            (Unit::Slice(slice), None) => Ok(Outcome::Discarded(slice)),
        }
    }

    fn end_block(
        &self,
        block: Block,
        hash: Sha256Stream,
        fork: Option<Sha256Stream>,
        held: Held<'_>,
    ) -> io::Result<Outcome> {
        let (file, name) = (&self.file, self.file.named(Unit::Block(block)));
        if BlockHash(hash.finish()) != file.metafile.hash_of(block)? {
            return Ok(Outcome::Corrupt(name));
        }
        if !file.shared.data().is_canonical(block) {
            return Err(io::Error::other(HostileArchive(block)));
        }
        file.shared.publish(block);
        drop(held);
        match fork {
            Some(fork) => file.prefix.offer(file.shared.layout().start(block), &fork),
            None => file.prefix.published(block),
        }
        Ok(if file.slices.is_some() { Outcome::VerifiedWhole(name) } else { Outcome::Verified(name) })
    }

    /// `hash` has seen the slice, after the state in front of it.
    fn end_slice(
        &self,
        slices: &Sliced,
        slice: Block,
        in_front: slices::State,
        hash: Sha256Stream,
        held: Held<'_>,
    ) -> io::Result<Outcome> {
        let (file, layout) = (&self.file, &slices.layout);
        let block = layout.block_of(slice);
        let leads_there = match file.shared.proof_of_slice(slice) {
            Some(Proof::BlockHash) => BlockHash(hash.finish()) == file.metafile.hash_of(block)?,
            Some(Proof::State(behind)) => hash.state() == Some(behind),
            // The slice behind it was refused or discarded, so that nothing says whether this one is right.
            None => return Ok(Outcome::Discarded(slice)),
        };
        // With the initial value of SHA-256 at its start, all of the block has its hash, and not only its slices theirs.
        let is_first = layout.offset_in_block(slice) == 0;
        if !leads_there || (is_first && Sha256Stream::new().state() != Some(in_front)) {
            return Ok(Outcome::Corrupt(slice));
        }
        if !file.shared.data().is_canonical_slice(slice) {
            return Err(io::Error::other(HostileArchive(block)));
        }
        let complete = file.shared.publish_slice(slice, in_front);
        if complete.is_none() && !file.shared.has_slice(slice) {
            // Nobody has the slice behind it any more, or the file is in doubt.
            return Ok(Outcome::Discarded(slice));
        }
        drop(held);
        if let Some(block) = complete {
            file.prefix.published(block);
        }
        Ok(Outcome::Verified(slice))
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

impl Untold {
    /// What is told of blocks and of slices stays in order; of one kind it is one piece.
    fn add(&mut self, news: News) {
        match self.news.last_mut() {
            Some(last) if last.sliced == news.sliced => last.items.extend(news.items),
            _ => self.news.push(news),
        }
    }
}
