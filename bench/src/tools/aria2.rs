//! aria2 as a BitTorrent seeder and downloader.

use super::torrent::Torrent;
use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer, free_address, probe};
use crate::data::DataFile;
use crate::error::{Context, Result, failed};
use crate::measure::{Measured, find_program};
use crate::programs::{own, printed_address};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the seeder may take to announce itself after it has its port.
const SETTLE: Duration = Duration::from_secs(1);

/// aria2, with pieces of 1 MiB.
#[derive(Debug)]
pub struct Aria2 {
    aria2: PathBuf,
    torrent: Torrent,
}

impl Aria2 {
    /// Finds it and makes the torrent's metadata.
    ///
    /// # Errors
    /// It is not installed, the data cannot be read.
    pub fn find(data: &DataFile) -> Result<Self> {
        Ok(Self { aria2: find_program("aria2c")?, torrent: Torrent::of(data)? })
    }
}

/// A command that shares or downloads the torrent at full speed, quietly, with nothing but the tracker to
/// find peers. It runs until it is killed.
#[must_use]
pub fn command(aria2: &Path, torrent: &Path, folder: &Path, listen: SocketAddrV4) -> Command {
    let mut command = Command::new(aria2);
    command.args(["--no-conf=true", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"]);
    command.args(["--disable-ipv6=true", "--file-allocation=none", "--allow-overwrite=true"]);
    command.args(["--console-log-level=warn", "--summary-interval=0", "--show-console-readout=false"]);
    command.args(["--seed-ratio=0.0", "--bt-max-peers=0", "--bt-tracker-interval=5"]);
    // Without this it stops looking for peers as soon as a download is faster than 50 KiB/s.
    command.arg("--bt-request-peer-speed-limit=1000M");
    command.arg(format!("--listen-port={}", listen.port()));
    if !listen.ip().is_loopback() && *listen.ip() != Ipv4Addr::UNSPECIFIED {
        command.arg(format!("--interface={}", listen.ip())).arg(format!("--bt-external-ip={}", listen.ip()));
    }
    command.arg("--dir").arg(folder);
    command.arg(torrent);
    command
}

/// Makes a program that aria2 runs when a download is complete: it creates `done`.
///
/// # Errors
/// It cannot be written.
pub fn completion_hook(folder: &Path, done: &Path) -> Result<PathBuf> {
    let hook = folder.join("hook");
    let text = format!("#!/bin/sh\n: > '{}'\n", done.display());
    std::fs::write(&hook, text).context(|| format!("cannot write {}", hook.display()))?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&hook, executable).context(|| format!("cannot change {}", hook.display()))?;
    Ok(hook)
}

/// Starts the torrent tracker on loopback; its announce address.
///
/// # Errors
/// It does not start.
pub fn start_tracker(job: &Job<'_>) -> Result<(Measured, String)> {
    let log = job.log("announce");
    let mut tracker = Measured::start("the torrent tracker", &mut own(&["announce-tracker"])?, &log)?;
    tracker.wait_until(READY_WITHIN, |tracker| printed_address(&tracker.log_text()).is_some())?;
    match printed_address(&tracker.log_text()) {
        Some(address) => Ok((tracker, format!("http://{address}/announce"))),
        None => failed("the torrent tracker has no address"),
    }
}

impl Tool for Aria2 {
    fn name(&self) -> String {
        "aria2".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let (_tracker, announce) = start_tracker(job)?;
        let torrent = job.work.join("data.torrent");
        self.torrent.write(&announce, &torrent)?;
        let address = free_address()?;
        let seed_folder = job.folder_with_data("seed")?;
        let mut seeding = command(&self.aria2, &torrent, &seed_folder, address);
        seeding.arg("--bt-seed-unverified=true");
        let mut seeder = Measured::start("aria2 (seeding)", &mut seeding, &job.log("seed"))?;
        seeder.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        std::thread::sleep(SETTLE);
        seeder.mark();
        let folder = job.folder("download")?;
        let done = job.work.join("done");
        let mut downloading = command(&self.aria2, &torrent, &folder, free_address()?);
        downloading.arg("--on-bt-download-complete").arg(completion_hook(job.work, &done)?);
        let mut leecher = Measured::start("aria2", &mut downloading, &job.log("download"))?;
        let wall = leecher.wait_until(TRANSFER_WITHIN, |_| done.exists())?;
        Ok(Transfer {
            wall: wall.as_secs_f64(),
            sender: seeder.usage(),
            receiver: leecher.usage(),
            copy: folder.join(job.data.name()),
        })
    }
}
