//! Where a peer listens, in either family.

use crate::field::bytes;
use core::fmt;
use core::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::str::FromStr;

/// Length of an address of either family and its port, in bytes.
pub const PEER_ADDR_LEN: usize = 18;

/// An IP address of either family, and a port. An IPv4 address that is embedded in an IPv6 address (`::ffff:192.0.2.1`)
/// equals the plain IPv4 address. An IPv6 scope is not kept, because it means something on one machine only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddr {
    ip: IpAddr,
    port: u16,
}

impl PeerAddr {
    /// This address and port.
    #[must_use]
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip: ip.to_canonical(), port }
    }

    /// The address; never an IPv4 address in the form of an IPv6 one.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address and port as an IPv4 socket address; `None` for IPv6.
    #[must_use]
    pub const fn v4(&self) -> Option<SocketAddrV4> {
        match self.ip {
            IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, self.port)),
            IpAddr::V6(_) => None,
        }
    }

    /// The address and port as an IPv6 socket address; `None` for IPv4.
    #[must_use]
    pub const fn v6(&self) -> Option<SocketAddrV6> {
        match self.ip {
            IpAddr::V6(ip) => Some(SocketAddrV6::new(ip, self.port, 0, 0)),
            IpAddr::V4(_) => None,
        }
    }

    /// Encodes the address (16 bytes) and the port (2 bytes). An IPv4 address is written as `::ffff:a.b.c.d`.
    #[must_use]
    pub fn encode(&self) -> [u8; PEER_ADDR_LEN] {
        let ip = match self.ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut out = [0; PEER_ADDR_LEN];
        crate::field::put(&mut out, 0, &ip.octets());
        crate::field::put(&mut out, 16, &self.port.to_be_bytes());
        out
    }

    /// Reads what [`PeerAddr::encode`] wrote. Any 18 bytes are valid.
    #[must_use]
    pub fn parse(addr: &[u8; PEER_ADDR_LEN]) -> Self {
        let port = u16::from_be_bytes(bytes(addr, 16));
        Self::new(IpAddr::V6(Ipv6Addr::from(bytes::<16>(addr, 0))), port)
    }

    /// Whether another machine could reach a peer at this address. It cannot if the port is 0, or if the address is
    /// unspecified, multicast, reserved (0/8, 240/4) or IPv6 link-local.
    #[must_use]
    pub const fn is_somewhere(&self) -> bool {
        let host = match self.ip {
            IpAddr::V4(ip) => is_host(ip),
            // fe80::/10 means something only together with an interface.
            IpAddr::V6(ip) => {
                !ip.is_unspecified() && !ip.is_multicast() && ip.segments()[0] & 0xffc0 != 0xfe80
            }
        };
        host && self.port != 0
    }
}

/// 0/8 is "this network", 224/4 multicast, 240/4 reserved, with the broadcast address at its end.
const fn is_host(ip: Ipv4Addr) -> bool {
    let [first, ..] = ip.octets();
    first != 0 && first < 224
}

impl FromStr for PeerAddr {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse().map(|addr: SocketAddr| addr.into())
    }
}

impl From<SocketAddrV4> for PeerAddr {
    fn from(addr: SocketAddrV4) -> Self {
        Self::new(IpAddr::V4(*addr.ip()), addr.port())
    }
}

impl From<SocketAddrV6> for PeerAddr {
    fn from(addr: SocketAddrV6) -> Self {
        Self::new(IpAddr::V6(*addr.ip()), addr.port())
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip(), addr.port())
    }
}

impl From<PeerAddr> for SocketAddr {
    fn from(addr: PeerAddr) -> Self {
        Self::new(addr.ip, addr.port)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn at(text: &str) -> PeerAddr {
        text.parse().unwrap()
    }

    #[test]
    fn golden_addresses() {
        let v4 = at("192.0.2.1:8889").encode();
        assert_eq!(v4, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 0x22, 0xb9]);
        let v6 = at("[2001:db8::7]:1").encode();
        assert_eq!(v6, [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1]);
        assert_eq!(at("[2001:db8::7]:1").to_string(), "[2001:db8::7]:1");
    }

    #[test]
    fn an_ipv4_address_is_one_however_it_is_written() {
        let mapped = at("[::ffff:192.0.2.1]:80");
        assert_eq!((mapped, mapped.to_string().as_str()), (at("192.0.2.1:80"), "192.0.2.1:80"));
        assert!(mapped.v4().is_some() && mapped.v6().is_none());
    }

    #[test]
    fn a_peer_listens_at_the_address_of_a_host() {
        for host in ["10.0.0.1:1", "127.0.0.1:65535", "[2001:db8::1]:1", "[::1]:1", "[fd00::1]:1"] {
            assert!(at(host).is_somewhere(), "{host}");
        }
        for nowhere in
            ["10.0.0.1:0", "0.1.2.3:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"]
        {
            assert!(!at(nowhere).is_somewhere(), "{nowhere}");
        }
        for nowhere in ["[fe80::1]:1", "[febf::1]:1", "[2001:db8::1]:0", "[::ffff:0.0.0.1]:1"] {
            assert!(!at(nowhere).is_somewhere(), "{nowhere}");
        }
        assert!(at("[fec0::1]:1").is_somewhere());
    }

    proptest! {
        #[test]
        fn every_address_round_trips(bytes: [u8; 16], port: u16) {
            let addr = PeerAddr::new(IpAddr::V6(bytes.into()), port);
            prop_assert_eq!(PeerAddr::parse(&addr.encode()), addr);
            prop_assert_eq!(&addr.encode()[..16], &bytes);
        }
    }
}
