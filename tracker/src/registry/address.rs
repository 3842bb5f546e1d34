//! What a registry holds addresses of: one family, so that those of IPv4 take no more memory for there being IPv6.

use super::source::Source;
use cascade_format::PeerAddr;
use cascade_format::tracker_wide::WideEntry;
use cascade_format::tracker_wire::PeerEntry;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

/// Where a peer listens, in one family.
pub trait Address: Copy + Eq + Debug {
    /// A peer in a list.
    type Entry: Copy + Debug;

    /// This address in a list.
    fn entry(self, subscribed: u32, good: bool) -> Self::Entry;

    /// The address of an entry.
    fn of_entry(entry: &Self::Entry) -> Self;

    /// The address without its port.
    fn host(self) -> IpAddr;

    /// Whether both are ports of one address.
    fn same_ip(self, other: Self) -> bool;

    /// Holds a number, where no address is needed.
    fn from_number(number: u32) -> Self;

    /// The number that it holds.
    fn number(self) -> u32;

    /// Bytes of it where it is kept.
    const LEN: usize;

    /// Writes its bytes, [`Address::LEN`] of them.
    fn write(self, out: &mut Vec<u8>);

    /// Reads what [`Address::write`] has written; `None`: another number of bytes.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// The same for the wire.
    fn wire(self) -> PeerAddr;

    /// Whether a registration of it by `source` is one of the source's own address.
    fn is_own_of(self, source: Source) -> bool {
        source == Source::of(self.host())
    }
}

impl Address for SocketAddrV4 {
    type Entry = PeerEntry;

    fn entry(self, subscribed: u32, good: bool) -> PeerEntry {
        PeerEntry { addr: self, subscribed, good }
    }

    fn of_entry(entry: &PeerEntry) -> Self {
        entry.addr
    }

    fn host(self) -> IpAddr {
        IpAddr::V4(*self.ip())
    }

    fn same_ip(self, other: Self) -> bool {
        self.ip() == other.ip()
    }

    fn from_number(number: u32) -> Self {
        Self::new(Ipv4Addr::from_bits(number), 0)
    }

    fn number(self) -> u32 {
        self.ip().to_bits()
    }

    const LEN: usize = 6;

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ip().octets());
        out.extend_from_slice(&self.port().to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, port @ ..] = <[u8; 6]>::try_from(bytes).ok()?;
        Some(Self::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes(port)))
    }

    fn wire(self) -> PeerAddr {
        self.into()
    }
}

/// An IPv6 address and its port, 18 bytes: the standard library's also has a scope, and is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressV6 {
    ip: [u8; 16],
    port: [u8; 2],
}

const _: () = assert!(size_of::<AddressV6>() == 18, "memory per peer is promised");

impl AddressV6 {
    /// The same, if it is an IPv6 address.
    #[must_use]
    pub fn of(addr: PeerAddr) -> Option<Self> {
        let addr = addr.v6()?;
        Some(Self { ip: addr.ip().octets(), port: addr.port().to_be_bytes() })
    }

    /// The same for the wire.
    #[must_use]
    pub fn peer_addr(self) -> PeerAddr {
        PeerAddr::new(self.host(), u16::from_be_bytes(self.port))
    }
}

impl Address for AddressV6 {
    type Entry = WideEntry;

    fn entry(self, subscribed: u32, good: bool) -> WideEntry {
        WideEntry { addr: self.peer_addr(), subscribed, good }
    }

    fn of_entry(entry: &WideEntry) -> Self {
        // A list of this registry holds no other family.
        Self::of(entry.addr).unwrap_or(Self { ip: [0; 16], port: [0; 2] })
    }

    fn host(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(self.ip))
    }

    fn same_ip(self, other: Self) -> bool {
        self.ip == other.ip
    }

    fn from_number(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        Self { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d], port: [0; 2] }
    }

    fn number(self) -> u32 {
        let [.., a, b, c, d] = self.ip;
        u32::from_be_bytes([a, b, c, d])
    }

    const LEN: usize = 18;

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ip);
        out.extend_from_slice(&self.port);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (ip, port) = bytes.split_first_chunk()?;
        Some(Self { ip: *ip, port: port.try_into().ok()? })
    }

    fn wire(self) -> PeerAddr {
        self.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn v6(text: &str) -> AddressV6 {
        let addr: SocketAddr = text.parse().unwrap();
        AddressV6::of(addr.into()).unwrap()
    }

    #[test]
    fn numbers_and_entries_come_back() {
        for number in [0, 1, 0x1234_5678, u32::MAX] {
            assert_eq!(SocketAddrV4::from_number(number).number(), number);
            assert_eq!(AddressV6::from_number(number).number(), number);
        }
        let addr = v6("[2001:db8::7]:80");
        assert_eq!(AddressV6::of_entry(&addr.entry(5, true)), addr);
        assert_eq!(addr.entry(5, true).addr.to_string(), "[2001:db8::7]:80");
        let v4: SocketAddr = "1.2.3.4:5".parse().unwrap();
        assert_eq!(AddressV6::of(v4.into()), None);
    }

    #[test]
    fn a_site_s_addresses_are_its_own() {
        let source = Source::of("2001:db8:1::9".parse().unwrap());
        assert!(v6("[2001:db8:1:2::3]:1").is_own_of(source));
        assert!(!v6("[2001:db8:2::3]:1").is_own_of(source));
        assert!(v6("[2001:db8::1]:1").same_ip(v6("[2001:db8::1]:2")));
    }
}
