//! `bench cost`: what a transfer over a real link costs in processor time and wake-ups, beside curl, curl with
//! `sha256sum`, and BitTorrent's programs where they are installed.

use super::{CommonOptions, Start};
use crate::error::{BenchError, Result};
use crate::machine::Machine;
use crate::table::{self, Goal};
use crate::turns;
use serde::Serialize;

mod crowd;
mod idle;
mod single;

/// Options of `bench cost`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The rows to run (default: all)
    #[arg(long, value_name = "ROW,…", value_delimiter = ',')]
    only: Vec<Row>,
    /// Rounds; every round runs every program once
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    common: CommonOptions,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Row {
    /// One download of 128 MiB over 100 Mbit/s.
    Slow,
    /// One download of 1 GiB over 1 Gbit/s.
    Fast,
    /// One download over 100 Mbit/s, with blocks of 1 KiB to 16 MiB.
    Blocks,
    /// One seeder and eight downloads over links of 20 Mbit/s.
    Crowd20,
    /// The same over links of 50 Mbit/s.
    Crowd50,
    /// Peers that have nothing to do.
    Idle,
}

impl Row {
    const ALL: [Self; 6] = [Self::Slow, Self::Fast, Self::Blocks, Self::Crowd20, Self::Crowd50, Self::Idle];
}

/// What a row has found.
#[derive(Serialize)]
struct Found {
    row: String,
    measured: serde_json::Value,
    goals: Vec<Goal>,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: &'a [Found],
}

/// Runs the benchmark; says so and succeeds where links cannot be emulated.
///
/// # Errors
/// A program fails, a copy differs.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let rows: &[Row] = if options.only.is_empty() { &Row::ALL } else { &options.only };
    let mut all = Vec::new();
    for row in rows {
        let work = turns::run_folder(folder.path())?;
        let found = match row {
            Row::Slow => single::slow(&binaries, options.runs, work.path()),
            Row::Fast => single::fast(&binaries, options.runs, work.path()),
            Row::Blocks => single::blocks(&binaries, options.runs, work.path()),
            Row::Crowd20 => crowd::run(&binaries, 20, options.runs, work.path()),
            Row::Crowd50 => crowd::run(&binaries, 50, options.runs, work.path()),
            Row::Idle => idle::run(&binaries, work.path()),
        };
        match found {
            Ok(found) => all.push(found),
            Err(BenchError::Unavailable(why)) => println!("skipped: {why}"),
            Err(error) => return Err(error),
        }
    }
    let goals: Vec<Goal> = all.iter().flat_map(|found| found.goals.iter().cloned()).collect();
    table::print_goals(&goals);
    options.common.place.write_json(&Report { machine: &machine, rows: &all })
}
