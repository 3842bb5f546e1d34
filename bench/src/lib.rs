//! Benchmarks of Cascade: beside other tools, and beside the least that the machine must do.
//!
//! | module | what is in it |
//! |---|---|
//! | [`measure`] | a process run under a clock: wall time, CPU seconds, peak memory, wake-ups |
//! | [`turns`], [`contest`], [`stats`], [`table`] | runs in turns (A B A B …), their spread, tables and goals |
//! | [`data`], [`machine`] | the file to transfer, the machine it ran on |
//! | [`tools`] | Cascade and the programs it is compared with, behind one trait |
//! | [`programs`] | our own minimal programs: the transfer floor, the bare tracker |
//! | [`question`] | one question to a tracker or a peer |
//! | [`load`] | the tracker's load generator |
//! | [`linkemu`] | emulated links: a star of TUN devices, or a TCP relay |
//! | [`swarm`] | a seeder and many downloaders behind emulated links |
//! | [`cost`] | processor time and wake-ups of one transfer over an emulated link |
//! | [`commands`] | one file for each subcommand |

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's product is what it prints")]

pub mod clock;
pub mod commands;
pub mod contest;
pub mod cost;
pub mod data;
pub mod error;
pub mod interrupt;
pub mod linkemu;
pub mod load;
pub mod machine;
pub mod measure;
pub mod procfs;
pub mod programs;
pub mod question;
pub mod stats;
pub mod swarm;
pub mod table;
pub mod tools;
pub mod turns;
pub mod units;
