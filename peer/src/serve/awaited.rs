//! A block that a connection waits for.

use crate::origin::fetcher::Ticket;
use std::sync::Arc;
use std::time::Instant;

/// A block that comes from an origin.
#[derive(Debug)]
pub(super) struct Awaited {
    /// It is called when the block has come, or does not come.
    pub(super) ticket: Arc<Ticket>,
    /// The connection waits no longer than until then.
    pub(super) until: Instant,
}
