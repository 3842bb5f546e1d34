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
use crate::limits::{MAX_LINKS, PIECE_BUFFERS, PIECE_LEN};
use cascade_format::extension::Item;
use cascade_format::peer_wire::Status;
use cascade_format::{Block, BlockHash};
use cascade_hash::{Sha256Stream, update_both};
use cascade_swarm::ask::{Ended, LinkId, Outcome};
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
        /// For each segment, whether it is written; of a refusal it says nothing.
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

/// A session is told of a link after so many bytes even if more is waiting to be hashed.
const TELL_AFTER: u64 = 4 * PIECE_LEN as u64;

/// One thread. While more is waiting, it hashes on and tells the sessions later: one message for many
/// small blocks, and none is late when there is nothing to do.
#[derive(Debug, Default)]
struct Worker {
    lanes: HashMap<(usize, LinkId), Lane>,
    /// Lanes with something untold.
    untold: Vec<(usize, LinkId)>,
}

impl Worker {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(_) => {
                    self.tell_all();
                    let Some(job) = jobs.blocking_recv() else { return };
                    job
                }
            };
            self.work(job);
        }
    }

    fn tell_all(&mut self) {
        for key in std::mem::take(&mut self.untold) {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.tell();
            }
        }
    }

    fn work(&mut self, job: Job) {
        let key = (Arc::as_ptr(&job.file) as usize, job.link);
        match job.work {
            Work::End(ended, reason) => {
                if let Some(mut lane) = self.lanes.remove(&key) {
                    lane.tell();
                }
                // A session that is gone wants no news.
                let _ = job.file.events.blocking_send((job.link, LinkEvent::Closed(ended, reason)));
            }
            Work::Piece { buffer, length, segments, written } => {
                let (link, file, lease) = (job.link, job.file, job.lease);
                let lane = self.lanes.entry(key).or_insert_with(|| Lane::new(link, file, lease));
                let bytes = buffer.get(..length).unwrap_or_default();
                if let Err(error) = lane.hash(bytes, segments, &written) {
                    let _ = lane.file.events.blocking_send((link, LinkEvent::Disk(error)));
                }
                // The buffer is free before anything waits for a session.
                drop(buffer);
                if lane.bytes >= TELL_AFTER {
                    lane.tell();
                } else {
                    self.untold.push(key);
                }
            }
        }
    }
}

/// One link: the hashes of the block that it is at, and what its session has not been told.
#[derive(Debug)]
struct Lane {
    link: LinkId,
    file: Arc<FileContext>,
    lease: Arc<Lease>,
    block_hash: Sha256Stream,
    /// The file's hash, if the block is the first behind the verified prefix.
    file_hash: Option<Sha256Stream>,
    /// Whether all of the block so far was written.
    written: bool,
    bytes: u64,
    news: Option<Vec<Item>>,
    outcomes: Vec<Outcome>,
    message: Option<String>,
}

impl Lane {
    fn new(link: LinkId, file: Arc<FileContext>, lease: Arc<Lease>) -> Self {
        let (block_hash, file_hash) = (Sha256Stream::new(), None);
        let (written, bytes, news, outcomes, message) = (false, 0, None, Vec::new(), None);
        Self { link, file, lease, block_hash, file_hash, written, bytes, news, outcomes, message }
    }

    fn tell(&mut self) {
        if self.bytes > 0 {
            let bytes = std::mem::take(&mut self.bytes);
            let (outcomes, message) = (std::mem::take(&mut self.outcomes), self.message.take());
            let news = self.news.take();
            let event = LinkEvent::Received { bytes, news, outcomes, message };
            // A session that is gone wants no news.
            let _ = self.file.events.blocking_send((self.link, event));
        }
    }

    fn hash(&mut self, bytes: &[u8], segments: Vec<Segment>, written: &[bool]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        for (segment, written) in segments.into_iter().zip(written) {
            match segment {
                Segment::Body { block, offset, range, last } => {
                    self.written = *written && (offset == 0 || self.written);
                    self.feed(block, offset, bytes.get(range).unwrap_or_default());
                    if last {
                        let outcome = self.end(block)?;
                        self.outcomes.push(outcome);
                    }
                }
                Segment::Refused { block, status, message } => {
                    self.lease.hold().forget(block);
                    self.outcomes.push(Outcome::Refused(block, status));
                    if status != Status::MissingBlock {
                        self.message = Some(message);
                    }
                }
                Segment::News(items) => self.news.get_or_insert_default().extend(items),
                Segment::Told => self.outcomes.push(Outcome::Told),
            }
        }
        Ok(())
    }

    fn feed(&mut self, block: Block, offset: u64, bytes: &[u8]) {
        if offset == 0 {
            self.block_hash = Sha256Stream::new();
            self.file_hash = self.file.prefix.fork_at(self.file.shared.layout().start(block));
        }
        match &mut self.file_hash {
            Some(file_hash) => update_both(file_hash, &mut self.block_hash, bytes),
            None => self.block_hash.update(bytes),
        }
    }

    /// The block is complete: compares its hash, and publishes it if its link still may.
    fn end(&mut self, block: Block) -> io::Result<Outcome> {
        let hash = BlockHash(std::mem::take(&mut self.block_hash).finish());
        let fork = self.file_hash.take();
        let (file, start) = (&self.file, self.file.shared.layout().start(block));
        let mut held = self.lease.hold();
        // Not written, or written by a link that has lost the block since: then it is another's.
        if !self.written || !held.allows(block) {
            held.forget(block);
            return Ok(Outcome::Discarded(block));
        }
        if hash != file.metafile.hash_of(block)? {
            return Ok(Outcome::Corrupt(block));
        }
        file.shared.publish(block);
        drop(held);
        match fork {
            Some(fork) => file.prefix.offer(start, &fork),
            None => file.prefix.published(block),
        }
        Ok(Outcome::Verified(block))
    }
}
