//! Commands that do the same work, run in turns from start to exit.

use crate::error::Result;
use crate::measure::{Measured, Usage};
use crate::stats::Spread;
use crate::table::Table;
use crate::tools::TRANSFER_WITHIN;
use crate::turns;
use crate::units::{mib_per_second, show_size};
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// One run from start to exit.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run {
    /// Seconds.
    pub wall: f64,
    /// CPU and memory.
    pub usage: Usage,
}

/// Makes the command of a run; gets an empty folder for that run.
pub type MakeCommand<'a> = Box<dyn FnMut(&Path) -> Result<Command> + 'a>;

/// A command and its runs.
#[derive(Serialize)]
pub struct Row<'a> {
    /// The name in tables.
    pub name: String,
    /// One for each round.
    pub runs: Vec<Run>,
    #[serde(skip)]
    make: MakeCommand<'a>,
}

impl<'a> Row<'a> {
    /// A row without runs.
    pub fn new(name: impl Into<String>, make: impl FnMut(&Path) -> Result<Command> + 'a) -> Self {
        Self { name: name.into(), runs: Vec::new(), make: Box::new(make) }
    }

    /// The median wall time, in seconds; NaN without runs.
    #[must_use]
    pub fn wall(&self) -> f64 {
        Spread::of(self.runs.iter().map(|run| run.wall)).map_or(f64::NAN, |spread| spread.median)
    }
}

impl Row<'_> {
    /// The median CPU time, in seconds; NaN without runs.
    #[must_use]
    pub fn cpu(&self) -> f64 {
        Spread::of(self.runs.iter().map(|run| run.usage.cpu)).map_or(f64::NAN, |spread| spread.median)
    }
}

/// Runs everybody once a round, each in a new folder below `folder`.
///
/// # Errors
/// A command fails.
pub fn run(rows: &mut [Row<'_>], rounds: usize, folder: &Path) -> Result<()> {
    for round in 0..rounds {
        for at in turns::order(rows.len(), round) {
            let Some(row) = rows.get_mut(at) else { continue };
            let work = turns::run_folder(folder)?;
            let mut command = (row.make)(work.path())?;
            let ended = Measured::start(&row.name, &mut command, &work.path().join("log"))?;
            let ended = ended.finish(TRANSFER_WITHIN)?;
            let run = Run { wall: ended.wall.as_secs_f64(), usage: ended.usage };
            println!("{:<34} {:7.3} s  cpu {:5.2} s", row.name, run.wall, run.usage.cpu);
            row.runs.push(run);
        }
    }
    Ok(())
}

/// Prints the rows; `length` is the number of bytes that each run worked through.
pub fn print(rows: &[Row<'_>], length: u64) {
    let mut table = Table::new(&["command", "median s", "min s", "max s", "MiB/s", "CPU s", "peak"]);
    for row in rows {
        let Some(wall) = Spread::of(row.runs.iter().map(|run| run.wall)) else { continue };
        let cpu = Spread::of(row.runs.iter().map(|run| run.usage.cpu)).map_or(0.0, |spread| spread.median);
        let peak = row.runs.iter().map(|run| run.usage.peak).max().unwrap_or(0);
        table.row([
            row.name.clone(),
            format!("{:.3}", wall.median),
            format!("{:.3}", wall.min),
            format!("{:.3}", wall.max),
            format!("{:.0}", mib_per_second(length, wall.median)),
            format!("{cpu:.2}"),
            show_size(peak),
        ]);
    }
    println!("\n{}", table.render());
}
