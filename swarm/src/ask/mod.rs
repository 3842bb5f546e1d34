//! Which block is asked of whom, and when: the download of one file as a state machine.
//!
//! There is no socket, clock, task or random generator here. A driver tells what happened
//! (`handle_*`), with the time; then it asks what to do ([`Plan::poll_action`] until it says `None`) and
//! when to come back ([`Plan::next_wakeup`]). The same code runs in the peer and in a simulation.
//!
//! | module | decides |
//! |---|---|
//! | [`action`] | what the plan and its driver tell each other |
//! | [`address`] | which addresses are worth a connection |
//! | [`blocks`] | in which of three states each block is: missing, in flight, verified |
//! | [`origin`] | where an address comes from |
//! | [`order`] | which missing block is next |
//! | `first` | blocks that are wanted before all others |
//! | [`pipeline`] | how many requests are kept under way on a link |
//! | [`origin`] | by which ways addresses are heard of |
//! | [`peer`] | what one peer has shown of itself, and when it deserves a link |
//! | [`peers`] | which peers are known, and which of them deserves the next link |
//! | [`hosts`] | how often those are tried that may be victims |
//! | [`links`] | what is under way on each link |
//! | [`link_ids`] | a few of them |
//! | [`knowledge`] | what a peer has told of itself |
//! | [`news`] | takes in what is told |
//! | [`owners`] | who gets which block first, where nobody tells anything |
//! | [`choose`] | which block a link is asked for |
//! | [`connect`] | to which peers links are made, and in place of which |
//! | [`behind`] | what is done by one who has fallen behind the others |
//! | [`rob`] | the endgame: which block is taken from whom for whom |
//! | [`wrong`] | what is done about wrong blocks |
//! | [`assign`] | the joining of these: filling pipelines |
//! | [`announce`] | when a tracker is asked |

mod action;
pub mod address;
pub mod announce;
mod assign;
mod behind;
mod blocks;
mod choose;
mod connect;
mod first;
#[cfg(test)]
mod grows;
mod hosts;
mod knowledge;
mod link_ids;
mod links;
mod news;
mod order;
mod origin;
mod owners;
mod peer;
mod peers;
mod pipeline;
mod report;
mod rob;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, clippy::needless_pass_by_value, reason = "a test world of habits")]
mod tests;
mod wrong;

pub use action::{Action, Ended, Outcome};
pub use order::Order;
pub use origin::Source;
pub use report::{PeerShare, Totals};
pub use wrong::{GivenUp, WrongBlock};

use crate::Time;
use crate::meter::Meter;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use blocks::Blocks;
use cascade_format::peer_wire::Status;
use cascade_format::{Block, Have, Layout};
use choose::{Room, STARVING};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::ops::Range;
use core::time::Duration;
use hashbrown::HashMap;
use knowledge::{Has, Rarity};
use link_ids::LinkIds;
use links::{Link, Links};
use peers::Peers;

/// A source of random numbers; a simulation passes a seeded one.
pub type Random = Box<dyn FnMut() -> u64 + Send + Sync>;

/// One connection to a peer, or the attempt to make one. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// How to download.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The order of blocks.
    pub order: Order,
    /// Links at once.
    pub max_links: usize,
}

/// The download of one file.
pub struct Plan {
    options: Options,
    blocks: Blocks,
    order: order::Picker,
    /// Blocks that are asked for before all others.
    first: Range<u64>,
    peers: Peers,
    links: Links,
    rarity: Rarity,
    /// Something has happened that may concern every link, or every peer.
    scan: bool,
    /// A block is done with: there may be room for another, on any link.
    refill: bool,
    /// Before that, no link is closed in favour of another.
    replace_at: Time,
    /// Until when the tries of addresses that have never spoken are paid for; see [`connect`].
    tries_paid_until: Time,
    /// When something to speak of arrived last, from anybody.
    last_flow: Time,
    /// When to look at every link again.
    due: Option<Time>,
    /// Whether a link owes an answer and is silent; as of the last poll.
    stalling: bool,
    /// See [`behind`]; as of the last look at everything.
    behind: bool,
    /// What arrives on all links together.
    received: Meter,
    /// How long the first byte of an answer takes, as a mean of late.
    usual_wait: Duration,
    /// When a block was verified last.
    last_verified: Time,
    /// How this peer is known to others.
    own: Option<SocketAddrV4>,
    /// Where it listens.
    listen: Option<SocketAddrV4>,
    random: Random,
    /// Links that may take requests; looked at by the next poll.
    hungry: LinkIds,
    /// Those of them that something has happened to, and not only to others.
    fresh: LinkIds,
    /// The thief and its prey, while the driver revokes the block.
    theft: Option<rob::Theft>,
    /// How often a block was taken from one link for another; only of those that were.
    thefts: HashMap<Block, u32>,
    actions: VecDeque<Action>,
    totals: Totals,
    wrong: wrong::Wrong,
}

