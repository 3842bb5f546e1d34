//! `bench create`: `peer create` (both hashes, all cores) beside `openssl dgst` (one hash, one core).

use super::{CommonOptions, Start};
use crate::contest::{self, Row};
use crate::data::{self, DataFile};
use crate::error::Result;
use crate::machine::Machine;
use crate::measure::find_program;
use crate::table::{self, Goal};
use crate::units::{parse_size, show_size};
use serde::Serialize;
use std::process::Command;

/// Options of `bench create`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Block size; may be given several times
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_values = ["1MiB", "64KiB", "1GiB"])]
    block: Vec<u64>,
    /// Rounds; every round runs every command once
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// Let the system forget the file before each run: for a file on a disk (with --dir)
    #[arg(long)]
    cold: bool,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    rows: &'a [Row<'a>],
    goals: &'a [Goal],
}

/// Wall time that `peer create` may take, in times of openssl.
const MAX_RATIO: f64 = 1.15;

/// The same where the file comes from a disk.
const MAX_COLD_RATIO: f64 = 1.1;

/// CPU time that it may take, in times of openssl's.
const MAX_CPU_RATIO: f64 = 1.4;

/// Runs the benchmark.
///
/// # Errors
/// No room, a command that fails.
pub fn run(options: &Options) -> Result<()> {
    let openssl = find_program("openssl")?;
    let Start { machine, binaries, folder } = options.common.start()?;
    let data = DataFile::random(folder.path(), options.size)?;
    data::warm_memory(folder.path(), 1 << 20)?;
    let prepare = || if options.cold { data.forget() } else { Ok(()) };
    let mut rows = vec![Row::new("openssl dgst -sha256", |_| {
        prepare()?;
        let mut command = Command::new(&openssl);
        command.args(["dgst", "-sha256"]).arg(&data.path);
        Ok(command)
    })];
    for block in &options.block {
        let name = format!("peer create, {} blocks", show_size(*block));
        rows.push(Row::new(name, |work| {
            prepare()?;
            let mut command = Command::new(&binaries.peer);
            command.arg("create").arg(&data.path).args(["-b", &block.to_string()]);
            command.arg("-o").arg(work.join("data.cascade"));
            Ok(command)
        }));
    }
    contest::run(&mut rows, options.runs, folder.path())?;
    contest::print(&rows, data.length);
    let (wall, cpu) = rows.first().map_or((f64::NAN, f64::NAN), |row| (row.wall(), row.cpu()));
    let max_ratio = if options.cold { MAX_COLD_RATIO } else { MAX_RATIO };
    let goals_of = |row: &Row<'_>| {
        [
            Goal::at_most(format!("{}: wall ÷ openssl", row.name), row.wall() / wall, max_ratio),
            Goal::at_most(format!("{}: CPU ÷ openssl", row.name), row.cpu() / cpu, MAX_CPU_RATIO),
        ]
    };
    let goals: Vec<Goal> = rows.iter().skip(1).flat_map(goals_of).collect();
    table::print_goals(&goals);
    options.common.place.write_json(&Report {
        machine: &machine,
        length: data.length,
        rows: &rows,
        goals: &goals,
    })
}
