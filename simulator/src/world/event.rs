//! What can happen. Small and without heap memory: there are a hundred million of them.

use super::node_id::NodeId;
use super::slab::ConnId;

/// Something that happens at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// A peer starts.
    Start(NodeId),
    /// A peer looks at its plan, since something happened.
    Turn(NodeId),
    /// The same, since time has passed.
    Wake(NodeId),
    /// A piece has left the peer's uplink to its last byte.
    Sent(NodeId),
    /// The uplink looks again whether it may send.
    Pump(NodeId),
    /// The piece's last byte has left the sender's subnet for another; `took` as below.
    Across { conn: ConnId, bytes: u32, took: u32 },
    /// The piece's last byte is at the receiver's access link; `took` is how long it took to leave, in
    /// units of 64 ns.
    Piece { conn: ConnId, bytes: u32, took: u32 },
    /// The piece is received.
    PieceIn { conn: ConnId, bytes: u32 },
    /// Requests are at the server's access link.
    Asks { conn: ConnId, count: u32 },
    /// They are received.
    AsksIn { conn: ConnId, count: u32 },
    /// A short answer is at the client's access link; `bytes` of it with headers.
    Answer { conn: ConnId, bytes: u32 },
    /// It is received.
    AnswerIn { conn: ConnId },
    /// The connection is made.
    Connected { conn: ConnId },
    /// It cannot be made.
    Unreachable { conn: ConnId },
    /// The server's end is at the client's access link.
    End { conn: ConnId },
    /// The client knows of it.
    EndIn { conn: ConnId },
    /// A request may have waited until now.
    Decide { conn: ConnId },
    /// The peer's question is at the tracker.
    TrackerAsked(NodeId),
    /// The tracker's answer is at the peer.
    TrackerAnswer { node: NodeId, ok: bool },
    /// The tracker is gone.
    TrackerDies,
    /// The peer says that it leaves.
    Goodbye(NodeId),
    /// The peer closes everything and is gone.
    Gone(NodeId),
    /// The gauges are read.
    Gauge,
}

const _: () = assert!(size_of::<Event>() <= 20, "with its time, an event takes 32 bytes at most");
