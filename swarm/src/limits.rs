//! Bounds of the deciding half: links, peers, what is told. Each has a unit and a reason; those of sockets,
//! buffers and files are in the peer's own `limits`.

use core::time::Duration;

/// The most links for one file, to any peers.
pub const MAX_LINKS: usize = 128;

/// The most peers remembered for one file. Peers that never answered are forgotten first.
pub const MAX_KNOWN_PEERS: usize = 2048;

/// The most requests under way on one link.
pub const MAX_PIPELINE: usize = 8192;

/// How long a connection to a peer or tracker may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most peers that are remembered for one file because they have had a connection with this one.
pub const MAX_MET: usize = 1024;

/// Of these, the most with one address: the port that a requester tells is only its claim.
pub const MAX_MET_A_HOST: usize = 64;

/// The most blocks of a file that is downloaded with the extension. With more blocks it is downloaded by version 1
/// alone, because a have map for each of 30 peers would take 7.5 MiB and more.
pub const MAX_TOLD_BLOCKS: u64 = 1 << 21;

/// Peers told to one requester with one answer.
pub const MAX_PEERS_A_FIELD: usize = 50;

/// Peers told to one requester over one connection.
pub const MAX_PEERS_TOLD: usize = 100;

/// The number of blocks whose order of arrival is remembered, so that each requester is told only what is new to it;
/// they take 512 KiB. A requester that has missed more is told the whole have map again.
pub const HAVE_LOG_LEN: usize = 65_536;

/// Bytes of the have map told with one answer.
pub const MAP_PART_LEN: usize = 4096;

/// Runs of new blocks told with one answer.
pub const MAX_HAVE_RUNS: usize = 128;

/// Offers that one subscriber may have open. Told together, [`MAX_HAVE_RUNS`] at most.
pub const MAX_OFFERS_EACH: usize = 1024;

/// After this time a question for news is answered even if there is no news.
pub const NEWS_TIMEOUT: Duration = Duration::from_secs(20);

/// The shortest time between two answers to questions for news on one connection, where a request for a block follows
/// the question. A requester with the extension leaves at least this time between two questions.
pub const HURRIED_NEWS_INTERVAL: Duration = Duration::from_millis(10);

/// The most answers with news alone in a second, to all clients of one file. 30 links get 1,500 answers a second together
/// if [`news_interval`](crate::give::Tuning::news_interval), 20 ms, lies between two answers on each link.
pub const NEWS_A_SECOND: u32 = 1500;

/// The number of them that may leave at once.
pub const NEWS_AT_ONCE: u32 = 100;
