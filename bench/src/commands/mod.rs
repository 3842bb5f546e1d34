//! The subcommands.

pub mod cost;
pub mod create;
pub mod folder;
pub mod goals;
pub mod greedy;
pub mod link;
pub mod memory;
pub mod parallel;
pub mod restart;
pub mod swarm;
pub mod tracker;
pub mod transfer;
pub mod verify;

use crate::error::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

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

/// A new folder for one run, removed when dropped.
///
/// # Errors
/// It cannot be made.
pub fn run_folder(inside: &Path) -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix("run-").tempdir_in(inside);
    made.context(|| format!("cannot create a folder in {}", inside.display()))
}
