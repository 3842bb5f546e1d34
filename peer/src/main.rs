//! The `peer` binary: see `cascade_peer::cli`.

use cascade_peer::cli::{self, ExitCode};

fn main() -> ExitCode {
    cli::main(std::env::args_os())
}
