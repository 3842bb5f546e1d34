//! `bench greedy`: honest leechers beside clients that ask for more than their share, or take less than they ask
//! for.

use super::{CommonOptions, Start};
use crate::clock;
use crate::data::{CascadeFile, DataFile};
use crate::error::{Result, failed};
use crate::interrupt;
use crate::linkemu::LinkSpec;
use crate::linkemu::congestion::CongestionOption;
use crate::linkemu::network::{ETHERNET_MTU, Network};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::programs::own;
use crate::stats::Spread;
use crate::swarm::SEEDER;
use crate::swarm::clients::{Cascade, Client, Node};
use crate::table::{self, Goal, Table};
use crate::turns;
use crate::units::{parse_size, show_size};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Options of `bench greedy`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Honest leechers
    #[arg(long, value_name = "N", default_value_t = 4)]
    leechers: usize,
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_size)]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = parse_size)]
    block: u64,
    /// Rate of the seeder's link, both ways
    #[arg(long, value_name = "MBIT/S", default_value_t = 80)]
    rate: u64,
    /// Delay of every link, one way
    #[arg(long, value_name = "MS", default_value_t = 2)]
    delay: u64,
    /// Length of every link's queues
    #[arg(long, value_name = "MS", default_value_t = 50)]
    queue: u64,
    /// Longest time of a run, in seconds
    #[arg(long, value_name = "S", default_value_t = 150)]
    within: u64,
    /// The rows to run (default: all)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = row_names())]
    only: Vec<String>,
    /// Rounds; every round runs every row once
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    link: CongestionOption,
    #[command(flatten)]
    common: CommonOptions,
}

/// The clients beside the honest leechers.
#[derive(Debug, Clone, Copy, Serialize)]
struct Row {
    name: &'static str,
    /// Clients, each with an address of its own.
    addresses: usize,
    /// Connections of each.
    connections: u64,
    /// Requests under way on each connection.
    in_flight: u64,
    /// They know only version 1.
    plain: bool,
    /// Bytes that a connection reads in a second.
    rate: Option<usize>,
    /// Times the seconds without them that the honest may take.
    limit: f64,
}

const ALONE: Row = Row {
    name: "alone",
    addresses: 0,
    connections: 0,
    in_flight: 1,
    plain: false,
    rate: None,
    limit: f64::INFINITY,
};

/// One greedy address among five costs a fifth; what it holds in queues when the others come, some more.
const GREEDY: Row = Row { name: "greedy", addresses: 1, connections: 50, limit: 1.35, ..ALONE };

/// Who takes next to nothing costs next to nothing.
const SLOW: Row = Row { name: "slow", rate: Some(1024), limit: 1.1, ..GREEDY };

const ROWS: [Row; 9] = [
    ALONE,
    GREEDY,
    Row { name: "greedy-pipelined", in_flight: 8, ..GREEDY },
    Row { name: "greedy-version-1", plain: true, ..GREEDY },
    Row { name: "greedy-version-1-pipelined", plain: true, in_flight: 8, ..GREEDY },
    SLOW,
    Row { name: "few-slow", connections: 8, ..SLOW },
    Row { name: "slow-addresses", addresses: 8, connections: 1, ..SLOW },
    Row { name: "readers-of-nothing", rate: Some(0), connections: 150, in_flight: 100, ..SLOW },
];

/// How long the others are there before the honest leechers start.
const HEAD_START: Duration = Duration::from_secs(3);

/// Rate of everybody's link but the seeder's.
const FAST_LINK: u64 = 1000;

fn row_names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.name).collect()
}

/// One run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Run {
    /// Seconds until the last honest leecher had the file; `None`: it had not in time.
    seconds: Option<f64>,
    /// Bytes that went to the others meanwhile.
    others: u64,
    /// Bytes that the seeder sent.
    sent: u64,
}

#[derive(Serialize)]
struct Rows {
    row: Row,
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: &'a [Rows],
    goals: &'a [Goal],
}

/// Runs the benchmark; says so and succeeds where namespaces are not permitted.
///
/// # Errors
/// A program fails, a copy differs.
pub fn run(options: &Options) -> Result<()> {
    super::skip_unavailable(run_rows(options))
}

fn run_rows(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let (rate, delay, congestion) = (options.rate, options.delay, options.link.congestion);
    println!("{} honest leechers, {rate} Mbit/s, {delay} ms one way, {congestion}", options.leechers);
    let data = DataFile::random(folder.path(), options.size)?;
    let cascade = data.cascade_file(folder.path(), options.block)?;
    let client = Cascade { name: "cascade", binaries, cascade, extra: Vec::new(), v1_seeder: false };
    let chosen =
        ROWS.iter().filter(|row| options.only.is_empty() || options.only.iter().any(|o| o == row.name));
    let mut rows: Vec<Rows> = chosen.map(|row| Rows { row: *row, runs: Vec::new() }).collect();
    for _ in 0..options.runs {
        for Rows { row, runs } in &mut rows {
            let work = turns::run_folder(folder.path())?;
            let run = run_one(options, *row, &client, &data, work.path())?;
            let (others, honest) = (show_size(run.others), show_size(run.sent.saturating_sub(run.others)));
            println!("{:<28} {} s, others {others}, honest {honest}", row.name, shown(run.seconds));
            runs.push(run);
        }
    }
    print_rows(&rows);
    let goals = goals(&rows);
    table::print_goals(&goals);
    options.common.place.write_json(&Report { machine: &machine, rows: &rows, goals: &goals })
}

