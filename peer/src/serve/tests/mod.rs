//! Pools over real sockets.

mod answers;
mod bounds;
#[cfg(unix)]
mod changes;
mod lifecycle;
mod share;
pub(super) mod support;
