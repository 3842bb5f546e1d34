//! `bench swarm`: one seeder, many downloaders, each behind its own emulated link.

mod contestants;
mod report;
mod table;

use super::CommonOptions;
use crate::data::DataFile;
use crate::error::{Result, failed};
use crate::linkemu::congestion::CongestionOption;
use crate::machine::Machine;
use crate::swarm;
use crate::swarm::scenario::Scenario;
use crate::turns;
use crate::units::parse_size;
use contestants::{Contestant, Kind};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Options of `bench swarm`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of downloaders, the special ones below included
    #[arg(long, value_name = "N", default_value_t = Scenario::PLAIN.leechers)]
    leechers: usize,
    /// Size of the file (default: 128MiB; with --table that of each row)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
    /// Cascade's block size (default: 256KiB; with --table that of each row)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    block: Option<u64>,
    /// Rate of every node's link, both ways
    #[arg(long, value_name = "MBIT/S", default_value_t = Scenario::PLAIN.rate, value_parser = positive())]
    rate: u64,
    /// Rate of the seeder's link, if it differs
    #[arg(long, value_name = "MBIT/S", value_parser = positive())]
    seeder_rate: Option<u64>,
    /// Delay of every link, one way
    #[arg(long, value_name = "MS", default_value_t = Scenario::PLAIN.delay)]
    delay: u64,
    /// Length of every link's queues
    #[arg(long, value_name = "MS", default_value_t = Scenario::PLAIN.queue)]
    queue: u64,
    /// How many of the downloaders have a tenth of the rate
    #[arg(long, value_name = "N", default_value_t = 0)]
    slow: usize,
    /// How many are scripted peers of version 1 with the habits of the field
    #[arg(long, value_name = "N", default_value_t = 0)]
    v1: usize,
    /// The seeder is a scripted peer too
    #[arg(long)]
    v1_seeder: bool,
    /// How many send wrong bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    liars: usize,
    /// How many stall every answer
    #[arg(long, value_name = "N", default_value_t = 0)]
    stallers: usize,
    /// Spread the starts over the time that one copy takes
    #[arg(long)]
    spread: bool,
    /// Stop the seeder when it has sent COPIES copies
    #[arg(long, value_name = "COPIES")]
    seeder_leaves: Option<f64>,
    /// Stop the tracker S seconds after the start
    #[arg(long, value_name = "S")]
    tracker_dies: Option<u64>,
    /// Whether our peers use the swarm extension
    #[arg(long, value_name = "on|off", value_enum, default_value_t = Extension::On, hide_possible_values = true)]
    extension: Extension,
    /// Share a folder of N files that are as long together, instead of one file; ours only
    #[arg(long, value_name = "N", value_parser = positive())]
    folder: Option<u64>,
    /// A small swarm of ours, once, that must be done within three times F/u: for CI
    #[arg(long, conflicts_with_all = ["leechers", "size", "runs", "only", "table"])]
    short: bool,
    /// Run every swarm that has a goal, and say whether it is reached
    #[arg(long, conflicts_with_all = [
        "leechers", "rate", "seeder_rate", "slow", "v1", "v1_seeder", "liars", "stallers", "spread",
        "seeder_leaves", "tracker_dies", "extension", "folder", "only",
    ])]
    table: bool,
    /// With --table: the rows to run (default: all)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "table", value_parser = row_names())]
    only_rows: Vec<String>,
    /// Draw the worst run: what each leecher has received over time. With several clients or rows, each has its
    /// name put in before the extension
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Another argument for every `peer download` and `peer seed`; may be given several times
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    peer_arg: Vec<String>,
    /// The clients to run (default: all that are installed, but for version-1: scripted downloaders only)
    #[arg(long, value_name = "CLIENT,…", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Rounds; every round runs every client once
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    link: CongestionOption,
    #[command(flatten)]
    common: CommonOptions,
}

/// The switch of `peer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Extension {
    On,
    Off,
}

fn positive() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}

fn row_names() -> Vec<&'static str> {
    swarm::rows::ROWS.iter().map(|row| row.name).collect()
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    scenario: &'a Scenario,
    /// F/u, in seconds.
    unit: f64,
    /// The least time for the last, in seconds, without packet headers.
    bound: f64,
    rows: &'a [Contestant],
}

/// Bytes of a unit of a tar archive.
const UNIT: u64 = 512;

