//! What is believed of what the local network tells (pure: no socket, no clock).
//!
//! Anybody on the network can say anything, as often as it likes. A lie costs a connection to an address of the same
//! network, of which `ask::hosts` bounds the number; and a place here, of which there are few.

use super::name;
use cascade_format::PeerAddr;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Addresses of one swarm that are believed at the same time: more than a download has links.
pub(super) const MAX_LAN_PEERS: usize = 256;

/// Addresses of one peer that are looked at: a machine has a few in one network.
pub(super) const MAX_LAN_ADDRESSES: usize = 4;

/// Ports of one address that are believed: as many peers of one file may run on a machine.
pub(super) const MAX_LAN_PORTS: usize = 16;

/// A network that this machine is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    /// This machine's address in it.
    own: IpAddr,
    /// Bits that all its addresses have in common.
    prefix: u32,
}

impl Network {
    fn holds(&self, ip: IpAddr) -> bool {
        match (self.own, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                let (own, ip) = (u32::from(own), u32::from(ip));
                // The first and the last address of a network are no hosts, where it has room for more than two.
                let reserved = self.prefix < 31 && (ip & !mask == 0 || ip & !mask == !mask);
                ip & mask == own & mask && !reserved
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                ip.to_bits() & mask == own.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// The networks that this machine is connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Networks(Vec<Network>);

impl Networks {
    /// Each by an address of this machine in it, and the number of bits that all its addresses have in common.
    pub(super) fn new(networks: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        // No bits in common: that would be the whole world.
        let networks = networks.into_iter().filter(|(_, prefix)| *prefix > 0);
        Self(networks.map(|(own, prefix)| Network { own, prefix: prefix.into() }).collect())
    }

    /// Whether `ip` is an address of this machine.
    fn is_own(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.own == ip)
    }

    /// Whether `ip` is an address in one of the networks, as a host of it may have.
    fn holds(&self, ip: IpAddr) -> bool {
        !ip.is_loopback() && !ip.is_multicast() && self.0.iter().any(|network| network.holds(ip))
    }
}

/// What somebody says where a peer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    /// The full name of the service.
    pub(super) full_name: &'a str,
    /// Where the peer listens.
    pub(super) port: u16,
    /// On which addresses, in the order in which they are to be looked at.
    pub(super) ips: &'a [IpAddr],
}

/// The peers of one swarm.
#[derive(Debug)]
pub(super) struct Found {
    swarm: String,
    /// The name of this peer, and where it listens.
    own: String,
    own_port: Option<u16>,
    /// What is believed, and by which name it was told, the oldest first.
    believed: VecDeque<(PeerAddr, String)>,
}

impl Found {
    /// Of the swarm of this name, to which this peer belongs as `own`.
    pub(super) fn new(swarm: &str, own: &str, own_port: Option<u16>) -> Self {
        Self { swarm: swarm.to_owned(), own: own.to_owned(), own_port, believed: VecDeque::new() }
    }

    /// Somebody answers; the addresses that are new and believed.
    pub(super) fn handle_answer(&mut self, answer: Answer<'_>, networks: &Networks) -> Vec<PeerAddr> {
        let Some(name) = name::instance_of(answer.full_name, &self.swarm) else { return Vec::new() };
        if name == self.own || answer.port == 0 {
            return Vec::new();
        }
        let name = name.to_owned();
        let mut new = Vec::new();
        let addrs = answer.ips.iter().map(|ip| PeerAddr::new(*ip, answer.port));
        // Those of IPv6 that mean nothing without an interface take no place of others.
        for addr in addrs.filter(PeerAddr::is_somewhere).take(MAX_LAN_ADDRESSES) {
            let ip = addr.ip();
            let itself = networks.is_own(ip) && self.own_port == Some(answer.port);
            let is_new = !self.believes(&addr) && !self.is_known_in_another_family(&name, ip);
            if networks.holds(ip) && !itself && is_new && self.has_room(ip) {
                // After a flood of lies there is still room for who comes then. An address that gives way is known to
                // the requester already.
                if self.believed.len() >= MAX_LAN_PEERS {
                    self.believed.pop_front();
                }
                self.believed.push_back((addr, name.clone()));
                new.push(addr);
            }
        }
        new
    }

