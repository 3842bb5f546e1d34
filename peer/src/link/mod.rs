//! One connection to another peer, of which blocks and slices of blocks are asked.
//!
//! ```text
//!  socket ──► piece buffer ──► data file        (the link's task: receives and writes)
//!                  │
//!                  └──► lane ──► have map       (verifies and publishes: the same task, or a hash thread)
//! ```
//!
//! A task with more bytes in its socket than it can take does not hash: that is a thread's work, on the same
//! bytes while they are hot. Where the socket is empty the task hashes itself, and then sleeps until enough has
//! come (`low_water`). Everything that happens on a link is told in one order, that of the bytes.

mod acknowledge;
pub mod buffers;
pub mod driver;
pub(crate) mod farewell;
pub mod hashing;
mod lane;
pub mod lease;
pub mod low_water;
pub mod prefix;
mod receive;
pub mod response;
pub mod threads;
pub mod unit;
mod wakeup;
mod write;

pub use buffers::BufferPool;
pub use driver::{LinkHandle, LinkTask, Questions};
pub use hashing::HashPool;
pub use lease::Lease;
pub use prefix::PrefixHash;
pub use response::{Ask, News};
pub use threads::LinkThreads;
pub use unit::{Sliced, Unit};

use crate::metafile::MetafileOnDisk;
use crate::store::Shared;
use cascade_format::Block;
use cascade_swarm::ask::{Ended, LinkId, Outcome};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a link tells its session.
#[derive(Debug)]
pub enum LinkEvent {
    /// The connection is made.
    Connected,
    /// Bytes arrived, and this became of blocks.
    Received {
        /// How many.
        bytes: u64,
        /// What the peer told of itself, in order. Nothing, perhaps because it speaks version 1; an entry without items
        /// says that it does not.
        news: Vec<News>,
        /// In the order of the requests.
        outcomes: Vec<Outcome>,
        /// Why the peer refused something, in its own words.
        message: Option<String>,
    },
    /// The link has ended; nothing more follows.
    Closed(Ended, String),
    /// The disk refused the data. The download cannot go on.
    Disk(io::Error),
}

/// What all links of one file share.
#[derive(Debug)]
pub struct FileContext {
    /// The data file and its have map.
    pub shared: Arc<Shared>,
    /// The block hashes.
    pub metafile: Arc<MetafileOnDisk>,
    /// The slices of the blocks, if the plan works on them. `None`: it works on blocks.
    pub slices: Option<Sliced>,
    /// The hash of the verified prefix.
    pub prefix: Arc<PrefixHash>,
    /// Where the session hears of its links.
    pub events: mpsc::Sender<(LinkId, LinkEvent)>,
}

impl FileContext {
    /// How the plan names `unit`: a whole block by its first slice, where the plan works on slices.
    fn named(&self, unit: Unit) -> Block {
        match (unit, &self.slices) {
            (Unit::Block(block), Some(slices)) => slices.layout.first_slice(block),
            (Unit::Block(block), None) => block,
            (Unit::Slice(slice), _) => slice,
        }
    }
}

#[cfg(test)]
mod tests;
