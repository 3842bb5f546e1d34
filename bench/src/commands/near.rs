//! `bench near`: subnets joined by thin links, with a tracker that prefers near peers and with one that does not: what
//! passes the thin links, and when the last peer has the file.

use super::{CommonOptions, Start};
use crate::clock;
use crate::data::{CascadeFile, DataFile};
use crate::error::{Context, Result, failed};
use crate::interrupt;
use crate::linkemu::LinkSpec;
use crate::linkemu::congestion::CongestionOption;
use crate::linkemu::subnets::{MAX_HOSTS, Subnets};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::stats::Spread;
use crate::table::{self, Goal, Table};
use crate::tools::READY_WITHIN;
use crate::tools::binaries::Binaries;
use crate::turns;
use crate::units::{parse_size, show_size};
use serde::Serialize;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Options of `bench near`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Subnets with peers, besides one with the tracker and the seeder
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    subnets: u8,
    /// Peers of each
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_HOSTS)))]
    peers: u8,
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_size)]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    block: u64,
    /// Rate of each subnet's link, both ways
    #[arg(long, value_name = "MBIT/S", default_value_t = 20)]
    thin: u64,
    /// Rate of the seeder's subnet
    #[arg(long, value_name = "MBIT/S", default_value_t = 80)]
    seeder: u64,
    /// Delay of every link, one way
    #[arg(long, value_name = "MS", default_value_t = 5)]
    delay: u64,
    /// Subnets reach the seeder's and no other
    #[arg(long)]
    firewalled: bool,
    /// Peers do not tell each other of peers: they know only those of lists, as programs of version 1 do
    #[arg(long)]
    version_1: bool,
    /// Longest time of a run, in seconds
    #[arg(long, value_name = "S", default_value_t = 300)]
    within: u64,
    /// Rounds; every round runs both trackers once
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    link: CongestionOption,
    #[command(flatten)]
    common: CommonOptions,
}

/// How long packets wait in a link's queue at most.
const QUEUE: Duration = Duration::from_millis(50);

const TRACKER_PORT: u16 = 8888;

const PEER_PORT: u16 = 7001;

/// What the tracker is told besides.
const ROWS: [(&str, &[&str]); 2] = [("as ever", &[]), ("near first", &["--prefer-near"])];

/// One run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Run {
    /// Bytes that came into the subnets with peers, with headers.
    across: u64,
    /// Seconds until the last peer had the file.
    last: f64,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    #[serde(skip)]
    arguments: &'static [&'static str],
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: &'a [Row],
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
    let data = DataFile::random(folder.path(), options.size)?;
    let cascade = data.cascade_file(folder.path(), options.block)?;
    let (subnets, peers, congestion) = (options.subnets, options.peers, options.link.congestion);
    let (thin, delay) = (options.thin, options.delay);
    println!("{subnets} subnets of {peers} peers, {thin} Mbit/s, {delay} ms one way, {congestion}");
    let mut rows = ROWS.map(|(name, arguments)| Row { name, arguments, runs: Vec::new() });
    for round in 0..options.runs {
        for at in turns::order(rows.len(), round) {
            let Some(row) = rows.get_mut(at) else { continue };
            let work = turns::run_folder(folder.path())?;
            let swarm =
                Swarm { options, binaries: &binaries, data: &data, cascade: &cascade, work: work.path() };
            let run = swarm.run(row.arguments)?;
            println!("{:<12} {} across, the last after {:.2} s", row.name, show_size(run.across), run.last);
            row.runs.push(run);
        }
    }
    let goals = print_rows(&rows, options);
    table::print_goals(&goals);
    options.common.place.write_json(&Report { machine: &machine, rows: &rows, goals: &goals })
}

struct Swarm<'a> {
    options: &'a Options,
    binaries: &'a Binaries,
    data: &'a DataFile,
    cascade: &'a CascadeFile,
    work: &'a Path,
}

