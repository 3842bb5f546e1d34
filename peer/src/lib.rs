//! The Cascade peer: creates `.cascade` files, checks data against them, downloads and seeds.
//!
//! [`Peer`] is the front: it downloads and seeds, and tells what happens as a stream of [`Event`]s. [`create`]
//! makes `.cascade` files, [`check`] compares data with them. The command line, built on the same front, is the
//! feature `cli`; whoever embeds the library leaves it out with `default-features = false`.
//!
//! Inside, a block's way is straight: socket → disk → hash → *have*. `cascade_swarm` decides, without I/O,
//! which block is asked of whom and who gets what; `link` is one connection to another peer; `store` is the
//! data file and what is known of it; `serve` answers other peers; `session` joins them.

pub mod check;
pub mod create;
mod dial;
pub mod folder;
pub mod limits;
pub mod metafile;
mod page_buffer;
pub mod peer;
mod read_ahead;
pub mod session;
pub mod store;

#[cfg(feature = "cli")]
pub mod cli;

// Not for embedders: these may change at any time.
#[doc(hidden)]
pub mod bulletin;
#[doc(hidden)]
pub mod catalog;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod human;
#[doc(hidden)]
pub mod link;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod progress;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod tracker_client;

pub use cascade_swarm::ask::Order;
pub use metafile::MetafileOnDisk;
pub use peer::{Downloaded, Options, Peer, StartError, Transfer};
pub use session::{Download, DownloadError, Event, Progress, Seed, SeedError, Summary};
