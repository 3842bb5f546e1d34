//! Every bound of the peer, with its reason. `docs/limits.md` lists them.

use std::time::Duration;

pub use cascade_swarm::limits::*;

/// Largest piece of a block that is received, hashed and written at once, in bytes. It stays in a
/// core's second-level cache between the three.
pub const PIECE_LEN: usize = 256 << 10;

/// Piece buffers of the whole process. With [`PIECE_LEN`] the memory for data on its way from socket
/// to disk: 6 MiB, whatever the number of peers and the size of blocks.
pub const PIECE_BUFFERS: usize = 24;

/// How long the work may take to end in order after a signal: longer than [`STOP_TIMEOUT`] and the last
/// write to a slow disk, shorter than what service managers grant (90 s in systemd).
pub const END_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest message (the body of a status other than 0) that a peer may send before it counts as
/// hostile, in bytes. The protocol names no bound; messages in the field are one line.
pub const MAX_MESSAGE_LEN: u64 = 64 << 10;

/// How much of a message is kept to be shown, in bytes.
pub const KEPT_MESSAGE_LEN: usize = 512;

/// Longest peer list that is read from a tracker, in bytes: five thousand entries, or half as many of both families,
/// where the trackers of the field send twenty.
pub const MAX_PEER_LIST_LEN: u32 = 60_000;

/// For a goodbye to reach a tracker, when the peer ends or leaves a swarm.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Parts of a room that are asked of a tracker, each of up to fifty members: 25,600 of them.
pub const MAX_ROOM_PAGES: usize = 512;

/// Trackers and peers whose last answers are kept while the `.cascade` file of a link is waited for.
pub const MAX_FETCH_NEWS: usize = 256;

/// How long a tracker may take for its whole answer.
pub const TRACKER_TIMEOUT: Duration = Duration::from_secs(15);

/// Connections that the listener holds at once, unless the descriptor limit allows fewer.
pub const MAX_CLIENTS: usize = 16_384;

/// One host (but for this machine itself) holds at most this part of the connections, but may hold [`MIN_CLIENTS_A_HOST`].
pub const HOSTS_A_TABLE: usize = 4;

/// The connections that each host may hold in any case.
pub const MIN_CLIENTS_A_HOST: usize = 64;

/// Descriptors kept free of clients, besides those that are open when serving begins: data files, links,
/// trackers. Never more than half of what is left.
pub const RESERVED_DESCRIPTORS: usize = 512;

/// Descriptors that the runtime of one thread takes.
pub const DESCRIPTORS_A_THREAD: usize = 4;

/// Descriptors that must be left for clients, trackers and checks when files are seeded.
pub const MIN_FREE_DESCRIPTORS: usize = 16;

/// Files of one process that are checked at the same time. Each check uses all cores.
pub const MAX_CHECKS: usize = 8;

/// Trackers that one process talks to at the same time.
pub const MAX_TRACKER_CALLS: usize = 32;

/// A shortage of descriptors is told to the user at most so often.
pub const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// How long a client may idle between two requests. Some of the field's clients do so for minutes.
pub const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How long a client may take for the rest of a request it has begun. The field sends the 64 bytes with one
/// call; if they arrive apart, it is because the second part was lost and is sent again.
pub const CLIENT_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take no byte of an answer.
pub const CLIENT_SEND_TIMEOUT: Duration = Duration::from_secs(60);

// ---- serving --------------------------------------------------------------------------------------

/// How long a client must have taken no part of a block before it may have to give its connection to a new
/// client, when all of [`MAX_CLIENTS`] are taken. Before its first block: since it came.
pub const EVICT_AFTER: Duration = Duration::from_secs(5);

/// The same of a client that has not asked for anything yet: the field asks with its first packet.
pub const EVICT_SILENT_AFTER: Duration = Duration::from_secs(1);

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

/// Requests of one client that are read whatever the others hold; of [`MAX_CLIENTS`] 14 MiB. Enough for a
/// turn of [`TURN_LEN`] in blocks of 64 KiB, and more than one, so that a question for news which waits
/// never keeps the request behind it from being read.
pub const OWN_QUEUE_LEN: usize = 16;

/// Requests read but not answered yet, of all clients of one worker, beyond the [`OWN_QUEUE_LEN`] of each;
/// 1.8 MiB.
pub const MAX_QUEUED: usize = 32_768;

/// One client may hold at most this part of what is left of [`MAX_QUEUED`]: so something is left whatever
/// the number of clients that ask for much and take nothing.
pub const QUEUE_SHARE: usize = 16;

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

