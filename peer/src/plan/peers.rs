//! Which peers are known, what each has shown of itself, and when it deserves a link.

use super::report::PeerShare;
use super::{Random, Time};
use crate::limits::MAX_KNOWN_PEERS;
use cascade_format::Block;
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// First wait after a failure; it doubles with each one in a row.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);

/// Longest wait after failures.
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// Wait after the first wrong block; it doubles with each one.
const LIE_BACK_OFF: Duration = Duration::from_secs(60);

/// So many wrong blocks, and the peer is left alone for good. One wrong block may be a bad sector of
/// an honest peer, whose other blocks may be needed.
const MAX_LIES: usize = 4;

/// How long it is believed that a peer lacks a block.
const LACK_BELIEVED: Duration = Duration::from_secs(5);

/// Lacking blocks remembered of one peer.
const MAX_LACKS: usize = 1024;

/// After so many refusals in a row, a peer is asked less and less often. A refusal is cheap, and one
/// block that it has pays for many.
const MANY_MISSES: u32 = 64;

/// The pause doubles after so many more refusals.
const MISSES_A_DOUBLING: u32 = 8;

/// First pause between two questions to a peer that lacks what is missing here.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How long a peer that said goodbye is left alone.
const AWAY: Duration = Duration::from_secs(20);

/// How long a peer whose link gave less than others' is left alone.
const REST: Duration = Duration::from_secs(60);

/// Peers told of by other peers are remembered while fewer than so many are known: hearsay must not
/// crowd out what was seen.
const MAX_HEARSAY: usize = 128;

/// Addresses on one host that others may tell of. On this machine itself there may be a whole swarm.
const MAX_HEARSAY_A_HOST: usize = 8;

/// After so many failures in a row an address that others told of is forgotten.
const MAX_HEARSAY_FAILURES: u32 = 4;

/// Connections to a peer that closes each after one answer.
const LINKS_TO_CLOSER: usize = 3;

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The user named it.
    User,
    /// A tracker listed it.
    Tracker,
    /// It has asked this peer for blocks, and told where it listens.
    Swarm,
    /// A host that has asked this peer for blocks, and the port that the swarm's peers use.
    Guess,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    addr: SocketAddrV4,
    links: usize,
    failures: u32,
    retry_at: Time,
    banned: bool,
    /// It does not have the file.
    useless: bool,
    /// It is said, or has shown, to know the extension.
    extended: bool,
    /// It has a link to this peer.
    mutual: bool,
    /// Nobody has told of it, and it has not given anything yet: see [`Source::Guess`].
    guessed: bool,
    /// Only another peer has told of it.
    hearsay: bool,
    one_at_a_time: bool,
    closes: bool,
    bytes: u64,
    lies: Vec<Block>,
    garbled: usize,
    lacks: HashMap<Block, Time>,
    lacks_order: VecDeque<Block>,
    misses: u32,
    /// It has lacked a block: it is a leecher.
    missed: bool,
    pause_until: Time,
    /// When what it lacked last is believed no more.
    recheck_at: Time,
}

impl Peer {
    fn new(now: Time, addr: SocketAddrV4) -> Self {
        Self {
            addr,
            links: 0,
            failures: 0,
            retry_at: now,
            banned: false,
            useless: false,
            extended: false,
            mutual: false,
            guessed: false,
            hearsay: false,
            one_at_a_time: false,
            closes: false,
            bytes: 0,
            lies: Vec::new(),
            garbled: 0,
            lacks: HashMap::new(),
            lacks_order: VecDeque::new(),
            misses: 0,
            missed: false,
            pause_until: now,
            recheck_at: now,
        }
    }

    pub(super) fn addr(&self) -> SocketAddrV4 {
        self.addr
    }

    pub(super) fn link_opened(&mut self) {
        self.links += 1;
    }

    pub(super) fn link_ended(&mut self) {
        self.links = self.links.saturating_sub(1);
    }

    /// A verified block of `bytes` came from this peer.
    pub(super) fn delivered(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.guessed = false;
        self.failures = 0;
        self.misses = 0;
        self.useless = false;
    }

    /// The peer said that it lacks `block`, which may change.
    pub(super) fn lacks(&mut self, now: Time, block: Block, believed: Duration) {
        let believed = believed.min(LACK_BELIEVED);
        if self.lacks.insert(block, now + believed).is_none() {
            self.lacks_order.push_back(block);
        }
        if self.lacks_order.len() > MAX_LACKS
            && let Some(oldest) = self.lacks_order.pop_front()
        {
            self.lacks.remove(&oldest);
        }
        self.misses += 1;
        self.missed = true;
        self.recheck_at = now + believed;
        if self.misses >= MANY_MISSES {
            let doublings = ((self.misses - MANY_MISSES) / MISSES_A_DOUBLING).min(16);
            let pause = FIRST_PAUSE * (1 << doublings);
            self.pause_until = now + pause.min(MAX_PAUSE);
        }
    }

