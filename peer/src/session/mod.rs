//! One file's life in this process: download, then seed. Joins the plan, the links, the trackers and
//! the disk; decides nothing that the plan can decide.
//!
//! | module | what it does |
//! |---|---|
//! | [`engine`] | what all files of the process share |
//! | [`announcer`] | talks with one tracker about one file |
//! | [`download`] | drives a plan until the file is complete |
//! | [`download_error`] | why that fails |
//! | `mover` | what it does when its file turns out to be a folder |
//! | `ticks` | when a download looks at itself |
//! | `checking` | looks at what is on the disk before a file is seeded |
//! | [`seed`] | checks a file, registers it, serves it |
//! | `origin` | the same, where an origin has what is not on the disk |
//! | [`fetch`] | gets the `.cascade` file of a link from other peers |
//! | [`event`] | what a session tells of itself |

pub(crate) mod announcer;
mod checking;
mod conclude;
pub(crate) mod download;
pub(crate) mod download_error;
pub(crate) mod engine;
pub(crate) mod event;
pub(crate) mod fetch;
mod keeper;
mod links;
mod mover;
mod origin;
mod recovery;
pub(crate) mod seed;
mod ticks;

pub use download::{AsTar, Download, Replaces};
pub use download_error::DownloadError;
pub(crate) use engine::Engine;
pub(crate) use event::Observer;
pub use event::{Event, Progress, Summary};
pub use fetch::{Fetch, FetchError};
pub(crate) use origin::FromOrigin;
pub use seed::{Seed, SeedError};
