//! `bench lan`: `peer share` to receivers on one switch, over uplinks of 1 Gbit/s and more.

use super::parallel::finish_all;
use super::share;
use super::{FileOptions, Start};
use crate::clock;
use crate::data::DataFile;
use crate::error::Result;
use crate::linkemu::congestion::CongestionOption;
use crate::linkemu::lan::{Lan, MAX_HOSTS};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::stats::median;
use crate::table::{self, Goal, Table};
use crate::tools::binaries::Binaries;
use crate::turns;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// Options of `bench lan`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Receivers; all begin together
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..i64::from(MAX_HOSTS)))]
    receivers: u8,
    /// Rates of every uplink
    #[arg(long, value_name = "MBIT/S", value_delimiter = ',', default_value = "1000,2500")]
    rates: Vec<u64>,
    #[command(flatten)]
    link: CongestionOption,
    #[command(flatten)]
    file: FileOptions,
}

/// One run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Run {
    mbit: u64,
    /// Seconds until the last receiver was complete.
    last: f64,
    /// The same as a multiple of the time that the uplink needs for one copy.
    of_one_copy: f64,
    /// Seconds of processor time of the receivers together.
    receivers_cpu: f64,
    /// The same of the sharer, with hashing the file.
    sharer_cpu: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    receivers: u8,
    runs: &'a [Run],
    goals: &'a [Goal],
}

/// Most that the last receiver may take, as a multiple of one copy.
const MOST_OF_ONE_COPY: f64 = 1.15;

/// Runs the benchmark; says so and succeeds where namespaces are not permitted.
///
/// # Errors
/// No room, a program that fails, a copy that differs.
pub fn run(options: &Options) -> Result<()> {
    super::skip_unavailable(run_rates(options))
}

fn run_rates(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.file.common.start()?;
    let data = DataFile::random(folder.path(), options.file.size)?;
    let mut runs = Vec::new();
    for round in 0..options.file.runs {
        for at in turns::order(options.rates.len(), round) {
            let Some(mbit) = options.rates.get(at) else { continue };
            let run = run_once(options, &binaries, &data, *mbit, folder.path())?;
            println!("{mbit} Mbit/s: the last after {:.2} s, {:.3} × one copy", run.last, run.of_one_copy);
            runs.push(run);
        }
    }
    let goals: Vec<Goal> = options.rates.iter().map(|mbit| goal(&runs, *mbit)).collect();
    let mut table = Table::new(&["Mbit/s", "last s", "÷ one copy", "receivers CPU s", "sharer CPU s"]);
    for run in &runs {
        table.row([
            run.mbit.to_string(),
            format!("{:.2}", run.last),
            format!("{:.3}", run.of_one_copy),
            format!("{:.2}", run.receivers_cpu),
            format!("{:.2}", run.sharer_cpu),
        ]);
    }
    println!("\n{}", table.render());
    table::print_goals(&goals);
    let (length, receivers) = (options.file.size, options.receivers);
    options.file.common.place.write_json(&Report {
        machine: &machine,
        length,
        receivers,
        runs: &runs,
        goals: &goals,
    })
}

fn goal(runs: &[Run], mbit: u64) -> Goal {
    let multiples: Vec<f64> = runs.iter().filter(|run| run.mbit == mbit).map(|run| run.of_one_copy).collect();
    Goal::at_most(format!("{mbit} Mbit/s: the last ÷ one copy"), median(&multiples), MOST_OF_ONE_COPY)
}

/// The host of the sharer; the receivers follow.
const SHARER: u8 = 1;

fn run_once(
    options: &Options,
    binaries: &Binaries,
    data: &DataFile,
    mbit: u64,
    folder: &Path,
) -> Result<Run> {
    let work = turns::run_folder(folder)?;
    let lan = Lan::new(SHARER + options.receivers, mbit, options.link.congestion)?;
    let mut command = Command::new(&binaries.peer);
    command.arg("share").arg(&data.path).args(["--no-lan", "--block-size", &options.file.block.to_string()]);
    command.args(["--address", &Lan::address(SHARER).to_string()]);
    command.env("CASCADE_STATE_DIR", folder.join("state"));
    let log = work.path().join("share.log");
    let (_, sharer, link) = share::start(&mut lan.on(SHARER, &command)?, &log)?;
    let copy = |host: u8| work.path().join(format!("copy-{host}"));
    let hosts = SHARER + 1..=SHARER + options.receivers;
    let (started, mut running) = (clock::now(), Vec::new());
    for host in hosts.clone() {
        let log = work.path().join(format!("download-{host}.log"));
        let command = share::download(binaries, &link, &copy(host), &log);
        running.push(Measured::start("peer download", &mut lan.on(host, &command)?, &log)?);
    }
    let ended = finish_all(running)?;
    let last = started.elapsed().as_secs_f64();
    hosts.into_iter().try_for_each(|host| data.check_copy(&copy(host)))?;
    let one_copy = data.length as f64 * 8.0 / (mbit as f64 * 1e6);
    let receivers_cpu = ended.iter().map(|end| end.usage.cpu).sum();
    let sharer_cpu = sharer.usage().cpu;
    Ok(Run { mbit, last, of_one_copy: last / one_copy, receivers_cpu, sharer_cpu })
}
