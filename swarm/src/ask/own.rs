//! Which addresses are this peer's own.

use super::address;
use crate::Listening;
use cascade_format::PeerAddr;
use core::net::{IpAddr, Ipv4Addr};

/// How this peer is known to others, and where it listens.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// One address of each family, the IPv4 one first.
    known_by: [Option<PeerAddr>; 2],
    listening: Option<Listening>,
}

impl Own {
    /// This peer is known to others by `addr`, and perhaps by one of the other family.
    pub(super) fn set_known_by(&mut self, addr: PeerAddr) {
        let [v4, v6] = &mut self.known_by;
        *(if addr.v4().is_some() { v4 } else { v6 }) = Some(addr);
    }

    /// This peer listens there.
    pub(super) fn set_listening(&mut self, listening: Listening) {
        self.listening = Some(listening);
    }

    /// How it is known to others.
    pub(super) fn known_by(&self) -> impl Iterator<Item = PeerAddr> {
        self.known_by.into_iter().flatten()
    }

    /// Whether a connection to `addr` would lead to this peer.
    pub(super) fn is_at(&self, addr: PeerAddr) -> bool {
        self.known_by.contains(&Some(addr)) || self.listening.is_some_and(|listening| listening.is_at(addr))
    }

    /// Whether a peer may listen at `addr`, and it is another than this one.
    pub(super) fn is_elsewhere(&self, addr: PeerAddr) -> bool {
        self.may_be_somewhere(addr) && !self.is_at(addr)
    }

    /// See [`address::is_somewhere`].
    pub(super) fn may_be_somewhere(&self, addr: PeerAddr) -> bool {
        address::is_somewhere(addr, self.v4())
    }

    /// See [`address::host_near`].
    pub(super) fn host_of(&self, ip: IpAddr) -> IpAddr {
        let [_, v6] = self.known_by;
        v6.map_or_else(|| address::host(ip), |own| address::host_near(ip, own.ip()))
    }

    fn v4(&self) -> Option<Ipv4Addr> {
        let [v4, _] = self.known_by;
        v4.and_then(|addr| addr.v4()).map(|addr| *addr.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> PeerAddr {
        text.parse().unwrap()
    }

    #[test]
    fn it_has_an_address_of_each_family_and_the_last_one_counts() {
        let mut own = Own::default();
        own.set_listening(Listening::everywhere(7001));
        for addr in ["10.0.0.1:7001", "[2001:db8::1]:7001", "10.0.0.2:7001"] {
            own.set_known_by(at(addr));
        }
        assert!(own.known_by().eq([at("10.0.0.2:7001"), at("[2001:db8::1]:7001")]));
        for addr in ["10.0.0.2:7001", "[2001:db8::1]:7001", "127.0.0.1:7001", "[::1]:7001"] {
            assert!(own.is_at(at(addr)) && !own.is_elsewhere(at(addr)), "{addr}");
        }
        assert!(own.is_elsewhere(at("10.0.0.1:7001")) && !own.is_elsewhere(at("[fe80::1]:7001")));
    }
}
