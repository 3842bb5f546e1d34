//! The requests to one origin: what comes is written, hashed, and published block by block.

use crate::ground::disk::is_full;
use crate::limits::{FULL_RETRY, MIN_ORIGIN_BYTES, ORIGIN_TIMEOUT};
use crate::metafile::MetafileOnDisk;
use crate::origin::fetcher::Fetcher;
use crate::origin::plan::Dropped;
use crate::origin::troubles::Wrong;
use crate::origin::{Body, Fault, Opened, OriginError, Source};
use crate::store::Shared;
use cascade_format::{Block, BlockHash, Have, Layout};
use cascade_hash::Sha256Stream;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Lines that wait to be told: more are left out.
const LINES: usize = 16;

/// What all requests to one origin need.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metafile: Arc<MetafileOnDisk>,
    /// Permits of the process.
    pub(crate) permits: Arc<Semaphore>,
    /// What changes with the object, as the first answer has shown it.
    seen: Arc<Mutex<Option<Seen>>>,
    lines: mpsc::Sender<String>,
}

/// The requests that are under way.
#[derive(Debug)]
pub(crate) struct Flights {
    crew: Crew,
    tasks: JoinSet<Result<(), OriginError>>,
    lines: mpsc::Receiver<String>,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum News {
    /// Something may be fetched now.
    Work,
    /// A line for the user.
    Line(String),
}

impl Flights {
    /// None yet.
    pub(crate) fn new(
        fetcher: Arc<Fetcher>,
        source: Arc<dyn Source>,
        shared: Arc<Shared>,
        metafile: Arc<MetafileOnDisk>,
        permits: Arc<Semaphore>,
    ) -> Self {
        let (told, lines) = mpsc::channel(LINES);
        let crew = Crew { fetcher, source, shared, metafile, permits, seen: Arc::default(), lines: told };
        Self { crew, tasks: JoinSet::new(), lines }
    }

    /// Asks the origin for one byte: whether it is there, and is the file. What may pass is waited for, and told by the
    /// line that this gives; `None`: it is there.
    ///
    /// # Errors
    /// It is not the file, or cannot give parts of it.
    pub(crate) async fn look(&mut self) -> Result<Option<String>, OriginError> {
        tokio::select! {
            biased;
            Some(line) = self.lines.recv() => Ok(Some(line)),
            looked = self.crew.look() => looked.map(|()| None),
        }
    }

    /// Begins what is to be fetched now.
    ///
    /// # Errors
    /// What must be dropped before cannot be.
    pub(crate) fn begin(&mut self) -> Result<(), OriginError> {
        while let Some(order) = self.crew.fetcher.next() {
            self.crew.make_room(&order.dropped)?;
            self.tasks.spawn(self.crew.clone().fetch(order.blocks));
        }
        Ok(())
    }

    /// Waits until something may be fetched, or told.
    ///
    /// # Errors
    /// The origin is given up.
    pub(crate) async fn wait(&mut self) -> Result<News, OriginError> {
        tokio::select! {
            Some(line) = self.lines.recv() => Ok(News::Line(line)),
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(Err(error)) => Err(error),
                // A panic has been told already.
                Ok(Ok(())) | Err(_) => Ok(News::Work),
            },
            () = self.crew.fetcher.wait_for_work() => Ok(News::Work),
        }
    }

    /// Ends all requests; nothing is written when this returns.
    pub(crate) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }

    /// The file was checked, and holds the blocks of `have`; nothing is under way.
    ///
    /// # Errors
    /// What is there beyond the bound cannot be dropped.
    pub(crate) fn restart(&self, have: &Have) -> Result<(), OriginError> {
        self.crew.make_room(&self.crew.fetcher.restart(have))
    }

    /// Drops parts of the file, and looks whether the file system gives their room back at all.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn make_room(&self, dropped: &[Dropped]) -> Result<(), OriginError> {
        // Behind the end there is nothing to lose.
        let end = self.crew.shared.layout().length();
        let punched = self.crew.shared.data().punch(end..end + 1);
        punched.map_err(|source| self.crew.no_holes(source))?;
        self.crew.make_room(dropped)
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        self.crew.fetcher.end();
    }
}

impl Crew {
    fn make_room(&self, dropped: &[Dropped]) -> Result<(), OriginError> {
        if dropped.is_empty() {
            return Ok(());
        }
        // Nobody reads what is about to be zeroes.
        let _alone = self.fetcher.dropping();
        for Dropped { blocks, hole } in dropped {
            self.shared.withdraw_range(blocks.clone());
            let end = hole.end.min(self.shared.layout().length());
            self.shared.data().punch(hole.start..end).map_err(|source| self.no_holes(source))?;
        }
        Ok(())
    }

    fn no_holes(&self, source: io::Error) -> OriginError {
        OriginError::NoHoles { path: self.shared.data().path().to_owned(), source }
    }

