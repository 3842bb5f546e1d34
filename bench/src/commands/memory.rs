//! `bench memory`: peak memory of both sides, for all block sizes and for many peers.

use super::goals::MAX_PEAK_MIB;
use super::{CommonOptions, Start};
use crate::data::DataFile;
use crate::error::{Context, Result};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::table::{self, Goal, Table};
use crate::tools::binaries::Binaries;
use crate::tools::cascade::{Cascade, Source};
use crate::tools::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, free_address, probe};
use crate::turns;
use crate::units::{MIB, parse_size, show_size};
use serde::Serialize;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

/// Options of `bench memory`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Block size; may be given several times
    #[arg(long, value_name = "SIZE", value_parser = parse_size,
          default_values = ["1KiB", "10KiB", "64KiB", "1MiB", "10MiB", "100MiB", "1GiB"])]
    block: Vec<u64>,
    /// Number of peers in the runs with many
    #[arg(long, value_name = "N", default_value_t = 100)]
    peers: usize,
    /// Size of the file in the runs with many peers: each of them writes one
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_size)]
    many_size: u64,
    #[command(flatten)]
    common: CommonOptions,
}

/// Peaks of one run, in bytes.
#[derive(Debug, Serialize)]
struct Peaks {
    what: String,
    seeder: u64,
    downloader: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    runs: &'a [Peaks],
    goals: &'a [Goal],
}

/// Runs the benchmark.
///
/// # Errors
/// No room, a program that fails.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let mut runs = block_sizes(options, &binaries, folder.path())?;
    let small = turns::run_folder(folder.path())?;
    let data = DataFile::random(small.path(), options.many_size)?;
    for block in [64 * 1024, options.many_size] {
        runs.push(many_downloaders(options.peers, &binaries, &data, block, folder.path())?);
        runs.push(many_seeders(options.peers, &binaries, &data, block, folder.path())?);
    }
    let mut table = Table::new(&["run", "peak seeder", "peak downloader"]);
    for run in &runs {
        table.row([run.what.clone(), show_size(run.seeder), show_size(run.downloader)]);
    }
    println!("\n{}", table.render());
    let worst = runs.iter().map(|run| run.seeder.max(run.downloader)).max().unwrap_or(0);
    let goals = [Goal::at_most("peak of any side", worst as f64 / MIB as f64, MAX_PEAK_MIB).in_unit("MiB")];
    table::print_goals(&goals);
    options.common.place.write_json(&Report { machine: &machine, runs: &runs, goals: &goals })
}

/// One seeder, one downloader, each block size.
fn block_sizes(options: &Options, binaries: &Binaries, folder: &Path) -> Result<Vec<Peaks>> {
    let home = turns::run_folder(folder)?;
    let data = DataFile::random(home.path(), options.size)?;
    let mut runs = Vec::new();
    for block in &options.block {
        let work = turns::run_folder(folder)?;
        let cascade = data.cascade_file(work.path(), *block)?;
        let done =
            Cascade::new(binaries.clone(), cascade).transfer(&Job { data: &data, work: work.path() })?;
        let what = format!("1 → 1, {}, {} blocks", show_size(data.length), show_size(*block));
        runs.push(told(what, done.sender.peak, done.receiver.peak));
    }
    Ok(runs)
}

/// Many downloads from one seeder; the downloaders' greatest peak counts.
fn many_downloaders(
    count: usize,
    binaries: &Binaries,
    data: &DataFile,
    block: u64,
    folder: &Path,
) -> Result<Peaks> {
    let work = turns::run_folder(folder)?;
    let cascade = data.cascade_file(work.path(), block)?;
    let source = Source::start(binaries, data, &cascade, work.path())?;
    let mut running = Vec::new();
    for number in 0..count {
        let mut command = source.one_of_many(binaries, &cascade, &work.path().join(format!("copy-{number}")));
        let log = work.path().join(format!("download-{number}.log"));
        running.push(Measured::start("peer download", &mut command, &log)?);
    }
    let mut peak = 0;
    for download in running {
        peak = peak.max(download.finish(TRANSFER_WITHIN)?.usage.peak);
    }
    let what = format!("1 → {count}, {}, {} blocks", show_size(data.length), show_size(block));
    Ok(told(what, source.usage().peak, peak))
}

/// One download from many seeders; the seeders' greatest peak counts.
fn many_seeders(
    count: usize,
    binaries: &Binaries,
    data: &DataFile,
    block: u64,
    folder: &Path,
) -> Result<Peaks> {
    let work = turns::run_folder(folder)?;
    let cascade = data.cascade_file(work.path(), block)?;
    // All links come first: each of them changes the file's status, which a running seeder would notice.
    let own = |number: usize| work.path().join(format!("seed-{number}"));
    for folder in (0..count).map(own) {
        std::fs::create_dir(&folder).context(|| format!("cannot create {}", folder.display()))?;
        let link = folder.join(data.name());
        std::fs::hard_link(&data.path, &link).context(|| format!("cannot link {}", link.display()))?;
    }
    let mut seeders: Vec<(SocketAddrV4, Measured)> = Vec::new();
    for folder in (0..count).map(own) {
        let address = free_address()?;
        let mut command = Command::new(&binaries.peer);
        command.arg("seed").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-l", &address.to_string()]);
        command.arg("--data").arg(folder.join(data.name()));
        seeders.push((address, Measured::start("peer seed", &mut command, &folder.join("log"))?));
    }
    let mut command = Command::new(&binaries.peer);
    command.arg("download").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-l", "127.0.0.1:0", "-o"]);
    command.arg(work.path().join("copy"));
    for (address, seeder) in &mut seeders {
        let mut ready = probe::Readiness::of(*address, &cascade);
        seeder.wait_until(READY_WITHIN, |_| ready.check())?;
        command.args(["--peer", &address.to_string()]);
    }
    let download = Measured::start("peer download", &mut command, &work.path().join("download.log"))?;
    let downloader = download.finish(TRANSFER_WITHIN)?.usage.peak;
    let seeder = seeders.iter().map(|(_, seeder)| seeder.usage().peak).max().unwrap_or(0);
    Ok(told(
        format!("{count} → 1, {}, {} blocks", show_size(data.length), show_size(block)),
        seeder,
        downloader,
    ))
}

fn told(what: String, seeder: u64, downloader: u64) -> Peaks {
    println!("{what:<40} seeder {:>10}, downloader {:>10}", show_size(seeder), show_size(downloader));
    Peaks { what, seeder, downloader }
}
