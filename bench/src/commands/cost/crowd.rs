//! One seeder and eight downloads at once, beside aria2: how busy the machine is that runs all of them.

use super::Found;
use crate::data::DataFile;
use crate::error::{BenchError, Result};
use crate::stats::Spread;
use crate::swarm;
use crate::swarm::clients::{Aria2, Cascade, Client};
use crate::swarm::outcome::Outcome;
use crate::swarm::role::Role;
use crate::swarm::scenario::Scenario;
use crate::table::{Goal, Table};
use crate::tools::binaries::Binaries;
use crate::turns;
use crate::units::MIB;
use std::path::Path;

/// The file, in bytes.
const SIZE: u64 = 64 * MIB;

/// The blocks, in bytes.
const BLOCK: u64 = 64 << 10;

/// From this rate on, in Mbit/s, what a full machine would cost the swarm has a goal too.
const TIMED_RATE: u64 = 50;

/// When the last may have the file, in times of F/u.
const MAX_LAST: f64 = 1.10;

struct Contestant {
    client: Box<dyn Client>,
    runs: Vec<Outcome>,
}

impl Contestant {
    fn median(&self, value: impl Fn(&Outcome) -> f64) -> f64 {
        Spread::of(self.runs.iter().map(value)).map_or(f64::NAN, |spread| spread.median)
    }

    fn busy(&self) -> f64 {
        self.median(|run| run.busy)
    }

    /// When the last had the file, in times of F/u; the worst run counts.
    fn last(&self, scenario: &Scenario) -> f64 {
        let last = |run: &Outcome| run.spread(Role::Own).map_or(f64::NAN, |times| times.max);
        self.runs.iter().map(last).fold(0.0, f64::max) / scenario.unit()
    }
}

pub(super) fn run(binaries: &Binaries, rate: u64, runs: usize, folder: &Path) -> Result<Found> {
    let scenario = Scenario { size: SIZE, block: BLOCK, rate, seeder_rate: rate, ..Scenario::PLAIN };
    println!("\n{}", scenario.describe());
    let data = DataFile::random(folder, SIZE)?;
    let mut all = contestants(binaries, &data, folder)?;
    for round in 0..runs {
        for at in turns::order(all.len(), round) {
            let Some(contestant) = all.get_mut(at) else { continue };
            let work = turns::run_folder(folder)?;
            let outcome = swarm::run(&scenario, contestant.client.as_ref(), &data, work.path())?;
            let last = outcome.spread(Role::Own).map_or(f64::NAN, |times| times.max);
            let (name, busy) = (contestant.client.name(), outcome.busy * 100.0);
            println!("{name:<12} last {last:6.2} s, CPU {:5.2} s, machine {busy:.0} % busy", outcome.cpu);
            contestant.runs.push(outcome);
        }
    }
    print(&all, &scenario);
    let measured: serde_json::Map<_, _> = all
        .iter()
        .map(|contestant| {
            (contestant.client.name(), serde_json::to_value(&contestant.runs).unwrap_or_default())
        })
        .collect();
    let row = format!("1 → 8, {rate} Mbit/s");
    let goals = goals(&row, &all, &scenario);
    Ok(Found { row, measured: measured.into(), goals })
}

/// Ours is the first.
fn contestants(binaries: &Binaries, data: &DataFile, folder: &Path) -> Result<Vec<Contestant>> {
    let ours = Cascade {
        name: "cascade",
        binaries: binaries.clone(),
        cascade: data.cascade_file(folder, BLOCK)?,
        extra: Vec::new(),
        v1_seeder: false,
    };
    let mut all = vec![Contestant { client: Box::new(ours), runs: Vec::new() }];
    match Aria2::find(data, folder) {
        Ok(aria2) => all.push(Contestant { client: Box::new(aria2), runs: Vec::new() }),
        Err(BenchError::Unavailable(why)) => println!("left out: {why}"),
        Err(error) => return Err(error),
    }
    Ok(all)
}

fn print(all: &[Contestant], scenario: &Scenario) {
    let heads =
        ["program", "worst last ÷ F/u", "CPU s of all peers", "packets/MiB", "dropped", "machine busy"];
    let mut table = Table::new(&heads);
    let delivered = (scenario.size / MIB * scenario.leechers as u64) as f64;
    for contestant in all {
        table.row([
            contestant.client.name(),
            format!("{:.3}", contestant.last(scenario)),
            format!("{:.2}", contestant.median(|run| run.cpu)),
            format!("{:.0}", contestant.median(|run| run.packets as f64 / delivered)),
            format!("{:.1} %", contestant.median(|run| 100.0 * run.drops as f64 / run.packets.max(1) as f64)),
            format!("{:.0} %", contestant.busy() * 100.0),
        ]);
    }
    println!("\n{}", table.render());
}

fn goals(row: &str, all: &[Contestant], scenario: &Scenario) -> Vec<Goal> {
    let mut goals = Vec::new();
    if let [ours, aria2, ..] = all {
        let cpu = |contestant: &Contestant| contestant.median(|run| run.cpu);
        goals.push(Goal::at_most(format!("{row}: CPU of all peers ÷ aria2's"), cpu(ours) / cpu(aria2), 1.0));
        goals.push(Goal::at_most(
            format!("{row}: machine busy ÷ with aria2"),
            ours.busy() / aria2.busy(),
            1.0,
        ));
    }
    if let (Some(ours), true) = (all.first(), scenario.rate >= TIMED_RATE) {
        goals.push(Goal::at_most(format!("{row}: the last ÷ F/u"), ours.last(scenario), MAX_LAST));
    }
    goals
}
