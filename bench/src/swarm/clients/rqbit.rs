//! rqbit in a swarm.

use super::super::SEEDER;
use super::{Client, Node, seeder_with_data, start_torrent_tracker, wait_for_port};
use crate::data::DataFile;
use crate::error::Result;
use crate::linkemu::network::Network;
use crate::measure::{Measured, find_program};
use crate::tools::rqbit;
use crate::tools::torrent::Torrent;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a seeder may take to check its data and announce itself after it has its port.
const SETTLE: Duration = Duration::from_secs(4);

/// Where each control interface is: every node has a loopback of its own.
const API: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3030);

/// What it writes when it has all pieces.
const FINISHED: &str = "torrent finished downloading";

/// rqbit.
#[derive(Debug)]
pub struct Rqbit {
    rqbit: PathBuf,
    torrent: Torrent,
    /// Where the torrent file is written.
    file: PathBuf,
}

impl Rqbit {
    /// Finds it and makes the torrent's metadata in `folder`.
    ///
    /// # Errors
    /// It is not installed, the data cannot be read.
    pub fn find(data: &DataFile, folder: &Path) -> Result<Self> {
        let (rqbit, torrent) = (find_program("rqbit")?, Torrent::of(data)?);
        Ok(Self { rqbit, torrent, file: folder.join("rqbit.torrent") })
    }
}

impl Client for Rqbit {
    fn name(&self) -> String {
        "rqbit".to_owned()
    }

    fn start_tracker(&self, network: &Network, work: &Path) -> Result<Measured> {
        start_torrent_tracker(network, work, &self.torrent, &self.file)
    }

    fn start_seeder(&self, network: &Network, data: &DataFile, work: &Path) -> Result<Measured> {
        let node = seeder_with_data(network, data, work)?;
        let mut command = rqbit::command(&self.rqbit, node.listen, API);
        command.arg("--overwrite");
        rqbit::into_folder(&mut command, &node.folder, &self.file);
        let seeder = node.start(network, "rqbit (seeding)", &command)?;
        wait_for_port(network, SEEDER, node.listen)?;
        std::thread::sleep(SETTLE);
        Ok(seeder)
    }

    fn start_leecher(&self, network: &Network, node: &Node, _data: &DataFile) -> Result<Measured> {
        let mut command = rqbit::command(&self.rqbit, node.listen, API);
        rqbit::into_folder(&mut command, &node.folder, &self.file);
        node.start(network, "rqbit", &command)
    }

    fn is_done(&self, node: &Node, _data: &DataFile) -> bool {
        node.log_text().contains(FINISHED)
    }
}
