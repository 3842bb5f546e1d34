//! Pools over real sockets.

mod answers;
mod bounds;
mod changes;
mod lifecycle;
mod paranoid;
pub(super) mod support;
