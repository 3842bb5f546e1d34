//! The parts of a burst.

use super::response::Response;

/// One answer, or the part of it that fits, in a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) response: Response,
    /// Which bytes of the answer.
    pub(super) part: Range64,
    /// Length of the whole answer, in bytes.
    pub(super) total: u64,
}

/// A range of the bytes of one answer; they count from its header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range64 {
    pub(super) start: u64,
    pub(super) end: u64,
}
