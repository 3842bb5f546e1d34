//! What the plan and its driver tell each other.

use super::links::LinkId;
use alloc::vec::Vec;
use cascade_format::Block;
use cascade_format::PeerAddr;
use cascade_format::peer_wire::Status;

/// What the driver must do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to `addr`; then [`Plan::handle_connected`](super::Plan::handle_connected), or [`Plan::handle_closed`](super::Plan::handle_closed).
    Connect {
        /// Name of the new link.
        link: LinkId,
        /// Where the peer listens.
        addr: PeerAddr,
        /// Whether its requests may show the extension's marker.
        marked: bool,
    },
    /// Ask for these blocks, in this order, in as few system calls as possible; as soon as the link is made, if it
    /// is not made yet.
    Request {
        /// On which link.
        link: LinkId,
        /// What to ask for.
        blocks: Vec<Block>,
    },
    /// Ask for news alone. Only a peer that has shown that it knows the extension is asked so.
    Poll {
        /// On which link.
        link: LinkId,
    },
    /// Ask for a block that does not exist: a peer that answers speaks the protocol.
    Probe {
        /// On which link.
        link: LinkId,
    },
    /// Forbid the link to write this block any more, at once, and answer with
    /// [`Plan::handle_revoked`](super::Plan::handle_revoked) before anything else.
    Revoke {
        /// The link that was asked for the block.
        link: LinkId,
        /// The block.
        block: Block,
    },
    /// Close the link, but not before it was asked for something, if the connection was made: some of the field's
    /// programs die of that. [`Plan::handle_closed`](super::Plan::handle_closed) is not needed any more and ignored.
    Close {
        /// Which link.
        link: LinkId,
    },
}

/// What became of a requested block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has the right hash, is at its place, and is published in the have map.
    Verified(Block),
    /// It has another hash.
    Corrupt(Block),
    /// It arrived after the link was forbidden to write it.
    Discarded(Block),
    /// The peer answered with a status other than 0.
    Refused(Block, Status),
    /// The answer to [`Action::Poll`] or [`Action::Probe`] has ended.
    Told,
}

/// Why a link has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The connection could not be made.
    Unreachable,
    /// No way leads to the address from this machine, as to IPv6 addresses from many: nothing was sent.
    NoWay,
    /// Between two answers. Some peers close after each: that is no fault.
    Between,
    /// In the middle of an answer, or by a reset.
    Cut,
    /// In the middle of a message with this status: what it says counts all the same.
    Refused(Status),
    /// The peer sent what no peer may send.
    Lied,
    /// It leads to this peer itself.
    Own,
}
