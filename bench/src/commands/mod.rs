//! The subcommands.

pub mod cost;
pub mod create;
pub mod entry;
pub mod folder;
pub mod goals;
pub mod greedy;
pub mod lan;
pub mod link;
pub mod memory;
pub mod near;
pub mod origin;
pub mod pace;
pub mod parallel;
pub mod restart;
pub mod room;
pub mod serve;
pub mod share;
pub mod store;
pub mod swarm;
pub mod tracker;
pub mod transfer;
pub mod update;
pub mod verify;

use crate::error::{BenchError, Context, Result};
use crate::machine::Machine;
use crate::tools::binaries::{Binaries, BinaryOptions};
use crate::units::parse_size;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What every benchmark takes besides its own options.
#[derive(Debug, Clone, clap::Args)]
pub struct CommonOptions {
    /// Where it works and writes.
    #[command(flatten)]
    pub place: PlaceOptions,
    /// Which binaries it measures.
    #[command(flatten)]
    pub binaries: BinaryOptions,
}

/// A file, and how often it is worked at.
#[derive(Debug, Clone, clap::Args)]
pub struct FileOptions {
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    block: u64,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    common: CommonOptions,
}

/// What a benchmark begins with.
#[derive(Debug)]
pub struct Start {
    /// The machine, which has been printed.
    pub machine: Machine,
    /// Our binaries, which have been built.
    pub binaries: Binaries,
    /// A new folder, removed when dropped.
    pub folder: TempDir,
}

impl CommonOptions {
    /// Prints the machine, builds the binaries and makes the folder.
    ///
    /// # Errors
    /// The binaries do not compile, the folder cannot be made.
    pub fn start(&self) -> Result<Start> {
        let machine = Machine::look();
        machine.print();
        let binaries = Binaries::prepare(&self.binaries)?;
        Ok(Start { machine, binaries, folder: self.place.folder()? })
    }
}

/// Says why a benchmark cannot run here, which is no failure.
///
/// # Errors
/// Every other error.
pub fn skip_unavailable(done: Result<()>) -> Result<()> {
    match done {
        Err(BenchError::Unavailable(why)) => {
            println!("skipped: {why}");
            Ok(())
        }
        done => done,
    }
}

/// Where a benchmark works and writes, for every subcommand.
#[derive(Debug, Clone, clap::Args)]
pub struct PlaceOptions {
    /// A folder on the file system to measure; a new one inside is used and removed
    #[arg(long, value_name = "FOLDER", default_value = "/dev/shm")]
    pub dir: PathBuf,
    /// Write every single measurement and the machine's description to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl PlaceOptions {
    /// The new folder; removed when dropped.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self) -> Result<TempDir> {
        let made = tempfile::Builder::new().prefix("cascade-bench-").tempdir_in(&self.dir);
        made.context(|| format!("cannot create a folder in {}: give another --dir", self.dir.display()))
    }

    /// Writes `report` where the user wants it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, report: &impl Serialize) -> Result<()> {
        match &self.json {
            Some(path) => write_json(path, report),
            None => Ok(()),
        }
    }
}

fn write_json(path: &Path, report: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(report).context(|| "cannot encode the report".to_owned())?;
    std::fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}
