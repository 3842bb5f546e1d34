//! Which addresses this peer connects to. A liar can put any address on a list at no cost, and the machine at that address
//! would have to bear our connections.

use cascade_format::PeerAddr;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a peer may listen at `addr`: the port is not 0, and the address belongs to a single host. `ours` is an
/// address of this machine. An IPv4 link-local address counts only if this machine has one, too; an IPv6 link-local
/// address never counts, because it needs an interface, which a list cannot name.
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

/// Whether to connect to `addr`, of which a peer or tracker at `teller` has told us over a connection from `ours`. A
/// loopback address is used only if a program on this machine has told it: otherwise a stranger could make this peer
/// connect to local services. Private addresses are always used, because the tracker may be outside the router of a
/// site.
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

/// How far an address reaches: 0 in the internet, 1 in a private network, 2 on one machine. An address that is nearer
/// than its teller is suspect: by telling it, a stranger could make this peer connect to this machine or its network.
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

/// The host that an address counts for, in the bounds on what one host may do and on how often a host is tried. An IPv6
/// address counts for its /64 network, because one machine can use all 2^64 addresses of it. An address in which an
/// IPv4 address is embedded counts for that one.
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

/// As [`host`], but in the network of `ours`, an address of this machine, each IPv6 address is a host of its own, as in
/// an IPv4 network.
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
