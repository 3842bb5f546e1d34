//! Which peers are known.
//!
//! | module | knows |
//! |---|---|
//! | [`peer`] | one peer, and when it deserves a link |
//! | [`habits`] | how it wants to be asked |
//! | [`refusals`] | what it lacks |
//! | [`lies`] | which blocks it sent wrong |
//! | [`hosts`] | how often those are tried that may be victims |
//! | [`origin`] | by which ways addresses are heard of |
//! | [`candidates`] | which peer deserves the next link |
//! | [`outline`] | what decides about that, of all peers side by side |

mod candidates;
mod habits;
pub(super) mod hosts;
mod lies;
mod origin;
mod outline;
mod peer;
mod refusals;

pub(super) use candidates::Wanted;
pub use origin::Source;
pub(super) use peer::Peer;

use super::own::Own;
use super::report::PeerShare;
use super::tuning::Tuning;
use crate::Time;
use crate::limits::MAX_KNOWN_PEERS;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use core::net::IpAddr;
use hashbrown::HashMap;
use hosts::Hosts;
use origin::Origins;
use outline::Outlines;

/// Peers told of by other peers are remembered while fewer than this are known. Peers that a list named and that never
/// spoke do not count: hearsay must not displace peers that were met.
const MAX_HEARSAY: usize = 128;

/// Addresses on one host that others may tell of. On this machine itself there may be a whole swarm.
const MAX_HEARSAY_A_HOST: usize = 8;

/// All peers known for one file.
#[derive(Debug)]
pub(super) struct Peers {
    tuning: &'static Tuning,
    peers: Vec<Peer>,
    by_addr: HashMap<PeerAddr, usize>,
    hosts: Hosts,
    own: Own,
    outlines: Outlines,
}

impl Peers {
    pub(super) fn new(tuning: &'static Tuning) -> Self {
        let (peers, by_addr, hosts) = (Vec::new(), HashMap::new(), Hosts::default());
        Self { tuning, peers, by_addr, hosts, own: Own::default(), outlines: Outlines::default() }
    }

    /// How this peer is known to others: by its IPv4 address if it has one.
    pub(super) fn own(&self) -> Option<PeerAddr> {
        self.own.known_by().next()
    }

    /// Which addresses are this peer's own.
    pub(super) fn own_mut(&mut self) -> &mut Own {
        &mut self.own
    }

    /// These were heard of.
    pub(super) fn hear(&mut self, now: Time, source: Source, addrs: &[PeerAddr]) {
        for addr in addrs {
            // The user may know better where somebody listens.
            let user = source == Source::User;
            if self.own.is_elsewhere(*addr) || (user && !self.own.is_at(*addr)) {
                self.learn(now, source, *addr);
            }
        }
    }

    /// These hosts have asked this peer for blocks, and do not tell where they listen.
    pub(super) fn hear_hosts(&mut self, now: Time, hosts: &[IpAddr]) {
        for host in hosts {
            if self.own.known_by().all(|own| own.ip() != *host) {
                self.learn_host(now, *host);
            }
        }
    }

    /// Remembers addresses that another peer told, which may have added that they know the extension.
    pub(super) fn learn_hearsay(&mut self, now: Time, addrs: impl Iterator<Item = PeerAddr>, extended: bool) {
        let mut shown = None;
        for addr in addrs {
            // Most are known already.
            if self.by_addr.contains_key(&addr) || !self.own.is_elsewhere(addr) {
                continue;
            }
            let count = *shown.get_or_insert_with(|| self.shown());
            if count >= MAX_HEARSAY {
                return;
            }
            let host = self.own.host_of(addr.ip());
            let on_host =
                || self.peers.iter().filter(|peer| self.own.host_of(peer.addr().ip()) == host).count();
            if addr.ip().is_loopback() || on_host() < MAX_HEARSAY_A_HOST {
                self.push(Peer::by_hearsay(self.tuning, now, addr, extended));
                shown = Some(count + 1);
            }
        }
    }

    /// Peers that are more than a name on a list.
    fn shown(&self) -> usize {
        self.peers.iter().filter(|peer| !peer.is_mere_name()).count()
    }

