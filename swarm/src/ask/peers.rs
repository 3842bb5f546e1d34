//! Which peers are known, and which deserves the next link.

use super::hosts::{HostId, Hosts};
use super::origin::{Origins, Source};
use super::peer::{Peer, Rank};
use super::report::PeerShare;
use super::tuning::Tuning;
use super::{Random, Time};
use crate::limits::MAX_KNOWN_PEERS;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use hashbrown::HashMap;

/// Peers told of by other peers are remembered while fewer than so many are known, besides those that a list
/// named and that never spoke: hearsay must not crowd out what was seen.
const MAX_HEARSAY: usize = 128;

/// Addresses on one host that others may tell of. On this machine itself there may be a whole swarm.
const MAX_HEARSAY_A_HOST: usize = 8;

/// All peers known for one file.
#[derive(Debug)]
pub(super) struct Peers {
    tuning: &'static Tuning,
    peers: Vec<Peer>,
    by_addr: HashMap<SocketAddrV4, usize>,
    hosts: Hosts,
}

/// Who may be given a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Only those that have a link to this peer.
    pub(super) mutual: bool,
    /// Only those that have spoken the protocol, or that the user named.
    pub(super) known: bool,
    /// Whether those count whose links are opened with a request; see [`Wanted::with_request`].
    pub(super) asked: bool,
    /// Nothing flows.
    pub(super) quiet: bool,
    /// Whether those count of which it is not known what they will be asked for when the link is made.
    pub(super) fresh: bool,
}

impl Wanted {
    /// Everybody.
    pub(super) const ANY: Self = Self { mutual: false, known: false, asked: true, quiet: false, fresh: true };

    /// Whether a link to the peer is opened only with a block to ask for: it closes after each answer, or it speaks
    /// where nothing flows (`quiet`), and a silent one might be connected sooner and get the block.
    pub(super) fn with_request(peer: &Peer, quiet: bool) -> bool {
        peer.closes() || (quiet && peer.has_spoken() && !peer.may_tell())
    }

    fn fits(&self, peer: &Peer) -> bool {
        (!self.mutual || peer.is_mutual())
            && (!self.known || peer.has_spoken() || peer.is_named())
            && (self.asked || !Self::with_request(peer, self.quiet))
            && (self.fresh || peer.closes() || peer.may_tell())
    }
}

impl Peers {
    pub(super) fn new(tuning: &'static Tuning) -> Self {
        Self { tuning, peers: Vec::new(), by_addr: HashMap::new(), hosts: Hosts::default() }
    }

    /// Remembers an address that another peer told, which may have added that it knows the extension.
    pub(super) fn learn_hearsay(&mut self, now: Time, addr: SocketAddrV4, extended: bool) {
        let on_host = || self.peers.iter().filter(|peer| peer.addr().ip() == addr.ip()).count();
        let fits = || addr.ip().is_loopback() || on_host() < MAX_HEARSAY_A_HOST;
        if self.shown() < MAX_HEARSAY && !self.by_addr.contains_key(&addr) && fits() {
            self.push(Peer::by_hearsay(self.tuning, now, addr, extended));
        }
    }

    /// Peers that are more than a name on a list.
    fn shown(&self) -> usize {
        self.peers.iter().filter(|peer| !peer.is_mere_name()).count()
    }