impl Plan {
    /// A plan for the blocks of `layout` that are not in `have`.
    #[must_use]
    pub fn new(layout: Layout, have: &Have, options: Options, random: Random) -> Self {
        Self {
            options,
            blocks: Blocks::new(layout, have),
            order: order::Picker::new(options.order),
            first: 0..0,
            peers: Peers::default(),
            links: Links::default(),
            rarity: Rarity::default(),
            scan: true,
            refill: false,
            replace_at: Time::ZERO,
            tries_paid_until: Time::ZERO,
            last_flow: Time::ZERO,
            due: None,
            stalling: false,
            behind: false,
            received: Meter::default(),
            usual_wait: Duration::ZERO,
            last_verified: Time::ZERO,
            own: None,
            listen: None,
            random,
            hungry: LinkIds::default(),
            fresh: LinkIds::default(),
            theft: None,
            thefts: HashMap::new(),
            actions: VecDeque::new(),
            totals: Totals::default(),
            wrong: wrong::Wrong::default(),
        }
    }

    /// Whether every block is verified.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.blocks.is_complete()
    }

    /// Peers that were heard of, by any way.
    pub fn handle_peers(&mut self, now: Time, source: Source, addrs: &[SocketAddrV4]) {
        self.scan = true;
        let own = self.own.map(|own| *own.ip());
        for addr in addrs {
            // The user may know better.
            let fits = source == Source::User || address::is_somewhere(*addr, own);
            if fits && !self.is_own(*addr) {
                self.peers.learn(now, source, *addr);
            }
        }
    }

    /// Whether a connection to `addr` would lead to this peer.
    fn is_own(&self, addr: SocketAddrV4) -> bool {
        Some(addr) == self.own || self.listen.is_some_and(|listen| address::is_own(addr, listen))
    }

    /// Hosts that have asked this peer for blocks, and do not tell where they listen.
    pub fn handle_askers(&mut self, now: Time, hosts: &[Ipv4Addr]) {
        self.scan = true;
        for host in hosts.iter().filter(|host| self.own.is_none_or(|own| own.ip() != *host)) {
            self.peers.learn_host(now, *host, self.own);
        }
    }

    /// The link is made.
    pub fn handle_connected(&mut self, now: Time, link: LinkId) {
        self.scan = true;
        self.links.connect(now, link);
        if self.links.get(link).is_some() {
            self.touch(link);
            self.expect_news(link);
        }
    }

    /// `bytes` arrived on the link, and with them became of the blocks what `outcomes` says, in the
    /// order in which they were requested.
    pub fn handle_received(&mut self, now: Time, link: LinkId, bytes: u64, outcomes: &[Outcome]) {
        self.received.add(now, bytes);
        if let Some(state) = self.links.get_mut(link) {
            if let Some(waited) = state.received(now, bytes) {
                // Where everybody waits in queues, a silence is nothing special.
                self.usual_wait = (self.usual_wait * 7 + waited) / 8;
            }
            if state.has_progressed(now) {
                self.last_flow = now;
            }
        }
        for outcome in outcomes {
            self.handle_outcome(now, link, *outcome);
        }
        self.touch(link);
        self.blocks.assert_disjoint();
    }

    fn handle_outcome(&mut self, now: Time, link: LinkId, outcome: Outcome) {
        let (Outcome::Verified(block)
        | Outcome::Corrupt(block)
        | Outcome::Discarded(block)
        | Outcome::Refused(block, _)) = outcome
        else {
            return self.handle_answer_without_block(now, link);
        };
        let length = self.blocks.layout().len_of(block);
        let wanted = self.links.answered(link, block, length, matches!(outcome, Outcome::Refused(..)));
        let Some(state) = self.links.get_mut(link) else {
            // The link was closed while its last blocks were hashed. A published block is had all the
            // same; the rest has been given back already.
            if matches!(outcome, Outcome::Verified(_)) && self.blocks.verify(block) {
                self.totals.verified(length);
            }
            return;
        };
        self.refill = true;
        if matches!(outcome, Outcome::Verified(_)) {
            state.gave(length);
        }
        let (number, keeps_open) = (state.peer, state.answers() > 1);
        // Others on its host may be tried now.
        self.scan |= self.peers.spoke(number);
        let peer = self.peers.get_mut(number);
        if keeps_open {
            peer.keeps_open();
        }
        match outcome {
            Outcome::Verified(_) => {
                (self.last_verified, self.last_flow) = (now, now);
                self.wrong.right();
                peer.delivered(length);
                if self.blocks.verify(block) {
                    self.totals.verified(length);
                } else {
                    self.totals.duplicate(length);
                }
                return;
            }
            Outcome::Discarded(_) => {
                self.scan = true;
                self.totals.duplicate(length);
            }
            Outcome::Corrupt(_) => {
                self.totals.corrupt();
                self.close(link);
                self.handle_wrong(now, number, block);
            }
            Outcome::Refused(_, status) => self.handle_refusal(now, link, block, status),
            Outcome::Told => {}
        }
        if wanted && self.blocks.give_back(block, link) {
            self.wake_all();
        }
    }

    /// The answer to a question for news has ended, or to one that only shows who speaks the protocol.
    fn handle_answer_without_block(&mut self, now: Time, link: LinkId) {
        let Some(state) = self.links.get(link) else { return };
        let (peer, probed) = (state.peer, state.is_probed());
        self.scan |= self.peers.spoke(peer);
        if probed {
            // It may close now, or not: a new link begins with a request that counts.
            self.close(link);
        } else {
            self.handle_told(now, link);
        }
    }

    fn handle_refusal(&mut self, now: Time, link: LinkId, block: Block, status: Status) {
        let believed = self.lack_lasts(link, block);
        let Some(state) = self.links.get_mut(link) else { return };
        let pipelined = state.was_pipelined();
        let peer = self.peers.get_mut(state.peer);
        match status {
            // It has the block, as it said, and cannot give it now.
            Status::MissingBlock if state.is_busy_elsewhere(now, block) => {}
            Status::MissingBlock => {
                self.scan = true;
                peer.lacks(now, block, believed);
            }
            // It may take nothing but zeros in the reserved bytes: it is asked so, at once and without blame.
            Status::BadRequest if !pipelined && state.is_marked() && peer.refused_marked() => {
                self.close(link);
            }
            // Such a peer reads a request with one recv: one at a time with it, without blame.
            Status::BadRequest if pipelined => {
                peer.one_at_a_time();
                self.close(link);
            }
            Status::UnknownFile | Status::Block => {
                peer.useless(now);
                self.close(link);
            }
            Status::NoSuchBlock | Status::BadRequest | Status::Other(_) => {
                if !pipelined && !state.is_marked() {
                    peer.refused_marked();
                }
                peer.failed(now);
                self.close(link);
            }
        }
    }

    /// The link has ended, and everything that arrived on it has been told.
    pub fn handle_closed(&mut self, now: Time, link: LinkId, ended: Ended) {
        self.scan = true;
        if let Ended::Refused(status) = ended
            && let Some(block) = self.links.get(link).and_then(Link::owed)
        {
            self.handle_outcome(now, link, Outcome::Refused(block, status));
        }
        let Some(state) = self.links.remove(link) else { return };
        self.peers.link_ended(state.peer);
        let peer = self.peers.get_mut(state.peer);
        peer.remember_pace(state.pipeline.pace());
        let heard = state.told.as_ref().map(|told| told.heard);
        if heard == Some(false) {
            // It was said to know the extension, and does not.
            peer.set_extended(false);
        }
        // To close after an answer is a habit of version 1; one that tells, gives nothing and closes would be
        // asked again and again.
        let closes = state.answers() > 0 && (state.has_given() || heard != Some(true));
        match ended {
            Ended::Own => peer.banned(),
            Ended::Lied if heard == Some(true) => peer.banned(),
            Ended::Lied => peer.garbled(now),
            Ended::Between if closes => peer.closed_after(state.answers()),
            Ended::Unreachable | Ended::Between | Ended::Cut | Ended::Refused(_) => peer.failed(now),
        }
        self.forget(link, &state);
    }

    /// The file holds the blocks of `have` and no others, whatever was told before: the disk has lost some, or
    /// somebody else has changed it. The driver has ended every link, through no fault of its peer.
    pub fn restart(&mut self, have: &Have) {
        for link in self.links.ids().collect::<Vec<_>>() {
            self.close(link);
        }
        self.actions.clear();
        self.theft = None;
        self.blocks = Blocks::new(*self.blocks.layout(), have);
        self.scan = true;
    }

    /// The next thing to do. Call it after every `handle_*` and at [`Plan::next_wakeup`], until `None`.
    pub fn poll_action(&mut self, now: Time) -> Option<Action> {
        if self.actions.is_empty() && self.theft.is_none() {
            // News of one link alone concerns that link alone; most of what happens in a swarm is such. In the
            // endgame every block matters to all.
            let refill = core::mem::take(&mut self.refill);
            let scan = core::mem::take(&mut self.scan)
                || self.due.is_some_and(|due| due <= now)
                || (refill && self.blocks.missing_bytes() == 0);
            if scan {
                self.drop_stalled(now);
                self.wake_idle(now);
                self.behind = self.is_behind();
                self.review_wrong(now);
                self.connect(now);
            } else if refill && self.room_in_flight() != Room::None {
                self.wake_idle(now);
            }
            self.feed(now);
            if scan {
                self.rob_for_the_unlinked(now);
                self.due = self.find_due(now);
            } else if self.blocks.missing_bytes() == 0 {
                let endgame = now + rob::ENDGAME_INTERVAL;
                self.due = Some(self.due.map_or(endgame, |due| due.min(endgame)));
            }
        }
        self.actions.pop_front()
    }

    /// When to poll again if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        if self.is_complete() {
            return None;
        }
        if self.scan || self.refill { Some(now) } else { self.due }
    }

    /// When time alone may change what is to be done.
    fn find_due(&self, now: Time) -> Option<Time> {
        let links = self.links.next_wakeup(now);
        let peers = self.peers.next_wakeup(now, self.links.len() < self.max_links());
        let open = self.next_opening(now);
        let starving = Some(self.last_verified + STARVING).filter(|at| *at > now);
        let replace =
            Some(self.replace_at).filter(|at| *at > now && self.links.len() >= crate::limits::SWARM_LINKS);
        let endgame = (self.blocks.missing_bytes() == 0).then(|| now + rob::ENDGAME_INTERVAL);
        let wrong = self.wrong.next_wakeup(now);
        [links, peers, open, starving, replace, endgame, wrong].into_iter().flatten().min()
    }

    /// What has been done so far.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Links to peers that have given something, or may soon.
    #[must_use]
    pub fn useful(&self, now: Time) -> usize {
        let useful = |link: &Link| {
            link.is_connected()
                && (self.peers.get(link.peer).has_given() || now < link.opened() + connect::USELESS_AFTER)
        };
        self.links.iter().filter(|(_, link)| useful(link)).count()
    }

    /// Links that are made.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.links.connected()
    }

    /// Peers that were heard of.
    #[must_use]
    pub fn known_peers(&self) -> usize {
        self.peers.len()
    }

    /// Whether no link is made or being made, and every known peer has failed already.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.links.len() == 0 && !self.peers.any_untried() && !self.peers.any_to_be_asked_again()
    }

    /// What each peer has given, the most generous first.
    #[must_use]
    pub fn shares(&self) -> Vec<PeerShare> {
        self.peers.shares()
    }

    /// This peer is known to others by `addr`.
    pub fn set_own_address(&mut self, addr: SocketAddrV4) {
        self.own = Some(addr);
    }

    /// This peer listens there, or at all of the machine's addresses.
    pub fn set_listening(&mut self, listen: SocketAddrV4) {
        self.listen = Some(listen);
    }

    fn close(&mut self, link: LinkId) {
        self.scan = true;
        if let Some(state) = self.links.remove(link) {
            self.peers.link_ended(state.peer);
            self.peers.get_mut(state.peer).remember_pace(state.pipeline.pace());
            self.forget(link, &state);
            self.actions.push_back(Action::Close { link });
        }
    }

    /// The link may take requests, or questions for news.
    fn touch(&mut self, link: LinkId) {
        self.hungry.insert(link);
        self.fresh.insert(link);
    }

    /// Gives back what was under way on a link that is no more.
    fn forget(&mut self, link: LinkId, state: &Link) {
        self.hungry.remove(link);
        self.fresh.remove(link);
        if let Some(Has::Some(have)) = state.told.as_ref().map(|told| &told.has) {
            self.rarity.fewer(self.blocks.layout(), have);
            self.rarity.partial = self.rarity.partial.saturating_sub(1);
        }
        let mut any = false;
        for block in state.wanted() {
            any |= self.blocks.give_back(block, link);
        }
        if any {
            self.wake_all();
        }
    }

    /// A block was given back: everybody may be asked for it.
    fn wake_all(&mut self) {
        self.links.told_mut().for_each(|told| told.exhausted = false);
        self.hungry.replace(self.links.ids());
    }
}
