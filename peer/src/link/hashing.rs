//! The threads that verify what links receive.
//!
//! A link's pieces all go to one thread, in order. The thread feeds the block's hash and, at the end of
//! the verified prefix, the file's hash from the same bytes; it publishes what is right and tells the
//! session. The piece is on its way to the disk's cache before it comes here, so a published block is
//! always written.

use super::buffers::Buffer;
use super::lease::Lease;
use super::response::Segment;
use super::{FileContext, LinkEvent};
use crate::limits::{MAX_LINKS, PIECE_BUFFERS};
use crate::plan::{Ended, LinkId, Outcome};
use cascade_format::peer_wire::Status;
use cascade_format::{Block, BlockHash};
use cascade_hash::{Sha256Stream, update_both};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Entries in a thread's queue: more pieces than there are buffers cannot come, and one end a link.
const QUEUE: usize = PIECE_BUFFERS + MAX_LINKS;

/// Something for the hash threads to do.
#[derive(Debug)]
pub struct Job {
    /// From which link.
    pub link: LinkId,
    /// Of which file.
    pub file: Arc<FileContext>,
    /// The link's right to write.
    pub lease: Arc<Lease>,
    /// What.
    pub work: Work,
}

/// What a link hands on.
#[derive(Debug)]
pub enum Work {
    /// Received bytes, written already.
    Piece {
        /// The bytes.
        buffer: Buffer,
        /// How many were received.
        length: usize,
        /// What they are.
        segments: Vec<Segment>,
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
            builder.spawn(move || Worker::default().run(jobs)).map(|_| queue)
        };
        let queues: io::Result<Vec<_>> = (0..threads.max(1)).map(start).collect();
        Ok(Self { queues: queues?.into() })
    }

    /// Hands `job` to its link's thread.
    pub async fn submit(&self, job: Job) {
        let count = self.queues.len() as u64;
        let number = usize::try_from(job.link.0 % count).unwrap_or(0);
        if let Some(queue) = self.queues.get(number) {
            // The thread ends after its queue, so it is there.
            let _ = queue.send(job).await;
        }
    }
}

/// The hashes of the block that a link is at.
#[derive(Debug, Default)]
struct Lane {
    block: Sha256Stream,
    file: Option<Sha256Stream>,
}

#[derive(Debug, Default)]
struct Worker {
    lanes: HashMap<(usize, LinkId), Lane>,
}

impl Worker {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            let (link, file) = (job.link, Arc::clone(&job.file));
            let event = match self.work(job) {
                Ok(event) => event,
                Err(error) => LinkEvent::Disk(error),
            };
            // A session that is gone wants no news.
            let _ = file.events.blocking_send((link, event));
        }
    }

    fn work(&mut self, job: Job) -> io::Result<LinkEvent> {
        let Job { link, file, lease, work } = job;
        let key = (Arc::as_ptr(&file) as usize, link);
        match work {
            Work::End(ended, reason) => {
                self.lanes.remove(&key);
                Ok(LinkEvent::Closed(ended, reason))
            }
            Work::Piece { buffer, length, segments } => {
                let lane = self.lanes.entry(key).or_default();
                let mut outcomes = Vec::new();
                let mut message = None;
                for segment in segments {
                    match segment {
                        Segment::Body { block, offset, range, last } => {
                            let bytes = buffer.get(range).unwrap_or_default();
                            lane.feed(&file, block, offset, bytes);
                            if last {
                                outcomes.push(lane.end(&file, &lease, block)?);
                            }
                        }
                        Segment::Refused { block, status, message: text } => {
                            lease.hold().forget(block);
                            outcomes.push(Outcome::Refused(block, status));
                            if status != Status::MissingBlock {
                                message = Some(text);
                            }
                        }
                    }
                }
                Ok(LinkEvent::Received { bytes: length as u64, outcomes, message })
            }
        }
    }
}

impl Lane {
    fn feed(&mut self, file: &FileContext, block: Block, offset: u64, bytes: &[u8]) {
        if offset == 0 {
            self.block = Sha256Stream::new();
            self.file = file.prefix.fork_at(file.shared.layout().start(block));
        }
        match &mut self.file {
            Some(file) => update_both(file, &mut self.block, bytes),
            None => self.block.update(bytes),
        }
    }

    /// The block is complete: compares its hash, and publishes it if its link still may.
    fn end(&mut self, file: &FileContext, lease: &Lease, block: Block) -> io::Result<Outcome> {
        let hash = BlockHash(std::mem::take(&mut self.block).finish());
        let fork = self.file.take();
        let mut held = lease.hold();
        if !held.allows(block) {
            held.forget(block);
            return Ok(Outcome::Discarded(block));
        }
        if hash != file.metafile.hash_of(block)? {
            return Ok(Outcome::Corrupt(block));
        }
        file.shared.have().publish(block);
        drop(held);
        match fork {
            Some(fork) => file.prefix.offer(file.shared.layout().start(block), &fork),
            None => file.prefix.published(block),
        }
        Ok(Outcome::Verified(block))
    }
}
