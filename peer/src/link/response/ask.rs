//! What is asked of a peer.

use crate::link::unit::Unit;
use cascade_format::Block;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A block.
    Block(Block),
    /// A slice.
    Slice(Block),
    /// News alone, of the file.
    News,
    /// News alone, of its slices.
    SliceNews,
    /// A block that does not exist: something had to be asked for, and a peer that answers speaks the protocol.
    NoBlock,
}

impl From<Unit> for Ask {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Block(block) => Self::Block(block),
            Unit::Slice(slice) => Self::Slice(slice),
        }
    }
}

impl Ask {
    /// The part of the file that it asks for, if it asks for one.
    #[must_use]
    pub const fn unit(self) -> Option<Unit> {
        match self {
            Self::Block(block) => Some(Unit::Block(block)),
            Self::Slice(slice) => Some(Unit::Slice(slice)),
            Self::News | Self::SliceNews | Self::NoBlock => None,
        }
    }

    /// Whether it is asked by the name of the slices.
    #[must_use]
    pub const fn is_sliced(self) -> bool {
        matches!(self, Self::Slice(_) | Self::SliceNews)
    }
}
