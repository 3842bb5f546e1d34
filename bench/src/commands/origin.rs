//! `bench origin`: many receivers of a file that only an object store has, beside the same with a local file.

use super::parallel::finish_all;
use super::{CommonOptions, Start};
use crate::data::{CascadeFile, DataFile};
use crate::error::{BenchError, Context, Result};
use crate::machine::Machine;
use crate::measure::{Measured, find_program};
use crate::programs::counting::Counter;
use crate::stats::median;
use crate::table::{self, Goal, Table};
use crate::tools::binaries::Binaries;
use crate::tools::cascade::Source;
use crate::tools::garage::{self, Garage};
use crate::tools::{READY_WITHIN, free_address, nginx, probe};
use crate::turns;
use crate::units::parse_size;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// Options of `bench origin`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the file; every receiver writes one
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    block: u64,
    /// Receivers at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    receivers: usize,
    /// Limit on what each peer gives in a second, as for `peer`; without one the machine is the limit
    #[arg(long, value_name = "RATE")]
    max_up: Option<String>,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    common: CommonOptions,
}

/// Where the seeder has the blocks from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum From {
    /// Its own disk.
    Disk,
    /// An S3-compatible server.
    Bucket,
    /// nginx.
    Web,
}

/// One round.
#[derive(Debug, Clone, Serialize)]
struct Round {
    from: From,
    /// Seconds until the last receiver was complete.
    last: f64,
    /// Bytes from the origin, in copies of the file; headers count.
    copies: f64,
    seeder_cpu: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    receivers: usize,
    rounds: &'a [Round],
    goals: &'a [Goal],
}

/// Runs the benchmark.
///
/// # Errors
/// No room, a command that fails, a copy that differs; no origin can be started.
pub fn run(options: &Options) -> Result<()> {
    let origins = installed();
    if origins.is_empty() {
        return Err(BenchError::Unavailable("neither garage nor nginx is installed".to_owned()));
    }
    let Start { machine, binaries, folder } = options.common.start()?;
    let data = DataFile::random(folder.path(), options.size)?;
    let cascade = data.cascade_file(folder.path(), options.block)?;
    let mut rounds = Vec::new();
    for _ in 0..options.runs {
        for from in std::iter::once(From::Disk).chain(origins.iter().copied()) {
            let round = receive(options, &binaries, (&data, &cascade), from, folder.path())?;
            println!("{from:?}: {:.3} s, {:.3} copies from the origin", round.last, round.copies);
            rounds.push(round);
        }
    }
    let goals = goals(&rounds, &origins);
    print_rounds(&rounds, &origins);
    table::print_goals(&goals);
    let (machine, length, receivers) = (&machine, options.size, options.receivers);
    options.common.place.write_json(&Report { machine, length, receivers, rounds: &rounds, goals: &goals })
}

/// The origins that can be started here; says what is missing.
fn installed() -> Vec<From> {
    let bucket = find_program("garage").map(|_| From::Bucket);
    if bucket.is_err() {
        println!("skipped: a bucket (cargo install garage --version 2.5.0 --locked)");
    }
    let web = find_program("nginx").map(|_| From::Web);
    if web.is_err() {
        println!("skipped: a web server (apt install nginx)");
    }
    [bucket, web].into_iter().flatten().collect()
}

fn receive(
    options: &Options,
    binaries: &Binaries,
    (data, cascade): (&DataFile, &CascadeFile),
    from: From,
    folder: &Path,
) -> Result<Round> {
    let work = turns::run_folder(folder)?;
    let origin = match from {
        From::Disk => None,
        From::Bucket => Some(Origin::bucket(data, work.path())?),
        From::Web => Some(Origin::web(data, work.path())?),
    };
    let mut source = Source::start_with(binaries, cascade, work.path(), |command| {
        command.args(options.max_up.iter().flat_map(|rate| ["--max-up", rate]));
        match &origin {
            None => command.arg("--data").arg(&data.path),
            Some(origin) => origin.tell(command, data).arg("--data").arg(work.path().join("kept")),
        };
    })?;
    source.mark();
    let copy = |number: usize| work.path().join(format!("copy-{number}"));
    let mut running = Vec::new();
    for number in 0..options.receivers {
        let mut command = source.one_of_many(binaries, cascade, &copy(number));
        command.args(options.max_up.iter().flat_map(|rate| ["--max-up", rate]));
        let log = work.path().join(format!("download-{number}.log"));
        running.push(Measured::start("peer download", &mut command, &log)?);
    }
    let ended = finish_all(running)?;
    let last = ended.iter().map(|end| end.wall.as_secs_f64()).fold(0.0, f64::max);
    let seeder_cpu = source.usage().cpu;
    (0..options.receivers).try_for_each(|number| data.check_copy(&copy(number)))?;
    let bytes = origin.as_ref().map_or(0, |origin| origin.counter.bytes());
    Ok(Round { from, last, copies: bytes as f64 / data.length as f64, seeder_cpu })
}

