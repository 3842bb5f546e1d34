//! `bench swarm`: one seeder, many downloaders, each behind its own emulated link.

use super::PlaceOptions;
use crate::data::DataFile;
use crate::error::{BenchError, Result, failed};
use crate::linkemu::Link;
use crate::machine::Machine;
use crate::stats::Spread;
use crate::swarm::clients::{Aria2, Cascade, Client};
use crate::swarm::{self, Outcome, Plan, bound};
use crate::table::Table;
use crate::tools::binaries::{Binaries, BinaryOptions};
use crate::turns;
use crate::units::{parse_size, show_size};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Options of `bench swarm`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of downloaders
    #[arg(long, value_name = "N", default_value_t = 8)]
    leechers: usize,
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size)]
    size: u64,
    /// Cascade's block size
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = parse_size)]
    block: u64,
    /// Rate of every node's link, both ways
    #[arg(long, value_name = "MBIT/S", default_value_t = 50)]
    rate: u64,
    /// Rate of the seeder's link, if it differs
    #[arg(long, value_name = "MBIT/S")]
    seeder_rate: Option<u64>,
    /// Delay of every link, one way
    #[arg(long, value_name = "MS", default_value_t = 5)]
    delay: u64,
    /// Length of every link's queues
    #[arg(long, value_name = "MS", default_value_t = 50)]
    queue: u64,
    /// How many of the downloaders have a tenth of the rate
    #[arg(long, value_name = "N", default_value_t = 0)]
    slow: usize,
    /// Spread the starts over the time that one copy takes
    #[arg(long)]
    spread: bool,
    /// Stop the seeder when it has sent so many copies
    #[arg(long, value_name = "COPIES")]
    seeder_leaves: Option<f64>,
    /// Stop the tracker so long after the start
    #[arg(long, value_name = "S")]
    tracker_dies: Option<u64>,
    /// Whether our peers use the swarm extension
    #[arg(long, value_name = "on|off", value_enum, default_value_t = Extension::On, hide_possible_values = true)]
    extension: Extension,
    /// A small swarm of ours, once, that must be done within three times F/u: for CI
    #[arg(long, conflicts_with_all = ["leechers", "size", "runs", "only"])]
    short: bool,
    /// Another argument for every `peer download` and `peer seed`; may be given several times
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    peer_arg: Vec<String>,
    /// The clients to run (default: all that are installed)
    #[arg(long, value_name = "CLIENT,…", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Rounds; every round runs every client once
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    place: PlaceOptions,
    #[command(flatten)]
    binaries: BinaryOptions,
}

/// The switch of `peer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Extension {
    On,
    Off,
}

/// The clients that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Cascade,
    Aria2,
}

#[derive(Serialize)]
struct Row {
    name: String,
    runs: Vec<Outcome>,
    #[serde(skip)]
    client: Box<dyn Client>,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    /// F/u, in seconds.
    unit: f64,
    /// The least time for the last, in seconds, without packet headers.
    bound: f64,
    rows: &'a [Row],
}

/// How many times F/u a short swarm may take; its file is so small that connecting counts.
const SHORT_LIMIT: f64 = 3.0;

/// How many times the bound a run may take before it is given up.
const PATIENCE: f64 = 20.0;

