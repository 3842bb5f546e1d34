//! What the bytes of an origin come from.

use bytes::Bytes;
use std::fmt::Debug;
use std::ops::Range;
use std::pin::Pin;

/// A future of a source.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An object from which any range of bytes can be read.
pub trait Source: Debug + Send + Sync {
    /// Requests a range that is not empty. The implementation needs no time limit of its own.
    fn open(&self, range: Range<u64>) -> Boxed<'_, Result<Opened, Fault>>;
}

/// The beginning of an answer.
pub struct Opened {
    /// The length of the whole object, in bytes.
    pub length: u64,
    /// A text that changes when the object changes, if the server tells one (`ETag`).
    pub tag: Option<String>,
    /// The bytes of the range.
    pub body: Box<dyn Body>,
}

/// The bytes of an answer, in the order in which they arrive.
pub trait Body: Send {
    /// Waits for the next bytes; `None` at the end of the answer, even if it is shorter than the range.
    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Fault>>;
}

/// Why a request has brought no bytes, or not all of them. The texts contain no address and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A fault that may pass: there is no connection, the server is overloaded, or the answer broke off.
    #[error("{0}")]
    Passing(String),
    /// The server refuses the request.
    #[error("{0}")]
    Refused(String),
    /// The server does not support requests for ranges.
    #[error("the server does not give parts of a file")]
    NoRanges,
}