    /// A host has asked for blocks without telling where it listens. Programs with a port of their own are
    /// all found there: it is tried at the port that this peer (`own`) and those known have in common,
    /// unless a peer on that host is known.
    pub(super) fn learn_host(&mut self, now: Time, host: Ipv4Addr, own: Option<SocketAddrV4>) {
        let known = self.peers.iter().any(|peer| *peer.addr().ip() == host);
        if known || self.shown() >= MAX_HEARSAY {
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

    /// Remembers an address. At the bound, one that is of no use is forgotten for it: one that failed, of those
    /// that were heard of by the way that has filled the table most.
    pub(super) fn learn(&mut self, now: Time, source: Source, addr: SocketAddrV4) {
        if let Some(known) = self.by_addr.get(&addr) {
            if let Some(peer) = self.peers.get_mut(*known) {
                peer.told_of(now, source);
            }
            return;
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
        let ip = *self.get(index).addr().ip();
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
        }
    }

    /// A link to the peer has ended.
    pub(super) fn link_ended(&mut self, index: usize) {
        let peer = self.get_mut(index);
        peer.link_ended();
        let (host, spoken) = (peer.host(), peer.has_spoken());
        if !spoken {
            self.hosts.less_silent(host, 1);
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
        true
    }

    /// Whether its host has had enough of us for now: see [`Hosts`].
    fn is_spared(&self, now: Time, peer: &Peer) -> bool {
        let shown = peer.has_spoken() || peer.is_named();
        !shown && (!self.hosts.has_room(peer.host()) || self.hosts.try_at(peer.host()) > now)
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

    /// The peer that deserves the next link now.
    pub(super) fn next_to_connect(&self, now: Time, wanted: Wanted, random: &mut Random) -> Option<usize> {
        let rivals = self.rivals();
        let rank = |peer: &Peer| -> Rank {
            let fewest = peer.origins().iter().filter_map(|kind| rivals.get(kind)).min();
            peer.rank(fewest.copied().unwrap_or(0))
        };
        let due =
            |(_, peer): &(usize, &Peer)| wanted.fits(peer) && peer.is_due(now) && !self.is_spared(now, peer);
        // A fair draw among the best, in one pass.
        let (mut best, mut equals): (Option<(Rank, usize)>, u64) = (None, 0);
        for (index, peer) in self.peers.iter().enumerate().filter(due) {
            let rank = rank(peer);
            if best.is_none_or(|(other, _)| rank < other) {
                (best, equals) = (Some((rank, index)), 1);
            } else if best.is_some_and(|(other, _)| rank == other) {
                equals += 1;
                if random().is_multiple_of(equals) {
                    best = Some((rank, index));
                }
            }
        }
        best.map(|(_, index)| index)
    }

    /// A host on which a silent port waits for a link until there is room beside the others.
    pub(super) fn crowded_host(&self, now: Time, wanted: Wanted) -> Option<HostId> {
        let crowded = |peer: &&Peer| {
            let host = peer.host();
            let due = wanted.fits(peer) && peer.is_due(now) && self.is_spared(now, peer);
            due && !self.hosts.has_room(host) && self.hosts.try_at(host) <= now
        };
        self.peers.iter().find(crowded).map(Peer::host)
    }

    /// For each way by which peers were heard of, the links to those that never spoke.
    fn rivals(&self) -> [usize; Origins::KINDS] {
        let mut rivals = [0; Origins::KINDS];
        for peer in self.peers.iter().filter(|peer| peer.links() > 0 && !peer.has_spoken()) {
            for kind in peer.origins().iter() {
                if let Some(count) = rivals.get_mut(kind) {
                    *count += peer.links();
                }
            }
        }
        rivals
    }

    /// When a peer is due for a link (if there is `room` for one), or ends a pause.
    pub(super) fn next_wakeup(&self, now: Time, room: bool) -> Option<Time> {
        let spared = |peer: &Peer| {
            let waits = room && !peer.has_spoken() && peer.is_due(now) && self.is_spared(now, peer);
            waits.then(|| self.hosts.try_at(peer.host())).filter(|at| *at > now)
        };
        let wakeup = |peer: &Peer| [peer.next_wakeup(now, room), spared(peer)].into_iter().flatten().min();
        self.peers.iter().filter_map(wakeup).min()
    }

    /// All of them, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Peer)> {
        self.peers.iter().enumerate()
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
    use super::*;
    use alloc::boxed::Box;

    const fn addr(host: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), port)
    }

    fn due(peers: &Peers, now: Time) -> Option<SocketAddrV4> {
        let mut random: Random = Box::new(|| 0);
        peers.next_to_connect(now, Wanted::ANY, &mut random).map(|index| peers.get(index).addr())
    }

    #[test]
    fn a_host_is_guessed_at_the_port_that_the_swarm_has_in_common() {
        let mut peers = Peers::new(&Tuning::DEFAULT);
        let host = *addr(9, 0).ip();
        peers.learn_host(Time::ZERO, host, Some(addr(1, 7001)));
        assert_eq!(due(&peers, Time::ZERO), None, "one port alone says nothing");
        peers.learn(Time::ZERO, Source::Tracker(0), addr(2, 7001));
        peers.link_to(addr(2, 7001));
        peers.learn_host(Time::ZERO, *addr(2, 0).ip(), Some(addr(1, 7001)));
        assert_eq!(peers.len(), 1, "it is known where that host listens");
        peers.learn_host(Time::ZERO, host, Some(addr(1, 7001)));
        assert_eq!(due(&peers, Time::ZERO), Some(addr(9, 7001)));
    }

    #[test]
    fn a_guess_is_tried_once_unless_somebody_tells_of_it() {
        let mut peers = Peers::new(&Tuning::DEFAULT);
        let now = Time::ZERO;
        peers.learn(now, Source::Guess, addr(9, 7001));
        peers.get_mut(0).failed(now);
        assert_eq!(due(&peers, now + Tuning::DEFAULT.max_back_off), None);
        peers.learn(now, Source::Tracker(0), addr(9, 7001));
        assert_eq!(due(&peers, now + Tuning::DEFAULT.max_back_off), Some(addr(9, 7001)));
        peers.get_mut(0).failed(now);
        assert_eq!(
            due(&peers, now + Tuning::DEFAULT.max_back_off),
            Some(addr(9, 7001)),
            "that was no guess any more"
        );
    }

    impl Peers {
        fn link_to(&mut self, addr: SocketAddrV4) {
            if let Some(index) = self.by_addr.get(&addr) {
                self.peers[*index].link_opened();
            }
        }
    }
}
