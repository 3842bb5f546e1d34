//! One sender and one receiver over a link.

use super::Found;
use crate::cost::curl::Curl;
use crate::cost::peers::Peers;
use crate::cost::{Carrier, Cost, Way};
use crate::data::DataFile;
use crate::error::{BenchError, Context, Result};
use crate::linkemu::congestion::CONGESTION_CONTROL;
use crate::measure::Usage;
use crate::stats::Spread;
use crate::swarm::clients::{Aria2, Cascade, Rqbit};
use crate::table::{Goal, Table};
use crate::tools::binaries::Binaries;
use crate::turns;
use crate::units::{MIB, show_size};
use std::path::Path;

/// Delay of every link one way, in milliseconds.
const DELAY: u64 = 5;

/// The file of the slow rows, in bytes.
const SLOW_SIZE: u64 = 128 * MIB;

/// The file of the fast row, in bytes.
const FAST_SIZE: u64 = 1024 * MIB;

/// What `peer create` chooses for the slow file.
const SLOW_BLOCK: u64 = 128 << 10;

/// What `peer create` chooses for the fast file.
const FAST_BLOCK: u64 = MIB;

/// The block sizes that are compared.
const BLOCKS: [u64; 4] = [1 << 10, 64 << 10, MIB, 16 * MIB];

/// A carrier and its runs.
struct Contestant {
    carrier: Box<dyn Carrier>,
    runs: Vec<Cost>,
}

impl Contestant {
    fn median(&self, value: impl Fn(&Cost) -> f64) -> f64 {
        Spread::of(self.runs.iter().map(value)).map_or(f64::NAN, |spread| spread.median)
    }

    fn receiver_cpu(&self) -> f64 {
        self.median(|run| run.receiver.cpu)
    }

    fn sender_cpu(&self) -> f64 {
        self.median(|run| run.sender.cpu)
    }
}

/// 100 Mbit/s: everybody.
pub(super) fn slow(binaries: &Binaries, runs: usize, folder: &Path) -> Result<Found> {
    let data = DataFile::random(folder, SLOW_SIZE)?;
    let mut all = others(&data, folder)?;
    all.push(ours(binaries, &data, SLOW_BLOCK, folder)?);
    let found = measure("100 Mbit/s", Way { rate: 100, delay: DELAY }, &data, &mut all, runs, folder)?;
    Ok(with_goals(found, &all, 0.6, Some(2.0)))
}

/// 1 Gbit/s: everybody.
pub(super) fn fast(binaries: &Binaries, runs: usize, folder: &Path) -> Result<Found> {
    let data = DataFile::random(folder, FAST_SIZE)?;
    let mut all = others(&data, folder)?;
    all.push(ours(binaries, &data, FAST_BLOCK, folder)?);
    let found = measure("1 Gbit/s", Way { rate: 1000, delay: DELAY }, &data, &mut all, runs, folder)?;
    Ok(with_goals(found, &all, 1.0, None))
}

/// Block sizes among themselves.
pub(super) fn blocks(binaries: &Binaries, runs: usize, folder: &Path) -> Result<Found> {
    let data = DataFile::random(folder, SLOW_SIZE)?;
    let mut all = Vec::new();
    for block in BLOCKS {
        all.push(ours(binaries, &data, block, folder)?);
    }
    let mut found = measure("block sizes", Way { rate: 100, delay: DELAY }, &data, &mut all, runs, folder)?;
    let best = all.iter().map(Contestant::receiver_cpu).fold(f64::INFINITY, f64::min);
    found.goals = all
        .iter()
        .zip(BLOCKS)
        .map(|(contestant, block)| {
            let limit = if block < 64 << 10 { 4.0 } else { 1.5 };
            let what = format!("{} blocks: downloader's CPU ÷ the best of them", show_size(block));
            Goal::at_most(what, contestant.receiver_cpu() / best, limit)
        })
        .collect();
    Ok(found)
}

fn ours(binaries: &Binaries, data: &DataFile, block: u64, folder: &Path) -> Result<Contestant> {
    let folder = folder.join(format!("blocks-of-{block}"));
    std::fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
    let client = Cascade {
        name: "cascade",
        binaries: binaries.clone(),
        cascade: data.cascade_file(&folder, block)?,
        extra: Vec::new(),
        v1_seeder: false,
    };
    let name = format!("cascade, {} blocks", show_size(block));
    Ok(Contestant { carrier: Box::new(Peers { name, client: Box::new(client) }), runs: Vec::new() })
}

