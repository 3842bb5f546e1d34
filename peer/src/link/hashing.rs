//! The threads that verify what links receive faster than their own threads could.
//!
//! A link's pieces all go to one thread, in order. The thread feeds the block's hash and, at the end of
//! the verified prefix, the file's hash from the same bytes; it publishes what is right and tells the
//! session. The piece is on its way to the disk's cache before it comes here, so a published block is
//! always written.

use super::LinkEvent;
use super::buffers::Buffer;
use super::lane::{Lane, Piece};
use super::prefix::MAX_LEAP;
use super::response::Segment;
use crate::limits::{MAX_LINKS, PIECE_BUFFERS, PIECE_LEN};
use cascade_swarm::ask::Ended;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Entries in a thread's queue: more pieces than there are buffers cannot come, and one end a link.
const QUEUE: usize = PIECE_BUFFERS + MAX_LINKS;

/// Something for the hash threads to do.
#[derive(Debug)]
pub(super) struct Job {
    /// Of which link.
    pub(super) lane: Arc<Lane>,
    /// What.
    pub(super) work: Work,
}

/// What a link hands on.
#[derive(Debug)]
pub(super) enum Work {
    /// Received bytes, written already.
    Piece {
        /// The bytes.
        buffer: Buffer,
        /// How many were received.
        length: usize,
        /// What they are.
        segments: Vec<Segment>,
        /// For each segment, whether it is written; without meaning for those that are not bytes of a block or a slice.
        written: Vec<bool>,
    },
    /// Nothing more comes.
    End(Ended, String),
}

/// A fixed number of hash threads; they end when the last clone of the pool is dropped.
#[derive(Debug, Clone)]
pub struct HashPool {
    queues: Arc<[mpsc::Sender<Job>]>,
}

impl HashPool {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// The system's, when it has no thread left.
    pub fn start(threads: usize) -> io::Result<Self> {
        let start = |number: usize| {
            let (queue, jobs) = mpsc::channel(QUEUE);
            let builder = std::thread::Builder::new().name(format!("hash-{number}"));
            builder.spawn(move || HashThread::default().run(jobs)).map(|_| queue)
        };
        let queues: io::Result<Vec<_>> = (0..threads.max(1)).map(start).collect();
        Ok(Self { queues: queues?.into() })
    }

    /// Hands `job` to its link's thread.
    pub(super) async fn submit(&self, job: Job) {
        let count = self.queues.len() as u64;
        let number = usize::try_from(job.lane.link.0 % count).unwrap_or(0);
        if let Some(queue) = self.queues.get(number) {
            job.lane.leaves();
            // The thread ends after its queue, so it is there.
            let _ = queue.send(job).await;
        }
    }
}

/// The bytes of a link after which its session is told, even if more is waiting to be hashed.
const TELL_AFTER: u64 = 4 * PIECE_LEN as u64;

/// One thread. While more is waiting, it hashes on and tells the sessions later: one message for many
/// small blocks, and none is late when there is nothing to do.
#[derive(Debug, Default)]
struct HashThread {
    /// The links with something untold, and how many pieces of each.
    untold: Vec<(Arc<Lane>, usize)>,
}

impl HashThread {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(_) => {
                    self.untold.drain(..).for_each(|(lane, pieces)| tell(&lane, pieces));
                    let Some(job) = jobs.blocking_recv() else { return };
                    job
                }
            };
            self.work(job);
        }
    }

    fn work(&mut self, Job { lane, work }: Job) {
        let at = self.untold.iter().position(|(other, _)| Arc::ptr_eq(other, &lane));
        let pieces = at.map_or(0, |at| self.untold.swap_remove(at).1) + 1;
        match work {
            Work::End(ended, reason) => {
                tell(&lane, pieces);
                // A session that is gone wants no news.
                let _ = lane.file.events.blocking_send((lane.link, LinkEvent::Closed(ended, reason)));
            }
            Work::Piece { buffer, length, segments, written } => {
                let bytes = buffer.get(..length).unwrap_or_default();
                let piece = Piece { bytes, segments, written: &written, max_leap: MAX_LEAP };
                if let Err(error) = lane.hash(piece) {
                    let _ = lane.file.events.blocking_send((lane.link, LinkEvent::Disk(error)));
                }
                // The buffer is free before anything waits for a session.
                drop(buffer);
                if lane.untold() >= TELL_AFTER {
                    tell(&lane, pieces);
                } else {
                    self.untold.push((lane, pieces));
                }
            }
        }
    }
}

/// Tells the session of `pieces` that were hashed here.
fn tell(lane: &Lane, pieces: usize) {
    if let Some(event) = lane.take_event() {
        // A session that is gone wants no news.
        let _ = lane.file.events.blocking_send((lane.link, event));
    }
    lane.returned(pieces);
}
