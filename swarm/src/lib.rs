//! Everything that decides in a swarm, and nothing that touches the world: there is no socket, file, thread,
//! clock or random generator in this crate, and it depends on nothing that has one. Time and randomness are
//! arguments. The peer runs this code with sockets and disks, the simulator runs it with thousands of peers in
//! virtual time.
//!
//! | module | what it decides |
//! |---|---|
//! | [`ask`] | which block is asked of which peer, and to which peers connections are made |
//! | [`give`] | which client gets a block now, and what it is told |
//! | [`meter`] | how fast bytes go somewhere |
//! | [`listening`] | where this peer listens |
//! | [`pace`] | who may move bytes when, within a limit |
//! | [`limits`] | the bounds of all |
//! | [`tuning`] | what a struct of tuned constants is made of |

#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod ask;
pub mod give;
pub mod limits;
pub mod listening;
pub mod meter;
pub mod pace;
pub mod tuning;

pub use listening::Listening;

/// Time since some start, which is the same for all calls on one object.
pub type Time = core::time::Duration;