/// Bytes that a file of a folder takes in its archive in addition to its content: a header, and about that in the
/// index.
const HEADER_AND_LINE: u64 = UNIT + 40;

/// How many times F/u a short swarm may take; its file is so small that connecting counts.
const SHORT_LIMIT: f64 = 3.0;

/// Runs the benchmark; says so and succeeds where namespaces are not permitted.
///
/// # Errors
/// A program fails, a copy differs.
pub fn run(options: &Options) -> Result<()> {
    let machine = Machine::look();
    machine.print();
    let done = if options.table {
        table::run(options, &machine)
    } else {
        let options = if options.short { short(options.clone()) } else { options.clone() };
        run_one(&options, &machine)
    };
    super::skip_unavailable(done)
}

fn run_one(options: &Options, machine: &Machine) -> Result<()> {
    let scenario = scenario(options)?;
    let folder = options.common.place.folder()?;
    let data = data(&scenario, folder.path())?;
    let mut rows = contestants::find(options, &scenario, &data, folder.path())?;
    println!("{}", scenario.describe());
    for round in 0..options.runs {
        for at in turns::order(rows.len(), round) {
            let work = turns::run_folder(folder.path())?;
            let Some(row) = rows.get_mut(at) else { continue };
            let outcome = swarm::run(&row.scenario, row.client.as_ref(), &data, work.path())?;
            report::tell(&row.name, &row.scenario, &outcome);
            row.runs.push(outcome);
        }
    }
    report::print_rows(&rows, options.runs);
    if let Some(file) = &options.svg {
        for row in &rows {
            let file = if rows.len() > 1 { report::named(file, &row.name) } else { file.clone() };
            report::draw_worst(&row.name, &row.scenario, &row.runs, &file)?;
        }
    }
    if options.short {
        check_short(&rows, &scenario)?;
    }
    let (unit, bound) = (scenario.unit(), scenario.bound());
    options.common.place.write_json(&Report { machine, scenario: &scenario, unit, bound, rows: &rows })
}

/// What a swarm shares.
fn data(scenario: &Scenario, folder: &Path) -> Result<DataFile> {
    match scenario.folder {
        // The archive has a header for each file, and an index: it is as long as the file then, within a thousandth.
        Some(files) => {
            let each = (scenario.size / files).saturating_sub(HEADER_AND_LINE);
            super::folder::make_folder(&folder.join("data"), files, each / UNIT * UNIT)
        }
        None => DataFile::random(folder, scenario.size),
    }
}

/// The swarm of `--short`: some seconds.
fn short(options: Options) -> Options {
    Options { leechers: 3, size: Some(8 << 20), runs: 1, only: vec![Kind::Cascade], ..options }
}

/// Fails where a short swarm took too long.
fn check_short(rows: &[Contestant], scenario: &Scenario) -> Result<()> {
    let times = rows.iter().flat_map(|row| &row.runs).flat_map(|run| &run.times);
    let ratio = times.map(|time| time.seconds).fold(0.0, f64::max) / scenario.unit();
    println!("the last at {ratio:.2} × F/u, at most {SHORT_LIMIT} allowed");
    if ratio > SHORT_LIMIT { failed("the short swarm took too long") } else { Ok(()) }
}

/// The swarm that the options describe.
fn scenario(options: &Options) -> Result<Scenario> {
    let scenario = Scenario {
        leechers: options.leechers,
        size: options.size.unwrap_or(Scenario::PLAIN.size),
        block: options.block.unwrap_or(Scenario::PLAIN.block),
        rate: options.rate,
        seeder_rate: options.seeder_rate.unwrap_or(options.rate),
        delay: options.delay,
        queue: options.queue,
        congestion: options.link.congestion,
        slow: options.slow,
        v1: options.v1,
        liars: options.liars,
        stallers: options.stallers,
        v1_seeder: options.v1_seeder,
        spread: options.spread,
        seeder_leaves: options.seeder_leaves,
        tracker_dies: options.tracker_dies,
        extension: options.extension == Extension::On,
        folder: options.folder,
    };
    let roles = scenario.roles();
    if roles.len() != scenario.leechers || !roles.iter().any(|role| role.downloads()) {
        return failed(
            "--slow, --v1, --liars and --stallers are parts of --leechers, and some must download",
        );
    }
    Ok(scenario)
}
