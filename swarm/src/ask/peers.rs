//! Which peers are known, and which deserves the next link.

use super::peer::{Peer, Source};
use super::report::PeerShare;
use super::{Random, Time};
use crate::limits::MAX_KNOWN_PEERS;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Peers told of by other peers are remembered while fewer than so many are known: hearsay must not
/// crowd out what was seen.
const MAX_HEARSAY: usize = 128;

/// Addresses on one host that others may tell of. On this machine itself there may be a whole swarm.
const MAX_HEARSAY_A_HOST: usize = 8;

/// All peers known for one file.
#[derive(Debug, Default)]
pub(super) struct Peers {
    peers: Vec<Peer>,
    by_addr: HashMap<SocketAddrV4, usize>,
}

impl Peers {
    /// Remembers an address that another peer told, which may have added that it knows the extension.
    pub(super) fn learn_hearsay(&mut self, now: Time, addr: SocketAddrV4, extended: bool) {
        let somewhere = addr.port() != 0 && !addr.ip().is_unspecified() && !addr.ip().is_multicast();
        let on_host = || self.peers.iter().filter(|peer| peer.addr().ip() == addr.ip()).count();
        let fits = || addr.ip().is_loopback() || on_host() < MAX_HEARSAY_A_HOST;
        if somewhere && self.peers.len() < MAX_HEARSAY && !self.by_addr.contains_key(&addr) && fits() {
            self.push(Peer::by_hearsay(now, addr, extended));
        }
    }

    /// A host has asked for blocks without telling where it listens. Programs with a port of their own are
    /// all found there: it is tried at the port that this peer (`own`) and those known have in common,
    /// unless a peer on that host is known.
    pub(super) fn learn_host(&mut self, now: Time, host: Ipv4Addr, own: Option<SocketAddrV4>) {
        let known = self.peers.iter().any(|peer| *peer.addr().ip() == host);
        if known || self.peers.len() >= MAX_HEARSAY {
            return;
        }
        let mut ports: Vec<u16> =
            self.peers.iter().map(Peer::addr).chain(own).map(|addr| addr.port()).collect();
        ports.sort_unstable();
        let runs = ports.chunk_by(|one, other| one == other);
        let usual = runs.filter(|run| run.len() > 1).max_by_key(|run| run.len()).and_then(<[u16]>::first);
        if let Some(port) = usual {
            self.learn(now, Source::Guess, SocketAddrV4::new(host, *port));
        }
    }

    /// Remembers an address. At the bound, one that never gave anything and has no link is forgotten
    /// for it; a peer that the user named is told of again by nobody, so it comes back to the front.
    pub(super) fn learn(&mut self, now: Time, source: Source, addr: SocketAddrV4) {
        if let Some(known) = self.by_addr.get(&addr) {
            if let Some(peer) = self.peers.get_mut(*known) {
                peer.told_of(now, source);
            }
            return;
        }
        if self.peers.len() < MAX_KNOWN_PEERS {
            return self.push(Peer::new(now, addr, source));
        }
        if let Some(at) = self.peers.iter().position(Peer::is_forgettable)
            && let Some(peer) = self.peers.get_mut(at)
        {
            self.by_addr.remove(&peer.addr());
            self.by_addr.insert(addr, at);
            *peer = Peer::new(now, addr, source);
        }
    }

    fn push(&mut self, peer: Peer) {
        self.by_addr.insert(peer.addr(), self.peers.len());
        self.peers.push(peer);
    }

    /// Peer number `index`, which came from this table.
    #[allow(clippy::indexing_slicing, reason = "peers are never removed; indices come from this table")]
    pub(super) fn get(&self, index: usize) -> &Peer {
        &self.peers[index]
    }

    /// Peer number `index`, which came from this table.
    #[allow(clippy::indexing_slicing, reason = "peers are never removed; indices come from this table")]
    pub(super) fn get_mut(&mut self, index: usize) -> &mut Peer {
        &mut self.peers[index]
    }

