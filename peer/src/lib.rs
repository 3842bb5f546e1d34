//! The Cascade peer: creates `.cascade` files, checks data against them, downloads and seeds.
//!
//! A block's way is straight: socket → disk → hash → *have*. `plan` decides, without I/O, which block
//! is asked of whom; `link` is one connection to another peer; `store` is the data file and what is
//! known of it; `serve` answers other peers; `session` joins them.

pub mod catalog;
pub mod check;
pub mod cli;
pub mod clock;
pub mod create;
pub mod human;
pub mod limits;
pub mod link;
pub mod metafile;
mod page_buffer;
pub mod plan;
pub mod progress;
mod read_ahead;
pub mod report;
pub mod serve;
pub mod session;
pub mod store;
pub mod swarm;
pub mod tracker_client;
