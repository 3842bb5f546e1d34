//! The swarm extension: messages between two of our own peers in addition to blocks. Invisible to version 1, which
//! ignores the reserved bytes of a request and never sets bit 7 of a status.
//!
//! A requester shows a [`Marker`] in the reserved bytes of an ordinary block request. A peer that knows
//! it may answer with bit 7 of the status set ([`EXTENDED`]); then a [`field`] of items precedes
//! the ordinary body, and the header's body length counts both. `docs/protocol.md` has the bytes.
//!
//! | module | what it describes |
//! |---|---|
//! | [`marker`] | the sixteen bytes in a request |
//! | [`field`] | the items in front of an answer's body |
//! | [`metafile`] | asking for the `.cascade` file itself |
//! | [`slices`] | requests for parts of large blocks |

pub mod field;
pub mod marker;
pub mod metafile;
pub mod slices;

pub use field::{FieldError, Item, Run};
pub use marker::{Marker, Progress};

/// Bit 7 of an answer's status: a field precedes the body.
pub const EXTENDED: u8 = 0x80;

/// The block number of a request that asks for news alone. Only a peer that has shown that it knows
/// the extension is asked so: version 1 answers status 3 and closes. The answer has status 2 with
/// [`EXTENDED`] and an empty body; it may wait until there is news, or another request comes.
pub const NEWS: u64 = u64::MAX;
