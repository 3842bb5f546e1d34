//! One file's life in this process: download, then seed. Joins the plan, the links, the trackers and
//! the disk; decides nothing that the plan can decide.
//!
//! | module | what it does |
//! |---|---|
//! | [`engine`] | what all files of the process share |
//! | [`announcer`] | talks with one tracker about one file |
//! | [`download`] | drives a plan until the file is complete |
//! | [`download_error`] | why that fails |
//! | `ticks` | when a download looks at itself |
//! | [`seed`] | checks a file, registers it, serves it |
//! | [`event`] | what a session tells of itself |

pub mod announcer;
mod conclude;
pub mod download;
pub mod download_error;
pub mod engine;
pub mod event;
mod keeper;
mod links;
mod rate;
mod recovery;
pub mod seed;
mod ticks;

pub use download::Download;
pub use download_error::DownloadError;
pub use engine::Engine;
pub use event::{Event, Observer, Progress, Summary};
pub use seed::{Seed, SeedError};
