//! Where others reach this machine.

use super::{CliError, address};
use crate::route;
use cascade_format::PeerAddr;
use cascade_swarm::Listening;
use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most IPv4 addresses of one machine that a link names.
const MAX_ADDRESSES: usize = 3;

/// The most IPv6 addresses: they are long, and most machines have one that others can use, or two.
const MAX_ADDRESSES_V6: usize = 2;

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
        let own = OwnAddresses::find().of(listen);
        own.into_iter().map(|ip| PeerAddr::new(ip, listen.port()).to_string()).collect()
    } else {
        named.iter().map(|named| with_port(named, listen.port())).collect::<Result<Vec<_>, _>>()?
    };
    let listeners = peers.iter().filter_map(|peer| peer.parse().ok()).collect();
    Ok(Reached { tracker: peers.iter().take(1).cloned().collect(), peers, listeners })
}

/// `HOST:PORT` of what may be a host alone.
fn with_port(named: &str, port: u16) -> Result<String, CliError> {
    address::in_link_at(named, port).map_err(|error| CliError::usage(format!("--address {named:?}: {error}")))
}

/// The machine's addresses.
#[derive(Debug, Default)]
struct OwnAddresses {
    /// That of the default route first.
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
}

impl OwnAddresses {
    fn find() -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let up = interfaces.iter().filter(|interface| interface.is_oper_up());
        let mut own = Self::default();
        if let Some(IpAddr::V4(first)) = route::default_v4() {
            own.v4.push(first);
        }
        let unsteady = unsteady(&fs::read_to_string("/proc/net/if_inet6").unwrap_or_default());
        for interface in up {
            match interface.ip() {
                IpAddr::V4(ip) => own.v4.push(ip),
                IpAddr::V6(ip) if !unsteady.contains(&ip) => own.v6.push(ip),
                IpAddr::V6(_) => {}
            }
        }
        own
    }

    /// Those at which others reach who listens at `listen`; a loopback address only if there is no other.
    fn of(self, listen: Listening) -> Vec<IpAddr> {
        let one = |own: IpAddr| if own.is_unspecified() { None } else { Some(own) };
        let mut found = Vec::new();
        if let Some(ip) = listen.v4() {
            let ip = one(IpAddr::V4(ip));
            found.extend(ip.map_or_else(|| in_order(self.v4), |ip| vec![ip]));
        }
        if let Some(ip) = listen.v6() {
            let ip = one(IpAddr::V6(ip));
            found.extend(ip.map_or_else(|| in_order_v6(self.v6), |ip| vec![ip]));
        }
        if found.is_empty() {
            let v4 = listen.v4().is_some();
            found.push(if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        found
    }
}

/// Those that others can use, in this order but for link-local ones, which come last.
fn in_order(all: Vec<Ipv4Addr>) -> Vec<IpAddr> {
    let mut useful: Vec<_> = all.into_iter().filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).collect();
    // Stable: what is first stays first.
    useful.sort_by_key(Ipv4Addr::is_link_local);
    first(useful, MAX_ADDRESSES)
}

/// Those that others can use: the world's first, then those of a site.
fn in_order_v6(all: Vec<Ipv6Addr>) -> Vec<IpAddr> {
    let mut useful: Vec<_> = all
        .into_iter()
        .filter(|ip| !ip.is_loopback() && PeerAddr::new(IpAddr::V6(*ip), 1).is_somewhere())
        .collect();
    useful.sort_by_key(Ipv6Addr::is_unique_local);
    first(useful, MAX_ADDRESSES_V6)
}

fn first<T: Copy + Eq + std::hash::Hash + Into<IpAddr>>(mut ips: Vec<T>, most: usize) -> Vec<IpAddr> {
    let mut seen = HashSet::new();
    ips.retain(|ip| seen.insert(*ip));
    ips.into_iter().take(most).map(Into::into).collect()
}

