//! The Cascade tracker: peers register with it for a file and learn of other peers (protocol §2).
//!
//! ```text
//!  bytes ──► intake ──► request ──► responder ──► answer
//!                                    │      │
//!                                 policy  registry          (all of this without I/O or clock)
//!  ────────────────────────────────────────────────────
//!  server: sockets, timeouts, bounds      log: a queue and a thread      driver: start and stop
//! ```

#![cfg_attr(
    not(feature = "cli"),
    allow(dead_code, reason = "only the program shares a store with other trackers")
)]

pub mod allow;
pub mod ask;
pub mod config;
pub mod desk;
pub mod frames;
pub mod intake;
pub mod limits;
pub mod log;
pub mod policy;
pub mod registry;
pub mod responder;
pub mod state;
#[cfg(feature = "cli")]
pub mod store;

// Public for the program and for its man page.
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod setup;

mod clock;
mod driver;
mod file;
mod folder;
mod others;
mod server;
mod view;
mod waken;

pub use config::Config;
pub use desk::Desk;
pub use driver::{BACKLOG, Tracker};
pub use policy::Policy;
pub use responder::SwarmState;
pub use server::{DRAIN_MAX, DRAIN_TIMEOUT, REQUEST_TIMEOUT};
pub use view::{View, ViewError};
