//! A network of nodes behind emulated links, in which commands run.

use super::congestion::Congestion;
use super::driver::{Driver, NETWORK, destination};
use super::netns::{self, Namespace};
use super::star::Counters;
use super::{LinkSpec, tun};
use crate::error::{BenchError, Result};
use std::net::Ipv4Addr;
use std::process::Command;

/// The packet size of Ethernet, in bytes.
pub const ETHERNET_MTU: u32 = 1500;

/// Nodes, links and the thread that moves the packets. Needs root; everything goes when it is dropped.
#[derive(Debug)]
pub struct Network {
    // Dropped first: the devices go before the namespaces that hold them.
    driver: Driver,
    namespaces: Vec<Namespace>,
}

impl Network {
    /// A star with one node for each link, whose interfaces carry packets of `mtu` bytes. TCP on
    /// the nodes uses `congestion`.
    ///
    /// # Errors
    /// [`BenchError::Unavailable`] where namespaces or TUN devices are not permitted.
    pub fn star(links: &[LinkSpec], mtu: u32, congestion: Congestion) -> Result<Self> {
        let (mut devices, mut namespaces) = (Vec::new(), Vec::new());
        let tag = std::process::id();
        for node in 0..links.len() {
            let name = format!("cb{tag}n{node}");
            devices.push(tun::create(&name)?);
            let namespace = Namespace::create(&name, congestion)?;
            let address = format!("{}/16", address(node)?);
            netns::ip(&["link", "set", &name, "netns", &name])?;
            netns::ip(&["-n", &name, "addr", "add", &address, "dev", &name])?;
            netns::ip(&[
                "-n",
                &name,
                "link",
                "set",
                &name,
                "mtu",
                &mtu.to_string(),
                "txqueuelen",
                "1000",
                "up",
            ])?;
            // Every run starts like the first one, whatever earlier connections have learned.
            namespace.set("net/ipv4/tcp_no_metrics_save", "1")?;
            namespaces.push(namespace);
        }
        Ok(Self { driver: Driver::start(devices, links, destination), namespaces })
    }

    /// The address of a node.
    ///
    /// # Errors
    /// The network has no such node.
    pub fn address(&self, node: usize) -> Result<Ipv4Addr> {
        self.namespace(node)?;
        address(node)
    }

    /// A command that will run on a node.
    ///
    /// # Errors
    /// The network has no such node.
    pub fn on(&self, node: usize, command: &Command) -> Result<Command> {
        Ok(self.namespace(node)?.enter(command))
    }

    /// Sets a kernel parameter on every node.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn set(&self, parameter: &str, value: &str) -> Result<()> {
        self.namespaces.iter().try_for_each(|namespace| namespace.set(parameter, value))
    }

    /// What has passed every node's link so far.
    #[must_use]
    pub fn counters(&self) -> Vec<Counters> {
        self.driver.counters()
    }

    fn namespace(&self, node: usize) -> Result<&Namespace> {
        self.namespaces.get(node).ok_or_else(|| BenchError::Failed(format!("there is no node {node}")))
    }
}

fn address(node: usize) -> Result<Ipv4Addr> {
    match u16::try_from(node + 1) {
        Ok(number) => {
            let [high, low] = number.to_be_bytes();
            Ok(Ipv4Addr::new(NETWORK[0], NETWORK[1], high, low))
        }
        Err(_) => Err(BenchError::Failed(format!("node {node} has no address"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::congestion::CONGESTION_CONTROL;
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn two_nodes_are_as_far_apart_as_they_should_be() {
        let link = LinkSpec::symmetric(100, Duration::from_millis(10), Duration::from_millis(50));
        let network = match Network::star(&[link; 2], ETHERNET_MTU, CONGESTION_CONTROL) {
            Ok(network) => network,
            Err(BenchError::Unavailable(why)) => return eprintln!("skipped: {why}"),
            Err(error) => panic!("{error}"),
        };
        // A connection that is refused takes one round trip: SYN there, RST back.
        let target = network.address(1).unwrap().to_string();
        let script = format!("exec 3<>/dev/tcp/{target}/9");
        let mut command = network.on(0, Command::new("bash").args(["-c", &script])).unwrap();
        let started = clock_now();
        let output = command.output().unwrap();
        let took = started.elapsed();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("refused"), "not refused but: {said}");
        assert!(took >= Duration::from_millis(20), "a round trip of 20 ms took {took:?}");
        let counters = network.counters();
        assert!(counters[0].up_bytes >= 40 && counters[0].down_bytes >= 40, "{counters:?}");
    }

    fn clock_now() -> Instant {
        crate::clock::now()
    }

    #[test]
    fn addresses_count_from_one() {
        assert_eq!(address(0).unwrap(), Ipv4Addr::new(10, 88, 0, 1));
        assert_eq!(address(255).unwrap(), Ipv4Addr::new(10, 88, 1, 0));
        assert!(address(usize::from(u16::MAX)).is_err());
    }
}
