//! The names of subscribers.

/// A connection whose other end has shown that it knows the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub u64);
