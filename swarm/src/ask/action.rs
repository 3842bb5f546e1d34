//! What the plan and its driver tell each other.

use super::links::LinkId;
use alloc::vec::Vec;
use cascade_format::Block;
use cascade_format::PeerAddr;
use cascade_format::peer_wire::Status;

/// What the driver must do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to `addr`. Afterwards call [`Plan::handle_connected`](super::Plan::handle_connected) or
    /// [`Plan::handle_closed`](super::Plan::handle_closed).
    Connect {
        /// Name of the new link.
        link: LinkId,
        /// Where the peer listens.
        addr: PeerAddr,
        /// Whether its requests may show the extension's marker.
        marked: bool,
    },
    /// Request these blocks, in this order and with as few system calls as possible. If the link is still being made,
    /// request them as soon as it is made.
    Request {
        /// On which link.
        link: LinkId,
        /// What to ask for. If not `sliced`, each of them means the whole block that it is a part of; in a layout
        /// of blocks, that is itself.
        blocks: Vec<Block>,
        /// Whether to request slices, by the name of the slices.
        sliced: bool,
    },
    /// Send a question for news. Such a question goes only to a peer that has shown that it knows the extension.
    Poll {
        /// On which link.
        link: LinkId,
        /// Whether to ask for news of slices, by the name of the slices.
        sliced: bool,
    },
    /// Request a block that does not exist, to find out whether the peer speaks the protocol.
    Probe {
        /// On which link.
        link: LinkId,
    },
    /// Forbid the link at once to write this block. Call [`Plan::handle_revoked`](super::Plan::handle_revoked) before
    /// any other method.
    Revoke {
        /// The link that was asked for the block.
        link: LinkId,
        /// The block.
        block: Block,
        /// Whether it was requested as a slice. If not, the whole block that it is a part of is taken away.
        sliced: bool,
    },
    /// Close the link. If the connection was made, send a request over it first: some other programs crash when a
    /// connection closes without one. [`Plan::handle_closed`](super::Plan::handle_closed) need not be called for this
    /// link, and has no effect.
    Close {
        /// Which link.
        link: LinkId,
    },
}

/// What became of a requested block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The block has the right hash, is written at its place, and is published in the have map.
    Verified(Block),
    /// The same of a whole block, where the plan has slices: every slice of the block that this one is a part of.
    VerifiedWhole(Block),
    /// The block has a wrong hash.
    Corrupt(Block),
    /// The block arrived after the link was forbidden to write it.
    Discarded(Block),
    /// The peer answered the request for this block with a status other than 0.
    Refused(Block, Status),
    /// The answer to [`Action::Poll`] or [`Action::Probe`] has ended.
    Told,
}

/// Why a link has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The connection could not be made.
    Unreachable,
    /// This machine has no route to the address (many machines have none for IPv6), so nothing was sent.
    NoWay,
    /// The peer closed the connection between two answers. Some programs close after each answer; this is no failure.
    Between,
    /// The connection ended in the middle of an answer, or was reset.
    Cut,
    /// The connection ended in the middle of a message with this status. The status counts all the same.
    Refused(Status),
    /// The peer sent something that no honest peer sends.
    Lied,
    /// The address belongs to this peer itself.
    Own,
}
