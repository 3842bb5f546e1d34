//! One set of swarms for several trackers: a store (Redis or Valkey) that all of them name.
//!
//! ```text
//!  tracker's thread                               the store's thread
//!  registry, answers ── changes, wanted files ──► courier (decides) ── driver, client ──► store
//!        others      ◄── what others registered ─┘
//! ```
//!
//! The tracker's thread never waits for the store. It answers from its own registry and from [`others`], a bounded sample
//! of what other trackers have registered for the files that it was asked for lately. The registry is also the memory of
//! what the store does not have: after any trouble it is brought in from there.

mod address;
mod clock;
mod courier;
mod handover;
pub(crate) mod others;
mod outbox;
mod record;
mod status;

#[cfg(feature = "cli")]
mod client;
#[cfg(feature = "cli")]
mod driver;
#[cfg(feature = "cli")]
mod reply;

pub use address::{Address, AddressError};
pub use status::{Figures, Status};

#[cfg(feature = "cli")]
pub use client::{Secrets, Store, StoreError};
#[cfg(feature = "cli")]
pub(crate) use driver::Running;
pub(crate) use handover::Handover;
pub(crate) use others::{Fetched, Others, Sample, Seen};
pub(crate) use outbox::{Change, Fate};
pub(crate) use record::Record;
