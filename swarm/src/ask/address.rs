//! Which addresses are worth a connection. A list costs a liar nothing, and a connection of ours is something that
//! happens to the machine at the address.

use cascade_format::PeerAddr;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a peer may listen there at all: no port 0, none of the addresses that stand for nobody or for
/// everybody. `ours` is an address of this machine: IPv4 link-local ones mean something only where it has one too; those
/// of IPv6 mean nothing without an interface, which no list can name.
#[must_use]
pub fn is_somewhere(addr: PeerAddr, ours: Option<Ipv4Addr>) -> bool {
    let near = match addr.ip() {
        IpAddr::V4(ip) => !ip.is_link_local() || ours.is_some_and(|ours| ours.is_link_local()),
        IpAddr::V6(ip) => {
            let embedded = embedded(ip).map(|ip| PeerAddr::new(IpAddr::V4(ip), addr.port()));
            !is_compatible(ip) && embedded.is_none_or(|addr| addr.is_somewhere())
        }
    };
    addr.is_somewhere() && near
}

/// Whether `addr` is worth a connection when a peer or tracker at `teller` tells of it, which we speak to from `ours`.
/// Only a program on this machine knows anything of its loopback addresses: others would make us connect to our own
/// services. Private addresses are taken from all: a laboratory behind one router may have its tracker outside.
#[must_use]
pub fn may_be_told(addr: PeerAddr, teller: IpAddr, ours: IpAddr) -> bool {
    let here = teller.is_loopback() || teller == ours;
    let ours = match ours {
        IpAddr::V4(ours) => Some(ours),
        IpAddr::V6(_) => None,
    };
    is_somewhere(addr, ours) && (here || nearness(addr.ip()) < MACHINE)
}

/// The nearness of what is reached from one machine alone.
const MACHINE: u8 = 2;

/// 0 for the world, 1 for a private network, 2 for one machine. Nobody knows addresses nearer than its own:
/// what a stranger tells of this machine, or of this network, is a way to make us knock there.
#[must_use]
pub fn nearness(ip: IpAddr) -> u8 {
    match ip {
        _ if ip.is_loopback() => MACHINE,
        IpAddr::V4(ip) => u8::from(ip.is_private() || ip.is_link_local()),
        IpAddr::V6(ip) => {
            // fec0::/10 were those of a site before RFC 4193.
            let site =
                ip.is_unique_local() || ip.is_unicast_link_local() || ip.segments()[0] & 0xffc0 == 0xfec0;
            embedded(ip).map_or(u8::from(site), |ip| nearness(IpAddr::V4(ip)))
        }
    }
}

/// The host of an address, for bounds on what one host may do, and how often it is tried: a host with an IPv6 address
/// has all 2^64 addresses of its network. An address in which an IPv4 address is embedded belongs to the host of that
/// one.
#[must_use]
pub fn host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V6(ip),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(ip) => IpAddr::V4(ip),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & NETWORK)),
        },
    }
}

/// The same for a peer that is seen from `ours`: the machines of this machine's own network are hosts of their own, as they are
/// in IPv4.
#[must_use]
pub fn host_near(ip: IpAddr, ours: IpAddr) -> IpAddr {
    let is_near = ip.is_ipv6() && host(ip) == host(ours);
    if is_near { ip } else { host(ip) }
}

/// The first 64 bits.
const NETWORK: u128 = !(u64::MAX as u128);

/// The IPv4 address that packets to `ip` end at: that of NAT64 (64:ff9b::/96, RFC 6052) and of 6to4 (2002::/16,
/// RFC 3056).
const fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = ip.to_bits();
    #[allow(clippy::cast_possible_truncation, reason = "32 bits are what is wanted")]
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(Ipv4Addr::from_bits(bits as u32)),
        [0x2002, ..] => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        _ => None,
    }
}

