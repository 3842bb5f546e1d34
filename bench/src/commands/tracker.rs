//! `bench tracker`: subscriptions over new connections, beside a bare server with the same exchange.

use super::{CommonOptions, Start};
use crate::error::{BenchError, Context, Result, failed};
use crate::load::{self, Answers, Load};
use crate::machine::Machine;
use crate::stats::Spread;
use crate::table::{self, Goal, Table};
use crate::tools::binaries::{self, Binaries};
use crate::tools::trackers::Kind;
use crate::turns;
use crate::units::show_size;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// Options of `bench tracker`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Exchanges in each run
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    count: u64,
    /// Exchanges at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    concurrency: usize,
    /// Different peers that subscribe, in turns
    #[arg(long, value_name = "N", default_value_t = 64)]
    peers: u64,
    /// Rounds; every round runs every tracker once
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// Also our tracker with a Redis server on this machine
    #[arg(long)]
    store: bool,
    /// Only the bare servers and ours
    #[arg(long)]
    own: bool,
    /// Also fill a registry with ten million peers and time it (takes some minutes and 2 GiB)
    #[arg(long)]
    scale: bool,
    #[command(flatten)]
    common: CommonOptions,
}

/// One tracker and its runs.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(skip)]
    kind: Kind,
    runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Run {
    answers: Answers,
    /// CPU seconds and peak bytes of the tracker.
    cpu: f64,
    peak: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: &'a [Row],
    goals: &'a [Goal],
}

/// Peers in a full list, and the bytes of each: what the bare server answers with.
const FULL_LIST: u32 = 20 * 12;

/// Runs the benchmark.
///
/// # Errors
/// A tracker that does not start or answer.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let mut kinds = vec![Kind::Bare(1), Kind::Bare(machine.cores), Kind::Cascade];
    kinds.extend(options.store.then_some(Kind::CascadeStore));
    if !options.own {
        kinds.extend([Kind::Opentracker, Kind::Aquatic]);
    }
    let mut rows: Vec<Row> = Vec::new();
    for kind in kinds {
        let work = turns::run_folder(folder.path())?;
        match kind.start(&binaries, FULL_LIST, work.path()) {
            Ok(_) => rows.push(Row { name: kind.name(), kind, runs: Vec::new() }),
            Err(BenchError::Unavailable(why)) => println!("left out: {why}"),
            Err(error) => return Err(error),
        }
    }
    for round in 0..options.runs {
        for at in turns::order(rows.len(), round) {
            run_once(&mut rows[at], options, &binaries, folder.path())?;
        }
    }
    print_rows(&rows);
    let goals = goals(&rows);
    table::print_goals(&goals);
    if options.scale {
        registry_scale()?;
    }
    options.common.place.write_json(&Report { machine: &machine, rows: &rows, goals: &goals })
}

fn run_once(row: &mut Row, options: &Options, binaries: &Binaries, folder: &Path) -> Result<()> {
    let work = turns::run_folder(folder)?;
    let mut tracker = row.kind.start(binaries, FULL_LIST, work.path())?;
    let load = |count| Load {
        tracker: tracker.address,
        exchange: tracker.exchange.clone(),
        count,
        concurrency: options.concurrency,
        peers: options.peers,
    };
    // Every peer subscribes once before the clock starts, so that all lists have their full length.
    load::run(&load(options.peers.max(1000)))?;
    let measured = load(options.count);
    tracker.process.mark();
    let answers = load::run(&measured)?;
    let usage = tracker.process.usage();
    println!(
        "{:<24} {:7.0}/s  p50 {:5} µs  p99 {:6} µs  refused {}  broken {}  cpu {:.2} s",
        row.name, answers.rate, answers.p50, answers.p99, answers.refused, answers.broken, usage.cpu
    );
    row.runs.push(Run { answers, cpu: usage.cpu, peak: usage.peak });
    Ok(())
}

fn median(row: &Row, value: impl Fn(&Run) -> f64) -> f64 {
    Spread::of(row.runs.iter().map(value)).map_or(f64::NAN, |spread| spread.median)
}

fn print_rows(rows: &[Row]) {
    let mut table =
        Table::new(&["tracker", "requests/s", "min", "max", "p50 µs", "p99 µs", "answer B", "CPU s", "peak"]);
    for row in rows {
        let Some(rate) = Spread::of(row.runs.iter().map(|run| run.answers.rate)) else { continue };
        table.row([
            row.name.clone(),
            format!("{:.0}", rate.median),
            format!("{:.0}", rate.min),
            format!("{:.0}", rate.max),
            format!("{:.0}", median(row, |run| run.answers.p50 as f64)),
            format!("{:.0}", median(row, |run| run.answers.p99 as f64)),
            format!("{:.0}", median(row, |run| run.answers.answer_len as f64)),
            format!("{:.2}", median(row, |run| run.cpu)),
            show_size(row.runs.iter().map(|run| run.peak).max().unwrap_or(0)),
        ]);
    }
    println!("\n{}", table.render());
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let rate = |row: &Row| median(row, |run| run.answers.rate);
    let Some(ours) = rows.iter().find(|row| row.kind == Kind::Cascade).map(rate) else { return Vec::new() };
    let bare = rows.iter().filter(|row| matches!(row.kind, Kind::Bare(_))).map(rate).reduce(f64::max);
    let mut goals = Vec::new();
    if let Some(bare) = bare {
        goals.push(Goal::at_least("requests/s ÷ the faster bare server", ours / bare, 0.95));
    }
    if let Some(store) = rows.iter().find(|row| row.kind == Kind::CascadeStore) {
        goals.push(Goal::at_least("requests/s with a store ÷ in memory", rate(store) / ours, 0.6));
        let p99 = median(store, |run| run.answers.p99 as f64) / 1000.0;
        goals.push(Goal::at_most("p99 with a store", p99, 10.0).in_unit("ms"));
    }
    if let Some(aquatic) = rows.iter().find(|row| row.kind == Kind::Aquatic).map(rate) {
        goals.push(Goal::at_least("requests/s ÷ aquatic_http", ours / aquatic, 2.0));
    }
    goals
}

/// The tracker crate's own measurement of memory and times at ten million peers.
fn registry_scale() -> Result<()> {
    println!("\nten million registered peers (must reach: ≤ 1 GiB, p99 of list and subscribe < 1 ms):");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--release", "--quiet", "-p", "cascade-tracker", "--example", "registry_scale"]);
    let status = command.current_dir(binaries::workspace()).status();
    if status.context(|| "cannot start cargo: is it on the PATH?".to_owned())?.success() {
        Ok(())
    } else {
        failed("the example registry_scale failed")
    }
}