/// The addresses in Linux's table of IPv6 addresses that are soon others, or none yet: temporary ones (RFC 8981),
/// deprecated ones, and those that are still checked or taken.
fn unsteady(table: &str) -> HashSet<Ipv6Addr> {
    // IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE of linux/if_addr.h.
    const UNSTEADY: u8 = 0x01 | 0x08 | 0x20 | 0x40;
    let address = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let ip = u128::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
        (flags & UNSTEADY != 0).then(|| Ipv6Addr::from_bits(ip))
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(texts: &[&str]) -> Vec<Ipv4Addr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn v6(texts: &[&str]) -> Vec<Ipv6Addr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Where a peer that listens at `listen` is reached on a machine with these addresses.
    fn of(listen: Listening, v4_ips: &[&str], v6_ips: &[&str]) -> Vec<String> {
        let own = OwnAddresses { v4: v4(v4_ips), v6: v6(v6_ips) };
        own.of(listen).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_that_others_can_use_come_first() {
        let everywhere = Listening::everywhere(1);
        let all = ["192.168.1.5", "127.0.0.1", "169.254.1.1", "172.17.0.1", "192.168.1.5", "10.0.0.1"];
        assert_eq!(of(everywhere, &all, &[]), ["192.168.1.5", "172.17.0.1", "10.0.0.1"]);
        assert_eq!(of(everywhere, &["127.0.0.1", "169.254.1.1"], &[]), ["169.254.1.1"]);
        assert_eq!(of(everywhere, &["127.0.0.1"], &["::1"]), ["127.0.0.1"]);
        assert_eq!(of(everywhere, &["0.0.0.0"], &[]), ["127.0.0.1"]);
    }

    #[test]
    fn addresses_of_both_families_are_named_and_few_of_them() {
        let all = ["::1", "fe80::1", "fd00::1", "2001:db8::1", "2001:db8::2", "2001:db8::3"];
        let everywhere = Listening::everywhere(1);
        assert_eq!(of(everywhere, &["192.0.2.1"], &all), ["192.0.2.1", "2001:db8::1", "2001:db8::2"]);
        assert_eq!(of(everywhere, &["192.0.2.1"], &["fd00::1"]), ["192.0.2.1", "fd00::1"]);
        assert_eq!(of(everywhere, &["127.0.0.1"], &["fd00::1"]), ["fd00::1"]);
        assert_eq!(of(everywhere.without_v6(), &["192.0.2.1"], &all), ["192.0.2.1"]);
        assert_eq!(of(Listening::at("[::]:1".parse().unwrap()), &["192.0.2.1"], &["fd00::1"]), ["fd00::1"]);
        assert_eq!(of(Listening::at("[::]:1".parse().unwrap()), &["192.0.2.1"], &[]), ["::1"]);
        assert_eq!(of(Listening::at("[::1]:1".parse().unwrap()), &["192.0.2.1"], &all), ["::1"]);
    }

    #[test]
    fn addresses_that_change_soon_are_known_by_their_flags() {
        let table = "20010db8000000000000000000000002 04 40 00 01     eth0\n\
                     20010db8000000000000000000000001 04 40 00 80     eth0\n\
                     fd000000000000000000000000000003 04 40 00 a0     eth0\n\
                     00000000000000000000000000000001 01 80 10 80       lo\n\
                     nonsense\n";
        assert_eq!(unsteady(table), v6(&["2001:db8::2", "fd00::3"]).into_iter().collect());
    }

    #[test]
    fn named_addresses_take_the_place_of_the_machine_s() {
        let listen = Listening::everywhere(8890);
        let named = ["203.0.113.7", "box.example:99", "2001:db8::7", "[2001:db8::8]", "[2001:db8::9]:1"];
        let reached_at = reached(listen, &named.map(ToOwned::to_owned)).unwrap();
        let peers = [
            "203.0.113.7:8890",
            "box.example:99",
            "[2001:db8::7]:8890",
            "[2001:db8::8]:8890",
            "[2001:db8::9]:1",
        ];
        assert_eq!(reached_at.peers, peers);
        assert_eq!(reached_at.tracker, ["203.0.113.7:8890"]);
        assert_eq!(reached_at.listeners.len(), 4);
        assert!(reached(listen, &["a b".to_owned()]).is_err());
        let here = reached(Listening::at("127.0.0.1:8890".parse().unwrap()), &[]).unwrap();
        assert_eq!(here.peers, ["127.0.0.1:8890"]);
    }
}
