//! The `peer` binary: see `cascade_peer::cli`.

use cascade_peer::cli::{self, Cli, ExitCode};
use clap::Parser;

fn main() -> ExitCode {
    cli::run(&Cli::parse())
}
