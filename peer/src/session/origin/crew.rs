//! One request to an origin: its bytes are written, hashed, and published block by block.

use super::room::Room;
use crate::ground::disk::is_full;
use crate::human::Name;
use crate::limits::{FULL_RETRY, MIN_ORIGIN_BYTES, ORIGIN_TIMEOUT};
use crate::metafile::MetafileOnDisk;
use crate::origin::troubles::Wrong;
use crate::origin::{Body, Fault, Fetcher, Gate, Opened, OriginError, Source};
use crate::store::Shared;
use cascade_format::{Block, BlockHash, Layout};
use cascade_hash::Sha256Stream;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// An object that may be the file.
#[derive(Debug, Clone)]
pub(in crate::session) struct Candidate {
    /// Where it is, in messages.
    pub(in crate::session) shown: String,
    pub(in crate::session) source: Arc<dyn Source>,
}

/// What all requests to one origin need.
#[derive(Debug, Clone)]
pub(super) struct Crew {
    pub(super) room: Arc<Room>,
    pub(super) object: Candidate,
    metafile: Arc<MetafileOnDisk>,
    gate: Gate,
    /// What changes with the object, as the first answer has shown it.
    seen: Arc<Mutex<Option<Seen>>>,
    lines: mpsc::Sender<String>,
}

impl Crew {
    /// Asks this object, and tells `lines`.
    pub(super) fn new(
        room: Arc<Room>,
        object: Candidate,
        metafile: Arc<MetafileOnDisk>,
        gate: Gate,
        lines: mpsc::Sender<String>,
    ) -> Self {
        Self { room, object, metafile, gate, seen: Arc::default(), lines }
    }

    /// Asks another object.
    pub(super) fn turn_to(&mut self, object: Candidate) {
        (self.object, self.seen) = (object, Arc::default());
    }

    /// Waits until the origin says that it has the file.
    ///
    /// # Errors
    /// It is not the file, or cannot give parts of it.
    pub(super) async fn look(&self) -> Result<(), OriginError> {
        loop {
            let permit = self.gate.pass(1).await;
            let opened = self.open(0..1).await;
            drop(permit);
            match opened {
                Ok(_) => return Ok(()),
                // At the start a no is a mistake of the user's.
                Err(Trouble::Fault(Fault::Refused(why))) => {
                    return Err(OriginError::Refused { origin: self.shown(), why });
                }
                Err(trouble) => self.rest(trouble).await?,
            }
        }
    }

    /// Fetches these blocks, however often that must be tried.
    ///
    /// # Errors
    /// The origin is given up.
    pub(super) async fn fetch(self, blocks: Range<u64>) -> Result<(), OriginError> {
        let mut at = Place::new(self.shared().layout(), &blocks);
        while at.next < at.end {
            if let Err(trouble) = self.fetch_once(&mut at).await {
                self.rest(trouble).await?;
            }
        }
        self.fetcher().landed(&blocks);
        Ok(())
    }

    /// Waits until it is tried again.
    async fn rest(&self, trouble: Trouble) -> Result<(), OriginError> {
        let pause = match trouble {
            Trouble::Over(error) => return Err(error),
            Trouble::Fault(Fault::NoRanges) => return Err(OriginError::NoRanges { origin: self.shown() }),
            Trouble::Fault(Fault::Passing(why)) => {
                let (pause, tell) = self.fetcher().failed();
                if tell {
                    self.tell(format!("{}: {why}; trying again", self.shown()));
                }
                pause
            }
            Trouble::Fault(Fault::Refused(why)) => match self.fetcher().refused() {
                Some(pause) => pause,
                None => return Err(OriginError::Refused { origin: self.shown(), why }),
            },
            Trouble::Full(error) => {
                let (_, tell) = self.fetcher().failed();
                if tell {
                    let path = Name(self.shared().data().path());
                    self.tell(format!("cannot write {path}: {error}; make room, or bound it with --cache"));
                }
                FULL_RETRY
            }
        };
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// One request, for all that is left, or for as much of it as the limit on speed lets through at once.
    async fn fetch_once(&self, at: &mut Place) -> Result<(), Trouble> {
        let end = at.next + self.gate.part_of(at.end - at.next);
        let _permit = self.gate.pass(end - at.next).await;
        let result = self.fetch_until(at, end).await;
        self.gate.give_back(end.saturating_sub(at.next));
        result
    }

    /// One request, for all up to `end`.
    async fn fetch_until(&self, at: &mut Place, end: u64) -> Result<(), Trouble> {
        let mut body = self.open(at.next..end).await?;
        let mut owed = MIN_ORIGIN_BYTES.min(end - at.next);
        let slow = || Trouble::Fault(Fault::Passing("the answer does not come on".to_owned()));
        let mut window = Box::pin(tokio::time::sleep(ORIGIN_TIMEOUT));
        while at.next < end {
            let next = tokio::select! {
                next = body.next() => next.map_err(Trouble::Fault)?,
                () = &mut window => return Err(slow()),
            };
            let Some(bytes) = next else {
                return Err(Trouble::Fault(Fault::Passing("the answer broke off".to_owned())));
            };
            if self.fetcher().comes(bytes.len() as u64) {
                self.tell(format!("{}: goes on", self.shown()));
            }
            self.take(at, end, &bytes)?;
            owed = owed.saturating_sub(bytes.len() as u64);
            if owed == 0 {
                owed = MIN_ORIGIN_BYTES.min(end.saturating_sub(at.next));
                window = Box::pin(tokio::time::sleep(ORIGIN_TIMEOUT));
            }
        }
        Ok(())
    }

    /// Asks for bytes, and looks whether they are those of the object that it was.
    async fn open(&self, range: Range<u64>) -> Result<Box<dyn Body>, Trouble> {
        let opened = timeout(ORIGIN_TIMEOUT, self.object.source.open(range)).await;
        let opened = opened.unwrap_or_else(|_| Err(Fault::Passing("no answer".to_owned())));
        let Opened { length, tag, body } = opened.map_err(Trouble::Fault)?;
        let now = Seen { length, tag };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|before| now.differs(before)) {
            return Err(Trouble::Over(OriginError::Changed { origin: self.shown() }));
        }
        let expected = self.shared().layout().length();
        if length != expected {
            let (origin, metafile) = (self.shown(), self.metafile.path().to_owned());
            return Err(Trouble::Over(OriginError::Length { origin, length, expected, metafile }));
        }
        seen.get_or_insert(now);
        Ok(body)
    }

