//! `bench update`: the next version of a folder, of which a few files have changed and all others have moved in the
//! archive. How much must come from the swarm?

use super::folder::make_folder;
use super::{CommonOptions, Start};
use crate::data::CascadeFile;
use crate::error::{Context, Result, failed};
use crate::machine::Machine;
use crate::measure::{Measured, Usage};
use crate::table::{self, Goal, Table};
use crate::tools::TRANSFER_WITHIN;
use crate::tools::cascade::{self, Source};
use crate::units::{parse_size, show_size};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of `bench update`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the folder
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Number of its files
    #[arg(long, value_name = "N", default_value_t = 8000)]
    files: u64,
    /// Of how many files one has other bytes in the next version
    #[arg(long, value_name = "N", default_value_t = 100)]
    one_in: u64,
    #[command(flatten)]
    common: CommonOptions,
}

/// A way to get the next version, and what it took.
#[derive(Serialize)]
struct Row {
    way: &'static str,
    wall: f64,
    usage: Usage,
    /// Bytes of blocks that came from peers, that were taken from the old version, and that were there before.
    from_peers: u64,
    taken: u64,
    resumed: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    block: u64,
    rows: &'a [Row],
    goals: &'a [Goal],
}

/// The share of the bytes that may come from the swarm.
const MAX_SHARE: f64 = 0.03;

/// Runs the benchmark.
///
/// # Errors
/// No room, a command that fails, a copy that differs.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let each = options.size / options.files.max(1);
    let data = make_folder(&folder.path().join("data"), options.files, each)?;
    let ways = [("anew", None), ("--from OLD", Some("--from")), ("--update", Some("--update"))];
    let mut old = Vec::new();
    for (way, _) in ways {
        let copy = folder.path().join(way.replace(['-', ' '], "")).join("data");
        copy_folder(&data.path, &copy)?;
        old.push(copy);
    }
    let changed = change(&data.path, options)?;
    let cascade = cascade::describe(&binaries, &data, None)?;
    let source = Source::start(&binaries, &data, &cascade, folder.path())?;
    let mut rows = Vec::new();
    for ((way, option), old) in ways.into_iter().zip(old) {
        let out = if option == Some("--update") { old.clone() } else { old.with_file_name("new") };
        // A folder that is there is one that the data goes to.
        let place = out.parent().filter(|_| out.exists()).unwrap_or(&out);
        let mut command = source.download(&binaries, &cascade, place);
        command.arg("--json").env("CASCADE_STATE_DIR", folder.path().join("state"));
        match option {
            Some("--from") => command.arg("--from").arg(&old),
            Some(option) => command.arg(option),
            None => &mut command,
        };
        rows.push(row(way, command, &old.with_extension("log"))?);
        data.check_copy(&out)?;
    }
    let length = cascade.layout.length();
    print(&rows, &cascade, changed, options);
    let goals: Vec<Goal> = rows
        .iter()
        .skip(1)
        .map(|row| {
            let share = row.from_peers as f64 / length as f64;
            Goal::at_most(
                format!("{}: share of the bytes that comes from the swarm", row.way),
                share,
                MAX_SHARE,
            )
        })
        .collect();
    table::print_goals(&goals);
    let block = cascade.layout.block_size();
    options.common.place.write_json(&Report { machine: &machine, length, block, rows: &rows, goals: &goals })
}

/// Makes the next version: one file in a given number has other bytes, one in the same number another name, and one that is new
/// stands before all others. Tells how many bytes are new.
fn change(folder: &Path, options: &Options) -> Result<u64> {
    let mut random = fastrand::Rng::with_seed(1);
    let write = |path: &Path| format!("cannot write {}", path.display());
    let new = folder.join("0000/!a new one");
    fs::write(&new, b"it moves all others").context(|| write(&new))?;
    let mut bytes = 0;
    for number in 0..options.files {
        let path = super::folder::path_of(folder, number);
        if number % options.one_in == options.one_in / 2 {
            let mut content = fs::read(&path).context(|| write(&path))?;
            random.fill(&mut content);
            bytes += content.len() as u64;
            fs::write(&path, content).context(|| write(&path))?;
        } else if number % options.one_in == 0 {
            fs::rename(&path, path.with_extension("renamed")).context(|| write(&path))?;
        }
    }
    Ok(bytes)
}

/// Copies a folder with the times of its files.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&parent).context(|| format!("cannot create {}", parent.display()))?;
    let copied = Command::new("cp").arg("--archive").arg(from).arg(to).status();
    let copied = copied.context(|| "cannot start cp".to_owned())?;
    if copied.success() { Ok(()) } else { failed(format!("cp: {copied}")) }
}

fn row(way: &'static str, mut command: Command, log: &PathBuf) -> Result<Row> {
    let ended = Measured::start("peer download", &mut command, log)?.finish(TRANSFER_WITHIN)?;
    let text = fs::read_to_string(log).context(|| format!("cannot read {}", log.display()))?;
    let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let Some(done) = events.into_iter().find(|event| event["event"] == "done") else {
        return failed("peer download told no end");
    };
    let shares = done["shares"].as_array().into_iter().flatten();
    Ok(Row {
        way,
        wall: ended.wall.as_secs_f64(),
        usage: ended.usage,
        from_peers: shares.filter_map(|share| share["bytes"].as_u64()).sum(),
        taken: done["taken_bytes"].as_u64().unwrap_or(0),
        resumed: done["resumed_bytes"].as_u64().unwrap_or(0),
    })
}

fn print(rows: &[Row], cascade: &CascadeFile, changed: u64, options: &Options) {
    let length = cascade.layout.length();
    println!(
        "{} files, {} in blocks of {}; {} of them have changed",
        options.files,
        show_size(length),
        show_size(cascade.layout.block_size()),
        show_size(changed)
    );
    let mut table =
        Table::new(&["way", "s", "from the swarm", "share", "taken from the old version", "CPU s", "peak"]);
    for row in rows {
        table.row([
            row.way.to_owned(),
            format!("{:.3}", row.wall),
            show_size(row.from_peers),
            format!("{:.2} %", 100.0 * row.from_peers as f64 / length as f64),
            show_size(row.taken),
            format!("{:.2}", row.usage.cpu),
            show_size(row.usage.peak),
        ]);
    }
    println!("\n{}", table.render());
}
