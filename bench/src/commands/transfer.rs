//! `bench transfer`: the same file by every tool, in turns.

use super::CommonOptions;
use super::entry::{Entry, Kind, SMALL_BLOCK};
use crate::data::{self, DataFile};
use crate::error::{BenchError, Context, Result, failed};
use crate::machine::Machine;
use crate::programs::floor::Hashing;
use crate::table::{self, Table};
use crate::tools::aria2::Aria2;
use crate::tools::binaries::Binaries;
use crate::tools::cascade::Cascade;
use crate::tools::floor::Floor;
use crate::tools::nginx::CurlNginx;
use crate::tools::rqbit::Rqbit;
use crate::tools::rsync::Rsync;
use crate::tools::sendme::Sendme;
use crate::tools::{Job, Tool, Transfer};
use crate::units::{mib_per_second, parse_size, show_size};
use crate::{commands::goals, turns};
use serde::Serialize;
use std::path::Path;

/// Options of `bench transfer`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Block size of a Cascade row; may be given several times
    #[arg(long, value_name = "SIZE", value_parser = parse_size,
          default_values = ["1MiB", "10MiB", "64KiB", "10KiB", "1GiB"])]
    block: Vec<u64>,
    /// Size of the file for the row with blocks of 1 KiB; 0 leaves it out
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = cascade_format::units::parse_size)]
    small: u64,
    /// Rounds; every round runs every tool once
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// The tools to run (default: all that are installed)
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',')]
    only: Vec<Kind>,
    #[command(flatten)]
    common: CommonOptions,
}

const ALL: [Kind; 8] =
    [Kind::Floor, Kind::Cascade, Kind::Web, Kind::Curl, Kind::Rsync, Kind::Aria2, Kind::Rqbit, Kind::Sendme];

/// What the command leaves in its JSON file.
#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    entries: &'a [Entry],
    goals: &'a [table::Goal],
}

/// Runs the benchmark.
///
/// # Errors
/// No room, a tool that fails, a copy that differs.
pub fn run(options: &Options) -> Result<()> {
    let machine = Machine::look();
    machine.print();
    let folder = options.common.place.folder()?;
    let mut entries = contestants(options, folder.path())?;
    println!(
        "{} of random data in {}, {} rounds",
        show_size(options.size),
        folder.path().display(),
        options.runs
    );
    data::warm_memory(folder.path(), options.size)?;
    for round in 0..options.runs {
        for at in turns::order(entries.len(), round) {
            run_once(&mut entries[at], folder.path())?;
        }
    }
    print_table(&entries);
    let goals = goals::of_transfers(&entries);
    table::print_goals(&goals);
    options.common.place.write_json(&Report { machine: &machine, entries: &entries, goals: &goals })
}

/// Every tool that can take part; the others are named on the output.
fn contestants(options: &Options, folder: &Path) -> Result<Vec<Entry>> {
    let data = DataFile::random(folder, options.size)?;
    let mut entries = Vec::new();
    for kind in ALL {
        let by_default = options.only.is_empty() && kind != Kind::Web;
        if !by_default && !options.only.contains(&kind) {
            continue;
        }
        match tools_of(kind, options, &data, folder) {
            Ok(new) => entries.extend(new),
            Err(BenchError::Unavailable(why)) => println!("left out: {why}"),
            Err(error) => return Err(error),
        }
    }
    if entries.is_empty() { failed("no tool to run") } else { Ok(entries) }
}

