//! Every bound of the peer, with its reason. `docs/design.md` lists them.

use std::time::Duration;

/// Largest piece of a block that is received, hashed and written at once, in bytes. It stays in a
/// core's second-level cache between the three.
pub const PIECE_LEN: usize = 256 << 10;

/// Piece buffers of the whole process. With [`PIECE_LEN`] the memory for data on its way from socket
/// to disk: 6 MiB, whatever the number of peers and the size of blocks.
pub const PIECE_BUFFERS: usize = 24;

/// Longest message (the body of a status other than 0) that a peer may send before it counts as
/// hostile, in bytes. The protocol names no bound; messages in the field are one line.
pub const MAX_MESSAGE_LEN: u64 = 64 << 10;

/// How much of a message is kept to be shown, in bytes.
pub const KEPT_MESSAGE_LEN: usize = 512;

/// Longest peer list that is read from a tracker, in bytes: five thousand entries, where the trackers
/// of the field send twenty.
pub const MAX_PEER_LIST_LEN: u32 = 60_000;

/// Connections to other peers, for one file.
pub const MAX_LINKS: usize = 128;

/// Peers remembered for one file; the first ones to be forgotten are those that never answered.
pub const MAX_KNOWN_PEERS: usize = 2048;

/// Requests under way on one link.
pub const MAX_PIPELINE: usize = 8192;

/// How long a connection to a peer or tracker may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a tracker may take for its whole answer.
pub const TRACKER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a link may wait for the first byte of an answer, or between two bytes of one, before the
/// peer counts as stalled and its link is closed.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that the listener holds at once, unless the descriptor limit allows fewer.
pub const MAX_CLIENTS: usize = 16_384;

/// One host (but for this machine itself) holds at most this part of the connections …
pub const HOSTS_A_TABLE: usize = 4;

/// … and so many in any case.
pub const MIN_CLIENTS_A_HOST: usize = 64;

/// Descriptors kept free of clients: data files, links, trackers, the runtime's own.
pub const RESERVED_DESCRIPTORS: usize = 512;

/// How long a client may idle between two requests. Some of the field's clients do so for minutes.
pub const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How long a client may take for the rest of a request it has begun.
pub const CLIENT_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may take no byte of an answer.
pub const CLIENT_SEND_TIMEOUT: Duration = Duration::from_secs(60);

// ---- serving --------------------------------------------------------------------------------------

/// How long a client must have made no progress (no request completed, no byte of an answer taken)
/// before it may have to give its connection to a new client, when all of [`MAX_CLIENTS`] are taken.
pub const EVICT_AFTER: Duration = Duration::from_secs(5);

/// A client that made progress within this time counts as busy when a new one is given to a worker.
pub const BUSY_WINDOW: Duration = Duration::from_secs(2);

/// How long a connection that is being closed waits for the client to close too. Closing at once,
/// with requests unread, would reset the connection and could take the last answer with it.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How much a connection that is being closed reads and throws away, in bytes: all that a client with
/// [`MAX_PIPELINE`] requests under way can have sent.
pub const DRAIN_LEN: usize = 64 * MAX_PIPELINE;

/// How long a stopping peer goes on with the answers under way.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Clients beyond the bound that are told so at the same time; any more are closed on without waiting
/// for them. Their descriptors come out of [`RESERVED_DESCRIPTORS`].
pub const MAX_REFUSALS: usize = 64;

/// Evicted connections that may not be closed yet while their successors are open already.
pub const MAX_EVICTED: usize = 128;

/// Accepted connections on their way to one worker.
pub const HANDOVER_LEN: usize = 64;

/// Connections that the system may complete before they are accepted.
pub const LISTEN_BACKLOG: i32 = 4096;

/// How long accepting pauses when the system has no descriptor or memory for a new connection.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Requests of one client that are read before they are answered; 28 KiB. What exceeds it waits in
/// the socket. Enough for one [`BURST_LEN`] of blocks of 512 bytes.
pub const QUEUE_LEN: usize = 512;

/// Requests read but not answered yet, of all clients of one worker; 1.8 MiB. Beyond it each client
/// is down to one.
pub const MAX_QUEUED: usize = 32_768;

/// Most bytes that are put together from small blocks and sent with one call. One buffer of this
/// size for each worker.
pub const BURST_LEN: usize = 256 << 10;

/// Fewest bytes that a burst tries to send.
pub const MIN_BURST_LEN: usize = 16 << 10;

/// Bytes that one client gets before the next client has its turn. A block of up to this size is not
/// cut for it, so a turn may have twice as many.
pub const TURN_LEN: usize = 1 << 20;

/// Blocks of this size and above are sent from the page cache (`sendfile`), in bytes; smaller ones
/// are copied, several to a system call. Over loopback both ways cost about the same at this size.
pub const SENDFILE_LEN: u64 = 64 << 10;

/// How much of the next block is asked of the disk while the present one is sent, in bytes.
pub const READ_AHEAD_LEN: u64 = 4 << 20;

/// How often what a download has written is sent to the disk: what a power loss can cost at most.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// A download with fewer links asks its trackers for more peers as often as the protocol allows.
pub const WANTED_PEERS: usize = 16;

/// How much of a refused client's requests is read and thrown away, in bytes.
pub const REFUSAL_DRAIN_LEN: usize = 64 << 10;

// ---- the swarm extension --------------------------------------------------------------------------

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

/// A seeder that chooses has always so many offers open, of a block or 256 KiB each, if there are
/// requesters to take them.
pub const MIN_OFFERED_UNITS: u64 = 12;

/// Offers that one requester may have open, if more would go to few.
pub const OFFERS_A_READER: u64 = 2;

/// Bytes of answers that wait in the system's buffers for one of several clients, besides those on their way.
pub const UNSENT_LEN: u32 = 128 << 10;

/// The same of all clients together, as long as that leaves each [`MIN_UNSENT_LEN`]. It is memory, and what
/// a client holds that wants more than its share: others wait until it has gone out.
pub const MAX_UNSENT_LEN: u32 = 1 << 20;

/// Each of many clients has so much, in bytes: less would be a system call for a few packets.
pub const MIN_UNSENT_LEN: u32 = 8 << 10;

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
