//! `bench share`: how soon a file that is described already can be shared, how soon a receiver has something, and how long
//! two receivers on the sharer's machine take that begin together.

use super::parallel::finish_all;
use super::{FileOptions, Start};
use crate::clock;
use crate::data::{CascadeFile, DataFile};
use crate::error::{Result, failed};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::stats::median;
use crate::table::{self, Goal};
use crate::tools::binaries::Binaries;
use crate::tools::{READY_WITHIN, free_address, probe};
use crate::turns;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    /// Seconds from the start of `peer share` to its link, the first time: the file is hashed.
    described: f64,
    /// The same when it was described before, one for each round.
    links: &'a [f64],
    /// Seconds from the start of `peer download LINK` until it serves the first block itself, one for each round.
    first_bytes: &'a [f64],
    /// Seconds until both of two receivers that began together were complete, one for each round.
    together: &'a [f64],
    /// The same of one receiver alone.
    alone: &'a [f64],
    goals: &'a [Goal],
}

/// Runs the benchmark.
///
/// # Errors
/// No room, a command that fails or is not ready in time.
pub fn run(options: &FileOptions) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let data = DataFile::random(folder.path(), options.size)?;
    let cascade = data.cascade_file(folder.path(), options.block)?;
    let described = share(&binaries, &data, folder.path())?.0;
    println!("described and shared: {described:.3} s");
    let (mut links, mut first_bytes) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let (time, sharer, link) = share(&binaries, &data, folder.path())?;
        links.push(time);
        first_bytes.push(first_byte(&binaries, &link, &cascade, folder.path())?);
        drop(sharer);
    }
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..options.runs {
        for turn in turns::order(2, round) {
            let time = receive(&binaries, &data, folder.path(), turn + 1)?;
            println!("receivers: {}; all complete after {time:.3} s", turn + 1);
            times.get_mut(turn).into_iter().for_each(|times| times.push(time));
        }
    }
    let [alone, together] = times;
    let (link, first) = (median(&links), median(&first_bytes));
    println!("described before: link printed after {link:.3} s; link to first verified block {first:.3} s");
    let goals = [
        Goal::at_most("start until the link is printed", link, 0.2).in_unit("s"),
        Goal::at_most("link until the first verified block", first, 1.0).in_unit("s"),
        Goal::at_most("two receivers ÷ one", median(&together) / median(&alone), MOST_FOR_TWO),
    ];
    table::print_goals(&goals);
    let (length, links, first_bytes) = (options.size, links.as_slice(), first_bytes.as_slice());
    let (together, alone) = (together.as_slice(), alone.as_slice());
    let machine = &machine;
    let report = Report { machine, length, described, links, first_bytes, together, alone, goals: &goals };
    options.common.place.write_json(&report)
}

/// Most that two receivers may take, as a multiple of what one takes. Both have to write and hash all bytes, and nothing but
/// the processors is scarce within a machine.
const MOST_FOR_TWO: f64 = 4.0;

/// Seconds until all of some receivers are complete that begin together, on the sharer's machine. They reach the sharer by IPv4
/// and by IPv6, as those do that have a link with both addresses: it counts them as two hosts, each with their number of
/// connections.
fn receive(binaries: &Binaries, data: &DataFile, folder: &Path, receivers: usize) -> Result<f64> {
    let work = turns::run_folder(folder)?;
    let port = free_address()?.port();
    let mut command = Command::new(&binaries.peer);
    command.arg("share").arg(&data.path).args(["--no-lan", "-l", &port.to_string()]);
    command.env("CASCADE_STATE_DIR", folder.join("state"));
    let (_, _sharer, link) = start(&mut command, &work.path().join("share.log"))?;
    let file = link.split_once("&tracker=").map_or(link.as_str(), |(file, _)| file);
    let link =
        format!("{file}&tracker=127.0.0.1%3A{port}&peer=127.0.0.1%3A{port}&peer=%5B%3A%3A1%5D%3A{port}");
    let copy = |number: usize| work.path().join(format!("copy-{number}"));
    let started = clock::now();
    let mut running = Vec::new();
    for number in 0..receivers {
        let log = work.path().join(format!("download-{number}.log"));
        let mut command = download(binaries, &link, &copy(number), &log);
        running.push(Measured::start("peer download", &mut command, &log)?);
    }
    finish_all(running)?;
    let time = started.elapsed().as_secs_f64();
    (0..receivers).try_for_each(|number| data.check_copy(&copy(number)))?;
    Ok(time)
}

/// `peer download` of a link as `copy`, with a state folder of its own beside its log.
pub(super) fn download(binaries: &Binaries, link: &str, copy: &Path, log: &Path) -> Command {
    let mut command = Command::new(&binaries.peer);
    command.args(["download", link, "--no-lan", "-o"]).arg(copy);
    command.env("CASCADE_STATE_DIR", log.with_extension("state"));
    command
}

/// Shares the file; the seconds until its link was printed, and the link.
fn share(binaries: &Binaries, data: &DataFile, folder: &Path) -> Result<(f64, Measured, String)> {
    let mut command = Command::new(&binaries.peer);
    command.arg("share").arg(&data.path).args(["-l", &free_address()?.to_string()]);
    command.env("CASCADE_STATE_DIR", folder.join("state"));
    start(&mut command, &folder.join("share.log"))
}

/// Starts `peer share`, with its log there; the seconds until its link was printed, and the link.
pub(super) fn start(command: &mut Command, log: &Path) -> Result<(f64, Measured, String)> {
    let mut sharer = Measured::start("peer share", command, log)?;
    let printed = sharer.wait_until(READY_WITHIN, |_| printed_link(log).is_some())?;
    match printed_link(log) {
        Some(link) => Ok((printed.as_secs_f64(), sharer, link)),
        None => failed("peer share took its link back"),
    }
}

fn printed_link(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let link = text.split_once("peer download '")?.1.split_once('\'')?.0;
    Some(link.to_owned())
}

/// Seconds until a receiver that has only the link serves its first block to others. It serves verified blocks only.
fn first_byte(binaries: &Binaries, link: &str, cascade: &CascadeFile, folder: &Path) -> Result<f64> {
    let Some(block) = cascade.layout.block(0) else { return failed("the file has no block") };
    let (address, out) = (free_address()?, turns::run_folder(folder)?);
    let mut command = Command::new(&binaries.peer);
    command.args(["download", link, "--sequential", "-l", &address.to_string(), "-o"]).arg(out.path());
    command.env("CASCADE_STATE_DIR", out.path().join("state"));
    let started = clock::now();
    let mut receiver = Measured::start("peer download", &mut command, &out.path().join("download.log"))?;
    // A small file may be complete, and its receiver gone, before it was asked.
    let copy = out.path().join("data.bin");
    receiver.wait_until(READY_WITHIN, |_| copy.exists() || probe::serves(address, cascade.hash, block))?;
    Ok(started.elapsed().as_secs_f64())
}
