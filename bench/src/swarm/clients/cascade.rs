//! Our own programs, and scripted peers of their protocol, in a swarm.

use super::super::role::Role;
use super::super::{SEEDER, TRACKER};
use super::{Client, Node, TRACKER_PORT, run_on, wait_for_port};
use crate::data::{CascadeFile, DataFile};
use crate::error::{Result, failed};
use crate::linkemu::network::Network;
use crate::measure::Measured;
use crate::programs::own;
use crate::programs::v1_peer::Habits;
use crate::tools::binaries::Binaries;
use crate::tools::probe;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Our own programs.
#[derive(Debug)]
pub struct Cascade {
    /// The name in tables.
    pub name: &'static str,
    /// The binaries.
    pub binaries: Binaries,
    /// The `.cascade` file.
    pub cascade: CascadeFile,
    /// Arguments for every `peer download` and `peer seed`.
    pub extra: Vec<String>,
    /// Whether the seeder is a scripted peer.
    pub v1_seeder: bool,
}

impl Cascade {
    fn peer(&self, network: &Network, subcommand: &str, node: &Node) -> Result<Command> {
        let tracker = SocketAddrV4::new(network.address(TRACKER)?, TRACKER_PORT);
        let mut command = Command::new(&self.binaries.peer);
        command.arg(subcommand).arg(&self.cascade.path).args(["-t", &tracker.to_string()]);
        command.args(["-l", &node.listen.to_string(), "--json"]).args(&self.extra);
        Ok(command)
    }

    /// A scripted peer without a role yet.
    fn scripted(&self, network: &Network, node: &Node) -> Result<Command> {
        let tracker = SocketAddrV4::new(network.address(TRACKER)?, TRACKER_PORT);
        let mut command = own(&["v1-peer", "--tracker", &tracker.to_string()])?;
        command.args(["--listen", &node.listen.to_string()]).arg(&self.cascade.path);
        Ok(command)
    }
}

impl Client for Cascade {
    fn name(&self) -> String {
        self.name.to_owned()
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
        let mut command =
            if self.v1_seeder { self.scripted(network, &node)? } else { self.peer(network, "seed", &node)? };
        command.arg("--data").arg(&data.path);
        let seeder = node.start(network, "the seeder", &command)?;
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

    fn start_scripted(
        &self,
        network: &Network,
        node: &Node,
        data: &DataFile,
        role: Role,
        before: usize,
    ) -> Result<Measured> {
        let mut command = self.scripted(network, node)?;
        match role {
            Role::Version1 => {
                command.args(Habits::of(before).arguments()).arg("--output").arg(node.copy(data))
            }
            Role::Liar => command.arg("--liar"),
            Role::Staller => command.arg("--staller"),
            Role::Own | Role::Slow => return failed("our own peers are not scripted"),
        };
        node.start(network, "a scripted peer", &command)
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

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::{CascadeHash, Layout};
    use std::path::PathBuf;

    #[test]
    fn duplicates_are_read_from_the_last_summary() {
        let nowhere = PathBuf::new();
        let layout = Layout::new(1, 1).unwrap();
        let client = Cascade {
            name: "cascade",
            binaries: Binaries { peer: nowhere.clone(), tracker: nowhere.clone() },
            cascade: CascadeFile { path: nowhere, hash: CascadeHash([1; 32]), layout },
            extra: Vec::new(),
            v1_seeder: false,
        };
        let log = "note: hello\n{\"event\":\"progress\"}\n{\"event\":\"done\",\"bytes_duplicate\":7}\n";
        assert_eq!(client.duplicates(log), Some(7));
        assert_eq!(client.duplicates("nothing"), None);
    }
}
