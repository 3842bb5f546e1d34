//! What is seen of a peer.

use super::block_set::BlockSet;
use cascade_format::CascadeHash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The state of a peer at one moment.
///
/// A rate is measured between two looks, and averaged over the last 3 s where somebody looks often. At the first look,
/// and after a long time without one, it is the mean since the look before, or since the beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its files, in the order in which they were started.
    pub files: Vec<FileView>,
    /// The number of files of a served folder that no client has requested lately. They are served, too, but are not in
    /// `files`.
    pub files_asleep: u64,
    /// Bytes that have left for other peers: blocks, their headers, and messages.
    pub bytes_given: u64,
    /// Bytes that have arrived over the links of downloads.
    pub bytes_received: u64,
    /// Bytes a second that leave at present.
    pub up_rate: f64,
    /// Bytes a second that arrive at present.
    pub down_rate: f64,
    /// The number of open connections from clients, of all files; clients that have requested nothing yet count, too.
    pub clients: u64,
    /// How long the peer has been running.
    pub uptime: Duration,
}

/// The state of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileView {
    /// Its cascade hash.
    pub hash: CascadeHash,
    /// The name of its data here. It may come from a link, so another person may have chosen it: escape it before you
    /// show it.
    pub name: String,
    /// Length of the data in bytes; 0 while its `.cascade` file is fetched.
    pub length: u64,
    /// Length of a block in bytes (the last block may be shorter); 0 while its `.cascade` file is fetched.
    pub block_size: u64,
    /// Number of its blocks; 0 while its `.cascade` file is fetched.
    pub blocks: u64,
    /// The blocks that are verified and on the disk.
    pub have: BlockSet,
    /// What the peer is doing with it.
    pub state: FileState,
    /// How long the peer has had it in this run.
    pub age: Duration,
    /// Its download, if there is one. A session collects this part only on request: it may be up to
    /// [`LOOK_INTERVAL`](super::LOOK_INTERVAL) older than the rest, and older still if nobody has looked for a long
    /// time. [`Watch::fresh`](super::Watch::fresh) waits for a new one.
    pub download: Option<Arc<DownloadView>>,
    /// Peers that were given blocks of it, or have asked for news of it. There are at most
    /// [`MAX_RECEIVERS_SEEN`](super::MAX_RECEIVERS_SEEN) of them; those that are connected come first.
    pub receivers: Vec<ReceiverView>,
    /// The number of all such peers.
    pub receivers_known: usize,
    /// The number of those that were given bytes of its blocks.
    pub receivers_given: usize,
    /// Bytes of its blocks that were given to others.
    pub bytes_given: u64,
    /// `bytes_given` divided by the length of the file.
    pub copies_given: f64,
    /// Bytes that have come over the links of its download.
    pub bytes_received: u64,
}

/// What a peer is doing with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Its `.cascade` file is fetched from other peers, or no peer has it yet.
    Fetching {
        /// Bytes of the `.cascade` file that are there.
        done: u64,
        /// Of how many, as somebody has said.
        total: Option<u64>,
    },
    /// The data that is there is being checked.
    Checking {
        /// Bytes that were read.
        done: u64,
        /// Bytes to be read, at most.
        total: u64,
    },
    /// It is being downloaded. The blocks that have arrived are served, if the peer listens.
    Downloading,
    /// It is being served.
    Seeding,
}

/// The state of a download at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DownloadView {
    /// Verified bytes, those of earlier runs included.
    pub bytes_done: u64,
    /// Bytes a second that arrive at present.
    pub rate: f64,
    /// The time that the missing bytes will take at this rate; `None` while nothing arrives.
    pub time_left: Option<Duration>,
    /// The numbers of the blocks that are in flight, in order.
    pub in_flight: Vec<u64>,
    /// For each block, the number of linked leechers that have told that they have it; 255 stands for 255 or more.
    /// Empty until one of them has told of a block.
    pub holders: Vec<u8>,
    /// The number of linked peers that have told that they have every block. They are not counted in `holders`.
    pub seeders: usize,
    /// The links of the download, the oldest first.
    pub links: Vec<LinkView>,
    /// The number of known peers.
    pub known_peers: usize,
}

/// The state of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkView {
    /// Where the other peer listens.
    pub addr: SocketAddr,
    /// What the link is doing.
    pub role: Role,
    /// Bytes a second that arrive over it while blocks are in flight; 0 while none are.
    pub rate: f64,
    /// Bytes of verified blocks that came over it.
    pub bytes: u64,
    /// The number of blocks in flight on it.
    pub in_flight: usize,
    /// Whether the other peer has shown that it knows the swarm extension.
    pub extension: bool,
    /// The number of blocks that the other peer has told that it has; `None` if it does not tell.
    pub blocks_done: Option<u64>,
}

pub use cascade_swarm::ask::Role;

/// A peer to which this one gives blocks. Receivers are distinguished by their host, and by the port on which they
/// listen if they tell it. So all version 1 clients behind one address count as one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverView {
    /// Its host.
    pub ip: IpAddr,
    /// The port on which it listens; `None` if it does not listen, or does not tell.
    pub port: Option<u16>,
    /// Whether it has shown that it knows the swarm extension.
    pub extension: bool,
    /// The number of blocks that it had at least when it told last, including blocks from other peers. It is exact for
    /// none and all, and otherwise rounded down to a 254th of the file. `None` if it does not tell.
    pub blocks_done: Option<u64>,
    /// Whether it has every block; `None` if it does not tell.
    pub complete: Option<bool>,
    /// Bytes of blocks that this peer has given it.
    pub bytes_given: u64,
    /// Bytes a second that it is given at present.
    pub rate: f64,
    /// Whether it is connected.
    pub active: bool,
    /// The time since it came.
    pub first_seen: Duration,
    /// The time since it was last connected; zero while it is.
    pub last_seen: Duration,
    /// The time since it first told that it has every block; `None` if it has not told this.
    pub completed: Option<Duration>,
}
