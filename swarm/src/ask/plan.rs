//! The download of one file: takes in what happened, and says what to do.

use super::action::{Action, Ended, Outcome};
use super::answers::Answers;
use super::assignment::{Assignment, Order, Taker};
use super::blocks::Blocks;
use super::connecting::Connecting;
use super::known::{Known, Random};
use super::links::{Link, LinkId};
use super::news;
use super::peers::Source;
use super::report::{PeerShare, Totals};
use super::tuning::Tuning;
use super::wrong::{GivenUp, WrongBlock};
use crate::{Listening, Time};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::extension::Item;
use cascade_format::{Block, Have, Layout};
use core::net::IpAddr;
use core::ops::Range;

/// How to download.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The order of blocks.
    pub order: Order,
    /// Links at once.
    pub max_links: usize,
    /// What the decisions weigh.
    pub tuning: &'static Tuning,
}

/// The download of one file. It hands what happens to its parts, and what they want done to the driver.
pub struct Plan {
    known: Known,
    assignment: Assignment,
    connecting: Connecting,
    answers: Answers,
    actions: VecDeque<Action>,
    /// When to look at every link again.
    due: Option<Time>,
}

impl Plan {
    /// A plan for the blocks of `layout` that are not in `have`.
    #[must_use]
    pub fn new(layout: Layout, have: &Have, config: Config, random: Random) -> Self {
        let Config { order, max_links, tuning } = config;
        Self {
            known: Known::new(tuning, layout, have, random),
            assignment: Assignment::new(tuning, order),
            connecting: Connecting::new(tuning, max_links),
            answers: Answers::default(),
            actions: VecDeque::new(),
            due: None,
        }
    }

