//! Subnets, each with a bridge of its own, joined by emulated links.
//!
//! ```text
//!  host ──veth──┐
//!  host ──veth──┤ bridge, gate ──TUN──► link ──► the other gates
//!  host ──veth──┘
//! ```
//!
//! What stays within a subnet passes its gate at the speed of the machine, and never the emulator.

use super::congestion::Congestion;
use super::driver::{Driver, Route};
use super::netns::{self, Namespace};
use super::star::Counters;
use super::{LinkSpec, tun};
use crate::error::{BenchError, Result};
use std::net::Ipv4Addr;
use std::process::Command;

/// The first two bytes of every address; then come the subnet's number and the host's.
const NETWORK: [u8; 2] = [10, 89];

/// The host number of a subnet's gate.
const GATE: u8 = 254;

/// The most hosts of a subnet.
pub const MAX_HOSTS: u8 = 250;

/// The subnet that the others reach through every firewall.
pub const OPEN: usize = 0;

/// Subnets, hosts and the thread between them. Needs root; everything goes when it is dropped.
#[derive(Debug)]
pub struct Subnets {
    // Dropped first: the devices go before the namespaces that hold them.
    driver: Driver,
    hosts: Vec<Vec<Namespace>>,
    _gates: Vec<Namespace>,
}

impl Subnets {
    /// A subnet for each entry: its link, and the number of its hosts. With `firewalled`, two subnets reach each other only
    /// if one of them is [`OPEN`]. TCP on the hosts uses `congestion`.
    ///
    /// # Errors
    /// [`BenchError::Unavailable`] where namespaces or TUN devices are not permitted.
    pub fn new(subnets: &[(LinkSpec, u8)], firewalled: bool, congestion: Congestion) -> Result<Self> {
        let (mut devices, mut gates, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
        for (subnet, (_, count)) in (0u8..).zip(subnets) {
            let name = format!("cb{}g{subnet}", std::process::id());
            devices.push(tun::create(&name)?);
            let gate = Namespace::create(&name, congestion)?;
            netns::ip(&["link", "set", &name, "netns", &name])?;
            let address = format!("{}/24", address(subnet, GATE));
            gate.ip("link add bridge0 type bridge")?;
            gate.ip(&format!("addr add {address} dev bridge0"))?;
            gate.ip("link set bridge0 up")?;
            gate.ip(&format!("link set {name} up txqueuelen 1000"))?;
            gate.ip(&format!("route add {}.{}.0.0/16 dev {name}", NETWORK[0], NETWORK[1]))?;
            gate.set("net/ipv4/ip_forward", "1")?;
            gate.set("net/ipv4/conf/all/send_redirects", "0")?;
            gate.set("net/ipv4/conf/bridge0/send_redirects", "0")?;
            let attached = (1..=*count).map(|host| attach(&gate, subnet, host, congestion));
            hosts.push(attached.collect::<Result<_>>()?);
            gates.push(gate);
        }
        let links: Vec<LinkSpec> = subnets.iter().map(|(link, _)| *link).collect();
        let route: Route = if firewalled { behind_firewalls } else { to_subnet };
        Ok(Self { driver: Driver::start(devices, &links, route), hosts, _gates: gates })
    }

    /// The address of a host, from 1 on.
    #[must_use]
    pub fn address(subnet: u8, host: u8) -> Ipv4Addr {
        address(subnet, host)
    }

    /// A command that will run on a host.
    ///
    /// # Errors
    /// There is no such host.
    pub fn on(&self, subnet: u8, host: u8, command: &Command) -> Result<Command> {
        let hosts = self.hosts.get(usize::from(subnet));
        let host = hosts.and_then(|hosts| hosts.get(usize::from(host).checked_sub(1)?));
        match host {
            Some(namespace) => Ok(namespace.enter(command)),
            None => Err(BenchError::Failed(format!("subnet {subnet} has no such host"))),
        }
    }

    /// What has passed every subnet's link so far.
    #[must_use]
    pub fn counters(&self) -> Vec<Counters> {
        self.driver.counters()
    }
}

fn address(subnet: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(NETWORK[0], NETWORK[1], subnet, host)
}

/// A new host on the gate's bridge. It reaches its neighbours through the gate: all namespaces share one table of 1,024
/// link addresses, which is full when 60 hosts know 20 neighbours each, and then nobody reaches anybody.
fn attach(gate: &Namespace, subnet: u8, host: u8, congestion: Congestion) -> Result<Namespace> {
    let namespace = Namespace::create(&format!("{}h{host}", gate.name()), congestion)?;
    let name = namespace.name();
    gate.ip(&format!("link add port{host} type veth peer name eth0 netns {name}"))?;
    gate.ip(&format!("link set port{host} master bridge0 up"))?;
    namespace.ip(&format!("addr add {}/32 dev eth0", address(subnet, host)))?;
    namespace.ip("link set eth0 up")?;
    namespace.ip(&format!("route add {} dev eth0", address(subnet, GATE)))?;
    namespace.ip(&format!("route add default via {}", address(subnet, GATE)))?;
    namespace.set("net/ipv4/tcp_no_metrics_save", "1")?;
    Ok(namespace)
}

/// The subnet that an IPv4 packet is for.
fn to_subnet(packet: &[u8]) -> Option<usize> {
    ends(packet).map(|(_, to)| to)
}

/// The same, if the firewalls let it pass.
fn behind_firewalls(packet: &[u8]) -> Option<usize> {
    ends(packet).filter(|(from, to)| [*from, *to].contains(&OPEN)).map(|(_, to)| to)
}

/// The subnets that an IPv4 packet is from and for.
fn ends(packet: &[u8]) -> Option<(usize, usize)> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    let ours = header[0] >> 4 == 4 && header[12..14] == NETWORK && header[16..18] == NETWORK;
    ours.then(|| (usize::from(header[14]), usize::from(header[18])))
}

#[cfg(test)]
mod tests {
    use super::super::congestion::CONGESTION_CONTROL;
    use super::*;
    use std::time::Duration;

    #[test]
    fn packets_go_to_subnets_and_firewalls_stop_some() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[10, 89, 2, 7]);
        packet[16..].copy_from_slice(&[10, 89, 3, 9]);
        assert_eq!((to_subnet(&packet), behind_firewalls(&packet)), (Some(3), None));
        packet[18] = 0;
        assert_eq!(behind_firewalls(&packet), Some(0));
        packet[16] = 11;
        assert_eq!(to_subnet(&packet), None);
    }

    #[test]
    fn hosts_reach_each_other_within_and_across() {
        let link = LinkSpec::symmetric(100, Duration::from_millis(5), Duration::from_millis(50));
        let subnets = match Subnets::new(&[(link, 1), (link, 2)], true, CONGESTION_CONTROL) {
            Ok(subnets) => subnets,
            Err(BenchError::Unavailable(why)) => return eprintln!("skipped: {why}"),
            Err(error) => panic!("{error}"),
        };
        let refused = |from: (u8, u8), to: (u8, u8)| {
            let script = format!("exec 3<>/dev/tcp/{}/9", Subnets::address(to.0, to.1));
            let command = subnets.on(from.0, from.1, Command::new("bash").args(["-c", &script]));
            let output = command.unwrap().output().unwrap();
            String::from_utf8_lossy(&output.stderr).contains("refused")
        };
        assert!(refused((1, 1), (1, 2)), "within a subnet");
        assert_eq!(subnets.counters()[1], Counters::default(), "that passed no link");
        assert!(refused((1, 2), (0, 1)), "across");
        assert!(subnets.counters()[1].up_bytes >= 40);
    }
}
