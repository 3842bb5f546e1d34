//! The programs that can form a swarm.

mod aria2;
mod cascade;
mod rqbit;

pub use aria2::Aria2;
pub use cascade::Cascade;
pub use rqbit::Rqbit;

use super::role::Role;
use super::{SEEDER, TRACKER};
use crate::data::DataFile;
use crate::error::{Context, Result, failed};
use crate::linkemu::network::Network;
use crate::measure::Measured;
use crate::programs::{own, printed_address};
use crate::tools::READY_WITHIN;
use crate::tools::torrent::Torrent;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The port of every peer: each has an address of its own.
const PEER_PORT: u16 = 7001;

/// The tracker's port.
pub const TRACKER_PORT: u16 = 8888;

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

    /// Where the seeder of a swarm listens.
    ///
    /// # Errors
    /// The network has no seeder's node.
    pub fn seeder_address(network: &Network) -> Result<SocketAddrV4> {
        Ok(SocketAddrV4::new(network.address(SEEDER)?, PEER_PORT))
    }

    /// Starts a program on it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, network: &Network, name: &str, command: &Command) -> Result<Measured> {
        Measured::start(name, &mut network.on(self.number, command)?, &self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What its program has written so far.
    fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap_or_default()).into_owned()
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

    /// Starts a scripted peer; `before` of its role were started before it.
    ///
    /// # Errors
    /// It does not start, or this client's protocol has no scripted peers.
    fn start_scripted(
        &self,
        _network: &Network,
        _node: &Node,
        _data: &DataFile,
        role: Role,
        _before: usize,
    ) -> Result<Measured> {
        failed(format!("{} has no scripted peers: no {}", self.name(), role.name("other")))
    }

    /// Whether the node's copy is complete.
    fn is_done(&self, node: &Node, data: &DataFile) -> bool;

    /// Bytes that a downloader says it received more than once; `None` when it does not say (yet).
    fn duplicates(&self, _log: &str) -> Option<u64> {
        None
    }
}

/// Starts our torrent tracker and writes the torrent file that names it.
fn start_torrent_tracker(network: &Network, work: &Path, torrent: &Torrent, file: &Path) -> Result<Measured> {
    let node = Node::new(network, TRACKER, work)?;
    let listen = SocketAddrV4::new(*node.listen.ip(), TRACKER_PORT);
    torrent.write(&format!("http://{listen}/announce"), file)?;
    let command = own(&["announce-tracker", &listen.to_string()])?;
    let mut tracker = node.start(network, "the torrent tracker", &command)?;
    tracker.wait_until(READY_WITHIN, |tracker| printed_address(&tracker.log_text()).is_some())?;
    Ok(tracker)
}

/// The seeder's node, with the data in its folder.
fn seeder_with_data(network: &Network, data: &DataFile, work: &Path) -> Result<Node> {
    let node = Node::new(network, SEEDER, work)?;
    let link = node.copy(data);
    std::fs::hard_link(&data.path, &link).context(|| format!("cannot link {}", link.display()))?;
    Ok(node)
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
