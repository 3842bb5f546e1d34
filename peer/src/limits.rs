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

/// Descriptors kept free of clients: data files, links, trackers, the runtime's own.
pub const RESERVED_DESCRIPTORS: usize = 512;

/// How long a client may idle between two requests. Some of the field's clients do so for minutes.
pub const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How long a client may take for the rest of a request it has begun.
pub const CLIENT_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may take no byte of an answer.
pub const CLIENT_SEND_TIMEOUT: Duration = Duration::from_secs(60);
