//! `bench link`: one download over a long, fast link: does the pipelining keep it full?

use super::{CommonOptions, Start};
use crate::clock;
use crate::data::{self, CascadeFile, DataFile};
use crate::error::{BenchError, Result, failed};
use crate::linkemu::LinkSpec;
use crate::linkemu::congestion::CongestionOption;
use crate::linkemu::network::ETHERNET_MTU;
use crate::machine::Machine;
use crate::measure::Measured;
use crate::stats::Spread;
use crate::table::{self, Goal, Table};
use crate::tools::TRANSFER_WITHIN;
use crate::tools::binaries::Binaries;
use crate::turns;
use crate::units::{parse_size, show_size};
use path::Path as LinkPath;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

mod path;

/// Options of `bench link`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    block: u64,
    /// The link's rate both ways
    #[arg(long, value_name = "MBIT/S", default_value_t = 1000)]
    rate: u64,
    /// The link's round trip
    #[arg(long, value_name = "MS", default_value_t = 50)]
    round_trip: u64,
    /// Length of the link's queues
    #[arg(long, value_name = "MS", default_value_t = 50)]
    queue: u64,
    /// Packet size on emulated interfaces
    #[arg(long, value_name = "BYTES", default_value_t = ETHERNET_MTU)]
    mtu: u32,
    /// Greatest TCP buffers on emulated nodes; a connection cannot have more in flight
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_size)]
    tcp_buffer: u64,
    /// How the link is emulated (default: tun as root, else relay)
    #[arg(long, value_enum)]
    via: Option<Via>,
    /// Rounds of a plain transfer and then a download
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    emulated: CongestionOption,
    #[command(flatten)]
    common: CommonOptions,
}

/// How a link is emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub enum Via {
    /// Packets through TUN devices between network namespaces; needs root.
    Tun,
    /// Bytes through a TCP relay on loopback.
    Relay,
}

/// One transfer over the link.
#[derive(Debug, Clone, Copy, Serialize)]
struct Run {
    /// Seconds from start to exit of the receiver.
    wall: f64,
    /// Bits a second on the link after the first second.
    rate: f64,
    /// Share of all cores that was busy.
    busy: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    via: Via,
    plain: &'a [Run],
    cascade: &'a [Run],
    goals: &'a [Goal],
}

/// What is left out of the rate: connections start slowly.
const FIRST: Duration = Duration::from_secs(1);

/// Share of the link's rate that must be reached.
const MIN_SHARE: f64 = 0.9;

/// Runs the benchmark.
///
/// # Errors
/// The link cannot be emulated, a program fails.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let data = DataFile::random(folder.path(), options.size)?;
    let cascade = data.cascade_file(folder.path(), options.block)?;
    data::warm_memory(folder.path(), options.size)?;
    let path = open_path(options)?;
    // A relay's connections are those of the machine.
    let congestion = match path.via() {
        Via::Tun => options.emulated.congestion.name(),
        Via::Relay => "the machine's congestion control",
    };
    let (rate, round_trip, via) = (options.rate, options.round_trip, path.via());
    println!("{rate} Mbit/s, round trip {round_trip} ms, {congestion}, via {via:?}");
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        plain.push(told("plain TCP", plain_tcp(&path, data.length, folder.path())?));
        ours.push(told("cascade", download(&path, &binaries, &data, &cascade, folder.path())?));
    }
    print_runs(options, &plain, &ours);
    let goals = goals(&plain, &ours);
    table::print_goals(&goals);
    options.common.place.write_json(&Report {
        machine: &machine,
        via: path.via(),
        plain: &plain,
        cascade: &ours,
        goals: &goals,
    })
}

