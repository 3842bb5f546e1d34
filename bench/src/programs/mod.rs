//! Our own minimal programs: what the machine must do at the least, and peers with the habits of the field.
//! Each runs as a process of its own (this binary starts itself again), so that its time, CPU and memory are
//! counted like everybody else's.

pub mod announce;
pub mod bare_tracker;
pub mod counting;
pub mod floor;
pub mod greedy;
pub mod idle_clients;
pub mod tar;
pub mod tcp;
pub mod v1_peer;

use crate::error::{Context, Result};
use std::process::Command;

/// A command that starts this very binary with a hidden subcommand.
///
/// # Errors
/// The system does not tell where the binary is.
pub fn own(arguments: &[&str]) -> Result<Command> {
    let exe = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    let mut command = Command::new(exe);
    command.args(arguments);
    Ok(command)
}

/// Reads the address that a minimal program prints as its first line.
#[must_use]
pub fn printed_address(log: &str) -> Option<std::net::SocketAddr> {
    log.split_once('\n')?.0.strip_prefix("listening on ")?.parse().ok()
}