    /// Whether every block is verified.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.known.blocks.is_complete()
    }

    /// Peers that were heard of, by any way.
    pub fn handle_peers(&mut self, now: Time, source: Source, addrs: &[PeerAddr]) {
        self.known.changed = true;
        self.known.peers.hear(now, source, addrs);
    }

    /// Hosts that have asked this peer for blocks, and do not tell where they listen.
    pub fn handle_askers(&mut self, now: Time, hosts: &[IpAddr]) {
        self.known.changed = true;
        self.known.peers.hear_hosts(now, hosts);
    }

    /// The link is made.
    pub fn handle_connected(&mut self, now: Time, link: LinkId) {
        self.known.changed = true;
        self.known.links.connect(now, link);
        if self.known.links.get(link).is_some() {
            self.known.links.wake(link);
            news::expect(&mut self.known, link);
        }
    }

    /// The peer of the link has shown that it knows the extension, and tells `items`. Call this before
    /// [`Plan::handle_received`] with the outcomes of the same answer.
    pub fn handle_news(&mut self, now: Time, link: LinkId, items: &[Item]) {
        self.actions.extend(news::take_in(&mut self.known, now, link, items));
    }

    /// `bytes` arrived on the link, and with them became of the blocks what `outcomes` says, in the
    /// order in which they were requested.
    pub fn handle_received(&mut self, now: Time, link: LinkId, bytes: u64, outcomes: &[Outcome]) {
        self.actions.extend(self.answers.received(&mut self.known, now, link, bytes, outcomes));
    }

    /// The link has ended, and everything that arrived on it has been told.
    pub fn handle_closed(&mut self, now: Time, link: LinkId, ended: Ended) {
        if ended == Ended::NoWay {
            self.connecting.unpay(&self.known, now, link);
        }
        self.actions.extend(self.answers.closed(&mut self.known, now, link, ended));
    }

    /// Links have more to bring than this peer takes: it keeps within a limit of its own. To be told again as long
    /// as it is so.
    pub fn handle_held_up(&mut self, now: Time) {
        self.known.flow.held_up(now);
    }

    /// Whether the driver was in time to forbid the block to the link.
    pub fn handle_revoked(&mut self, now: Time, link: LinkId, block: Block, in_time: bool) {
        let known = &mut self.known;
        known.changed = true;
        match self.assignment.revoked(known, link, block, in_time) {
            Some((Taker::Link(taker), taken)) => {
                if taken {
                    self.actions.extend(known.request(now, taker, alloc::vec![block]));
                }
                known.links.wake(taker);
            }
            Some((Taker::Peer(peer), true)) => {
                self.actions.extend(self.connecting.open_with(known, now, peer, Some(block)));
            }
            Some((Taker::Peer(_), false)) | None => {}
        }
    }

    /// The file holds the blocks of `have` and no others, whatever was told before: the disk has lost some, or
    /// somebody else has changed it. The driver has ended every link, through no fault of its peer.
    pub fn restart(&mut self, have: &Have) {
        for link in self.known.links.ids().collect::<Vec<_>>() {
            self.known.close(link);
        }
        self.actions.clear();
        self.assignment.restart();
        self.known.blocks = Blocks::new(*self.known.blocks.layout(), have);
        self.known.changed = true;
    }

    /// From now on these blocks are asked for before all others: they tell what the rest is. `at_once`: and perhaps that
    /// much of it is not needed, so a peer is asked for nothing else before.
    pub fn want_first(&mut self, blocks: Range<u64>, at_once: bool) {
        self.assignment.want_first(blocks, at_once);
    }

    /// The next thing to do. Call it after every `handle_*` and at [`Plan::next_wakeup`], until `None`.
    pub fn poll_action(&mut self, now: Time) -> Option<Action> {
        if self.actions.is_empty() && !self.assignment.is_taking() {
            self.decide(now);
        }
        self.actions.pop_front()
    }

    /// What happens on one link concerns that link alone; most of what happens in a swarm is such. In the
    /// endgame every block matters to all.
    fn decide(&mut self, now: Time) {
        let known = &mut self.known;
        let refill = core::mem::take(&mut known.refill);
        let due = self.due.is_some_and(|due| due <= now);
        let all = core::mem::take(&mut known.changed) || due || (refill && known.all_asked());
        if all {
            self.actions.extend(self.assignment.review(known, now));
            self.answers.wrong.review(known, now);
            self.actions.extend(self.connecting.connect(known, now, &self.assignment));
        } else if refill {
            self.assignment.refill(known, now);
        }
        let fed = self.assignment.feed(known, now);
        self.actions.extend(fed.actions);
        if all {
            self.take_for_the_unlinked(now);
            self.due = self.find_due(now);
        } else {
            let endgame = self.known.all_asked().then(|| now + self.known.tuning.take_margin);
            self.due = [self.due, fed.due, endgame].into_iter().flatten().min();
        }
    }

    /// In the endgame, takes a block for the best of the peers that have no link, and might have one.
    fn take_for_the_unlinked(&mut self, now: Time) {
        let known = &mut self.known;
        if known.all_asked()
            && !known.flow.is_held_up(now)
            && !known.blocks.is_complete()
            && !self.assignment.is_taking()
            && let Some(peer) = self.connecting.best_waiting(known, now)
        {
            self.actions.extend(self.assignment.take_for_peer(known, now, peer));
        }
    }

    /// When to poll again if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        if self.is_complete() {
            return None;
        }
        if self.known.changed || self.known.refill { Some(now) } else { self.due }
    }

    /// When time alone may change what is to be done.
    fn find_due(&self, now: Time) -> Option<Time> {
        let known = &self.known;
        let links = known.links.next_wakeup(now);
        let room = known.links.len() < self.connecting.max_links(known);
        let peers = known.peers.next_wakeup(now, room);
        let connecting = self.connecting.next_wakeup(known, now);
        let starving = Some(known.flow.last_verified + known.tuning.starving_after()).filter(|at| *at > now);
        let endgame = known.all_asked().then(|| now + known.tuning.take_margin);
        let wrong = self.answers.wrong.next_wakeup(now);
        [links, peers, connecting, starving, endgame, wrong].into_iter().flatten().min()
    }

    /// Offered blocks that the link's peer has told of so far, modulo 2³²; its next requests say so.
    #[must_use]
    pub fn offers_seen(&self, link: LinkId) -> u32 {
        let told = self.known.links.get(link).and_then(|state| state.told.as_ref());
        told.map_or(0, |told| told.offers_seen)
    }

    /// The next wrong block that was not told yet.
    pub fn poll_wrong(&mut self) -> Option<WrongBlock> {
        self.answers.wrong.poll()
    }

    /// Why the download cannot be completed, if that is so: nobody gives what is left as it should be.
    #[must_use]
    pub fn given_up(&self) -> Option<&GivenUp> {
        self.answers.wrong.given_up()
    }

    /// What has been done so far.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        self.answers.totals()
    }

    /// Links to peers that have given something, or may soon.
    #[must_use]
    pub fn useful(&self, now: Time) -> usize {
        let useful = |link: &Link| {
            let young = now < link.opened() + self.known.tuning.max_stall;
            link.is_connected() && (young || self.known.peers.get(link.peer).has_given())
        };
        self.known.links.iter().filter(|(_, link)| useful(link)).count()
    }

    /// Whether trackers are asked as often as the protocol allows, because few links are useful.
    #[must_use]
    pub fn wants_peers(&self, now: Time) -> bool {
        self.useful(now) < self.known.tuning.swarm_links
    }

    /// Links that are made.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.known.links.connected()
    }

    /// Peers that were heard of.
    #[must_use]
    pub fn known_peers(&self) -> usize {
        self.known.peers.len()
    }

    /// Whether no link is made or being made, and every known peer has failed already.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        let peers = &self.known.peers;
        self.known.links.len() == 0 && !peers.any_untried() && !peers.any_to_be_asked_again()
    }

    /// What each peer has given, the most generous first.
    #[must_use]
    pub fn shares(&self) -> Vec<PeerShare> {
        self.known.peers.shares()
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// This peer is known to others by `addr`, and perhaps by one of the other family.
    pub fn set_own_address(&mut self, addr: PeerAddr) {
        self.known.peers.own_mut().set_known_by(addr);
    }

    /// This peer listens there.
    pub fn set_listening(&mut self, listening: Listening) {
        self.known.peers.own_mut().set_listening(listening);
    }
}

#[cfg(test)]
impl Plan {
    /// What tests of a part change or look at.
    pub(super) fn parts(&mut self) -> (&mut Known, &Assignment) {
        (&mut self.known, &self.assignment)
    }
}
