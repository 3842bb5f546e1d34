//! Where this peer listens.

use alloc::vec::Vec;
use cascade_format::PeerAddr;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where this peer listens: on one port, and in each address family on no address, on one address, or on all of them
/// (written as the unspecified address).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    port: u16,
}

impl Listening {
    /// All addresses of this machine, of both families.
    #[must_use]
    pub const fn everywhere(port: u16) -> Self {
        Self { v4: Some(Ipv4Addr::UNSPECIFIED), v6: Some(Ipv6Addr::UNSPECIFIED), port }
    }

    /// This address alone; if it is the unspecified address, all addresses of its family.
    #[must_use]
    pub const fn at(addr: PeerAddr) -> Self {
        let port = addr.port();
        match addr.ip() {
            IpAddr::V4(ip) => Self { v4: Some(ip), v6: None, port },
            IpAddr::V6(ip) => Self { v4: None, v6: Some(ip), port },
        }
    }

    /// The same on another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The same without IPv6, if anything is left.
    #[must_use]
    pub const fn without_v6(self) -> Self {
        Self { v6: None, ..self }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The IPv4 address; the unspecified address stands for all.
    #[must_use]
    pub const fn v4(&self) -> Option<Ipv4Addr> {
        self.v4
    }

    /// The IPv6 address; the unspecified address stands for all.
    #[must_use]
    pub const fn v6(&self) -> Option<Ipv6Addr> {
        self.v6
    }

    /// The address in the family of `other`; the unspecified address stands for all.
    #[must_use]
    pub fn in_family_of(&self, other: IpAddr) -> Option<IpAddr> {
        match other {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    /// Whether it listens on all addresses of the family of `ip`.
    #[must_use]
    pub fn is_everywhere_like(&self, ip: IpAddr) -> bool {
        self.in_family_of(ip).is_some_and(|own| own.is_unspecified())
    }

    /// The addresses, an IPv4 one first.
    #[must_use]
    pub fn addrs(&self) -> Vec<PeerAddr> {
        let ips = self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6));
        ips.map(|ip| PeerAddr::new(ip, self.port)).collect()
    }

    /// Whether only programs on this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.v4.is_none_or(|ip| ip.is_loopback()) && self.v6.is_none_or(|ip| ip.is_loopback())
    }

    /// Whether a connection from this machine to `addr` would reach this peer itself.
    #[must_use]
    pub fn is_at(&self, addr: PeerAddr) -> bool {
        let everywhere = self.is_everywhere_like(addr.ip()) && addr.ip().is_loopback();
        addr.port() == self.port && (Some(addr.ip()) == self.in_family_of(addr.ip()) || everywhere)
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, addr) in self.addrs().iter().enumerate() {
            if place > 0 {
                f.write_str(" and ")?;
            }
            addr.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn at(text: &str) -> PeerAddr {
        text.parse().unwrap()
    }

    #[test]
    fn own_addresses() {
        let everywhere = Listening::everywhere(7001);
        let all_v4 = Listening::at(at("0.0.0.0:7001"));
        assert!(Listening::at(at("10.0.0.1:7001")).is_at(at("10.0.0.1:7001")));
        assert!(Listening::at(at("[2001:db8::1]:7001")).is_at(at("[2001:db8::1]:7001")));
        assert!(all_v4.is_at(at("127.0.0.9:7001")) && everywhere.is_at(at("127.0.0.9:7001")));
        assert!(everywhere.is_at(at("[::1]:7001")));
        assert!(!all_v4.is_at(at("[::1]:7001")), "that may be another peer");
        assert!(!Listening::at(at("127.0.0.1:7001")).is_at(at("127.0.0.9:7001")));
        assert!(!all_v4.is_at(at("127.0.0.1:7002")));
        assert!(!everywhere.is_at(at("10.0.0.2:7001")), "that may be another machine");
        assert!(!everywhere.is_at(at("[fd00::2]:7001")), "that may be another machine");
    }

    #[test]
    fn it_is_shown_as_it_is_given() {
        assert_eq!(Listening::everywhere(1).to_string(), "0.0.0.0:1 and [::]:1");
        assert_eq!(Listening::everywhere(1).without_v6().to_string(), "0.0.0.0:1");
        assert_eq!(Listening::at(at("[::1]:9")).to_string(), "[::1]:9");
    }

    #[test]
    fn loopback_addresses_are_reached_from_here_alone() {
        assert!(Listening::at(at("127.0.0.1:1")).is_loopback() && Listening::at(at("[::1]:1")).is_loopback());
        assert!(!Listening::everywhere(1).is_loopback() && !Listening::at(at("[fd00::1]:1")).is_loopback());
    }
}
