//! What the received bytes are.

use crate::link::unit::Unit;
use crate::store::slices;
use cascade_format::extension::Item;
use cascade_format::peer_wire::Status;
use std::ops::Range;

/// What a peer tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// In the order in which they came; never [`Item::State`].
    pub items: Vec<Item>,
    /// Whether their numbers are those of slices.
    pub sliced: bool,
}

/// What a part of the received bytes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// The state of SHA-256 in front of the slice that comes next.
    State(slices::State),
    /// Bytes of a block or a slice.
    Body {
        /// The block or the slice.
        unit: Unit,
        /// Where in it these bytes begin.
        offset: u64,
        /// Where in the given bytes they are.
        range: Range<usize>,
        /// Whether it ends with them.
        last: bool,
    },
    /// The block or the slice was refused.
    Refused {
        /// What was asked for.
        unit: Unit,
        /// The answer's status.
        status: Status,
        /// The start of the peer's message.
        message: String,
    },
    /// What the peer tells of itself, in front of an answer.
    News(News),
    /// The answer to a question for news alone, or for a block that does not exist, has ended.
    Told,
}
