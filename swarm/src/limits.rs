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

/// How long a link may wait for the first byte of an answer, or between two bytes of one, before the
/// peer counts as stalled and its link is closed.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A download with fewer links asks its trackers for more peers as often as the protocol allows.
pub const WANTED_PEERS: usize = 16;

/// Peers that have shown themselves, remembered for one file.
pub const MAX_MET: usize = 1024;

/// Of them, those with one address: a requester's port is its own claim.
pub const MAX_MET_A_HOST: usize = 64;

/// A file with more blocks is downloaded by version 1 alone: what each of [`MAX_SWARM_LINKS`] peers has
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

/// A seeder that chooses has always so many offers of 256 KiB open, if there are requesters to take them …
pub const MIN_OFFERED_UNITS: u64 = 12;

/// … or so many blocks, where that is more. With twelve blocks of 1 MiB on offer over 20 Mbit/s it would be five seconds
/// until anybody has one that it can pass on.
pub const MIN_OFFERED_BLOCKS: u64 = 6;

/// Offers that one requester may have open, if more would go to few.
pub const OFFERS_A_READER: u64 = 2;

/// Pause of a version 1 client's connection until it is looked whether its share of the uplink is due.
pub const SHARE_PAUSE: Duration = Duration::from_millis(20);

/// A version 1 client gets its block after so long, whatever its share of the uplink is.
pub const MAX_SHARE_WAIT: Duration = Duration::from_secs(3);

/// New blocks are told to everybody at once after so long for each requester: at most two hundred
/// messages a second.
pub const NEWS_SPACING: Duration = Duration::from_millis(5);

/// An answer with news alone follows the one before on its connection no sooner than this.
pub const NEWS_INTERVAL: Duration = Duration::from_millis(20);

/// A question for news is answered after so long even if there is none.
pub const NEWS_TIMEOUT: Duration = Duration::from_secs(20);

/// Links that one download seeks among peers that tell what they have: more would tell little new.
pub const SWARM_LINKS: usize = 20;

/// Links that it makes to such peers when they have one to it, or when it is behind the others.
pub const MAX_SWARM_LINKS: usize = 30;

/// A question for news that a request for a block has followed is answered no sooner after the one before
/// on its connection. Those who know the extension leave as much between two questions.
pub const HURRIED_NEWS_INTERVAL: Duration = Duration::from_millis(10);

/// Answers with news alone, to all who ask for those of one file, in a second: what 30 links get with
/// [`NEWS_INTERVAL`] between two answers.
pub const NEWS_A_SECOND: u32 = 1500;

/// So many of them may leave at once.
pub const NEWS_AT_ONCE: u32 = 100;
