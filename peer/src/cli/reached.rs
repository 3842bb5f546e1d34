//! Where others reach this machine.

use super::CliError;
use cascade_format::PeerAddr;
use cascade_format::link::Address;
use cascade_swarm::Listening;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The most addresses of one machine that a link names.
const MAX_ADDRESSES: usize = 3;

/// An address of the default route, to which nothing is sent: it is for documentation.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// What a link says of this machine.
#[derive(Debug)]
pub(super) struct Reached {
    /// Its tracker: one address is enough, as each peer tells of the others.
    pub(super) tracker: Vec<String>,
    pub(super) peers: Vec<String>,
    /// Those of them that are known as addresses.
    pub(super) listeners: Vec<PeerAddr>,
}

/// Where others reach who listens at `listen`: at the `named` addresses, else at that address, or at all of the
/// machine's.
pub(super) fn reached(listen: Listening, named: &[String]) -> Result<Reached, CliError> {
    let peers = if named.is_empty() {
        let v4 = listen.v4();
        let own = v4.filter(|ip| !ip.is_unspecified()).map(|ip| vec![ip]);
        let ips = own.unwrap_or_else(own_addresses);
        ips.into_iter().map(|ip| PeerAddr::new(IpAddr::V4(ip), listen.port()).to_string()).collect()
    } else {
        named.iter().map(|named| with_port(named, listen.port())).collect::<Result<Vec<_>, _>>()?
    };
    let listeners = peers.iter().filter_map(|peer| peer.parse().ok()).collect();
    Ok(Reached { tracker: peers.iter().take(1).cloned().collect(), peers, listeners })
}

/// `HOST:PORT` of what may be a host alone.
fn with_port(named: &str, port: u16) -> Result<String, CliError> {
    let whole =
        named.parse::<Address>().or_else(|error| format!("{named}:{port}").parse().map_err(|_| error));
    let address = whole.map_err(|error| CliError::usage(format!("--address {named:?}: {error}")))?;
    Ok(address.to_string())
}

/// The machine's addresses that mean something to others, the one of the default route first.
fn own_addresses() -> Vec<Ipv4Addr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let up = interfaces.iter().filter(|interface| interface.is_oper_up());
    let all = up.filter_map(|interface| match interface.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    });
    in_order(all.collect(), default_route())
}

/// Where packets to the rest of the world come from.
fn default_route() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Connecting a datagram socket sends nothing.
    socket.connect(ELSEWHERE).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// Those that others can use, `first` first; a loopback address only if there is no other.
fn in_order(all: Vec<Ipv4Addr>, first: Option<Ipv4Addr>) -> Vec<Ipv4Addr> {
    let mut useful: Vec<_> =
        first.into_iter().chain(all).filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).collect();
    // Stable: what is first stays first.
    useful.sort_by_key(|ip| ip.is_link_local());
    let mut seen = std::collections::HashSet::new();
    useful.retain(|ip| seen.insert(*ip));
    useful.truncate(MAX_ADDRESSES);
    if useful.is_empty() { vec![Ipv4Addr::LOCALHOST] } else { useful }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_others_can_use_come_first() {
        let all = ["127.0.0.1", "169.254.1.1", "172.17.0.1", "192.168.1.5", "10.0.0.1"].map(ip);
        let order = in_order(all.to_vec(), Some(ip("192.168.1.5")));
        assert_eq!(order, ["192.168.1.5", "172.17.0.1", "10.0.0.1"].map(ip));
        assert_eq!(in_order(vec![ip("127.0.0.1"), ip("169.254.1.1")], None), [ip("169.254.1.1")]);
        assert_eq!(in_order(vec![ip("127.0.0.1")], None), [Ipv4Addr::LOCALHOST]);
        assert_eq!(in_order(Vec::new(), Some(ip("0.0.0.0"))), [Ipv4Addr::LOCALHOST]);
    }

    #[test]
    fn named_addresses_take_the_place_of_the_machine_s() {
        let listen = Listening::everywhere(8890);
        let named = ["203.0.113.7".to_owned(), "box.example:99".to_owned()];
        let reached_at = reached(listen, &named).unwrap();
        assert_eq!(reached_at.peers, ["203.0.113.7:8890", "box.example:99"]);
        assert_eq!(reached_at.tracker, ["203.0.113.7:8890"]);
        assert_eq!(reached_at.listeners, ["203.0.113.7:8890".parse().unwrap()]);
        assert!(reached(listen, &["a b".to_owned()]).is_err());
        let here = reached(Listening::at("127.0.0.1:8890".parse().unwrap()), &[]).unwrap();
        assert_eq!(here.peers, ["127.0.0.1:8890"]);
    }
}