/// A server that has the file, behind a line that counts what comes from it.
struct Origin {
    _server: Measured,
    counter: Counter,
    bucket: bool,
}

impl Origin {
    fn bucket(data: &DataFile, work: &Path) -> Result<Self> {
        let root = work.join("s3");
        std::fs::create_dir_all(&root).context(|| format!("cannot create {}", root.display()))?;
        let store = Garage::start(&root)?;
        store.put(data, &work.join("put.log"))?;
        let counter = Counter::start(store.address())?;
        Ok(Self { _server: store.into_process(), counter, bucket: true })
    }

    fn web(data: &DataFile, work: &Path) -> Result<Self> {
        let (address, root) = (free_address()?, work.join("www"));
        put(data, &root.join(data.name()))?;
        let file = root.join("nginx.conf");
        let written = std::fs::write(&file, nginx::config(&root, address));
        written.context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(find_program("nginx")?);
        command.arg("-p").arg(&root).arg("-c").arg(&file);
        let mut server = Measured::start("nginx", &mut command, &work.join("origin.log"))?;
        server.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        Ok(Self { _server: server, counter: Counter::start(address)?, bucket: false })
    }

    /// What the seeder is told of it.
    fn tell<'a>(&self, command: &'a mut Command, data: &DataFile) -> &'a mut Command {
        let address = self.counter.address();
        if !self.bucket {
            return command.args(["--origin", &format!("http://{address}/{}", data.name())]);
        }
        command.env("AWS_ACCESS_KEY_ID", garage::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", garage::SECRET_KEY);
        command.args(["--endpoint", &format!("http://{address}")]);
        command.args(["--origin", &format!("s3://{}/{}", garage::BUCKET, data.name())])
    }
}

/// Puts the data there without a copy.
fn put(data: &DataFile, place: &Path) -> Result<()> {
    let folder = place.parent().unwrap_or(place);
    std::fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))?;
    std::fs::hard_link(&data.path, place).context(|| format!("cannot link {}", place.display()))
}

fn times(rounds: &[Round], from: From, value: fn(&Round) -> f64) -> f64 {
    let values: Vec<f64> = rounds.iter().filter(|round| round.from == from).map(value).collect();
    median(&values)
}

fn goals(rounds: &[Round], origins: &[From]) -> Vec<Goal> {
    let local = times(rounds, From::Disk, |round| round.last);
    let of = |from: &From| {
        let most =
            rounds.iter().filter(|round| round.from == *from).map(|round| round.copies).fold(0.0, f64::max);
        let time = times(rounds, *from, |round| round.last);
        [
            Goal::at_most(format!("{from:?}: most copies from the origin"), most, 1.1),
            Goal::at_most(format!("{from:?}: time ÷ that with a local file"), time / local, 1.1),
        ]
    };
    origins.iter().flat_map(of).collect()
}

fn print_rounds(rounds: &[Round], origins: &[From]) {
    let mut table = Table::new(&["blocks from", "last s", "copies from the origin", "seeder CPU s"]);
    for from in std::iter::once(&From::Disk).chain(origins) {
        table.row([
            format!("{from:?}"),
            format!("{:.3}", times(rounds, *from, |round| round.last)),
            format!("{:.4}", times(rounds, *from, |round| round.copies)),
            format!("{:.2}", times(rounds, *from, |round| round.seeder_cpu)),
        ]);
    }
    println!("\n{}", table.render());
}
