//! What the bytes of an origin come from.

use bytes::Bytes;
use std::fmt::Debug;
use std::ops::Range;
use std::pin::Pin;

/// A future of a source.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One object, of which any range of bytes can be read.
pub trait Source: Debug + Send + Sync {
    /// Begins to read a range that is not empty. It has no time limit of its own.
    fn open(&self, range: Range<u64>) -> Boxed<'_, Result<Opened, Fault>>;
}

/// An answer that has begun.
pub struct Opened {
    /// The length of the whole object, in bytes.
    pub length: u64,
    /// What changes with the object, if the server tells it (`ETag`).
    pub tag: Option<String>,
    /// The bytes of the range.
    pub body: Box<dyn Body>,
}

/// The bytes of an answer, as they come.
pub trait Body: Send {
    /// The next ones; `None`: that was all, of whatever length.
    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Fault>>;
}

/// Why a request has brought nothing, or not everything. The texts name no address and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may go by itself: no connection, an overloaded server, an answer that breaks off.
    #[error("{0}")]
    Passing(String),
    /// The server says no.
    #[error("{0}")]
    Refused(String),
    /// The server does not give ranges.
    #[error("the server does not give parts of a file")]
    NoRanges,
}