/// The programs of others that are installed; those that are not are named.
fn others(data: &DataFile, folder: &Path) -> Result<Vec<Contestant>> {
    let curl = |and_hash| Curl::find(and_hash).map(|curl| Box::new(curl) as Box<dyn Carrier>);
    let peers = |name: &str, client| Box::new(Peers { name: name.to_owned(), client }) as Box<dyn Carrier>;
    let found = [
        curl(false),
        curl(true),
        Aria2::find(data, folder).map(|client| peers("aria2", Box::new(client))),
        Rqbit::find(data, folder).map(|client| peers("rqbit", Box::new(client))),
    ];
    let mut all = Vec::new();
    for carrier in found {
        match carrier {
            Ok(carrier) => all.push(Contestant { carrier, runs: Vec::new() }),
            Err(BenchError::Unavailable(why)) => println!("left out: {why}"),
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn measure(
    name: &str,
    way: Way,
    data: &DataFile,
    all: &mut [Contestant],
    runs: usize,
    folder: &Path,
) -> Result<Found> {
    let (size, rate, delay) = (show_size(data.length), way.rate, way.delay);
    println!("\n{name}: {size}, {rate} Mbit/s, {delay} ms one way, {CONGESTION_CONTROL}");
    for round in 0..runs {
        for at in turns::order(all.len(), round) {
            let Some(contestant) = all.get_mut(at) else { continue };
            let work = turns::run_folder(folder)?;
            let cost = contestant.carrier.carry(way, data, work.path())?;
            tell(&contestant.carrier.name(), &cost);
            contestant.runs.push(cost);
        }
    }
    print(all);
    let measured = all
        .iter()
        .map(|contestant| {
            let runs = serde_json::to_value(&contestant.runs).unwrap_or_default();
            (contestant.carrier.name(), runs)
        })
        .collect::<serde_json::Map<_, _>>();
    Ok(Found { row: name.to_owned(), measured: measured.into(), goals: Vec::new() })
}

fn tell(name: &str, cost: &Cost) {
    let side = |usage: Usage| format!("{:6.3} s CPU, {:6} wake-ups", usage.cpu, usage.wakeups);
    println!(
        "{name:<26} {:7.3} s; receiver {}; sender {}",
        cost.wall,
        side(cost.receiver),
        side(cost.sender)
    );
}

fn print(all: &[Contestant]) {
    let mut table = Table::new(&[
        "program",
        "median s",
        "receiver: CPU s/GiB",
        "wake-ups/MiB",
        "sender: CPU s/GiB",
        "wake-ups/MiB",
    ]);
    for contestant in all {
        table.row([
            contestant.carrier.name(),
            format!("{:.2}", contestant.median(|run| run.wall)),
            format!("{:.2}", contestant.median(|run| run.cpu_per_gib(|run| run.receiver))),
            format!("{:.1}", contestant.median(|run| run.wakeups_per_mib(|run| run.receiver))),
            format!("{:.2}", contestant.median(|run| run.cpu_per_gib(|run| run.sender))),
            format!("{:.1}", contestant.median(|run| run.wakeups_per_mib(|run| run.sender))),
        ]);
    }
    println!("\n{}", table.render());
}

/// The downloader beside curl with `sha256sum`, the seeder beside nginx. Ours is the last.
fn with_goals(mut found: Found, all: &[Contestant], receiver: f64, sender: Option<f64>) -> Found {
    let by_name = |name: &str| all.iter().find(|contestant| contestant.carrier.name() == name);
    let (Some(ours), Some(hashed)) = (all.last(), by_name("curl + sha256sum")) else { return found };
    let name = found.row.clone();
    let what = format!("{name}: downloader's CPU ÷ curl + sha256sum");
    found.goals.push(Goal::at_most(what, ours.receiver_cpu() / hashed.receiver_cpu(), receiver));
    if let Some(sender) = sender {
        let nginx = all.iter().filter(|contestant| contestant.carrier.name().starts_with("curl"));
        let nginx = Spread::of(nginx.map(Contestant::sender_cpu)).map_or(f64::NAN, |spread| spread.median);
        let what = format!("{name}: seeder's CPU ÷ nginx");
        found.goals.push(Goal::at_most(what, ours.sender_cpu() / nginx, sender));
    }
    found
}
