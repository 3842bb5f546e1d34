//! Writes the man pages and the shell completions of `peer` and `tracker`, from the definitions of their command lines:
//! `cascade-packaging FOLDER` makes `FOLDER/man` and `FOLDER/completions`.

#![allow(clippy::disallowed_methods, reason = "a tool of the build, that prints what it was given")]
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        return complain("usage: cascade-packaging FOLDER", 2);
    };
    match write_all(&PathBuf::from(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => complain(&message, 1),
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    // Not eprintln!, which panics when nobody reads.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}

fn write_all(folder: &Path) -> Result<(), String> {
    for command in [cascade_peer::cli::Cli::command(), cascade_tracker::cli::Cli::command()] {
        write_pages(&folder.join("man"), command.clone())?;
        write_completions(&folder.join("completions"), command)?;
    }
    Ok(())
}

/// One page for the command and one for each of its subcommands, such as `peer-download.1`.
fn write_pages(folder: &Path, command: Command) -> Result<(), String> {
    make(folder)?;
    clap_mangen::generate_to(command, folder).map_err(|error| failed(folder, &error))
}

fn write_completions(folder: &Path, mut command: Command) -> Result<(), String> {
    make(folder)?;
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, &name, folder)
            .map_err(|error| failed(folder, &error))?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))
}

fn failed(folder: &Path, error: &io::Error) -> String {
    format!("cannot write into {}: {error}", folder.display())
}
