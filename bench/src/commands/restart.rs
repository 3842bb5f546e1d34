//! `bench restart`: how soon a seed serves again whose check was completed before.

use super::{CommonOptions, Start};
use crate::data::CascadeFile;
use crate::error::{Context, Result, failed};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::table::{self, Goal};
use crate::tools::binaries::Binaries;
use crate::tools::{free_address, probe};
use crate::units::{parse_size, show_size};
use cascade_format::{BlockHash, CascadeHash, FileHash, Header, Layout, Metafile};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Options of `bench restart`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Size of the file; it is sparse, so it takes no room, but its first check reads all of it
    #[arg(long, value_name = "SIZE", default_value = "100GiB", value_parser = parse_size)]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = parse_size)]
    block: u64,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    length: u64,
    first_start: f64,
    restart: f64,
    goals: &'a [Goal],
}

/// How long the first check may take.
const CHECK_WITHIN: Duration = Duration::from_secs(3600);

/// Runs the benchmark.
///
/// # Errors
/// The seed does not serve, or serves a block that was changed between two starts.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    println!("hashing {} of zeroes for the .cascade file", show_size(options.size));
    let (data, cascade) = sparse(folder.path(), options.size, options.block)?;
    let first_start = time_to_serve(&binaries, &data, &cascade)?;
    println!("first start: {first_start:.3} s");
    let restart = time_to_serve(&binaries, &data, &cascade)?;
    println!("restart:     {restart:.3} s");
    let goals = [Goal::at_most("restart until everything is served", restart, 1.0).in_unit("s")];
    table::print_goals(&goals);
    must_notice_a_change(&binaries, &data, &cascade)?;
    let report = Report { machine: &machine, length: options.size, first_start, restart, goals: &goals };
    options.common.place.write_json(&report)
}

/// A sparse file and its `.cascade` file. All full blocks are alike, so one of them is hashed once.
fn sparse(folder: &Path, length: u64, block_size: u64) -> Result<(PathBuf, CascadeFile)> {
    let data = folder.join("sparse.bin");
    let file = File::create(&data).context(|| format!("cannot create {}", data.display()))?;
    file.set_len(length).context(|| format!("cannot make {} sparse", data.display()))?;
    let layout = Layout::new(length, block_size).or_else(|e| failed(e.to_string()))?;
    let full = BlockHash(zeroes_hash(block_size.min(length)));
    let last_len = layout.iter().last().map_or(0, |block| layout.len_of(block));
    let mut hashes: Vec<BlockHash> = layout.iter().map(|_| full).collect();
    if let Some(last) = hashes.last_mut() {
        *last = BlockHash(zeroes_hash(last_len));
    }
    let header = Header { layout, file_hash: FileHash(zeroes_hash(length)) };
    let metafile = Metafile::new(header, hashes).or_else(|e| failed(e.to_string()))?;
    let (path, bytes) = (folder.join("sparse.bin.cascade"), metafile.encode());
    fs::write(&path, &bytes).context(|| format!("cannot write {}", path.display()))?;
    Ok((data, CascadeFile { path, hash: CascadeHash::of(&bytes), layout }))
}

fn zeroes_hash(length: u64) -> [u8; 32] {
    let zeroes = vec![0; 1 << 18];
    let mut hasher = Sha256::new();
    let mut left = length;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(zeroes.len()).min(zeroes.len());
        hasher.update(&zeroes[..now]);
        left -= now as u64;
    }
    hasher.finalize().into()
}

/// Seconds from the start of `peer seed` until it serves the whole file.
fn time_to_serve(binaries: &Binaries, data: &Path, cascade: &CascadeFile) -> Result<f64> {
    let (mut seeder, address) = start(binaries, data, cascade)?;
    let mut serves = probe::Readiness::of(address, cascade);
    let ready = seeder.wait_until(CHECK_WITHIN, |_| serves.check())?;
    Ok(ready.as_secs_f64())
}

fn start(
    binaries: &Binaries,
    data: &Path,
    cascade: &CascadeFile,
) -> Result<(Measured, std::net::SocketAddrV4)> {
    let address = free_address()?;
    let mut command = Command::new(&binaries.peer);
    command.arg("seed").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-l", &address.to_string(), "--data"]);
    command.arg(data);
    let log = data.with_extension("log");
    Ok((Measured::start("peer seed", &mut command, &log)?, address))
}

/// Flips a byte of the first block while nothing runs, starts again, waits until another block is served, and
/// then asks for the changed one.
fn must_notice_a_change(binaries: &Binaries, data: &Path, cascade: &CascadeFile) -> Result<()> {
    let (Some(changed), Some(other)) = (cascade.layout.block(0), cascade.layout.block(1)) else {
        println!("a change between two starts: not tried, the file has one block");
        return Ok(());
    };
    let file =
        File::options().write(true).open(data).context(|| format!("cannot open {}", data.display()))?;
    file.write_all_at(&[1], 0).context(|| format!("cannot change {}", data.display()))?;
    let (mut seeder, address) = start(binaries, data, cascade)?;
    seeder.wait_until(CHECK_WITHIN, |_| probe::serves(address, cascade.hash, other))?;
    if probe::serves(address, cascade.hash, changed) {
        return failed("FAIL: a block that was changed between two starts is served");
    }
    println!("a block that was changed between two starts is not served: pass");
    Ok(())
}
