//! By which addresses this peer is registered with a tracker.

use crate::route;
use cascade_format::PeerAddr;
use cascade_swarm::Listening;
use cascade_swarm::ask::address::nearness;
use std::net::{IpAddr, SocketAddr};

/// The addresses of one peer at one tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) v4: Option<PeerAddr>,
    pub(super) v6: Option<PeerAddr>,
}

/// A connection to a tracker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection<'a> {
    /// This end of it.
    pub(super) ours: IpAddr,
    /// All addresses of the tracker.
    pub(super) tracker: &'a [SocketAddr],
}

impl Addresses {
    /// Of a peer that listens at `listening`, if it does: of each family the address that it listens on, or by which it
    /// reaches the tracker. `source` tells by which address this machine reaches another, if it does, or the world.
    pub(super) fn new(
        listening: Option<Listening>,
        connection: Connection<'_>,
        source: impl Fn(To) -> Option<IpAddr>,
    ) -> Self {
        let ours = connection.ours;
        let Some(listening) = listening else {
            // It says where it comes from, and no port.
            let addr = PeerAddr::new(ours, 0);
            let v4 = ours.is_ipv4();
            return Self { v4: v4.then_some(addr), v6: (!v4).then_some(addr) };
        };
        let of = |wanted: Option<IpAddr>| {
            let wanted = wanted?;
            let ip = if !wanted.is_unspecified() {
                wanted
            } else if wanted.is_ipv4() == ours.is_ipv4() && PeerAddr::new(ours, 1).is_somewhere() {
                ours
            } else {
                other(wanted.is_ipv4(), connection, &source)?
            };
            Some(PeerAddr::new(ip, listening.port()))
        };
        let v4 = of(listening.v4().map(IpAddr::V4));
        Self { v4, v6: of(listening.v6().map(IpAddr::V6)) }
    }

    /// The one of the family of `ip`, or else the other.
    pub(super) fn best_for(&self, ip: IpAddr) -> Option<PeerAddr> {
        if ip.is_ipv4() { self.v4.or(self.v6) } else { self.v6.or(self.v4) }
    }

    /// Both.
    pub(super) fn all(&self) -> impl Iterator<Item = PeerAddr> + use<> {
        self.v4.into_iter().chain(self.v6)
    }
}

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Addr(SocketAddr),
    WorldV4,
    WorldV6,
}

impl To {
    /// By which address this machine reaches it.
    pub(super) fn source(self) -> Option<IpAddr> {
        match self {
            Self::Addr(addr) => route::source(addr),
            Self::WorldV4 => route::default_v4(),
            Self::WorldV6 => route::default_v6(),
        }
    }
}

/// The machine's address in the family that the connection does not use: that by which it reaches the tracker's
/// other address, or else the world, unless it means less to others than the connection's own.
fn other(v4: bool, connection: Connection<'_>, source: &impl Fn(To) -> Option<IpAddr>) -> Option<IpAddr> {
    let Connection { ours, tracker } = connection;
    let to_tracker = tracker.iter().find(|addr| addr.is_ipv4() == v4).map(|addr| To::Addr(*addr));
    let ip = match to_tracker {
        Some(to) => source(to)?,
        // Who asks a tracker on its own machine has nothing to tell of the world.
        None if ours.is_loopback() => return None,
        None => source(if v4 { To::WorldV4 } else { To::WorldV6 })?,
    };
    let is_useful = PeerAddr::new(ip, 1).is_somewhere() && nearness(ip) <= nearness(ours);
    is_useful.then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "198.51.100.1:8888";
    const V6: &str = "[2001:db8::1]:8888";

    fn at(text: &str) -> PeerAddr {
        text.parse().unwrap()
    }

    /// The addresses of a peer on a machine that reaches the world by 192.0.2.9 and 2001:db8::9.
    fn addresses(listening: Option<Listening>, ours: &str, tracker: &[&str]) -> [String; 2] {
        let tracker: Vec<SocketAddr> = tracker.iter().map(|addr| addr.parse().unwrap()).collect();
        let connection = Connection { ours: ours.parse().unwrap(), tracker: &tracker };
        let addresses = Addresses::new(listening, connection, |to| {
            let v4 = match to {
                To::Addr(addr) if addr.ip().is_loopback() => return Some(addr.ip()),
                To::Addr(addr) => addr.is_ipv4(),
                To::WorldV4 => true,
                To::WorldV6 => false,
            };
            Some(if v4 { "192.0.2.9" } else { "2001:db8::9" }.parse().unwrap())
        });
        [addresses.v4, addresses.v6].map(|addr| addr.map_or_else(String::new, |addr| addr.to_string()))
    }

    #[test]
    fn who_listens_everywhere_has_an_address_of_each_family() {
        let everywhere = Some(Listening::everywhere(7));
        let both = ["192.0.2.9:7", "[2001:db8::9]:7"];
        assert_eq!(addresses(everywhere, "192.0.2.9", &[V4, V6]), both);
        assert_eq!(addresses(everywhere, "2001:db8::9", &[V4, V6]), both);
        assert_eq!(addresses(everywhere, "192.0.2.9", &[V4]), both, "the tracker has no IPv6");
        assert_eq!(addresses(everywhere, "10.0.0.9", &[V4]), ["10.0.0.9:7", "[2001:db8::9]:7"]);
    }

    #[test]
    fn who_listens_on_one_address_has_that() {
        let v4 = Some(Listening::at(at("192.0.2.5:7")));
        let v6 = Some(Listening::at(at("[2001:db8::5]:7")));
        for ours in ["192.0.2.5", "2001:db8::9"] {
            assert_eq!(addresses(v4, ours, &[V4, V6]), ["192.0.2.5:7", ""]);
            assert_eq!(addresses(v6, ours, &[V4, V6]), ["", "[2001:db8::5]:7"]);
        }
    }

    #[test]
    fn a_tracker_on_this_machine_is_told_of_what_leads_to_it() {
        let everywhere = Some(Listening::everywhere(7));
        assert_eq!(addresses(everywhere, "127.0.0.1", &["127.0.0.1:8888"]), ["127.0.0.1:7", ""]);
        let both = ["127.0.0.1:8888", "[::1]:8888"];
        assert_eq!(addresses(everywhere, "::1", &both), ["127.0.0.1:7", "[::1]:7"]);
    }

    #[test]
    fn an_address_that_means_less_to_others_is_not_told() {
        let connection = Connection { ours: "192.0.2.9".parse().unwrap(), tracker: &[] };
        let ula = |_| Some("fd00::9".parse().unwrap());
        let addresses = Addresses::new(Some(Listening::everywhere(7)), connection, ula);
        assert_eq!(addresses, Addresses { v4: Some(at("192.0.2.9:7")), v6: None });
        let near = Connection { ours: "10.0.0.9".parse().unwrap(), tracker: &[] };
        let addresses = Addresses::new(Some(Listening::everywhere(7)), near, ula);
        assert_eq!(addresses.v6, Some(at("[fd00::9]:7")));
    }

    #[test]
    fn who_does_not_listen_has_no_port() {
        assert_eq!(addresses(None, "192.0.2.9", &[V4, V6]), ["192.0.2.9:0", ""]);
        assert_eq!(addresses(None, "2001:db8::9", &[V4, V6]), ["", "[2001:db8::9]:0"]);
    }
}
