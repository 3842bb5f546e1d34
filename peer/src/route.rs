//! Where this machine's packets come from, as its routes say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses for documentation, which stand for the rest of the world: nothing is sent there.
const WORLD_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const WORLD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Where packets to `to` come from; `None`: no way leads there.
pub(crate) fn source(to: SocketAddr) -> Option<IpAddr> {
    let any =
        if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Connecting a datagram socket sends nothing. Port 9 discards what it gets.
    socket.connect((to.ip(), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// Where packets to the rest of the world come from, in IPv4.
pub(crate) fn default_v4() -> Option<IpAddr> {
    source((WORLD_V4, 9).into())
}

/// Where packets to the rest of the world come from, in IPv6.
pub(crate) fn default_v6() -> Option<IpAddr> {
    source((WORLD_V6, 9).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_this_machine_they_come_from_this_machine() {
        assert_eq!(source((Ipv4Addr::LOCALHOST, 80).into()), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
