//! What is asked for and answered as one: a whole block, or a slice of one.

use crate::store::Shared;
use cascade_format::{Block, CascadeHash, Layout};
use std::fmt;

/// A part of the file that is requested, written and verified as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A whole block, by its number among the blocks.
    Block(Block),
    /// A slice, by its number among the slices.
    Slice(Block),
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(block) => write!(f, "block {block}"),
            Self::Slice(slice) => write!(f, "slice {slice}"),
        }
    }
}

/// How the file is divided into slices, and the name by which these are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sliced {
    /// A layout of slices.
    pub layout: Layout,
    /// The name of the slices.
    pub name: CascadeHash,
}

impl Sliced {
    /// The slices of the file; `None` if its blocks are not divided.
    #[must_use]
    pub fn of(shared: &Shared) -> Option<Self> {
        shared.slices().map(|slices| Self { layout: *slices.layout(), name: slices.name() })
    }
}
