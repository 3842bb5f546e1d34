//! The Cascade peer: creates `.cascade` files, checks data against them, downloads and seeds.
//!
//! [`Peer`] is the front: it downloads and seeds, tells what happens as a stream of [`Event`]s, and shows at any time what
//! it does as a [`View`]. [`create`] makes `.cascade` files, [`check`] compares data with them. The command line, built on
//! the same front, is the feature `cli`; a program that embeds the library leaves it out with `default-features = false`.
//!
//! Inside, a block's way is straight: socket → disk → hash → *have*. `cascade_swarm` decides, without I/O,
//! which block is asked of whom and who gets what; `link` is one connection to another peer; `store` is the
//! data file and what is known of it; `serve` answers other peers; `session` joins them.

mod average;
pub mod check;
mod clock;
pub mod create;
mod dial;
pub mod folder;
pub mod ground;
mod human;
mod lan;
pub mod library;
pub mod limits;
mod listener;
pub mod metafile;
pub mod origin;
mod pace;
mod page_buffer;
pub mod peer;
mod read_ahead;
pub mod room;
mod route;
mod session;
pub mod store;
mod tracker_client;
mod upload;
pub mod view;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
mod report;
#[cfg(feature = "cli")]
mod spread;

// Public for the tests, the fuzz targets and the examples of this repository alone: these may change at any time.
#[doc(hidden)]
pub mod catalog;
#[doc(hidden)]
pub mod link;
#[doc(hidden)]
pub mod serve;

#[doc(hidden)]
pub use lan::swarm_name;

pub use cascade_swarm::Listening;
pub use cascade_swarm::ask::Order;
pub use cascade_swarm::pace::Rate;
pub use metafile::MetafileOnDisk;
pub use origin::{Origin, OriginError};
pub use peer::{Downloaded, Options, Peer, StartError, Transfer};
pub use session::{
    AsTar, Download, DownloadError, Event, Fetch, FetchError, Progress, Replaces, Seed, SeedError, Summary,
};
pub use view::{View, Watch};
