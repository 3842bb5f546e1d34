//! What a Cascade program does, for people (a page), for programs (`/api/v1/…`) and for Prometheus (`/metrics`).
//!
//! ```text
//!  Source ──► board: one snapshot for all viewers ──► service ──► hyper ──► patient ──► socket
//!  (peer,      │ history of rates                       │
//!   tracker)   └ what changed (RFC 7396)                └ gate: Host, token, method
//! ```
//!
//! The crate knows neither peer nor tracker: they give it a [`Source`]. It runs on one thread of its own with a low
//! priority, and everything that a stranger can make it do is bounded (see [`limits`]).

pub mod limits;
pub mod model;

mod address;
mod board;
mod body;
mod clock;
mod gate;
mod history;
mod metrics;
mod pages;
mod patch;
mod patient;
mod server;
mod service;
mod token;

pub use address::{DEFAULT, USUAL_PORTS, address, join_address};
pub use board::Source;
pub use server::{Bound, Options, Server, StartError};
