//! Pools over real sockets.

mod answers;
mod bounds;
mod changes;
mod lifecycle;
mod metafile;
mod paranoid;
mod share;
mod slices;
pub(super) mod support;
