//! One set of swarms for several trackers: a store (Redis or Valkey) that all of them name.
//!
//! ```text
//!  tracker's thread                               the store's thread
//!  registry, answers ── changes, wanted files ──► courier (decides) ── driver, client ──► store
//!        others      ◄── what others registered ─┘
//! ```
//!
//! The tracker's thread never waits for the store. It answers from its own registry and from [`others`](crate::others), a bounded sample
//! of what other trackers have registered for the files that it was asked for lately. The registry is also the memory of
//! what the store does not have: after any trouble it is brought in from there.

mod address;
mod client;
mod clock;
mod connection;
mod courier;
mod driver;
mod outbox;
mod record;
mod reply;
mod secrets;
mod status;

pub use address::{Address, AddressError};
pub use client::Store;
pub(crate) use driver::Running;
pub use secrets::{Secrets, StoreError};
pub use status::{Figures, Status};
