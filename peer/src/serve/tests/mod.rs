//! Pools over real sockets.

mod answers;
mod bounds;
mod changes;
mod lifecycle;
mod paranoid;
mod share;
pub(super) mod support;
