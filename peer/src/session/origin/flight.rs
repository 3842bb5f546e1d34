//! The requests to one origin that are under way.

use super::crew::{Candidate, Crew};
use super::room::Room;
use crate::metafile::MetafileOnDisk;
use crate::origin::cache::Dropped;
use crate::origin::pool::Evict;
use crate::origin::{Fetcher, Gate, OriginError};
use crate::session::ticks::TICK;
use crate::store::Shared;
use cascade_format::Have;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Lines that wait to be told: more are left out.
const LINES: usize = 16;

/// The requests that are under way.
#[derive(Debug)]
pub(super) struct Flights {
    crew: Crew,
    /// Where the file is looked for if it is not there.
    others: VecDeque<Candidate>,
    tasks: JoinSet<Result<(), OriginError>>,
    lines: mpsc::Receiver<String>,
}

/// What has happened.
#[derive(Debug)]
pub(super) enum News {
    /// Something may be fetched now.
    Work,
    /// A line for the user.
    Line(String),
}

impl Flights {
    /// None yet. The file is the first of these objects that can be.
    ///
    /// # Errors
    /// Parts of it must be dropped, and the file system gives no room back.
    pub(super) fn new(
        fetcher: Arc<Fetcher>,
        shared: Arc<Shared>,
        metafile: Arc<MetafileOnDisk>,
        objects: Vec<Candidate>,
        gate: Gate,
    ) -> Result<Self, OriginError> {
        let (told, lines) = mpsc::channel(LINES);
        let mut others = VecDeque::from(objects);
        let object = others.pop_front().ok_or_else(|| OriginError::Setup {
            origin: "the origin".to_owned(),
            why: "there is none".to_owned(),
        })?;
        let room = Arc::new(Room { fetcher, shared });
        if let Some(share) = room.fetcher.share() {
            room.is_given_back()?;
            let holder: Weak<dyn Evict> = Arc::<Room>::downgrade(&room);
            share.hold(holder);
        }
        let crew = Crew::new(room, object, metafile, gate, told);
        Ok(Self { crew, others, tasks: JoinSet::new(), lines })
    }

    /// Where the file is, in messages.
    pub(super) fn shown(&self) -> &str {
        &self.crew.object.shown
    }

    /// Asks the origin for one byte: whether it is there, and is the file. What may pass is waited for, and told by the
    /// line that this gives; `None`: it is there.
    ///
    /// # Errors
    /// It is not the file, or cannot give parts of it.
    pub(super) async fn look(&mut self) -> Result<Option<String>, OriginError> {
        loop {
            let looked = tokio::select! {
                biased;
                Some(line) = self.lines.recv() => return Ok(Some(line)),
                looked = self.crew.look() => looked,
            };
            match looked {
                Ok(()) => return Ok(None),
                Err(error)
                    if error.is_of_the_object()
                        && let Some(other) = self.others.pop_front() =>
                {
                    self.crew.turn_to(other);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins what is to be fetched now.
    ///
    /// # Errors
    /// What must be dropped before cannot be.
    pub(super) fn begin(&mut self) -> Result<(), OriginError> {
        while let Some(order) = self.crew.room.fetcher.next() {
            let made = self.crew.room.make(&order.dropped);
            // Also where that fails: others wait until what they give is gone.
            self.crew.room.fetcher.evict_others(&order.others);
            made?;
            self.tasks.spawn(self.crew.clone().fetch(order.blocks));
        }
        Ok(())
    }

    /// Waits until something may be fetched, or told.
    ///
    /// # Errors
    /// The origin is given up.
    pub(super) async fn wait(&mut self) -> Result<News, OriginError> {
        tokio::select! {
            Some(line) = self.lines.recv() => Ok(News::Line(line)),
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(Err(error)) => Err(error),
                // A panic has been told already.
                Ok(Ok(())) | Err(_) => Ok(News::Work),
            },
            () = self.crew.room.fetcher.wait_for_work() => Ok(News::Work),
        }
    }

    /// Ends all requests; nothing is written when this returns.
    pub(super) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Ends all requests, so that the file can be read again: until the [`restart`](Self::restart) nothing is written, and
    /// nothing is dropped for other files. What is dropped after it was read would be published as zeroes.
    pub(super) async fn pause(&mut self) {
        self.abort().await;
        while !self.crew.fetcher().wake() {
            tokio::time::sleep(TICK).await;
        }
    }

    /// The file was checked, and holds the blocks of `have`; nothing is under way.
    ///
    /// # Errors
    /// What is there beyond the bound cannot be dropped.
    pub(super) fn restart(&self, have: &Have) -> Result<(), OriginError> {
        self.make_room(&self.crew.room.fetcher.restart(have))
    }

    /// Drops parts of the file.
    ///
    /// # Errors
    /// The file system gives no room back.
    pub(super) fn make_room(&self, dropped: &[Dropped]) -> Result<(), OriginError> {
        self.crew.room.make(dropped)
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        self.crew.room.fetcher.end();
    }
}

#[cfg(test)]
mod tests;