    /// The peer told that it has `block` now.
    pub(super) fn gained(&mut self, block: Block) {
        self.lacks.remove(&block);
        self.misses = 0;
        self.pause_until = Time::ZERO;
    }

    /// The peer told that it has every block, and gives any.
    pub(super) fn lacks_nothing(&mut self) {
        self.lacks.clear();
        self.lacks_order.clear();
        self.misses = 0;
        self.pause_until = Time::ZERO;
    }

    /// Whether the peer may be asked for news before it has told any.
    pub(super) fn is_extended(&self) -> bool {
        self.extended
    }

    /// The peer has shown whether it knows the extension.
    pub(super) fn set_extended(&mut self, extended: bool) {
        self.extended = extended;
    }

    /// The peer told that it leaves.
    pub(super) fn left(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + AWAY);
    }

    /// Others may give more: it is left alone for a while.
    pub(super) fn rests(&mut self, now: Time) {
        self.retry_at = self.retry_at.max(now + REST);
    }

    /// Whether it makes sense to ask this peer for `block`.
    pub(super) fn may_have(&self, now: Time, block: Block) -> bool {
        !self.lies.contains(&block) && self.lacks.get(&block).is_none_or(|until| *until <= now)
    }

    /// Whether there are blocks that it said to lack.
    pub(super) fn lacks_anything(&self) -> bool {
        !self.lacks.is_empty()
    }

    /// Whether the peer has refused so often that it should be left in peace for the moment.
    pub(super) fn is_paused(&self, now: Time) -> bool {
        now < self.pause_until
    }

    /// Whether only one request may be under way.
    pub(super) fn takes_one_at_a_time(&self) -> bool {
        self.one_at_a_time
    }

    /// Whether the peer has given something.
    pub(super) fn has_given(&self) -> bool {
        self.bytes > 0
    }

    /// Whether the peer is a leecher that has given something.
    pub(super) fn is_giving_leecher(&self) -> bool {
        self.missed && self.bytes > 0 && self.links > 0
    }

    /// Whether the peer has had every block that it was asked for.
    pub(super) fn never_missed(&self) -> bool {
        !self.missed
    }

    /// Refusals in a row.
    pub(super) fn misses(&self) -> u32 {
        self.misses
    }

    /// The peer cannot read several requests at once.
    pub(super) fn one_at_a_time(&mut self) {
        self.one_at_a_time = true;
    }

    /// A connection ended without fault after `answers` answers.
    pub(super) fn closed_after(&mut self, answers: u64) {
        if answers == 1 {
            self.closes = true;
            self.one_at_a_time = true;
        }
    }

    /// The peer did not do what it should, without lying.
    pub(super) fn failed(&mut self, now: Time) {
        // A guess is tried once.
        self.banned |=
            self.guessed || (self.hearsay && self.bytes == 0 && self.failures >= MAX_HEARSAY_FAILURES);
        self.failures = self.failures.saturating_add(1);
        let wait = FIRST_BACK_OFF * (1 << self.failures.saturating_sub(1).min(6));
        self.retry_at = self.retry_at.max(now + wait.min(MAX_BACK_OFF));
    }

    /// The peer does not have the file; it may be starting.
    pub(super) fn useless(&mut self, now: Time) {
        self.useless = true;
        self.failed(now);
    }

    /// The peer sent a wrong `block`.
    pub(super) fn lied_about(&mut self, now: Time, block: Block) {
        let doublings = u32::try_from(self.lies.len()).unwrap_or(u32::MAX).min(8);
        self.lies.push(block);
        self.retry_at = now + LIE_BACK_OFF * (1 << doublings);
        self.banned |= self.lies.len() >= MAX_LIES;
    }

    /// The peer sent what is no answer to a question with a marker. It may be one of version 1 with statuses of
    /// its own; one that goes on so is left alone.
    pub(super) fn garbled(&mut self, now: Time) {
        self.garbled += 1;
        self.banned |= self.garbled >= MAX_LIES;
        self.failed(now);
    }

    /// The peer broke the protocol in a way that no honest peer does.
    pub(super) fn banned(&mut self) {
        self.banned = true;
    }

    fn max_links(&self) -> usize {
        if self.closes { LINKS_TO_CLOSER } else { 1 }
    }

    fn wants_link(&self) -> bool {
        !self.banned && self.links < self.max_links()
    }

    /// Better ones first: those that gave something, those that are more than hearsay, those never tried, those
    /// that have a link to this peer (so that everybody has about as many who ask as it asks).
    fn rank(&self) -> (bool, bool, u32, bool, usize) {
        (self.bytes == 0, self.hearsay, self.failures, !self.mutual, self.links)
    }
}

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
        let on_host = || self.peers.iter().filter(|peer| peer.addr.ip() == addr.ip()).count();
        let fits = || addr.ip().is_loopback() || on_host() < MAX_HEARSAY_A_HOST;
        if somewhere && self.peers.len() < MAX_HEARSAY && !self.by_addr.contains_key(&addr) && fits() {
            self.learn(now, Source::Tracker, addr);
            if let Some(peer) = self.peers.last_mut() {
                (peer.extended, peer.hearsay) = (extended, true);
            }
        }
    }

    /// A host has asked for blocks without telling where it listens. Programs with a port of their own are
    /// all found there: it is tried at the port that this peer (`own`) and those known have in common,
    /// unless a peer on that host is known.
    pub(super) fn learn_host(&mut self, now: Time, host: Ipv4Addr, own: Option<SocketAddrV4>) {
        let known = self.peers.iter().any(|peer| *peer.addr.ip() == host);
        if known || self.peers.len() >= MAX_HEARSAY {
            return;
        }
        let mut ports: Vec<u16> =
            self.peers.iter().map(|peer| peer.addr).chain(own).map(|a| a.port()).collect();
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
                let unsure = peer.guessed || peer.hearsay;
                if source != Source::Guess && unsure {
                    peer.banned &= !peer.lies.is_empty() || peer.garbled > 0;
                    (peer.guessed, peer.hearsay) = (false, false);
                }
                match source {
                    Source::User => peer.retry_at = now,
                    // It is there, whatever was found when it was tried.
                    Source::Swarm if peer.lies.is_empty() => {
                        peer.retry_at = peer.retry_at.min(now + FIRST_BACK_OFF);
                    }
                    Source::Swarm | Source::Tracker | Source::Guess => {}
                }
            }
            return;
        }
        if self.peers.len() < MAX_KNOWN_PEERS {
            self.by_addr.insert(addr, self.peers.len());
            let shown = source == Source::Swarm;
            let guessed = source == Source::Guess;
            self.peers.push(Peer { extended: shown, mutual: shown, guessed, ..Peer::new(now, addr) });
            return;
        }
        let forgotten = |peer: &Peer| peer.links == 0 && peer.bytes == 0 && peer.failures > 0 && !peer.banned;
        if let Some(at) = self.peers.iter().position(forgotten)
            && let Some(peer) = self.peers.get_mut(at)
        {
            self.by_addr.remove(&peer.addr);
            self.by_addr.insert(addr, at);
            *peer = Peer::new(now, addr);
        }
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
        let due = |peer: &Peer| {
            let rests = peer.retry_at > now || (peer.closes && peer.is_paused(now));
            peer.wants_link() && !rests && (peer.mutual || !mutual)
        };
        let best = self.peers.iter().filter(|peer| due(peer)).map(Peer::rank).min()?;
        let equals = || self.peers.iter().enumerate().filter(|(_, peer)| due(peer) && peer.rank() == best);
        let count = equals().count() as u64;
        let chosen = usize::try_from(random() % count.max(1)).unwrap_or(0);
        equals().nth(chosen).map(|(index, _)| index)
    }

    /// When a peer is due for a link (if there is `room` for one), or ends a pause.
    pub(super) fn next_wakeup(&self, now: Time, room: bool) -> Option<Time> {
        let retry = |peer: &Peer| (room && peer.wants_link()).then_some(peer.retry_at);
        let asked = |peer: &Peer| peer.links > 0 || peer.closes;
        let pause = |peer: &Peer| asked(peer).then_some(peer.pause_until);
        let recheck = |peer: &Peer| asked(peer).then_some(peer.recheck_at);
        let times = self.peers.iter().flat_map(|peer| [retry(peer), pause(peer), recheck(peer)]);
        times.flatten().filter(|time| *time > now).min()
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The linked peers that are leechers and tell nothing of themselves.
    pub(super) fn plain_leechers(&self) -> Vec<SocketAddrV4> {
        let plain = self.peers.iter().filter(|peer| peer.missed && peer.links > 0 && !peer.extended);
        plain.map(|peer| peer.addr).collect()
    }

    /// Number of linked leechers that have given something.
    pub(super) fn giving_leechers(&self) -> usize {
        self.peers.iter().filter(|peer| peer.is_giving_leecher()).count()
    }

    /// Whether a peer has neither failed nor lied so far.
    pub(super) fn any_untried(&self) -> bool {
        self.peers
            .iter()
            .any(|peer| !peer.banned && !peer.useless && peer.failures == 0 && peer.lies.is_empty())
    }

    /// What each peer has given, the most generous first.
    pub(super) fn shares(&self) -> Vec<PeerShare> {
        let gave = self.peers.iter().filter(|peer| peer.bytes > 0);
        let mut shares: Vec<_> = gave.map(|peer| PeerShare { addr: peer.addr, bytes: peer.bytes }).collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        shares
    }
}

#[cfg(test)]
mod tests {
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
