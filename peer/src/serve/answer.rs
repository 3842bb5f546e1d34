//! An answer that is being sent, and where it stands.

use super::conversation::Head;
use super::response::Response;
use crate::store::Shared;
use cascade_format::peer_wire::RESPONSE_HEADER_LEN;
use std::sync::Arc;

/// An answer that is being sent.
pub(super) struct Answer {
    pub(super) response: Response,
    /// The file asked for, if it is known.
    pub(super) file: Option<Arc<Shared>>,
    /// What stands in front, header included, as long as the socket has not taken it.
    pub(super) head: Option<Head>,
    /// Bytes of the answer that the socket has taken.
    pub(super) sent: u64,
    /// Decided for good: bytes of it are out or wait for the limit, or the block could not be read.
    pub(super) settled: bool,
}

impl Answer {
    /// Whether the client has something of it, or was promised so.
    pub(super) fn has_begun(&self) -> bool {
        self.sent > 0 || self.head.is_some()
    }

    /// Whether it was to be a block or a slice of a file that has changed.
    pub(super) fn is_gone(&self) -> bool {
        let file = self.file.as_ref().filter(|_| self.settled && self.response.carried().is_some());
        file.is_some_and(|file| !file.is_unchanged())
    }

    /// Bytes that are left of one that brings no bytes of a file.
    pub(super) fn message_len(&self) -> Option<u64> {
        let Self { response, head, sent, .. } = self;
        match (head, response) {
            (_, Response::Block(_) | Response::Slice(_) | Response::Part { .. }) => None,
            (Some(head), _) => Some((head.bytes.len() - head.sent) as u64),
            (None, Response::Refusal(refusal)) => Some((refusal.encode().len() as u64).saturating_sub(*sent)),
            (None, Response::News) => Some(RESPONSE_HEADER_LEN as u64),
            // All of it stands in front.
            (None, Response::Guest) => Some(0),
        }
    }
}
