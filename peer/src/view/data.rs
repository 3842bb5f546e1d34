//! What is seen of a peer.

use super::block_set::BlockSet;
use cascade_format::CascadeHash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A peer at one moment.
///
/// A rate is measured between two looks, and averaged over the last 3 s where somebody looks often. At the first look,
/// and after a long time without one, it is the mean since the look before, or since the beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its files, in the order in which they were begun.
    pub files: Vec<FileView>,
    /// Files of a served folder that are served, too, and that nobody has asked for lately. They are not in the list.
    pub files_asleep: u64,
    /// Bytes that the sockets of other peers have taken: blocks, their headers, and messages.
    pub bytes_given: u64,
    /// Bytes that have come over the links of downloads.
    pub bytes_received: u64,
    /// Bytes a second that are given, lately.
    pub up_rate: f64,
    /// Bytes a second that are received, lately.
    pub down_rate: f64,
    /// Connections of clients that are open: of all files, and of those that have asked for none yet.
    pub clients: u64,
    /// How long the peer has run.
    pub uptime: Duration,
}

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileView {
    /// Its name in the swarm.
    pub hash: CascadeHash,
    /// The name of its data here. Somebody else may have chosen it: show it as text, made fit for where it is shown.
    pub name: String,
    /// Length of the data in bytes; 0 while its `.cascade` file is fetched.
    pub length: u64,
    /// Length of a block in bytes, of the last one at most; 0 while its `.cascade` file is fetched.
    pub block_size: u64,
    /// Number of its blocks; 0 while its `.cascade` file is fetched.
    pub blocks: u64,
    /// The blocks that are verified and on the disk.
    pub have: BlockSet,
    /// What is done with it.
    pub state: FileState,
    /// How long it has been there.
    pub age: Duration,
    /// Its download, while there is one. It is put together when somebody has looked: it may be up to
    /// [`LOOK_INTERVAL`](super::LOOK_INTERVAL) older than the rest, and older at the first look after a long time;
    /// [`Watch::fresh`](super::Watch::fresh) waits for a new one.
    pub download: Option<Arc<DownloadView>>,
    /// Peers that were given something of it, or have asked for news of it: at most
    /// [`MAX_RECEIVERS_SEEN`](super::MAX_RECEIVERS_SEEN), first those that hold a connection.
    pub receivers: Vec<ReceiverView>,
    /// The number of all receivers.
    pub receivers_known: usize,
    /// The number of those that were given something.
    pub receivers_given: usize,
    /// Bytes of its blocks that were given to others.
    pub bytes_given: u64,
    /// The same in lengths of the file.
    pub copies_given: f64,
    /// Bytes that have come over the links of its download.
    pub bytes_received: u64,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Its `.cascade` file is fetched from other peers, or waited for.
    Fetching {
        /// Bytes of the `.cascade` file that are there.
        done: u64,
        /// Of how many, as somebody has said.
        total: Option<u64>,
    },
    /// What is there is looked at.
    Checking {
        /// Bytes that were read.
        done: u64,
        /// Bytes to be read, at most.
        total: u64,
    },
    /// It is downloaded; what has arrived is served, if the peer listens.
    Downloading,
    /// It is served, with all blocks that there are.
    Seeding,
}

/// A download at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DownloadView {
    /// Verified bytes, those of earlier runs included.
    pub bytes_done: u64,
    /// Bytes a second that arrive, lately.
    pub rate: f64,
    /// What is left takes this long at that rate; `None` while nothing arrives.
    pub time_left: Option<Duration>,
    /// The numbers of the blocks that are asked for and have not come, in order.
    pub in_flight: Vec<u64>,
    /// Of each block, how many of the linked leechers that tell what they have, have it: 255 stands for that many and
    /// more. Empty while none of them has told of a block.
    pub holders: Vec<u8>,
    /// Linked peers that have told that they have every block; they are not counted in `holders`.
    pub seeders: usize,
    /// Connections to other peers, over which blocks are asked for; the oldest first.
    pub links: Vec<LinkView>,
    /// Addresses of other peers that are known.
    pub known_peers: usize,
}

/// A connection over which blocks are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkView {
    /// Where the other peer listens.
    pub addr: SocketAddr,
    /// What is under way.
    pub role: Role,
    /// Bytes a second that come over it while blocks are asked for; 0 while none are.
    pub rate: f64,
    /// Bytes of verified blocks that came over it.
    pub bytes: u64,
    /// Blocks that are asked for over it.
    pub in_flight: usize,
    /// Whether the other peer has shown that it knows the swarm extension.
    pub extension: bool,
    /// Blocks that the other peer has, as it has told; `None`: it does not tell.
    pub blocks_done: Option<u64>,
}

pub use cascade_swarm::ask::Role;

/// A peer that this one gives blocks to: a host, and the port that it listens on if it tells one. Clients of version 1
/// behind one address cannot be told apart and are one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverView {
    /// Its host.
    pub ip: IpAddr,
    /// The port that it listens on; `None`: it does not listen, or does not tell.
    pub port: Option<u16>,
    /// Whether it has shown that it knows the swarm extension.
    pub extension: bool,
    /// Blocks that it has at least, as it told last, whoever gave them: exact where it has none or all, and else to a
    /// 254th of the file. `None`: it does not tell, and what it got from others is not known.
    pub blocks_done: Option<u64>,
    /// Whether it has every block; `None`: it does not tell.
    pub complete: Option<bool>,
    /// Bytes of blocks that this peer has given it.
    pub bytes_given: u64,
    /// Bytes a second that it is given, lately.
    pub rate: f64,
    /// Whether it holds a connection.
    pub active: bool,
    /// How long ago it came.
    pub first_seen: Duration,
    /// How long ago it held a connection; zero while it does.
    pub last_seen: Duration,
    /// How long ago it told first that it has every block.
    pub completed: Option<Duration>,
}