    /// A host has asked for blocks without telling where it listens. Programs with a port of their own are
    /// all found there: it is tried at the port that this peer and those known have in common,
    /// unless a peer on that host is known.
    fn learn_host(&mut self, now: Time, host: IpAddr) {
        let known = self.peers.iter().any(|peer| peer.addr().ip() == host);
        if known || self.shown() >= MAX_HEARSAY {
            return;
        }
        let mut ports: Vec<u16> =
            self.peers.iter().map(Peer::addr).chain(self.own()).map(|addr| addr.port()).collect();
        ports.sort_unstable();
        let runs = ports.chunk_by(|one, other| one == other);
        let usual = runs.filter(|run| run.len() > 1).max_by_key(|run| run.len()).and_then(<[u16]>::first);
        if let Some(port) = usual {
            self.learn(now, Source::Guess, PeerAddr::new(host, *port));
        }
    }

    /// Remembers an address. At the bound, one that is of no use is forgotten for it: one that failed, of those
    /// that were heard of by the way that has filled the table most.
    fn learn(&mut self, now: Time, source: Source, addr: PeerAddr) {
        if let Some(known) = self.by_addr.get(&addr) {
            let known = *known;
            return self.get_mut(known).told_of(now, source);
        }
        let peer = Peer::new(self.tuning, now, addr, source);
        if self.peers.len() < MAX_KNOWN_PEERS {
            return self.push(peer);
        }
        let Some(at) = self.least_useful(&peer) else { return };
        if let Some(old) = self.peers.get_mut(at) {
            let (old_addr, host) = (old.addr(), old.host());
            let (spoken, retry_at) = (old.has_spoken(), old.retry_at());
            *old = peer;
            self.by_addr.remove(&old_addr);
            self.by_addr.insert(addr, at);
            self.hosts.forget(host, spoken, retry_at);
            self.outlines.touch_all();
            self.settle(at);
        }
    }

    /// Whom to forget for `newcomer`: one that failed; or, if a way by which it was heard of has fewer entries than
    /// that with the most, any of the latter that never spoke.
    fn least_useful(&self, newcomer: &Peer) -> Option<usize> {
        if let Some(at) = self.peers.iter().position(Peer::is_forgettable) {
            return Some(at);
        }
        let mut counts = [0_usize; Origins::KINDS];
        let names = || self.peers.iter().enumerate().filter(|(_, peer)| peer.is_mere_name());
        for kind in names().flat_map(|(_, peer)| peer.origins().iter()) {
            if let Some(count) = counts.get_mut(kind) {
                *count += 1;
            }
        }
        let count = |peer: &Peer| peer.origins().iter().filter_map(|kind| counts.get(kind)).min().copied();
        let most = names().filter(|(_, peer)| peer.links() == 0).max_by_key(|(_, peer)| count(peer));
        most.filter(|(_, peer)| count(newcomer) < count(peer)).map(|(at, _)| at)
    }

    fn push(&mut self, peer: Peer) {
        self.by_addr.insert(peer.addr(), self.peers.len());
        self.peers.push(peer);
        self.settle(self.peers.len() - 1);
    }

    /// The peer is new in the table.
    fn settle(&mut self, index: usize) {
        let ip = self.get(index).addr().ip();
        let (host, retry_at) = self.hosts.learn(ip);
        let peer = self.get_mut(index);
        peer.lives_on(host);
        if !peer.is_named() {
            peer.put_off(retry_at);
        }
    }

    /// A link to the peer is opened.
    pub(super) fn link_opened(&mut self, now: Time, index: usize) {
        let peer = self.get_mut(index);
        peer.link_opened();
        let (host, spoken) = (peer.host(), peer.has_spoken());
        if !spoken {
            self.hosts.try_silent(now, host);
            self.outlines.touch_all();
        }
    }

    /// A link to the peer has ended.
    pub(super) fn link_ended(&mut self, index: usize) {
        let peer = self.get_mut(index);
        peer.link_ended();
        let (host, spoken) = (peer.host(), peer.has_spoken());
        if !spoken {
            self.hosts.less_silent(host, 1);
            self.outlines.touch_all();
        }
    }

    /// The peer has given an answer that is one in the protocol. Tells whether that is new.
    pub(super) fn spoke(&mut self, index: usize) -> bool {
        let peer = self.get_mut(index);
        if peer.has_spoken() {
            return false;
        }
        peer.spoke();
        let (host, links) = (peer.host(), peer.links());
        self.hosts.less_silent(host, links);
        self.hosts.spoke(host);
        self.outlines.touch_all();
        true
    }

    /// A link was made when there was no other; see [`Peer::may_be_back`].
    pub(super) fn network_is_back(&mut self, now: Time) {
        self.outlines.touch_all();
        self.peers.iter_mut().for_each(|peer| peer.may_be_back(now));
    }

