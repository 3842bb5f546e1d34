//! Pools over real sockets.

mod answers;
mod bounds;
mod changes;
mod lifecycle;
mod metafile;
mod paranoid;
mod share;
pub(super) mod support;