/// Pause after a failed sync until the disk is asked again.
pub const SYNC_RETRY: Duration = Duration::from_secs(1);

/// Pause on a full disk, or a quota that is used up, until it is looked whether there is room.
pub const FULL_RETRY: Duration = Duration::from_secs(10);

/// How long a file that somebody else has changed must be left alone before it is checked again.
pub const SETTLE: Duration = Duration::from_secs(2);

/// How long until a served file that could not be read is tried again, if it is not changed before, and an unfinished
/// folder is looked at.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// How often a download takes a new part file because another program has taken away or replaced the one
/// that it had.
pub const MAX_BEGINNINGS: u32 = 8;

/// Names that are tried for a file that came up at the target, or was changed, during a download: `NAME.replaced`,
/// then `NAME.replaced.2` and so on.
pub const MAX_REPLACED_NAMES: u32 = 16;

/// Room on the disk that is reserved with one call, in bytes: some milliseconds, in which nothing is written.
pub const RESERVE_LEN: u64 = 1 << 30;

/// How much of a refused client's requests is read and thrown away, in bytes.
pub const REFUSAL_DRAIN_LEN: usize = 64 << 10;

// ---- the swarm extension --------------------------------------------------------------------------

/// Bytes of answers that wait in the system's buffers for one of several clients, besides those on their way.
pub const UNSENT_LEN: u32 = 128 << 10;

/// The same of all clients together, as long as that leaves each [`MIN_UNSENT_LEN`]. It is memory, and what
/// a client holds that wants more than its share: others wait until it has gone out.
pub const MAX_UNSENT_LEN: u32 = 1 << 20;

/// Each of many clients has so much, in bytes: less would be a system call for a few packets.
pub const MIN_UNSENT_LEN: u32 = 8 << 10;

/// Events of one transfer that wait for the program that embeds the peer.
pub const EVENTS_A_TRANSFER: usize = 1024;

/// How long a goodbye may take to leave.
pub const GOODBYE_TIME: Duration = Duration::from_millis(50);

// ---- the origin -----------------------------------------------------------------------------------

/// Neighbouring blocks that are asked of an origin with one request, in bytes: at 1 Gbit/s the way there and back is a
/// small part of the time that they take.
pub const FETCH_LEN: u64 = 4 << 20;

/// How far beyond what clients have asked for blocks are fetched from an origin, in bytes: what comes at 1 Gbit/s in an
/// eighth of a second.
pub const AHEAD_LEN: u64 = 16 << 20;

/// Requests to the origin of one file under way at a time.
pub const MAX_FLIGHTS: usize = 8;

/// The same of all files of a process.
pub const MAX_ORIGIN_REQUESTS: usize = 32;

/// Bytes that are asked of an origin with one request at least where the speed is limited.
pub const MIN_PAID_LEN: u64 = 16 << 10;

/// Blocks of one file that clients wait for and that are not asked of the origin yet. Who asks for more is refused.
pub const MAX_WANTED: usize = 4096;

/// Parts of which a bounded cache consists at most: some 100 bytes of memory each.
pub const MAX_STRETCHES: u64 = 1 << 20;

/// How long a client waits for a block that is not there yet, until it is told to ask others: shorter than requesters
/// bear silence (30 s).
pub const ORIGIN_PATIENCE: Duration = Duration::from_secs(10);

/// For an origin to answer, and for [`MIN_ORIGIN_BYTES`] more to come: then the request is given up and made again.
pub const ORIGIN_TIMEOUT: Duration = Duration::from_secs(15);

/// What comes of an answer in [`ORIGIN_TIMEOUT`] at least, in bytes.
pub const MIN_ORIGIN_BYTES: u64 = 64 << 10;

/// After a request to an origin has failed, until the next; doubles with each failure in a row …
pub const FIRST_ORIGIN_PAUSE: Duration = Duration::from_millis(250);

/// … up to this.
pub const MAX_ORIGIN_PAUSE: Duration = Duration::from_secs(60);

/// Times in a row that an origin may say no (403, 404) to a request that it has granted before.
pub const MAX_REFUSED: u32 = 5;

/// Wrong blocks in a row, or times that one block may come wrong, with which an origin is given up.
pub const MAX_WRONG_FETCHES: u32 = 5;

/// Blocks that have come wrong and not right since, with which it is given up, too.
pub const MAX_WRONG_BLOCKS: usize = 64;

/// Longest address of an origin, in bytes: signed ones have some 2,000.
pub const MAX_ORIGIN_LEN: usize = 8192;