fn run_one(options: &Options, row: Row, client: &Cascade, data: &DataFile, work: &Path) -> Result<Run> {
    let (delay, queue) = (Duration::from_millis(options.delay), Duration::from_millis(options.queue));
    let mut links = vec![LinkSpec::symmetric(FAST_LINK, delay, queue); 2 + options.leechers + row.addresses];
    if let Some(seeder) = links.get_mut(SEEDER) {
        *seeder = LinkSpec::symmetric(options.rate, delay, queue);
    }
    let network = Network::star(&links, ETHERNET_MTU, options.link.congestion)?;
    let _tracker = client.start_tracker(&network, work)?;
    let _seeder = client.start_seeder(&network, data, work)?;
    let first_other = SEEDER + 1 + options.leechers;
    let mut others = Vec::new();
    for node in first_other..first_other + row.addresses {
        others.push(start_other(&network, &Node::new(&network, node, work)?, row, &client.cascade)?);
    }
    if !others.is_empty() {
        std::thread::sleep(HEAD_START);
    }
    let before = received_by_others(&network, first_other);
    let sent_before = sent_by_seeder(&network);
    let started = clock::now();
    let mut honest = Vec::new();
    for node in SEEDER + 1..first_other {
        let node = Node::new(&network, node, work)?;
        honest.push((client.start_leecher(&network, &node, data)?, node));
    }
    let within = Duration::from_secs(options.within);
    while !honest.iter().all(|(_, node)| client.is_done(node, data)) && started.elapsed() < within {
        interrupt::check()?;
        for other in &mut others {
            if other.poll_exit()?.is_some() {
                return failed("a greedy client has ended");
            }
        }
        std::thread::sleep(clock::STEP);
    }
    let seconds = (started.elapsed() < within).then(|| started.elapsed().as_secs_f64());
    let others_got = received_by_others(&network, first_other) - before;
    let run = Run { seconds, others: others_got, sent: sent_by_seeder(&network) - sent_before };
    if seconds.is_some() {
        honest.iter().try_for_each(|(_, node)| data.check_copy(&node.copy(data)))?;
    }
    Ok(run)
}

fn start_other(network: &Network, node: &Node, row: Row, cascade: &CascadeFile) -> Result<Measured> {
    let seeder = Node::seeder_address(network)?;
    let mut command = own(&["greedy-client", &seeder.to_string()])?;
    command.arg(&cascade.path);
    command.args(["--connections", &row.connections.to_string()]);
    command.args(["--in-flight", &row.in_flight.to_string()]);
    if row.plain {
        command.arg("--plain");
    }
    if let Some(rate) = row.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    node.start(network, "a greedy client", &command)
}

fn sent_by_seeder(network: &Network) -> u64 {
    network.counters().get(SEEDER).map_or(0, |counters| counters.up_bytes)
}

fn received_by_others(network: &Network, first: usize) -> u64 {
    network.counters().iter().skip(first).map(|counters| counters.down_bytes).sum()
}

fn shown(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "not done".to_owned(), |seconds| format!("{seconds:.2}"))
}

/// The median of a row; infinite where half of its runs were not done in time.
fn median(rows: &[Rows], name: &str) -> Option<f64> {
    let runs = &rows.iter().find(|rows| rows.row.name == name)?.runs;
    Spread::of(runs.iter().map(|run| run.seconds.unwrap_or(f64::INFINITY))).map(|spread| spread.median)
}

fn print_rows(rows: &[Rows]) {
    let mut table = Table::new(&["beside", "median s", "best s", "worst s", "× alone", "to the others"]);
    let alone = median(rows, ALONE.name);
    for Rows { row, runs } in rows {
        let Some(spread) = Spread::of(runs.iter().map(|run| run.seconds.unwrap_or(f64::INFINITY))) else {
            continue;
        };
        let others = runs.iter().map(|run| run.others).sum::<u64>() / runs.len().max(1) as u64;
        table.row([
            row.name.to_owned(),
            format!("{:.2}", spread.median),
            format!("{:.2}", spread.min),
            format!("{:.2}", spread.max),
            alone.map_or_else(String::new, |alone| format!("{:.2}", spread.median / alone)),
            show_size(others),
        ]);
    }
    println!("\n{}", table.render());
}

fn goals(rows: &[Rows]) -> Vec<Goal> {
    let Some(alone) = median(rows, ALONE.name) else { return Vec::new() };
    let goal = |rows_of: &Rows| {
        let row = rows_of.row;
        let factor = median(rows, row.name)? / alone;
        row.limit.is_finite().then(|| Goal::at_most(format!("{} ÷ alone", row.name), factor, row.limit))
    };
    rows.iter().filter_map(goal).collect()
}