fn tools_of(kind: Kind, options: &Options, data: &DataFile, folder: &Path) -> Result<Vec<Entry>> {
    let entry = |tool: Box<dyn Tool>| {
        let name = tool.name();
        Entry { name, kind, block: 0, length: data.length, runs: Vec::new(), tool, data: data.clone() }
    };
    Ok(match kind {
        Kind::Floor => {
            vec![entry(Box::new(Floor(Hashing::TwoThreads))), entry(Box::new(Floor(Hashing::OneThread)))]
        }
        Kind::Cascade => return cascade_entries(options, data, folder),
        Kind::Web => {
            let binaries = Binaries::prepare(&options.common.binaries)?;
            let cascade = data.cascade_file(folder, WEB_BLOCK)?;
            let page =
                |viewers| entry(Box::new(Cascade::new(binaries.clone(), cascade.clone()).with_page(viewers)));
            vec![page(0), page(VIEWERS)]
        }
        Kind::Curl => vec![entry(Box::new(CurlNginx::find()?))],
        Kind::Rsync => vec![entry(Box::new(Rsync::find()?))],
        Kind::Aria2 => vec![entry(Box::new(Aria2::find(data)?))],
        Kind::Rqbit => vec![entry(Box::new(Rqbit::find(data)?))],
        Kind::Sendme => vec![entry(Box::new(Sendme::find()?))],
    })
}

fn cascade_entries(options: &Options, data: &DataFile, folder: &Path) -> Result<Vec<Entry>> {
    let binaries = Binaries::prepare(&options.common.binaries)?;
    let mut entries = Vec::new();
    for block in &options.block {
        entries.push(cascade_entry(&binaries, data, folder, *block)?);
    }
    if options.small > 0 {
        let small = folder.join("small");
        std::fs::create_dir(&small).context(|| format!("cannot create {}", small.display()))?;
        let data = DataFile::random(&small, options.small)?;
        let mut entry = cascade_entry(&binaries, &data, &small, SMALL_BLOCK)?;
        entry.name += &format!(", {} file", show_size(options.small));
        entries.push(entry);
    }
    Ok(entries)
}

/// Block size of the rows with a page, in bytes.
const WEB_BLOCK: u64 = 1 << 20;

/// Viewers of the page in the row that has some.
const VIEWERS: usize = 10;

fn cascade_entry(binaries: &Binaries, data: &DataFile, folder: &Path, block: u64) -> Result<Entry> {
    let own = folder.join(format!("block-{block}"));
    std::fs::create_dir(&own).context(|| format!("cannot create {}", own.display()))?;
    let tool = Cascade::new(binaries.clone(), data.cascade_file(&own, block)?);
    Ok(Entry {
        name: tool.name(),
        kind: Kind::Cascade,
        block,
        length: data.length,
        runs: Vec::new(),
        tool: Box::new(tool),
        data: data.clone(),
    })
}

/// One transfer in a folder of its own, compared off the clock and removed.
fn run_once(entry: &mut Entry, folder: &Path) -> Result<()> {
    let work = turns::run_folder(folder)?;
    let transfer = entry.tool.transfer(&Job { data: &entry.data, work: work.path() })?;
    entry.data.check_copy(&transfer.copy)?;
    transfer.tell(&entry.name, entry.length);
    entry.runs.push(transfer);
    Ok(())
}

fn print_table(entries: &[Entry]) {
    let floor = goals::floor_of(entries);
    let mut table = Table::new(&[
        "tool",
        "median s",
        "min s",
        "max s",
        "MiB/s",
        "× floor",
        "CPU sender s",
        "CPU receiver s",
        "peak sender",
        "peak receiver",
    ]);
    for entry in entries {
        let Some(wall) = entry.spread(|run| run.wall) else { continue };
        let median = |value: fn(&Transfer) -> f64| entry.spread(value).map_or(0.0, |spread| spread.median);
        let peak = |value: fn(&Transfer) -> u64| show_size(entry.runs.iter().map(value).max().unwrap_or(0));
        // A ratio to the floor only makes sense for the same file.
        let ratio = floor.filter(|floor| floor.length == entry.length);
        table.row([
            entry.name.clone(),
            format!("{:.3}", wall.median),
            format!("{:.3}", wall.min),
            format!("{:.3}", wall.max),
            format!("{:.0}", mib_per_second(entry.length, wall.median)),
            ratio.map_or_else(String::new, |floor| format!("{:.2}", wall.median / floor.wall)),
            format!("{:.2}", median(|run| run.sender.cpu)),
            format!("{:.2}", median(|run| run.receiver.cpu)),
            peak(|run| run.sender.peak),
            peak(|run| run.receiver.peak),
        ]);
    }
    println!("\n{}", table.render());
}