impl Swarm<'_> {
    fn run(&self, tracker: &[&str]) -> Result<Run> {
        let options = self.options;
        let delay = Duration::from_millis(options.delay);
        let outside = (LinkSpec::symmetric(options.seeder, delay, QUEUE), 2);
        let thin = (LinkSpec::symmetric(options.thin, delay, QUEUE), options.peers);
        let links: Vec<_> = std::iter::once(outside).chain((0..options.subnets).map(|_| thin)).collect();
        let subnets = Subnets::new(&links, options.firewalled, options.link.congestion)?;
        let mut _tracker = self.start_tracker(&subnets, tracker)?;
        let mut seeder = self.start_peer(&subnets, 0, 2, "seed")?.0;
        seeder.wait_until(READY_WITHIN, |seeder| seeder.log_text().contains("\"tracker\""))?;
        let before = across(&subnets);
        let started = clock::now();
        let mut peers = Vec::new();
        // In turns: all subnets are there from the beginning.
        for host in 1..=options.peers {
            for subnet in 1..=options.subnets {
                peers.push(self.start_peer(&subnets, subnet, host, "download")?);
            }
        }
        let within = Duration::from_secs(options.within);
        while !peers.iter().all(|(_, copy)| copy.exists()) {
            interrupt::check()?;
            if started.elapsed() > within {
                let done = peers.iter().filter(|(_, copy)| copy.exists()).count();
                return failed(format!("{done} of {} peers had the file after {within:?}", peers.len()));
            }
            std::thread::sleep(clock::STEP);
        }
        let run = Run { across: across(&subnets) - before, last: started.elapsed().as_secs_f64() };
        peers.iter().try_for_each(|(_, copy)| self.data.check_copy(copy))?;
        Ok(run)
    }

    fn start_tracker(&self, subnets: &Subnets, arguments: &[&str]) -> Result<Measured> {
        let mut command = Command::new(&self.binaries.tracker);
        command.args(["--listen", &tracker_address().to_string(), "--allow"]).arg(&self.cascade.path);
        command.args(arguments);
        let log = self.work.join("tracker.log");
        let mut tracker = Measured::start("tracker", &mut subnets.on(0, 1, &command)?, &log)?;
        tracker.wait_until(READY_WITHIN, |tracker| tracker.log_text().contains("listening on"))?;
        Ok(tracker)
    }

    /// A peer on a host, and where its copy will be.
    fn start_peer(
        &self,
        subnets: &Subnets,
        subnet: u8,
        host: u8,
        subcommand: &str,
    ) -> Result<(Measured, PathBuf)> {
        let folder = self.work.join(format!("{subnet}-{host}"));
        fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
        let copy = folder.join(self.data.name());
        let listen = SocketAddrV4::new(Subnets::address(subnet, host), PEER_PORT);
        let mut command = Command::new(&self.binaries.peer);
        command.arg(subcommand).arg(&self.cascade.path).args(["-t", &tracker_address().to_string()]);
        // Without a tracker they would find each other on their bridge, too.
        command.args(["-l", &listen.to_string(), "--json", "--no-lan"]);
        if self.options.version_1 {
            command.env("CASCADE_EXTENSION", "off");
        }
        if subcommand == "seed" {
            command.arg("--data").arg(&self.data.path);
        } else {
            command.arg("--seed").arg("-o").arg(&copy);
        }
        let name = format!("peer {subcommand}");
        Ok((Measured::start(&name, &mut subnets.on(subnet, host, &command)?, &folder.join("log"))?, copy))
    }
}

fn tracker_address() -> SocketAddrV4 {
    SocketAddrV4::new(Subnets::address(0, 1), TRACKER_PORT)
}

/// Bytes that have come into the subnets with peers.
fn across(subnets: &Subnets) -> u64 {
    subnets.counters().iter().skip(1).map(|counters| counters.down_bytes).sum()
}

fn median(row: &Row, value: impl Fn(&Run) -> f64) -> f64 {
    Spread::of(row.runs.iter().map(value)).map_or(f64::NAN, |spread| spread.median)
}

fn print_rows(rows: &[Row; 2], options: &Options) -> Vec<Goal> {
    let mut table = Table::new(&["tracker", "across", "copies a subnet", "÷ as ever", "last s"]);
    let (of_across, of_last) = (|run: &Run| run.across as f64, |run: &Run| run.last);
    let [today, near] = rows.each_ref().map(|row| median(row, of_across));
    for row in rows {
        let across = median(row, of_across);
        table.row([
            row.name.to_owned(),
            format!("{:.1} MB", across / 1e6),
            format!("{:.2}", across / options.size as f64 / f64::from(options.subnets)),
            format!("{:.2}", across / today),
            format!("{:.2}", median(row, of_last)),
        ]);
    }
    println!("\n{}", table.render());
    vec![Goal::at_most("bytes across the thin links ÷ as ever", near / today, 1.0)]
}