    /// Peer number `index`, which came from this table.
    #[allow(clippy::indexing_slicing, reason = "peers are never removed; indices come from this table")]
    pub(super) fn get(&self, index: usize) -> &Peer {
        &self.peers[index]
    }

    /// Peer number `index`, which came from this table.
    #[allow(clippy::indexing_slicing, reason = "peers are never removed; indices come from this table")]
    pub(super) fn get_mut(&mut self, index: usize) -> &mut Peer {
        self.outlines.touch(index);
        &mut self.peers[index]
    }

    /// All of them, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Peer)> {
        self.peers.iter().enumerate()
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The linked peers that are leechers and tell nothing of themselves.
    pub(super) fn plain_leechers(&self) -> impl Iterator<Item = PeerAddr> + '_ {
        self.peers.iter().filter(|peer| peer.is_plain_leecher()).map(Peer::addr)
    }

    /// Number of linked leechers that have given something.
    pub(super) fn giving_leechers(&self) -> usize {
        self.peers.iter().filter(|peer| peer.is_giving_leecher()).count()
    }

    /// Whether a peer has neither failed nor lied so far.
    pub(super) fn any_untried(&self) -> bool {
        self.peers.iter().any(Peer::is_untried)
    }

    /// Whether a peer that sent a wrong block will be asked for it again.
    pub(super) fn any_to_be_asked_again(&self) -> bool {
        self.peers.iter().any(Peer::is_to_be_asked_again)
    }

    /// What each peer has given, right or wrong, the most generous first.
    pub(super) fn shares(&self) -> Vec<PeerShare> {
        let share = |peer: &Peer| PeerShare {
            addr: peer.addr(),
            bytes: peer.bytes(),
            wrong_blocks: peer.wrong_blocks(),
        };
        let gave = self.peers.iter().filter(|peer| peer.has_given() || peer.wrong_blocks() > 0);
        let mut shares: Vec<_> = gave.map(share).collect();
        shares.sort_by_key(|share| core::cmp::Reverse(share.bytes));
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;
    use alloc::boxed::Box;

    fn addr(host: u8, port: u16) -> PeerAddr {
        PeerAddr::new(IpAddr::from([10, 0, 0, host]), port)
    }

    fn due(peers: &mut Peers, now: Time) -> Option<PeerAddr> {
        let mut random: Random = Box::new(|| 0);
        peers.next_to_connect(now, Wanted::ANY, &mut random).map(|index| peers.get(index).addr())
    }

    #[test]
    fn a_host_is_guessed_at_the_port_that_the_swarm_has_in_common() {
        let mut peers = Peers::new(&Tuning::DEFAULT);
        peers.own_mut().set_known_by(addr(1, 7001));
        let host = addr(9, 0).ip();
        peers.learn_host(Time::ZERO, host);
        assert_eq!(due(&mut peers, Time::ZERO), None, "one port alone says nothing");
        peers.learn(Time::ZERO, Source::Tracker(0), addr(2, 7001));
        peers.link_to(addr(2, 7001));
        peers.learn_host(Time::ZERO, addr(2, 0).ip());
        assert_eq!(peers.len(), 1, "it is known where that host listens");
        peers.learn_host(Time::ZERO, host);
        assert_eq!(due(&mut peers, Time::ZERO), Some(addr(9, 7001)));
    }

    #[test]
    fn a_guess_is_tried_once_unless_somebody_tells_of_it() {
        let mut peers = Peers::new(&Tuning::DEFAULT);
        let now = Time::ZERO;
        peers.learn(now, Source::Guess, addr(9, 7001));
        peers.get_mut(0).failed(now);
        assert_eq!(due(&mut peers, now + Tuning::DEFAULT.max_pause), None);
        peers.learn(now, Source::Tracker(0), addr(9, 7001));
        assert_eq!(due(&mut peers, now + Tuning::DEFAULT.max_pause), Some(addr(9, 7001)));
        peers.get_mut(0).failed(now);
        assert_eq!(
            due(&mut peers, now + Tuning::DEFAULT.max_pause),
            Some(addr(9, 7001)),
            "that was no guess any more"
        );
    }

    impl Peers {
        fn link_to(&mut self, addr: PeerAddr) {
            if let Some(index) = self.by_addr.get(&addr) {
                let index = *index;
                self.get_mut(index).link_opened();
            }
        }
    }
}