    async fn look(&self) -> Result<(), OriginError> {
        loop {
            match self.open(0..1).await {
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
    async fn fetch(self, blocks: Range<u64>) -> Result<(), OriginError> {
        let mut at = Place::new(self.shared.layout(), &blocks);
        while at.next < at.end {
            if let Err(trouble) = self.fetch_once(&mut at).await {
                self.rest(trouble).await?;
            }
        }
        self.fetcher.landed(&blocks);
        Ok(())
    }

    /// Waits until it is tried again.
    async fn rest(&self, trouble: Trouble) -> Result<(), OriginError> {
        let pause = match trouble {
            Trouble::Over(error) => return Err(error),
            Trouble::Fault(Fault::NoRanges) => return Err(OriginError::NoRanges { origin: self.shown() }),
            Trouble::Fault(Fault::Passing(why)) => {
                let (pause, tell) = self.fetcher.failed();
                if tell {
                    self.tell(format!("{}: {why}; trying again", self.shown()));
                }
                pause
            }
            Trouble::Fault(Fault::Refused(why)) => match self.fetcher.refused() {
                Some(pause) => pause,
                None => return Err(OriginError::Refused { origin: self.shown(), why }),
            },
            Trouble::Full(error) => {
                let (_, tell) = self.fetcher.failed();
                if tell {
                    let path = self.shared.data().path().display();
                    self.tell(format!("cannot write {path}: {error}; make room, or bound it with --cache"));
                }
                FULL_RETRY
            }
        };
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// One request, for all that is left.
    async fn fetch_once(&self, at: &mut Place) -> Result<(), Trouble> {
        let (mut body, _permit) = self.open(at.next..at.end).await?;
        let mut owed = MIN_ORIGIN_BYTES.min(at.end - at.next);
        let slow = || Trouble::Fault(Fault::Passing("the answer does not come on".to_owned()));
        let mut window = Box::pin(tokio::time::sleep(ORIGIN_TIMEOUT));
        while at.next < at.end {
            let next = tokio::select! {
                next = body.next() => next.map_err(Trouble::Fault)?,
                () = &mut window => return Err(slow()),
            };
            let Some(bytes) = next else {
                return Err(Trouble::Fault(Fault::Passing("the answer broke off".to_owned())));
            };
            if self.fetcher.comes(bytes.len() as u64) {
                self.tell(format!("{}: goes on", self.shown()));
            }
            self.take(at, &bytes)?;
            owed = owed.saturating_sub(bytes.len() as u64);
            if owed == 0 {
                owed = MIN_ORIGIN_BYTES.min(at.end - at.next);
                window = Box::pin(tokio::time::sleep(ORIGIN_TIMEOUT));
            }
        }
        Ok(())
    }

    /// Asks for bytes, and looks whether they are those of the object that it was.
    async fn open(
        &self,
        range: Range<u64>,
    ) -> Result<(Box<dyn Body>, Option<OwnedSemaphorePermit>), Trouble> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let opened = timeout(ORIGIN_TIMEOUT, self.source.open(range)).await;
        let opened = opened.unwrap_or_else(|_| Err(Fault::Passing("no answer".to_owned())));
        let Opened { length, tag, body } = opened.map_err(Trouble::Fault)?;
        let now = Seen { length, tag };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|before| now.differs(before)) {
            return Err(Trouble::Over(OriginError::Changed { origin: self.shown() }));
        }
        let expected = self.shared.layout().length();
        if length != expected {
            let (origin, metafile) = (self.shown(), self.metafile.path().to_owned());
            return Err(Trouble::Over(OriginError::Length { origin, length, expected, metafile }));
        }
        seen.get_or_insert(now);
        Ok((body, permit))
    }

    /// Writes what has come, and publishes the blocks that are complete and right.
    fn take(&self, at: &mut Place, bytes: &[u8]) -> Result<(), Trouble> {
        let left = usize::try_from(at.end - at.next).unwrap_or(usize::MAX);
        // What was not asked for is left alone.
        let mut bytes = bytes.get(..left).unwrap_or(bytes);
        let written = self.shared.data().write_all_at(&mut [IoSlice::new(bytes)], at.next);
        written.map_err(|source| self.disk(source))?;
        while !bytes.is_empty() {
            let Some(block) = self.shared.layout().block(at.block) else { return Ok(()) };
            let end = self.shared.layout().range(block).end;
            let part = usize::try_from(end - at.next).unwrap_or(usize::MAX).min(bytes.len());
            let (this, rest) = bytes.split_at(part);
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
            self.shared.publish(block);
            // Not where the disk is in doubt.
            if self.shared.have().has(block) {
                self.fetcher.arrived(block);
            }
            return Ok(());
        }
        let number = block.number();
        match self.fetcher.wrong(block) {
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
        Trouble::Over(OriginError::Disk { path: self.shared.data().path().to_owned(), source })
    }

    fn tell(&self, line: String) {
        let _ = self.lines.try_send(line);
    }

    fn shown(&self) -> String {
        self.fetcher.shown().to_owned()
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

#[cfg(test)]
mod tests;
