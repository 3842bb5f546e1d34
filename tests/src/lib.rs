//! Test support: real processes, scripted foreign peers, clients and trackers, files made from the
//! protocol's text, and trouble for the disk. The end-to-end tests are in `tests/`.
//!
//! Everything speaks the protocol with raw standard sockets and threads. Nothing here depends on the
//! project's own wire code: a mistake made once in it must not be made a second time in its test.
//!
//! Every wait has a limit ([`clock::LIMIT`] where no other is given) and fails by a panic that says what
//! was waited for and shows the whole log of the process concerned.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: whatever goes wrong here is a failed test and must say so"
)]

mod acceptor;
pub mod address;
pub mod binaries;
pub mod cascade_file;
pub mod clock;
pub mod crowd;
pub mod extended_client;
pub mod extended_peer;
pub mod extension;
pub mod foreign_client;
pub mod foreign_peer;
pub mod foreign_tracker;
pub mod full_speed;
pub mod holder;
pub mod hostile_archive;
pub mod hostile_text;
pub mod http;
pub mod lan;
pub mod launch;
pub mod mapping;
pub mod metafile_peer;
pub mod node;
pub mod object_server;
pub mod outcome;
mod pace;
pub mod process;
pub mod redis;
pub mod scene;
pub mod slices;
pub mod terminal;
pub mod tracker_client;
pub mod tree;
pub mod unpack;
pub mod uplink;
pub mod wide;
