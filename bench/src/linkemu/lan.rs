//! Hosts on one bridge, as on a switch, whose uplinks the kernel's `tbf` limits: for rates that the emulator in user space
//! does not reach.

use super::congestion::Congestion;
use super::netns::{self, Namespace};
use crate::error::{BenchError, Result};
use std::net::Ipv4Addr;
use std::process::Command;

/// The most hosts.
pub const MAX_HOSTS: u8 = 250;

/// What an uplink sends at once after a pause, in KiB: at 10 Gbit/s what it carries in a millisecond, and at least one segment
/// as the kernel hands it over.
const BURST_KIB: u64 = 1250;

/// The hosts. Needs root; they go when this is dropped.
#[derive(Debug)]
pub struct Lan {
    hosts: Vec<Namespace>,
    _switch: Namespace,
}

impl Lan {
    /// `hosts` hosts, from 1 on, with `mbit` Mbit/s from each to the switch. What arrives is not limited.
    ///
    /// # Errors
    /// [`BenchError::Unavailable`] where namespaces are not permitted or the kernel has no `tbf`.
    pub fn new(hosts: u8, mbit: u64, congestion: Congestion) -> Result<Self> {
        let switch = Namespace::create(&format!("cb{}s", std::process::id()), congestion)?;
        switch.ip("link add bridge0 type bridge")?;
        switch.ip("link set bridge0 up")?;
        let attached = (1..=hosts).map(|host| attach(&switch, host, mbit, congestion));
        Ok(Self { hosts: attached.collect::<Result<_>>()?, _switch: switch })
    }

    /// The address of a host.
    #[must_use]
    pub fn address(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 88, 0, host)
    }

    /// A command that will run on a host.
    ///
    /// # Errors
    /// There is no such host.
    pub fn on(&self, host: u8, command: &Command) -> Result<Command> {
        let namespace = usize::from(host).checked_sub(1).and_then(|at| self.hosts.get(at));
        let missing = || BenchError::Failed(format!("there is no host {host}"));
        Ok(namespace.ok_or_else(missing)?.enter(command))
    }
}

fn attach(switch: &Namespace, host: u8, mbit: u64, congestion: Congestion) -> Result<Namespace> {
    let namespace = Namespace::create(&format!("{}h{host}", switch.name()), congestion)?;
    let name = namespace.name();
    switch.ip(&format!("link add port{host} type veth peer name eth0 netns {name}"))?;
    switch.ip(&format!("link set port{host} master bridge0 up"))?;
    namespace.ip(&format!("addr add {}/24 dev eth0", Lan::address(host)))?;
    namespace.ip("link set eth0 up")?;
    namespace.set("net/ipv4/tcp_no_metrics_save", "1")?;
    let limit = format!("qdisc add dev eth0 root tbf rate {mbit}mbit burst {BURST_KIB}kb latency 20ms");
    netns::tc(name, &limit).map_err(|why| BenchError::Unavailable(format!("tbf: {why}")))?;
    Ok(namespace)
}

#[cfg(test)]
mod tests {
    use super::super::congestion::CONGESTION_CONTROL;
    use super::*;

    #[test]
    fn hosts_reach_each_other() {
        let lan = match Lan::new(2, 1000, CONGESTION_CONTROL) {
            Ok(lan) => lan,
            Err(BenchError::Unavailable(why)) => return eprintln!("skipped: {why}"),
            Err(error) => panic!("{error}"),
        };
        let script = format!("exec 3<>/dev/tcp/{}/9", Lan::address(1));
        let output = lan.on(2, Command::new("bash").args(["-c", &script])).unwrap().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("refused"), "{said}");
        assert!(lan.on(3, &Command::new("true")).is_err() && lan.on(0, &Command::new("true")).is_err());
    }
}
