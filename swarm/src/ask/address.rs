//! Which addresses are worth a connection. A list costs a liar nothing, and a connection of ours is something that
//! happens to the machine at the address.

use core::net::{Ipv4Addr, SocketAddrV4};

/// Whether a peer may listen there at all: no port 0, none of the addresses that stand for nobody or for
/// everybody. `ours` is an address of this machine: link-local ones mean something only where it has one too.
#[must_use]
pub fn is_somewhere(addr: SocketAddrV4, ours: Option<Ipv4Addr>) -> bool {
    let ip = *addr.ip();
    let [first, ..] = ip.octets();
    // 0/8 is "this network", 224/4 multicast, 240/4 reserved, with the broadcast address at its end.
    let nobody = addr.port() == 0 || first == 0 || first >= 224;
    let near = !ip.is_link_local() || ours.is_some_and(|ours| ours.is_link_local());
    !nobody && near
}

/// Whether `addr` is worth a connection when a peer or tracker at `teller` tells of it, which we speak to from `ours`.
/// Only a program on this machine knows anything of its loopback addresses: others would make us connect to our own
/// services. Private addresses are taken from all: a laboratory behind one router may have its tracker outside.
#[must_use]
pub fn may_be_told(addr: SocketAddrV4, teller: Ipv4Addr, ours: Ipv4Addr) -> bool {
    let here = teller.is_loopback() || teller == ours;
    is_somewhere(addr, Some(ours)) && (here || !addr.ip().is_loopback())
}

/// Whether a peer that listens at `listen` would reach itself at `addr`.
#[must_use]
pub fn is_own(addr: SocketAddrV4, listen: SocketAddrV4) -> bool {
    let everywhere = listen.ip().is_unspecified() && addr.ip().is_loopback();
    addr.port() == listen.port() && (addr.ip() == listen.ip() || everywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> Ipv4Addr {
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
        ];
        for addr in nobody {
            assert!(!is_somewhere(at(addr), None), "{addr}");
            assert!(!may_be_told(at(addr), ip("127.0.0.1"), ip("127.0.0.1")), "{addr}");
        }
        for addr in ["10.0.0.1:1", "127.0.0.1:7001", "192.168.0.1:7001", "223.255.255.255:65535"] {
            assert!(is_somewhere(at(addr), None), "{addr}");
        }
        assert!(is_somewhere(at("169.254.7.7:7001"), Some(ip("169.254.1.1"))), "we are on that network");
    }

    #[test]
    fn loopback_is_told_by_who_is_on_this_machine_alone() {
        let loopback = at("127.0.0.1:22");
        assert!(!may_be_told(loopback, ip("203.0.113.5"), ip("198.51.100.7")));
        assert!(!may_be_told(loopback, ip("10.0.0.5"), ip("10.0.0.7")));
        assert!(may_be_told(loopback, ip("127.0.0.3"), ip("127.0.0.1")));
        assert!(may_be_told(loopback, ip("10.0.0.7"), ip("10.0.0.7")), "a tracker on this machine");
        assert!(may_be_told(at("10.0.0.9:7001"), ip("203.0.113.5"), ip("198.51.100.7")));
    }

    #[test]
    fn own_addresses() {
        assert!(is_own(at("10.0.0.1:7001"), at("10.0.0.1:7001")));
        assert!(is_own(at("127.0.0.9:7001"), at("0.0.0.0:7001")));
        assert!(!is_own(at("127.0.0.9:7001"), at("127.0.0.1:7001")));
        assert!(!is_own(at("127.0.0.1:7002"), at("0.0.0.0:7001")));
        assert!(!is_own(at("10.0.0.2:7001"), at("0.0.0.0:7001")), "that may be another machine");
    }
}