    /// Whether the peer is believed to have an address of the other family. One is enough: a second link to it brings
    /// nothing.
    fn is_known_in_another_family(&self, name: &str, ip: IpAddr) -> bool {
        self.believed.iter().any(|(addr, told_by)| told_by == name && addr.ip().is_ipv4() != ip.is_ipv4())
    }

    /// A peer says goodbye, or has not been heard of for long: there is room for others. Whoever has its addresses
    /// finds out by itself.
    pub(super) fn handle_gone(&mut self, full_name: &str) {
        if let Some(name) = name::instance_of(full_name, &self.swarm) {
            self.believed.retain(|(_, told_by)| told_by != name);
        }
    }

    fn believes(&self, addr: &PeerAddr) -> bool {
        self.believed.iter().any(|(believed, _)| believed == addr)
    }

    fn has_room(&self, ip: IpAddr) -> bool {
        self.believed.iter().filter(|(addr, _)| addr.ip() == ip).count() < MAX_LAN_PORTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::CascadeHash;
    use proptest::prelude::*;

    const OWN_PORT: u16 = 8889;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn networks() -> Networks {
        Networks::new([
            (ip("192.168.1.5"), 24),
            (ip("127.0.0.1"), 8),
            (ip("1.2.3.4"), 0),
            (ip("fd00:0:0:7::5"), 64),
            (ip("fe80::5"), 64),
        ])
    }

    struct Lan {
        found: Found,
        swarm: String,
    }

    impl Lan {
        fn new() -> Self {
            let swarm = name::swarm(&CascadeHash([7; 32]));
            Self { found: Found::new(&swarm, &name::instance(&swarm, 0), Some(OWN_PORT)), swarm }
        }

        fn full_name(&self, number: u32) -> String {
            format!("{}.{}", name::instance(&self.swarm, number), name::SERVICE)
        }

        fn answer(&mut self, number: u32, port: u16, ips: &[&str]) -> Vec<String> {
            let ips: Vec<_> = ips.iter().map(|text| ip(text)).collect();
            let full_name = self.full_name(number);
            let answer = Answer { full_name: &full_name, port, ips: &ips };
            self.found.handle_answer(answer, &networks()).iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn a_peer_is_told_of_once_until_it_is_gone() {
        let mut lan = Lan::new();
        assert_eq!(lan.answer(1, 7001, &["192.168.1.9"]), ["192.168.1.9:7001"]);
        assert!(lan.answer(1, 7001, &["192.168.1.9"]).is_empty());
        assert_eq!(lan.answer(2, 7002, &["192.168.1.9"]), ["192.168.1.9:7002"]);
        let gone = lan.full_name(1);
        lan.found.handle_gone(&gone);
        assert!(lan.answer(2, 7002, &["192.168.1.9"]).is_empty(), "another one is gone");
        assert_eq!(lan.answer(1, 7001, &["192.168.1.9"]), ["192.168.1.9:7001"], "it is back");
    }

    #[test]
    fn what_is_not_on_this_network_or_is_this_peer_is_not_believed() {
        let mut lan = Lan::new();
        for wrong in [
            "8.8.8.8",
            "192.168.2.9",
            "127.0.0.1",
            "127.0.0.9",
            "0.0.0.0",
            "192.168.1.255",
            "192.168.1.0",
            "224.0.0.251",
            "2001:db8::9",
            "fd00:0:0:8::9",
            "fe80::9",
            "ff02::fb",
            "::1",
            "::",
        ] {
            assert!(lan.answer(1, 7001, &[wrong]).is_empty(), "{wrong}");
        }
        assert!(lan.answer(1, 0, &["192.168.1.9"]).is_empty(), "port 0");
        assert!(lan.answer(0, 7001, &["192.168.1.9"]).is_empty(), "our own name");
        assert!(lan.answer(1, OWN_PORT, &["192.168.1.5"]).is_empty(), "our own address");
        assert_eq!(
            lan.answer(1, 7001, &["192.168.1.5"]),
            ["192.168.1.5:7001"],
            "another peer of this machine"
        );
        let other = format!("{}-00000001.{}", name::swarm(&CascadeHash([8; 32])), name::SERVICE);
        let answer = Answer { full_name: &other, port: 7001, ips: &[ip("192.168.1.9")] };
        assert!(lan.found.handle_answer(answer, &networks()).is_empty(), "another swarm");
    }

    #[test]
    fn an_ipv6_address_of_this_network_is_believed_where_there_is_no_other() {
        let mut lan = Lan::new();
        assert_eq!(lan.answer(1, 7001, &["fe80::9", "fd00:0:0:7::9"]), ["[fd00:0:0:7::9]:7001"]);
        assert!(lan.answer(1, OWN_PORT, &["fd00:0:0:7::5"]).is_empty(), "our own address");
        assert_eq!(lan.answer(2, 7001, &["192.168.1.9", "fd00:0:0:7::8"]), ["192.168.1.9:7001"]);
        assert!(lan.answer(1, 7001, &["192.168.1.8"]).is_empty(), "it is known already");
        let gone = lan.full_name(1);
        lan.found.handle_gone(&gone);
        assert_eq!(lan.answer(1, 7001, &["192.168.1.8"]), ["192.168.1.8:7001"]);
        let many: Vec<String> =
            (1..9).map(|host| format!("fe80::{host}")).chain(["fd00:0:0:7::7".into()]).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(lan.answer(3, 7001, &many), ["[fd00:0:0:7::7]:7001"]);
    }

    #[test]
    fn a_network_of_two_has_no_reserved_addresses() {
        let two = Networks::new([(ip("10.0.0.0"), 31)]);
        assert!(two.holds(ip("10.0.0.1")));
    }

    #[test]
    fn one_answer_and_one_host_have_few_places() {
        let mut lan = Lan::new();
        let many: Vec<String> = (10..30).map(|host| format!("192.168.1.{host}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(lan.answer(1, 7001, &many).len(), MAX_LAN_ADDRESSES);
        let ports = (0..100u16).filter(|port| !lan.answer(2, 9000 + port, &["192.168.1.99"]).is_empty());
        assert_eq!(ports.count(), MAX_LAN_PORTS);
    }

    #[test]
    fn who_comes_after_a_flood_is_told_of() {
        let mut lan = Lan::new();
        let count = u32::try_from(MAX_LAN_PEERS).unwrap();
        for number in 1..=count {
            let ip = format!("192.168.1.{}", 10 + number % 200);
            let port = u16::try_from(9000 + number).unwrap();
            assert_eq!(lan.answer(number, port, &[&ip]).len(), 1);
        }
        assert_eq!(lan.answer(count + 1, 7001, &["192.168.1.9"]), ["192.168.1.9:7001"]);
        assert_eq!(lan.found.believed.len(), MAX_LAN_PEERS);
        assert!(lan.answer(count + 1, 7001, &["192.168.1.9"]).is_empty());
    }

    proptest! {
        /// Whatever comes, what is believed is bounded, on this network, and not this peer.
        #[test]
        fn a_flood_is_bounded(answers in prop::collection::vec((any::<u32>(), any::<u16>(), any::<[u8; 4]>(), any::<bool>()), 1..2000)) {
            let mut lan = Lan::new();
            for (number, port, [a, b, c, d], near) in answers {
                let ip = if near { format!("192.168.1.{d}") } else { format!("{a}.{b}.{c}.{d}") };
                lan.answer(number, port, &[&ip]);
                if number % 16 == 0 {
                    let gone = lan.full_name(number / 16);
                    lan.found.handle_gone(&gone);
                }
            }
            prop_assert!(lan.found.believed.len() <= MAX_LAN_PEERS);
            for (addr, _) in &lan.found.believed {
                prop_assert_eq!(&addr.v4().unwrap().ip().octets()[..3], &[192, 168, 1]);
                prop_assert!(addr.port() != 0 && addr.to_string() != "192.168.1.5:8889");
            }
        }

        #[test]
        fn any_name_is_survived(name in "\\PC{0,80}") {
            let mut lan = Lan::new();
            let answer = Answer { full_name: &name, port: 7001, ips: &[ip("192.168.1.9")] };
            prop_assert!(lan.found.handle_answer(answer, &networks()).is_empty());
            lan.found.handle_gone(&name);
        }
    }
}