    /// Writes what has come, and publishes the blocks that are complete and right.
    fn take(&self, at: &mut Place, end: u64, bytes: &[u8]) -> Result<(), Trouble> {
        let left = usize::try_from(end - at.next).unwrap_or(usize::MAX);
        // What was not asked for is left alone.
        let mut bytes = bytes.get(..left).unwrap_or(bytes);
        while !bytes.is_empty() {
            let Some(block) = self.shared().layout().block(at.block) else { return Ok(()) };
            let end = self.shared().layout().range(block).end;
            let part = usize::try_from(end - at.next).unwrap_or(usize::MAX).min(bytes.len());
            let (this, rest) = bytes.split_at(part);
            // What is there is served: whatever comes of it once more must not replace it.
            if !self.shared().have().has(block) {
                let written = self.shared().data().write_all_at(&mut [IoSlice::new(this)], at.next);
                written.map_err(|source| self.disk(source))?;
            }
            at.hasher.update(this);
            (bytes, at.next) = (rest, at.next + part as u64);
            if at.next == end {
                let hash = std::mem::take(&mut at.hasher).finish();
                at.block += 1;
                self.judge(block, BlockHash(hash))?;
            }
        }
        Ok(())
    }

    /// All of `block` is written.
    fn judge(&self, block: Block, hash: BlockHash) -> Result<(), Trouble> {
        let expected = self.metafile.hash_of(block).map_err(|source| {
            let path = self.metafile.path().to_owned();
            Trouble::Over(OriginError::Disk { path, source })
        })?;
        if hash == expected {
            self.shared().publish(block);
            // Not where the disk is in doubt.
            if self.shared().have().has(block) {
                self.fetcher().arrived(block);
            }
            return Ok(());
        }
        let number = block.number();
        match self.fetcher().wrong(block) {
            Wrong::Again => {
                self.tell(format!("{}: block {number} came wrong, and is not served", self.shown()));
                Ok(())
            }
            Wrong::GiveUp => {
                let metafile = self.metafile.path().to_owned();
                Err(Trouble::Over(OriginError::Wrong { origin: self.shown(), block: number, metafile }))
            }
        }
    }

    fn disk(&self, source: io::Error) -> Trouble {
        if is_full(&source) {
            return Trouble::Full(source);
        }
        Trouble::Over(OriginError::Disk { path: self.shared().data().path().to_owned(), source })
    }

    fn tell(&self, line: String) {
        let _ = self.lines.try_send(line);
    }

    fn shown(&self) -> String {
        self.object.shown.clone()
    }

    pub(super) fn fetcher(&self) -> &Fetcher {
        &self.room.fetcher
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.room.shared
    }
}

/// Why a request has not brought everything.
#[derive(Debug)]
enum Trouble {
    Fault(Fault),
    /// The disk is full.
    Full(io::Error),
    Over(OriginError),
}

/// What changes with an object.
#[derive(Debug)]
struct Seen {
    length: u64,
    tag: Option<String>,
}

impl Seen {
    fn differs(&self, before: &Self) -> bool {
        let tags = self.tag.as_ref().zip(before.tag.as_ref());
        self.length != before.length || tags.is_some_and(|(now, before)| now != before)
    }
}

/// Where a fetch stands.
struct Place {
    /// The block that comes.
    block: u64,
    /// The next byte.
    next: u64,
    end: u64,
    /// Of the bytes of the block that have come.
    hasher: Sha256Stream,
}

impl Place {
    fn new(layout: &Layout, blocks: &Range<u64>) -> Self {
        let start = |number| layout.block(number).map_or(layout.length(), |block| layout.start(block));
        let (next, end) = (start(blocks.start), start(blocks.end));
        Self { block: blocks.start, next, end, hasher: Sha256Stream::new() }
    }
}