    /// The peer that deserves the next link now; of all, or of those that have a link to this peer.
    pub(super) fn next_to_connect(&self, now: Time, mutual: bool, random: &mut Random) -> Option<usize> {
        let due = |peer: &Peer| peer.is_due(now, mutual);
        let best = self.peers.iter().filter(|peer| due(peer)).map(Peer::rank).min()?;
        let equals = || self.peers.iter().enumerate().filter(|(_, peer)| due(peer) && peer.rank() == best);
        let count = equals().count() as u64;
        let chosen = usize::try_from(random() % count.max(1)).unwrap_or(0);
        equals().nth(chosen).map(|(index, _)| index)
    }

    /// When a peer is due for a link (if there is `room` for one), or ends a pause.
    pub(super) fn next_wakeup(&self, now: Time, room: bool) -> Option<Time> {
        self.peers.iter().filter_map(|peer| peer.next_wakeup(now, room)).min()
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The linked peers that are leechers and tell nothing of themselves.
    pub(super) fn plain_leechers(&self) -> Vec<SocketAddrV4> {
        self.peers.iter().filter(|peer| peer.is_plain_leecher()).map(Peer::addr).collect()
    }

    /// Number of linked leechers that have given something.
    pub(super) fn giving_leechers(&self) -> usize {
        self.peers.iter().filter(|peer| peer.is_giving_leecher()).count()
    }

    /// Whether a peer has neither failed nor lied so far.
    pub(super) fn any_untried(&self) -> bool {
        self.peers.iter().any(Peer::is_untried)
    }

    /// What each peer has given, the most generous first.
    pub(super) fn shares(&self) -> Vec<PeerShare> {
        let gave = self.peers.iter().filter(|peer| peer.has_given());
        let mut shares: Vec<_> =
            gave.map(|peer| PeerShare { addr: peer.addr(), bytes: peer.bytes() }).collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::MAX_BACK_OFF;
    use super::*;

    const fn addr(host: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), port)
    }

    fn due(peers: &Peers, now: Time) -> Option<SocketAddrV4> {
        let mut random: Random = Box::new(|| 0);
        peers.next_to_connect(now, false, &mut random).map(|index| peers.get(index).addr())
    }

    #[test]
    fn a_host_is_guessed_at_the_port_that_the_swarm_has_in_common() {
        let mut peers = Peers::default();
        let host = *addr(9, 0).ip();
        peers.learn_host(Time::ZERO, host, Some(addr(1, 7001)));
        assert_eq!(due(&peers, Time::ZERO), None, "one port alone says nothing");
        peers.learn(Time::ZERO, Source::Tracker, addr(2, 7001));
        peers.link_to(addr(2, 7001));
        peers.learn_host(Time::ZERO, *addr(2, 0).ip(), Some(addr(1, 7001)));
        assert_eq!(peers.len(), 1, "it is known where that host listens");
        peers.learn_host(Time::ZERO, host, Some(addr(1, 7001)));
        assert_eq!(due(&peers, Time::ZERO), Some(addr(9, 7001)));
    }

    #[test]
    fn a_guess_is_tried_once_unless_somebody_tells_of_it() {
        let mut peers = Peers::default();
        let now = Time::ZERO;
        peers.learn(now, Source::Guess, addr(9, 7001));
        peers.get_mut(0).failed(now);
        assert_eq!(due(&peers, now + MAX_BACK_OFF), None);
        peers.learn(now, Source::Tracker, addr(9, 7001));
        assert_eq!(due(&peers, now + MAX_BACK_OFF), Some(addr(9, 7001)));
        peers.get_mut(0).failed(now);
        assert_eq!(due(&peers, now + MAX_BACK_OFF), Some(addr(9, 7001)), "that was no guess any more");
    }

    impl Peers {
        fn link_to(&mut self, addr: SocketAddrV4) {
            if let Some(index) = self.by_addr.get(&addr) {
                self.peers[*index].link_opened();
            }
        }
    }
}
