//! A swarm in one process and in virtual time: what requesters, servers and the tracker decide is the
//! very code that ships; links, connections and the habits of other programs are modelled.
//!
//! | module | what it holds |
//! |---|---|
//! | [`scenario`] | the peers that take part, and their links |
//! | [`preset`] | scenarios with names, and what each must reach |
//! | [`bound`] | how fast it could be at best |
//! | [`world`] | the simulation itself |
//! | [`gauge`] | what is observed while it runs |
//! | [`idle`] | when each link of a small swarm was idle, and why |
//! | [`outcome`] | what came of it |
//! | [`report`] | that as a table, as JSON and as a picture |
//! | [`search`] | random swarms, and the worst of them |
//! | [`sweep`] | what each tuned constant is good for |
//! | [`units`], [`random`] | times, rates, a seeded source of numbers |

pub mod bound;
pub mod cli;
pub mod clock;
pub mod gauge;
pub mod idle;
pub mod outcome;
pub mod preset;
pub mod random;
pub mod report;
pub mod scenario;
pub mod search;
pub mod sweep;
pub mod units;
pub mod world;

#[cfg(test)]
mod tests;

pub use outcome::Outcome;
pub use scenario::{Habit, Scenario};
pub use world::World;
