//! `bench serve`: a box that serves thousands of files: how soon after its start, with how much memory and how many
//! descriptors.

use super::{CommonOptions, Start};
use crate::clock;
use crate::error::{Context, Result, failed};
use crate::machine::Machine;
use crate::measure::{Measured, Usage};
use crate::table::{self, Goal};
use crate::tools::binaries::Binaries;
use crate::tools::{free_address, probe};
use cascade_format::{BlockHash, CascadeHash, FileHash, Header, Layout, Metafile};
use serde::Serialize;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Options of `bench serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Files to be served
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    files: u64,
    /// Length of each, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 20_000)]
    length: u64,
    /// Descriptors that the process may have
    #[arg(long, value_name = "N", default_value_t = 1024)]
    descriptors: u64,
    #[command(flatten)]
    common: CommonOptions,
}

/// Blocks of each file.
const BLOCKS: u64 = 4;

/// Within which all must be served.
const WITHIN: Duration = Duration::from_secs(600);

/// Files that are asked for while others are checked, to see whether all are served.
const SAMPLES: usize = 50;

/// A limit of the goals: 256 MiB.
const MAX_MEMORY: f64 = 256.0 * 1024.0 * 1024.0;

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    files: u64,
    first_start: Served,
    restart: Served,
    goals: &'a [Goal],
}

/// One run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Served {
    /// Seconds until samples of all files are served.
    serving: f64,
    /// Seconds until the tracker knows the last file; of the restart alone.
    registered: Option<f64>,
    usage: Usage,
}

struct Folder<'a> {
    path: &'a Path,
    state: &'a Path,
    log: &'a Path,
    files: Vec<(CascadeHash, Layout)>,
    descriptors: u64,
}

/// Runs the benchmark.
///
/// # Errors
/// The folder cannot be made, or is not served in time.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let (path, state, log) =
        (folder.path().join("box"), folder.path().join("state"), folder.path().join("log"));
    println!("making {} files of {} bytes", options.files, options.length);
    let files = make(&path, options)?;
    let folder = Folder { path: &path, state: &state, log: &log, files, descriptors: options.descriptors };
    let first_start = folder.serve(&binaries, false)?;
    show("first start", &first_start);
    let restart = folder.serve(&binaries, true)?;
    show("restart", &restart);
    let (peak, descriptors) = (
        first_start.usage.peak.max(restart.usage.peak),
        first_start.usage.descriptors.max(restart.usage.descriptors),
    );
    #[allow(clippy::cast_precision_loss, reason = "shown numbers")]
    let goals = [
        Goal::at_most("restart until all files are served", restart.serving, 5.0).in_unit("s"),
        Goal::at_most("most memory", peak as f64, MAX_MEMORY).in_unit("B"),
        Goal::at_most("most descriptors", descriptors as f64, 1024.0),
    ];
    table::print_goals(&goals);
    let report = Report { machine: &machine, files: options.files, first_start, restart, goals: &goals };
    options.common.place.write_json(&report)
}

fn show(what: &str, served: &Served) {
    let Served { serving, registered, usage } = served;
    let mib = usage.peak >> 20;
    println!(
        "{what}: served after {serving:.2} s, peak memory {mib} MiB, {} descriptors, {:.2} s of processor time",
        usage.descriptors, usage.cpu
    );
    if let Some(registered) = registered {
        println!("{what}: the tracker knows all files after {registered:.1} s");
    }
}

/// Files in folders of a hundred, each of other bytes, with their `.cascade` files.
fn make(folder: &Path, options: &Options) -> Result<Vec<(CascadeHash, Layout)>> {
    let block_size = options.length.div_ceil(BLOCKS).max(1);
    let layout = Layout::new(options.length, block_size).or_else(|error| failed(error.to_string()))?;
    let mut files = Vec::new();
    for number in 0..options.files {
        let inner = folder.join(format!("{:03}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&inner).context(|| format!("cannot create {}", inner.display()))?;
        }
        let mut data = vec![0; usize::try_from(options.length).unwrap_or(0)];
        fastrand::Rng::with_seed(number).fill(&mut data);
        let step = usize::try_from(block_size).unwrap_or(usize::MAX);
        let hashes = data.chunks(step).map(BlockHash::of).collect();
        let header = Header { layout, file_hash: FileHash(*BlockHash::of(&data).as_bytes()) };
        let bytes = Metafile::new(header, hashes).or_else(|error| failed(error.to_string()))?.encode();
        let path = inner.join(format!("{number:05}.bin"));
        let write = |path: &Path, bytes: &[u8]| {
            fs::write(path, bytes).context(|| format!("cannot write {}", path.display()))
        };
        write(&path, &data)?;
        write(&path.with_extension("bin.cascade"), &bytes)?;
        files.push((CascadeHash::of(&bytes), layout));
    }
    Ok(files)
}

impl Folder<'_> {
    /// Starts the peer and waits until it serves everything; and until a tracker knows all of it, if `registers`.
    fn serve(&self, binaries: &Binaries, registers: bool) -> Result<Served> {
        let (address, tracker) = (free_address()?, free_address()?);
        let _tracker = registers.then(|| self.tracker(binaries, tracker)).transpose()?;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {} && exec \"$@\"", self.descriptors), "sh"]);
        command.arg(&binaries.peer).arg("serve").arg(self.path).arg("--json");
        command.args(["-l", &address.to_string(), "-t", &tracker.to_string()]);
        command.env("CASCADE_STATE_DIR", self.state);
        let mut peer = Measured::start("peer serve", &mut command, self.log)?;
        let mut samples = self.samples();
        let serving = peer.wait_until(WITHIN, |_| {
            samples.retain(|(hash, layout)| !is_served(address, *hash, layout));
            samples.is_empty()
        })?;
        // Each file is woken once.
        let asked = clock::now();
        let all = self.files.iter().filter(|(hash, layout)| is_served(address, *hash, layout)).count();
        if all < self.files.len() {
            return failed(format!("{all} of {} files are served", self.files.len()));
        }
        println!("each of them asked for a block: {:.2} s", asked.elapsed().as_secs_f64());
        let registered = if registers { Some(self.wait_registered(&mut peer, tracker)?) } else { None };
        Ok(Served { serving: serving.as_secs_f64(), registered, usage: peer.usage() })
    }

    /// Files from the whole folder, the last one included.
    fn samples(&self) -> Vec<(CascadeHash, Layout)> {
        let step = (self.files.len() / SAMPLES).max(1);
        self.files.iter().rev().step_by(step).copied().collect()
    }

    fn tracker(&self, binaries: &Binaries, address: SocketAddrV4) -> Result<Measured> {
        let folder = self.log.parent().unwrap_or(self.path);
        let mut hashes = String::new();
        for (hash, _) in &self.files {
            let comma = if hashes.is_empty() { "" } else { "," };
            hashes += &format!("{comma}\"{hash}\"");
        }
        let config = folder.join("tracker.json");
        let text = format!("{{\"port\": {}, \"allowedhashes\": [{hashes}]}}", address.port());
        fs::write(&config, text).context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new(&binaries.tracker);
        command.arg(&config).args(["--listen", &address.to_string()]);
        let tracker = Measured::start("tracker", &mut command, &folder.join("tracker.log"))?;
        probe::wait_for_port(address)?;
        Ok(tracker)
    }

    /// Seconds from the start of the peer until the tracker lists it for each file.
    fn wait_registered(&self, peer: &mut Measured, tracker: SocketAddrV4) -> Result<f64> {
        let mut left: Vec<CascadeHash> = self.files.iter().map(|(hash, _)| *hash).collect();
        let registered = peer.wait_until(WITHIN, |_| {
            // Registered in an order of their own: one that is not known yet is enough to wait.
            while let Some(hash) = left.last() {
                if probe::listed(tracker, *hash).is_empty() {
                    std::thread::sleep(clock::STEP);
                    return false;
                }
                left.pop();
            }
            true
        })?;
        Ok(registered.as_secs_f64())
    }
}

fn is_served(address: SocketAddrV4, hash: CascadeHash, layout: &Layout) -> bool {
    layout.block(0).is_some_and(|block| probe::serves(address, hash, block))
}
