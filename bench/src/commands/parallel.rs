//! `bench parallel`: several downloads at once from one seeder, on loopback.

use super::{CommonOptions, Start};
use crate::data::{self, CascadeFile, DataFile};
use crate::error::Result;
use crate::machine::Machine;
use crate::measure::{Ended, Measured};
use crate::stats::Spread;
use crate::table::{self, Goal, Table};
use crate::tools::TRANSFER_WITHIN;
use crate::tools::binaries::Binaries;
use crate::tools::cascade::Source;
use crate::turns;
use crate::units::{mib_per_second, parse_size, show_size};
use serde::Serialize;
use std::path::Path;

/// Options of `bench parallel`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the file; every download writes one
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    block: u64,
    /// Downloads at once
    #[arg(long, value_name = "N", default_value_t = 8)]
    downloads: usize,
    /// Let the downloads serve each other: a swarm instead of one seeder's clients
    #[arg(long)]
    serve: bool,
    /// Rounds of one download and then all of them
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    common: CommonOptions,
}

/// Downloads that were started together.
#[derive(Debug, Serialize)]
struct Group {
    downloads: usize,
    first: f64,
    last: f64,
    /// All bytes by the time of the last, MiB/s.
    aggregate: f64,
    seeder_cpu: f64,
    seeder_peak: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    groups: &'a [Group],
    goals: &'a [Goal],
}

/// Runs the benchmark.
///
/// # Errors
/// No room, a download that fails or differs.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let data = DataFile::random(folder.path(), options.size)?;
    let cascade = data.cascade_file(folder.path(), options.block)?;
    data::warm_memory(folder.path(), options.size * options.downloads as u64 / 3)?;
    let mut groups = Vec::new();
    for _ in 0..options.runs {
        for count in [1, options.downloads] {
            groups.push(download_together(options, &binaries, &data, &cascade, count, folder.path())?);
        }
    }
    print_groups(&groups, &data);
    let goals = goals(&groups, options.downloads);
    table::print_goals(&goals);
    options.common.place.write_json(&Report {
        machine: &machine,
        length: data.length,
        groups: &groups,
        goals: &goals,
    })
}

fn download_together(
    options: &Options,
    binaries: &Binaries,
    data: &DataFile,
    cascade: &CascadeFile,
    count: usize,
    folder: &Path,
) -> Result<Group> {
    let work = turns::run_folder(folder)?;
    let source = Source::start(binaries, data, cascade, work.path())?;
    let mut running: Vec<Measured> = Vec::new();
    let copy = |number: usize| work.path().join(format!("copy-{number}"));
    for number in 0..count {
        let mut command = source.one_of_many(binaries, cascade, &copy(number));
        if !options.serve {
            command.arg("--no-serve");
        }
        let log = work.path().join(format!("download-{number}.log"));
        running.push(Measured::start("peer download", &mut command, &log)?);
    }
    let ended = finish_all(running)?;
    let usage = source.usage();
    (0..count).try_for_each(|number| data.check_copy(&copy(number)))?;
    let walls = Spread::of(ended.iter().map(|end| end.wall.as_secs_f64()));
    let (first, last) = walls.map_or((f64::NAN, f64::NAN), |walls| (walls.min, walls.max));
    let aggregate = mib_per_second(data.length * count as u64, last);
    println!("{count:3} at once: first {first:7.3} s, last {last:7.3} s, together {aggregate:6.0} MiB/s");
    Ok(Group { downloads: count, first, last, aggregate, seeder_cpu: usage.cpu, seeder_peak: usage.peak })
}

/// Waits for all; the time of each is taken when it ends, in whatever order.
pub(super) fn finish_all(mut running: Vec<Measured>) -> Result<Vec<Ended>> {
    let mut ended = Vec::new();
    while !running.is_empty() {
        let mut still = Vec::new();
        for mut process in running {
            match process.poll_exit()? {
                Some(end) => ended.push(end),
                None => still.push(process),
            }
        }
        running = still;
        if running.iter().any(|process| process.started().elapsed() > TRANSFER_WITHIN) {
            return crate::error::failed("the downloads did not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(ended)
}

fn print_groups(groups: &[Group], data: &DataFile) {
    let mut table =
        Table::new(&["at once", "first s", "last s", "together MiB/s", "seeder CPU s", "seeder peak"]);
    for group in groups {
        table.row([
            format!("{} × {}", group.downloads, show_size(data.length)),
            format!("{:.3}", group.first),
            format!("{:.3}", group.last),
            format!("{:.0}", group.aggregate),
            format!("{:.2}", group.seeder_cpu),
            show_size(group.seeder_peak),
        ]);
    }
    println!("\n{}", table.render());
}

fn goals(groups: &[Group], many: usize) -> Vec<Goal> {
    let median = |count: usize, value: fn(&Group) -> f64| {
        let values = groups.iter().filter(|group| group.downloads == count).map(value);
        Spread::of(values).map_or(f64::NAN, |spread| spread.median)
    };
    let (one, all) = (median(1, |group| group.aggregate), median(many, |group| group.aggregate));
    vec![
        Goal::at_least(format!("{many} at once: together ÷ one alone"), all / one, 0.9),
        Goal::at_most(format!("{many} at once: slowest ÷ fastest"), median(many, |g| g.last / g.first), 1.2),
    ]
}
