//! aria2 in a swarm.

use super::super::SEEDER;
use super::{Client, Node, seeder_with_data, start_torrent_tracker, wait_for_port};
use crate::data::DataFile;
use crate::error::Result;
use crate::linkemu::network::Network;
use crate::measure::{Measured, find_program};
use crate::tools::aria2;
use crate::tools::torrent::Torrent;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a seeder may take to announce itself.
const SETTLE: Duration = Duration::from_secs(2);

/// aria2.
#[derive(Debug)]
pub struct Aria2 {
    aria2: PathBuf,
    torrent: Torrent,
    /// Where the torrent file is written.
    file: PathBuf,
}

impl Aria2 {
    /// Finds it and makes the torrent's metadata in `folder`.
    ///
    /// # Errors
    /// It is not installed, the data cannot be read.
    pub fn find(data: &DataFile, folder: &Path) -> Result<Self> {
        let (aria2, torrent) = (find_program("aria2c")?, Torrent::of(data)?);
        Ok(Self { aria2, torrent, file: folder.join("data.torrent") })
    }

    fn done_file(node: &Node) -> PathBuf {
        node.folder.join("done")
    }
}

impl Client for Aria2 {
    fn name(&self) -> String {
        "aria2".to_owned()
    }

    fn start_tracker(&self, network: &Network, work: &Path) -> Result<Measured> {
        start_torrent_tracker(network, work, &self.torrent, &self.file)
    }

    fn start_seeder(&self, network: &Network, data: &DataFile, work: &Path) -> Result<Measured> {
        let node = seeder_with_data(network, data, work)?;
        let mut command = aria2::command(&self.aria2, &self.file, &node.folder, node.listen);
        command.arg("--bt-seed-unverified=true");
        let seeder = node.start(network, "aria2 (seeding)", &command)?;
        wait_for_port(network, SEEDER, node.listen)?;
        std::thread::sleep(SETTLE);
        Ok(seeder)
    }

    fn start_leecher(&self, network: &Network, node: &Node, _data: &DataFile) -> Result<Measured> {
        let mut command = aria2::command(&self.aria2, &self.file, &node.folder, node.listen);
        let hook = aria2::completion_hook(&node.folder, &Self::done_file(node))?;
        command.arg("--on-bt-download-complete").arg(hook);
        node.start(network, "aria2", &command)
    }

    fn is_done(&self, node: &Node, _data: &DataFile) -> bool {
        Self::done_file(node).exists()
    }
}
