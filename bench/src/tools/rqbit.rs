//! rqbit as a BitTorrent seeder and downloader.

use super::aria2::start_tracker;
use super::torrent::Torrent;
use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer, free_address, probe};
use crate::data::DataFile;
use crate::error::Result;
use crate::measure::{Measured, find_program};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the seeder may take to check its data and announce itself after it has its port.
const SETTLE: Duration = Duration::from_secs(4);

/// rqbit, with pieces of 1 MiB.
#[derive(Debug)]
pub struct Rqbit {
    rqbit: PathBuf,
    torrent: Torrent,
}

impl Rqbit {
    /// Finds it and makes the torrent's metadata.
    ///
    /// # Errors
    /// It is not installed, the data cannot be read.
    pub fn find(data: &DataFile) -> Result<Self> {
        Ok(Self { rqbit: find_program("rqbit")?, torrent: Torrent::of(data)? })
    }
}

/// A command that downloads and shares, with nothing but the tracker to find peers; `api` is for its control
/// interface.
#[must_use]
pub fn command(rqbit: &Path, listen: SocketAddrV4, api: SocketAddrV4) -> Command {
    let mut command = Command::new(rqbit);
    command.args(["-v", "info", "--disable-dht", "--disable-dht-persistence", "--disable-lsd"]);
    command.args(["--disable-upnp-port-forward", "--ipv4-only", "-i", "5s"]);
    let port = listen.port().to_string();
    // Without the second port, one that listens on loopback announces a fixed one.
    command.args(["--listen-ip", &listen.ip().to_string(), "--listen-port", &port, "--announce-port", &port]);
    command.args(["--http-api-listen-addr", &api.to_string(), "download"]);
    command
}

/// The torrent, and the folder of its data.
pub fn into_folder(command: &mut Command, folder: &Path, torrent: &Path) {
    command.arg("--output-folder").arg(folder).arg(torrent);
}

impl Tool for Rqbit {
    fn name(&self) -> String {
        "rqbit".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let (_tracker, announce) = start_tracker(job)?;
        let torrent = job.work.join("data.torrent");
        self.torrent.write(&announce, &torrent)?;
        let address = free_address()?;
        let mut seeding = command(&self.rqbit, address, free_address()?);
        seeding.arg("--overwrite");
        into_folder(&mut seeding, &job.folder_with_data("seed")?, &torrent);
        let mut seeder = Measured::start("rqbit (seeding)", &mut seeding, &job.log("seed"))?;
        seeder.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        std::thread::sleep(SETTLE);
        seeder.mark();
        let folder = job.folder("download")?;
        let mut downloading = command(&self.rqbit, free_address()?, free_address()?);
        downloading.arg("--exit-on-finish");
        into_folder(&mut downloading, &folder, &torrent);
        let leecher = Measured::start("rqbit", &mut downloading, &job.log("download"))?;
        let done = leecher.finish(TRANSFER_WITHIN)?;
        let copy = folder.join(job.data.name());
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: seeder.usage(), receiver: done.usage, copy })
    }
}
