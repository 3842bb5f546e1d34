//! `bench verify`: `peer verify`, and the check before seeding, beside what one core hashes.

use super::{FileOptions, Start};
use crate::contest::{self, Row};
use crate::data::{self, DataFile};
use crate::error::{Context, Result};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::stats::median;
use crate::table::{self, Goal};
use crate::tools::binaries::Binaries;
use crate::tools::{READY_WITHIN, free_address, probe};
use crate::turns;
use serde::Serialize;
use std::process::Command;

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    block: u64,
    /// Bytes a second that one core hashes, one for each round.
    rates: &'a [f64],
    verify: &'a [Row<'a>],
    /// Seconds from the start of `peer seed` to serving all blocks, one for each round.
    seed_ready: &'a [f64],
    goals: &'a [Goal],
}

/// Times one core's rate that must be reached on two cores.
const MIN_RATIO: f64 = 1.8;

/// Runs the benchmark.
///
/// # Errors
/// No room, a command that fails.
pub fn run(options: &FileOptions) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let data = DataFile::random(folder.path(), options.size)?;
    let cascade = data.cascade_file(folder.path(), options.block)?;
    let row = |name: &str, arguments: &'static [&'static str]| {
        let (binaries, cascade, data) = (&binaries, &cascade, &data);
        Row::new(name, move |_| {
            let mut command = Command::new(&binaries.peer);
            command.arg("verify").args(arguments).arg(&cascade.path).arg(&data.path);
            Ok(command)
        })
    };
    let mut rows = [row("peer verify", &[]), row("peer verify --blocks", &["--blocks"])];
    let (mut rates, mut seed_ready) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        rates.push(data::sha256_rate());
        contest::run(&mut rows, 1, folder.path())?;
        seed_ready.push(time_of_seed_check(&binaries, &data, options.block, folder.path())?);
    }
    contest::print(&rows, data.length);
    let rate = median(&rates);
    println!("one core: {:.2} GB/s; check before seeding: {:.3} s", rate / 1e9, median(&seed_ready));
    let goal = |what: &str, wall: f64| Goal::at_least(what, data.length as f64 / wall / rate, MIN_RATIO);
    let goals = [
        goal("peer verify: rate ÷ one core's", rows[0].wall()),
        goal("peer verify --blocks: rate ÷ one core's", rows[1].wall()),
        goal("check before seeding: rate ÷ one core's", median(&seed_ready)),
    ];
    table::print_goals(&goals);
    options.common.place.write_json(&Report {
        machine: &machine,
        length: data.length,
        block: options.block,
        rates: &rates,
        verify: &rows,
        seed_ready: &seed_ready,
        goals: &goals,
    })
}

/// Seconds from the start of `peer seed` until it serves all of it, in a folder that it has never seen.
fn time_of_seed_check(
    binaries: &Binaries,
    data: &DataFile,
    block: u64,
    folder: &std::path::Path,
) -> Result<f64> {
    let work = turns::run_folder(folder)?;
    let link = work.path().join(data.name());
    std::fs::hard_link(&data.path, &link).context(|| format!("cannot link {}", link.display()))?;
    let cascade = data.cascade_file(work.path(), block)?;
    let address = free_address()?;
    let mut command = Command::new(&binaries.peer);
    // Port 1 of loopback: nobody is there, and the check does not need a tracker.
    command.arg("seed").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-l", &address.to_string(), "--data"]);
    command.arg(&link);
    let mut seeder = Measured::start("peer seed", &mut command, &work.path().join("log"))?;
    let mut serves = probe::Readiness::of(address, &cascade);
    let ready = seeder.wait_until(READY_WITHIN, |_| serves.check())?;
    println!("{:<34} {:7.3} s", "check before seeding", ready.as_secs_f64());
    Ok(ready.as_secs_f64())
}