fn open_path(options: &Options) -> Result<LinkPath> {
    let one_way = Duration::from_millis(options.round_trip) / 2;
    let link = LinkSpec::symmetric(options.rate, one_way, Duration::from_millis(options.queue));
    let tun = || LinkPath::tun(link, options.mtu, options.tcp_buffer, options.emulated.congestion);
    match options.via {
        Some(Via::Tun) => tun(),
        Some(Via::Relay) => Ok(LinkPath::relay(link)),
        None => match tun() {
            Err(BenchError::Unavailable(why)) => {
                println!("a TCP relay instead of TUN devices: {why}");
                Ok(LinkPath::relay(link))
            }
            other => other,
        },
    }
}

/// What the link carries without files, hashes and requests.
fn plain_tcp(path: &LinkPath, length: u64, folder: &Path) -> Result<Run> {
    let work = turns::run_folder(folder)?;
    let (_sender, receiver) = path.start_plain(length, work.path())?;
    follow(path, receiver)
}

fn download(
    path: &LinkPath,
    binaries: &Binaries,
    data: &DataFile,
    cascade: &CascadeFile,
    folder: &Path,
) -> Result<Run> {
    let work = turns::run_folder(folder)?;
    let copy = work.path().join("copy");
    let (_servers, receiver) = path.start_download(binaries, data, cascade, &copy, work.path())?;
    let run = follow(path, receiver)?;
    data.check_copy(&copy)?;
    Ok(run)
}

/// Waits for the receiver and measures the rate after the first second.
fn follow(path: &LinkPath, mut receiver: Measured) -> Result<Run> {
    let (busy, all) = crate::procfs::machine_cpu();
    let mut first: Option<(f64, u64)> = None;
    loop {
        let (elapsed, bytes) = (receiver.started().elapsed(), path.received());
        if first.is_none() && elapsed >= FIRST {
            first = Some((elapsed.as_secs_f64(), bytes));
        }
        if let Some(ended) = receiver.poll_exit()? {
            let wall = ended.wall.as_secs_f64();
            let Some((from, before)) = first else {
                return failed("the transfer took less than a second: take a larger --size");
            };
            let rate = (path.received() - before) as f64 * 8.0 / (wall - from);
            let (busy_after, all_after) = crate::procfs::machine_cpu();
            let busy = (busy_after - busy).as_secs_f64() / (all_after - all).as_secs_f64().max(0.01);
            return Ok(Run { wall, rate, busy });
        }
        if receiver.started().elapsed() > TRANSFER_WITHIN {
            return failed("the transfer did not end");
        }
        // Sleeping shorter takes CPU time from the link.
        std::thread::sleep(clock::STEP);
    }
}

fn told(what: &str, run: Run) -> Run {
    let (rate, busy) = (run.rate / 1e6, run.busy * 100.0);
    println!(
        "{what:<12} {:7.3} s, {rate:5.0} Mbit/s after the first second, machine {busy:.0} % busy",
        run.wall
    );
    run
}

fn median(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    Spread::of(runs.iter().map(value)).map_or(f64::NAN, |spread| spread.median)
}

fn print_runs(options: &Options, plain: &[Run], ours: &[Run]) {
    let mut table =
        Table::new(&["transfer", "median s", "Mbit/s after 1 s", "share of nominal", "machine busy"]);
    let name = format!("cascade, {} blocks", show_size(options.block));
    for (name, runs) in [("plain TCP: the link's own rate".to_owned(), plain), (name, ours)] {
        let rate = median(runs, |run| run.rate) / 1e6;
        table.row([
            name,
            format!("{:.3}", median(runs, |run| run.wall)),
            format!("{rate:.0}"),
            format!("{:.3}", rate / options.rate as f64),
            format!("{:.0} %", median(runs, |run| run.busy) * 100.0),
        ]);
    }
    println!("\n{}", table.render());
}

fn goals(plain: &[Run], ours: &[Run]) -> Vec<Goal> {
    let share = median(ours, |run| run.rate) / median(plain, |run| run.rate);
    vec![Goal::at_least("rate after the first second ÷ the link's own", share, MIN_SHARE)]
}
