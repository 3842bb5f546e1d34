//! Bounds of the deciding half: links, peers, what is told. Each has a unit and a reason; those of sockets,
//! buffers and files are in the peer's own `limits`.

use core::time::Duration;

/// Connections to other peers, for one file.
pub const MAX_LINKS: usize = 128;

/// Peers remembered for one file; the first ones to be forgotten are those that never answered.
pub const MAX_KNOWN_PEERS: usize = 2048;

/// Requests under way on one link.
pub const MAX_PIPELINE: usize = 8192;

/// How long a connection to a peer or tracker may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Peers that have shown themselves, remembered for one file.
pub const MAX_MET: usize = 1024;

/// Of them, those with one address: a requester's port is its own claim.
pub const MAX_MET_A_HOST: usize = 64;

/// A file with more blocks is downloaded by version 1 alone: what each of 30 peers has
/// would take a quarter of a megabyte and more.
pub const MAX_TOLD_BLOCKS: u64 = 1 << 21;

/// Peers told to one requester with one answer.
pub const MAX_PEERS_A_FIELD: usize = 50;

/// Peers told to one requester over one connection.
pub const MAX_PEERS_TOLD: usize = 100;

/// Blocks whose order of arrival is remembered, so that each requester is told what is new to it; 512
/// KiB. One that falls behind is told the whole map again.
pub const HAVE_LOG_LEN: usize = 65_536;

/// Bytes of the have map told with one answer.
pub const MAP_PART_LEN: usize = 4096;

/// Runs of new blocks told with one answer.
pub const MAX_HAVE_RUNS: usize = 128;

/// A question for news is answered after this time even if there is none.
pub const NEWS_TIMEOUT: Duration = Duration::from_secs(20);

/// A question for news that a request for a block has followed is answered no sooner after the one before
/// on its connection. A requester that knows the extension leaves as much between two questions.
pub const HURRIED_NEWS_INTERVAL: Duration = Duration::from_millis(10);

/// Answers with news alone, to all clients of one file, in a second: as many as 30 links get with
/// [`news_interval`](crate::give::Tuning::news_interval) between two answers.
pub const NEWS_A_SECOND: u32 = 1500;

/// The number of them that may leave at once.
pub const NEWS_AT_ONCE: u32 = 100;
