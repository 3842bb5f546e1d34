//! Pools over real sockets.

mod answers;
mod bounds;
#[cfg(unix)]
mod changes;
mod lifecycle;
pub(super) mod support;