/// Runs the benchmark; says so and succeeds where namespaces are not permitted.
///
/// # Errors
/// A program fails, a copy differs.
pub fn run(options: &Options) -> Result<()> {
    let options = &if options.short { short(options.clone()) } else { options.clone() };
    let machine = Machine::look();
    machine.print();
    let folder = options.place.folder()?;
    let data = DataFile::random(folder.path(), options.size)?;
    let mut rows = clients(options, &data, folder.path())?;
    let plan = plan(options);
    println!(
        "1 → {}, {}, {} Mbit/s, {} ms one way: F/u {:.2} s, bound {:.2} s",
        options.leechers,
        show_size(options.size),
        options.rate,
        options.delay,
        unit(options),
        least(options, &plan)
    );
    for round in 0..options.runs {
        for at in turns::order(rows.len(), round) {
            let work = super::run_folder(folder.path())?;
            let row = &mut rows[at];
            match swarm::run(&plan, row.client.as_ref(), &data, work.path()) {
                Ok(outcome) => row.runs.push(told(&row.name, options, outcome)),
                Err(BenchError::Unavailable(why)) => {
                    println!("skipped: {why}");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
    print_rows(&rows, options);
    if options.short {
        check_short(&rows, options)?;
    }
    let (unit, bound) = (unit(options), least(options, &plan));
    options.place.write_json(&Report { machine: &machine, length: data.length, unit, bound, rows: &rows })
}

/// The swarm of `--short`: some seconds.
fn short(options: Options) -> Options {
    Options { leechers: 3, size: 8 << 20, runs: 1, only: vec![Kind::Cascade], ..options }
}

/// Fails where a short swarm took too long.
fn check_short(rows: &[Row], options: &Options) -> Result<()> {
    let last = rows.iter().flat_map(|row| &row.runs).flat_map(|run| &run.times).copied().fold(0.0, f64::max);
    let ratio = last / unit(options);
    println!("the last at {ratio:.2} × F/u, at most {SHORT_LIMIT} allowed");
    if ratio > SHORT_LIMIT { failed("the short swarm took too long") } else { Ok(()) }
}

fn clients(options: &Options, data: &DataFile, folder: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in [Kind::Cascade, Kind::Aria2] {
        if !options.only.is_empty() && !options.only.contains(&kind) {
            continue;
        }
        let client: Result<Box<dyn Client>> = match kind {
            Kind::Cascade => Binaries::prepare(&options.binaries).and_then(|binaries| {
                let cascade = data.cascade_file(folder, options.block)?;
                let off = (options.extension == Extension::Off).then(|| "--extension=off".to_owned());
                let extra = options.peer_arg.iter().cloned().chain(off).collect();
                Ok(Box::new(Cascade { binaries, cascade, extra }) as Box<dyn Client>)
            }),
            Kind::Aria2 => Aria2::find(data, folder).map(|aria2| Box::new(aria2) as Box<dyn Client>),
        };
        match client {
            Ok(client) => rows.push(Row { name: client.name(), runs: Vec::new(), client }),
            Err(BenchError::Unavailable(why)) => println!("left out: {why}"),
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

fn plan(options: &Options) -> Plan {
    let (delay, queue) = (Duration::from_millis(options.delay), Duration::from_millis(options.queue));
    let unit = Duration::from_secs_f64(unit(options));
    let mut plan = Plan {
        leechers: options.leechers,
        link: Link::symmetric(options.rate, delay, queue),
        seeder_link: Link::symmetric(options.seeder_rate.unwrap_or(options.rate), delay, queue),
        slow: options.slow,
        spread: if options.spread { unit } else { Duration::ZERO },
        seeder_leaves_after: options.seeder_leaves,
        tracker_dies_after: options.tracker_dies.map(Duration::from_secs),
        within: Duration::ZERO,
    };
    plan.within = Duration::from_secs_f64(least(options, &plan) * PATIENCE) + plan.spread;
    plan
}

/// F/u: the time of one copy over one link, in seconds.
fn unit(options: &Options) -> f64 {
    options.size as f64 * 8.0 / (options.rate as f64 * 1e6)
}

/// The least time for the last, in seconds, without packet headers.
fn least(options: &Options, plan: &Plan) -> f64 {
    let rate = plan.link.up;
    if plan.slow == 0 && plan.seeder_link.up == rate {
        return bound::equal_links(options.size, options.size.div_ceil(options.block), plan.leechers, rate);
    }
    let rates: Vec<u64> =
        (0..plan.leechers).map(|at| if at + plan.slow < plan.leechers { rate } else { rate / 10 }).collect();
    bound::unequal_links(options.size, plan.seeder_link.up, &rates, &rates)
}

/// The times of those with the full rate.
fn fast<'a>(options: &Options, outcome: &'a Outcome) -> &'a [f64] {
    let count = outcome.times.len().saturating_sub(options.slow);
    outcome.times.get(..count).unwrap_or_default()
}

fn copies(options: &Options, outcome: &Outcome) -> f64 {
    let copy = bound::on_the_wire(options.size, crate::linkemu::network::ETHERNET_MTU);
    outcome.seeder_sent as f64 / copy
}

fn told(name: &str, options: &Options, outcome: Outcome) -> Outcome {
    if let Some(times) = Spread::of(fast(options, &outcome).iter().copied()) {
        println!(
            "{name:<10} first {:6.2} s, median {:6.2} s, last {:6.2} s, seeder sent {:.2} copies, \
             {} packets dropped, machine {:.0} % busy",
            times.min,
            times.median,
            times.max,
            copies(options, &outcome),
            outcome.drops,
            outcome.busy * 100.0
        );
    }
    outcome
}

/// The table: the worst run counts.
fn print_rows(rows: &[Row], options: &Options) {
    let mut table = Table::new(&[
        "client",
        "first ÷ F/u",
        "median ÷ F/u",
        "last ÷ F/u",
        "last, s",
        "copies by seeder",
        "duplicates",
        "machine busy",
    ]);
    for row in rows {
        let spreads =
            row.runs.iter().filter_map(|run| Some((run, Spread::of(fast(options, run).iter().copied())?)));
        let Some((worst, times)) = spreads.max_by(|a, b| a.1.max.total_cmp(&b.1.max)) else { continue };
        let unit = unit(options);
        let total = options.size as f64 * options.leechers as f64;
        table.row([
            row.name.clone(),
            format!("{:.3}", times.min / unit),
            format!("{:.3}", times.median / unit),
            format!("{:.3}", times.max / unit),
            format!("{:.2}", times.max),
            format!("{:.2}", copies(options, worst)),
            worst.duplicates.map_or_else(|| "?".to_owned(), |d| format!("{:.2} %", d as f64 * 100.0 / total)),
            format!("{:.0} %", worst.busy * 100.0),
        ]);
    }
    println!(
        "\nthe worst of {} runs; packet headers count against the clients\n{}",
        options.runs,
        table.render()
    );
}
