//! What a peer can send that no honest peer sends.

use crate::link::unit::Unit;
use cascade_format::Block;
use cascade_format::extension::FieldError;

/// What no honest peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// Bytes without a request.
    #[error("it sent an answer that nobody asked for")]
    Unasked,
    /// A block or a slice of another length.
    #[error("it announced {claimed} bytes for {unit}, which has {expected}")]
    Length {
        /// What was asked for.
        unit: Unit,
        /// The header's body length, without the field.
        claimed: u64,
        /// Its length.
        expected: u64,
    },
    /// A slice without the state of SHA-256 in front of it, so that nobody can verify it.
    #[error("it sent slice {0} without the state of SHA-256 in front of it")]
    NoState(Block),
    /// A message of a length that no message has.
    #[error("it announced a message of {0} bytes")]
    Message(u64),
    /// The extension's field is longer than any field may be, or than the body that it is a part of.
    #[error("it announced an extension field of {0} bytes")]
    Field(u64),
    /// The extension's field makes no sense.
    #[error("its extension field makes no sense: {0}")]
    Items(#[from] FieldError),
}
