//! `bench folder`: a folder of a few large files beside one file of the same size, and a folder of many small ones
//! by every tool that takes folders.

use super::{CommonOptions, Start};
use crate::data::DataFile;
use crate::error::{BenchError, Context, Result, failed};
use crate::machine::Machine;
use crate::stats::Spread;
use crate::table::Table;
use crate::tools::binaries::Binaries;
use crate::tools::cascade::Cascade;
use crate::tools::folders::{Croc, Rsync, Tar};
use crate::tools::sendme::Sendme;
use crate::tools::{Job, Tool, Transfer};
use crate::turns;
use crate::units::{parse_size, show_size};
use cascade_format::FileHash;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of the folder with a few large ones.
const FEW: u64 = 8;

/// Files that are made in one folder.
const FILES_A_FOLDER: u64 = 1000;

/// Options of `bench folder`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the one file, and of eight files together
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Number of small files
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    files: u64,
    /// Size of each of them
    #[arg(long, value_name = "SIZE", default_value = "4KiB", value_parser = parse_size)]
    each: u64,
    /// Rows to run of those with many files (default: all that are installed)
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Rounds; every round runs every row once
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    common: CommonOptions,
}

/// The tools that take folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// tar through a socket.
    Tar,
    /// Ours.
    Cascade,
    /// The rsync daemon.
    Rsync,
    /// croc through its relay.
    Croc,
    /// sendme.
    Sendme,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Tar, Self::Cascade, Self::Rsync, Self::Croc, Self::Sendme];
}

/// A row: a tool, what it transfers, and all its runs.
#[derive(Serialize)]
struct Row {
    work: String,
    name: String,
    length: u64,
    runs: Vec<Transfer>,
    #[serde(skip)]
    tool: Box<dyn Tool>,
    #[serde(skip)]
    data: DataFile,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: &'a [Row],
}

/// Runs the benchmark.
///
/// # Errors
/// No room, a tool that fails, a copy that differs.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let mut rows = few(options, &binaries, folder.path())?;
    rows.extend(many(options, &binaries, folder.path())?);
    for round in 0..options.runs {
        for at in turns::order(rows.len(), round) {
            run_once(&mut rows[at], folder.path())?;
        }
    }
    print_table(&rows);
    options.common.place.write_json(&Report { machine: &machine, rows: &rows })
}

/// One file, and as many bytes in eight.
fn few(options: &Options, binaries: &Binaries, dir: &Path) -> Result<Vec<Row>> {
    let one = DataFile::random(dir, options.size)?;
    let folder = make_folder(&dir.join("few"), FEW, options.size / FEW)?;
    let mut rows = Vec::new();
    for (work, data) in [("one file", one), ("8 files", folder)] {
        let tool = Cascade::described(binaries, &data)?;
        rows.push(row(format!("{work}, {}", show_size(options.size)), Box::new(tool), &data));
    }
    Ok(rows)
}

/// Many small files, by each tool that is installed; names those that are not.
fn many(options: &Options, binaries: &Binaries, dir: &Path) -> Result<Vec<Row>> {
    let data = make_folder(&dir.join("many"), options.files, options.each)?;
    let work = format!("{} files of {}", options.files, show_size(options.each));
    let mut rows = Vec::new();
    let tool = |kind| -> Result<Box<dyn Tool>> {
        Ok(match kind {
            Kind::Tar => Box::new(Tar),
            Kind::Cascade => Box::new(Cascade::described(binaries, &data)?),
            Kind::Rsync => Box::new(Rsync::find()?),
            Kind::Croc => Box::new(Croc::find()?),
            Kind::Sendme => Box::new(Sendme::find()?),
        })
    };
    let chosen = |kind: &Kind| options.only.is_empty() || options.only.contains(kind);
    for kind in Kind::ALL.into_iter().filter(chosen) {
        match tool(kind) {
            Ok(tool) => rows.push(row(work.clone(), tool, &data)),
            Err(BenchError::Unavailable(why)) => println!("left out: {why}"),
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

fn row(work: String, tool: Box<dyn Tool>, data: &DataFile) -> Row {
    Row { work, name: tool.name(), length: data.length, runs: Vec::new(), tool, data: data.clone() }
}

/// Makes a folder of `files` files of `each` random bytes. It is a [`DataFile`] whose hash nobody asks for.
pub(super) fn make_folder(path: &Path, files: u64, each: u64) -> Result<DataFile> {
    let mut random = fastrand::Rng::with_seed(files);
    let write = |error: &Path| format!("cannot write {}", error.display());
    let mut bytes = vec![0; usize::try_from(each).or_else(|_| failed("files are too large"))?];
    for number in 0..files {
        let file = path_of(path, number);
        if number.is_multiple_of(FILES_A_FOLDER)
            && let Some(inside) = file.parent()
        {
            fs::create_dir_all(inside).context(|| write(inside))?;
        }
        random.fill(&mut bytes);
        fs::write(&file, &bytes).context(|| write(&file))?;
    }
    Ok(DataFile { path: path.to_owned(), length: files * each, hash: FileHash([0; 32]) })
}

/// Where file `number` of such a folder is.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{:04}/{number:07}.bin", number / FILES_A_FOLDER))
}

/// One transfer in a folder of its own, compared off the clock and removed.
fn run_once(row: &mut Row, dir: &Path) -> Result<()> {
    let work = turns::run_folder(dir)?;
    let transfer = row.tool.transfer(&Job { data: &row.data, work: work.path() })?;
    row.data.check_copy(&transfer.copy)?;
    transfer.tell(&format!("{}, {}", row.work, row.name), row.length);
    row.runs.push(transfer);
    Ok(())
}

fn print_table(rows: &[Row]) {
    let mut table = Table::new(&[
        "work",
        "tool",
        "median s",
        "min s",
        "max s",
        "× first",
        "peak sender",
        "peak receiver",
        "descriptors",
    ]);
    let median = |row: &Row| Spread::of(row.runs.iter().map(|run| run.wall));
    for row in rows {
        let Some(wall) = median(row) else { continue };
        // What is compared has the same bytes.
        let first = rows.iter().find(|other| other.length == row.length).and_then(median);
        let peak = |value: fn(&Transfer) -> u64| show_size(row.runs.iter().map(value).max().unwrap_or(0));
        table.row([
            row.work.clone(),
            row.name.clone(),
            format!("{:.3}", wall.median),
            format!("{:.3}", wall.min),
            format!("{:.3}", wall.max),
            first.map_or_else(String::new, |first| format!("{:.2}", wall.median / first.median)),
            peak(|run| run.sender.peak),
            peak(|run| run.receiver.peak),
            row.runs
                .iter()
                .map(|run| run.sender.descriptors.max(run.receiver.descriptors))
                .max()
                .unwrap_or(0)
                .to_string(),
        ]);
    }
    println!("\n{}", table.render());
}
