//! Why a benchmark stops, or leaves a contestant out.

use std::io;

/// A benchmark's error.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on which file or address.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program that was measured failed, or gave wrong bytes.
    #[error("{0}")]
    Failed(String),
    /// Something that this machine does not have or permit: its rows are left out.
    #[error("not available here: {0}")]
    Unavailable(String),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The result of a benchmark's step.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;

/// Says what was tried when the system refuses.
pub trait Context<T> {
    /// Adds `what` (the action and its file or address) to an error.
    ///
    /// # Errors
    /// The same error, told in full.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| BenchError::Io { what: what(), source: source.into() })
    }
}

/// Shorthand for [`BenchError::Failed`].
pub fn failed<T>(text: impl Into<String>) -> Result<T> {
    Err(BenchError::Failed(text.into()))
}