/// Whether it is one of ::/96, which once held IPv4 addresses and lead nowhere; but for the loopback address.
const fn is_compatible(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0, 0, 0, 0, 0, 0, ..]) && !ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> PeerAddr {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nobody_listens_at_addresses_that_stand_for_nobody_or_for_everybody() {
        let nobody = [
            "10.0.0.1:0",
            "0.0.0.0:7001",
            "0.1.2.3:7001",
            "224.0.0.1:7001",
            "239.255.255.250:1900",
            "240.0.0.1:7001",
            "255.255.255.255:7001",
            "169.254.7.7:7001",
            "[2001:db8::1]:0",
            "[::]:7001",
            "[::ffff:0.0.0.0]:7001",
            "[ff02::1]:7001",
            "[fe80::1]:7001",
            "[::192.0.2.1]:7001",
            "[64:ff9b::e000:1]:7001",
            "[2002:e000:1::1]:7001",
        ];
        for addr in nobody {
            assert!(!is_somewhere(at(addr), None), "{addr}");
            assert!(!may_be_told(at(addr), ip("127.0.0.1"), ip("127.0.0.1")), "{addr}");
        }
        for addr in ["10.0.0.1:1", "127.0.0.1:7001", "192.168.0.1:7001", "223.255.255.255:65535"] {
            assert!(is_somewhere(at(addr), None), "{addr}");
        }
        for addr in ["[2001:db8::1]:1", "[::1]:1", "[fd00::1]:1", "[64:ff9b::c000:201]:1"] {
            assert!(is_somewhere(at(addr), None), "{addr}");
        }
        let ours = Ipv4Addr::new(169, 254, 1, 1);
        assert!(is_somewhere(at("169.254.7.7:7001"), Some(ours)), "we are on that network");
    }

    #[test]
    fn loopback_is_told_by_who_is_on_this_machine_alone() {
        for loopback in ["127.0.0.1:22", "[::1]:22", "[64:ff9b::7f00:1]:22", "[2002:7f00:1::1]:22"] {
            let loopback = at(loopback);
            assert!(!may_be_told(loopback, ip("203.0.113.5"), ip("198.51.100.7")), "{loopback}");
            assert!(!may_be_told(loopback, ip("2001:db8::5"), ip("2001:db8::7")), "{loopback}");
            assert!(!may_be_told(loopback, ip("10.0.0.5"), ip("10.0.0.7")), "{loopback}");
            assert!(may_be_told(loopback, ip("127.0.0.3"), ip("127.0.0.1")), "{loopback}");
            assert!(may_be_told(loopback, ip("::1"), ip("::1")), "{loopback}");
            assert!(may_be_told(loopback, ip("10.0.0.7"), ip("10.0.0.7")), "a tracker on this machine");
        }
        assert!(may_be_told(at("10.0.0.9:7001"), ip("203.0.113.5"), ip("198.51.100.7")));
        assert!(may_be_told(at("[fd00::9]:7001"), ip("203.0.113.5"), ip("198.51.100.7")));
    }

    #[test]
    fn networks_are_nearer_than_the_world_and_machines_nearer_than_networks() {
        for world in ["192.0.2.1", "2001:db8::1", "64:ff9b::c000:201", "2002:c000:201::1"] {
            assert_eq!(nearness(ip(world)), 0, "{world}");
        }
        for network in ["10.0.0.1", "169.254.0.1", "fd00::1", "fe80::1", "fec0::1", "64:ff9b::a00:1"] {
            assert_eq!(nearness(ip(network)), 1, "{network}");
        }
        for machine in ["127.0.0.1", "::1", "2002:7f00:1::"] {
            assert_eq!(nearness(ip(machine)), MACHINE, "{machine}");
        }
    }

    #[test]
    fn a_host_of_ipv6_has_a_whole_network() {
        assert_eq!(host(ip("192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(host(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_ne!(host(ip("2001:db8:1:2::1")), host(ip("2001:db8:1:3::1")));
        assert_eq!(host(ip("64:ff9b::c000:201")), ip("192.0.2.1"));
        assert_eq!(host(ip("2002:c000:201:7::1")), ip("192.0.2.1"));
        assert_eq!(host(ip("::1")), ip("::1"));
        let (near, far) = (ip("2001:db8:1:2::3"), ip("2001:db8:1:3::3"));
        assert_eq!(host_near(near, ip("2001:db8:1:2::1")), near);
        assert_eq!(host_near(far, ip("2001:db8:1:2::1")), host(far));
        assert_eq!(host_near(far, ip("192.0.2.1")), host(far));
    }
}
