//! The programs that can form a swarm.

use super::{SEEDER, TRACKER};
use crate::data::{CascadeFile, DataFile};
use crate::error::{Context, Result, failed};
use crate::linkemu::network::Network;
use crate::measure::{Measured, find_program};
use crate::programs::{own, printed_address};
use crate::tools::READY_WITHIN;
use crate::tools::aria2;
use crate::tools::binaries::Binaries;
use crate::tools::probe;
use crate::tools::torrent::Torrent;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The port of every peer: each has an address of its own.
const PEER_PORT: u16 = 7001;

/// The tracker's port.
const TRACKER_PORT: u16 = 8888;

/// How long an aria2 seeder may take to announce itself.
const SETTLE: Duration = Duration::from_secs(2);

/// One node of a swarm.
#[derive(Debug)]
pub struct Node {
    /// Its number in the network.
    pub number: usize,
    /// Where its peer listens.
    pub listen: SocketAddrV4,
    /// Its own folder.
    pub folder: PathBuf,
}

impl Node {
    /// A node with an empty folder.
    ///
    /// # Errors
    /// The network has no such node, the folder cannot be made.
    pub fn new(network: &Network, number: usize, work: &Path) -> Result<Self> {
        let folder = work.join(format!("node-{number}"));
        std::fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { number, listen: SocketAddrV4::new(network.address(number)?, PEER_PORT), folder })
    }

    /// Where its copy of the data will be.
    #[must_use]
    pub fn copy(&self, data: &DataFile) -> PathBuf {
        self.folder.join(data.name())
    }

    fn start(&self, network: &Network, name: &str, command: &Command) -> Result<Measured> {
        Measured::start(name, &mut network.on(self.number, command)?, &self.folder.join("log"))
    }
}

/// A program that can form a swarm.
pub trait Client {
    /// The name in tables.
    fn name(&self) -> String;

    /// Starts the tracker and waits until it is ready.
    ///
    /// # Errors
    /// It does not start.
    fn start_tracker(&self, network: &Network, work: &Path) -> Result<Measured>;

    /// Starts the seeder and waits until it is ready.
    ///
    /// # Errors
    /// It does not start.
    fn start_seeder(&self, network: &Network, data: &DataFile, work: &Path) -> Result<Measured>;

    /// Starts a downloader, which goes on serving when it is done.
    ///
    /// # Errors
    /// It does not start.
    fn start_leecher(&self, network: &Network, node: &Node, data: &DataFile) -> Result<Measured>;

    /// Whether the node's copy is complete.
    fn is_done(&self, node: &Node, data: &DataFile) -> bool;

    /// Bytes that a downloader says it received more than once; `None` when it does not say (yet).
    fn duplicates(&self, log: &str) -> Option<u64>;
}

/// Our own programs.
#[derive(Debug)]
pub struct Cascade {
    /// The binaries.
    pub binaries: Binaries,
    /// The `.cascade` file.
    pub cascade: CascadeFile,
    /// Arguments for every `peer download` and `peer seed`.
    pub extra: Vec<String>,
}

impl Cascade {
    fn peer(&self, network: &Network, subcommand: &str, node: &Node) -> Result<Command> {
        let tracker = SocketAddrV4::new(network.address(TRACKER)?, TRACKER_PORT);
        let mut command = Command::new(&self.binaries.peer);
        command.arg(subcommand).arg(&self.cascade.path).args(["-t", &tracker.to_string()]);
        command.args(["-l", &node.listen.to_string(), "--json"]).args(&self.extra);
        Ok(command)
    }
}

impl Client for Cascade {
    fn name(&self) -> String {
        "cascade".to_owned()
    }

    fn start_tracker(&self, network: &Network, work: &Path) -> Result<Measured> {
        let node = Node::new(network, TRACKER, work)?;
        let listen = SocketAddrV4::new(*node.listen.ip(), TRACKER_PORT);
        let mut command = Command::new(&self.binaries.tracker);
        command.args(["--listen", &listen.to_string(), "--allow"]).arg(&self.cascade.path);
        let tracker = node.start(network, "tracker", &command)?;
        wait_for_port(network, TRACKER, listen)?;
        Ok(tracker)
    }

    fn start_seeder(&self, network: &Network, data: &DataFile, work: &Path) -> Result<Measured> {
        let node = Node::new(network, SEEDER, work)?;
        let mut command = self.peer(network, "seed", &node)?;
        command.arg("--data").arg(&data.path);
        let seeder = node.start(network, "peer seed", &command)?;
        run_on(network, SEEDER, &probe::command(node.listen, &self.cascade)?, "the seeder does not serve")?;
        // Registration follows the check within a round trip of the emulated link.
        std::thread::sleep(Duration::from_millis(500));
        Ok(seeder)
    }

    fn start_leecher(&self, network: &Network, node: &Node, data: &DataFile) -> Result<Measured> {
        let mut command = self.peer(network, "download", node)?;
        command.arg("--seed").arg("-o").arg(node.copy(data));
        node.start(network, "peer download", &command)
    }

    /// The target takes its name only when everything is verified.
    fn is_done(&self, node: &Node, data: &DataFile) -> bool {
        node.copy(data).exists()
    }

    fn duplicates(&self, log: &str) -> Option<u64> {
        log.lines().rev().find_map(|line| {
            let object: serde_json::Value = serde_json::from_str(line).ok()?;
            object.get("bytes_duplicate")?.as_u64()
        })
    }
}

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
        let node = Node::new(network, TRACKER, work)?;
        let listen = SocketAddrV4::new(*node.listen.ip(), TRACKER_PORT);
        self.torrent.write(&format!("http://{listen}/announce"), &self.file)?;
        let command = own(&["announce-tracker", &listen.to_string()])?;
        let mut tracker = node.start(network, "the torrent tracker", &command)?;
        tracker.wait_until(READY_WITHIN, |tracker| printed_address(&tracker.log_text()).is_some())?;
        Ok(tracker)
    }

    fn start_seeder(&self, network: &Network, data: &DataFile, work: &Path) -> Result<Measured> {
        let node = Node::new(network, SEEDER, work)?;
        let link = node.copy(data);
        std::fs::hard_link(&data.path, &link).context(|| format!("cannot link {}", link.display()))?;
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

    fn duplicates(&self, _log: &str) -> Option<u64> {
        None
    }
}

/// Waits on the node itself until something listens there.
fn wait_for_port(network: &Network, node: usize, address: SocketAddrV4) -> Result<()> {
    let what = format!("nothing listens on {address}");
    run_on(network, node, &own(&["wait-for-port", &address.to_string()])?, &what)
}

fn run_on(network: &Network, node: usize, command: &Command, otherwise: &str) -> Result<()> {
    let status = network.on(node, command)?.status().context(|| format!("cannot start {command:?}"))?;
    if status.success() { Ok(()) } else { failed(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::{CascadeHash, Layout};

    #[test]
    fn duplicates_are_read_from_the_last_summary() {
        let nowhere = PathBuf::new();
        let layout = Layout::new(1, 1).unwrap();
        let client = Cascade {
            binaries: Binaries { peer: nowhere.clone(), tracker: nowhere.clone() },
            cascade: CascadeFile { path: nowhere, hash: CascadeHash([1; 32]), layout },
            extra: Vec::new(),
        };
        let log = "note: hello\n{\"event\":\"progress\"}\n{\"event\":\"done\",\"bytes_duplicate\":7}\n";
        assert_eq!(client.duplicates(log), Some(7));
        assert_eq!(client.duplicates("nothing"), None);
    }
}
