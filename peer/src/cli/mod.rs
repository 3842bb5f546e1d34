//! The command line: what the user typed becomes a checked plan, a file for each subcommand.

mod address;
mod asked;
mod called;
mod common;
pub mod create;
pub mod demo;
mod described;
pub mod download;
mod extension;
mod fetched;
mod given;
mod host;
pub mod info;
mod interrupt;
mod lan;
pub mod link;
mod origin;
mod rates;
mod reached;
mod room_text;
pub mod seed;
mod seen;
pub mod serve;
pub mod share;
mod share_room;
mod shell;
mod spread;
pub mod status;
mod taken;
mod usage;
pub mod verify;
pub mod wait;
mod web;

use crate::report;
use crate::serve::descriptors;
use clap::Parser;
use interrupt::Ear;
use std::ffi::OsString;
use std::process::Termination;

/// The tracker that is asked when none is named: one on this machine.
pub const DEFAULT_TRACKER: &str = "127.0.0.1:8888";

/// What to do when the system gives no thread or descriptor.
const LIMITS: &str = "raise the limits of the user (ulimit -u, ulimit -n), or end other programs";

/// What follows the help.
const EXIT_CODES: &str = "Exit codes: 0, done; 1, failed, and stderr says why; 2, wrong usage; 3, the time of `peer wait` is over; \
                          130, interrupted before it was done.";

/// Cascade's peer: share large files with many at once, every byte verified
#[derive(Debug, clap::Parser)]
#[command(name = "peer", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Share(share::Args),
    Create(create::Args),
    Info(info::Args),
    Link(link::Args),
    Verify(verify::Args),
    Download(download::Args),
    Seed(seed::Args),
    Serve(serve::Args),
    Status(status::Args),
    Wait(wait::Args),
    Demo(demo::Args),
}

/// How the process ends. Wrong usage found by the argument parser ends with 2 as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything was done.
    Done = 0,
    /// Something failed; stderr says what.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// What was waited for did not come in time.
    TimedOut = 3,
    /// The user interrupted it.
    Interrupted = 130,
}

impl Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self as u8)
    }
}

/// What stops a command: one line for people, and an exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    message: String,
    code: ExitCode,
}

impl CliError {
    /// Something failed.
    #[must_use]
    pub fn failed(message: String) -> Self {
        Self { message, code: ExitCode::Failed }
    }

    /// The user wants to stop.
    fn interrupted() -> Self {
        Self { message: "interrupted".into(), code: ExitCode::Interrupted }
    }

    /// The command line makes no sense.
    #[must_use]
    pub fn usage(message: String) -> Self {
        Self { message, code: ExitCode::Usage }
    }
}

/// Runs what the user typed: `arguments` begin with the program's name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = match Cli::try_parse_from(cascade_web::join_address(arguments)) {
        Ok(cli) => run(&cli).unwrap_or_else(|error| {
            report::error(&error.message);
            error.code
        }),
        Err(error) => usage::tell(error),
    };
    // What was done is done; but who asked does not know all of it.
    if code == ExitCode::Done && report::is_incomplete() { ExitCode::Failed } else { code }
}

fn run(cli: &Cli) -> Result<ExitCode, CliError> {
    let ear = Ear::start()?;
    // Before the first file is opened: there may be hundreds.
    descriptors::raise_limit();
    match &cli.command {
        Command::Share(args) => share::run(args, &ear),
        Command::Create(args) => create::run(args, &ear),
        Command::Info(args) => info::run(args, &ear),
        Command::Link(args) => link::run(args),
        Command::Verify(args) => verify::run(args, &ear),
        Command::Download(args) => download::run(args, &ear),
        Command::Seed(args) => seed::run(args, &ear),
        Command::Serve(args) => serve::run(args, &ear),
        Command::Status(args) => status::run(args, &ear),
        Command::Wait(args) => wait::run(args, &ear),
        Command::Demo(args) => demo::run(args, &ear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{ArgAction, CommandFactory};

    /// A user who reads `--help` alone finds out what happens without an option.
    #[test]
    fn each_option_has_a_sentence_and_each_value_a_default() {
        for command in Cli::command().get_subcommands() {
            for arg in command.get_arguments().filter(|arg| !matches!(arg.get_action(), ArgAction::Help)) {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let (name, arg_name) = (command.get_name(), arg.get_id());
                assert!(help.split_whitespace().count() > 1, "{name}: {arg_name} has no sentence: {help:?}");
                let takes_value = arg.get_action().takes_values() && !arg.is_required_set();
                let default = help.contains("[default: ") || !arg.get_default_values().is_empty();
                assert!(!takes_value || default, "{name}: {arg_name} has no default: {help:?}");
            }
        }
    }
}
