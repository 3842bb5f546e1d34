//! The download of one file: takes in what happened, and says what to do.

use super::action::{Action, Ended, Outcome};
use super::answers::Answers;
use super::assignment::{Assignment, Order, Taker, next_starving};
use super::blocks::Blocks;
use super::connecting::Connecting;
use super::earliest::Earliest;
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
    /// The most links at the same time.
    pub max_links: usize,
    /// The tuned constants by which it decides.
    pub tuning: &'static Tuning,
}

/// The download of one file as a state machine: it takes in what happened and returns what the driver must do.
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
    /// A plan to download the blocks of `layout` that are not in `have`.
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

    /// Addresses of peers became known from `source`.
    pub fn handle_peers(&mut self, now: Time, source: Source, addrs: &[PeerAddr]) {
        self.known.changed = true;
        self.known.peers.hear(now, source, addrs);
    }

    /// These hosts have requested blocks from this peer, and have not told where they listen.
    pub fn handle_askers(&mut self, now: Time, hosts: &[IpAddr]) {
        self.known.changed |= !hosts.is_empty();
        self.known.peers.hear_hosts(now, hosts);
    }

    /// The link is connected.
    pub fn handle_connected(&mut self, now: Time, link: LinkId) {
        self.known.changed = true;
        if self.known.links.connected() == 0 {
            self.known.peers.network_is_back(now);
        }
        self.known.links.connect(now, link);
        if self.known.links.get(link).is_some() {
            self.known.links.wake(link);
            news::expect(&mut self.known, link);
        }
    }

    /// The peer of the link has told `items`, and so has shown that it knows the extension; `sliced`: in an answer to a
    /// request by the name of the slices, so that numbers count slices, and else blocks. Call this before
    /// [`Plan::handle_received`] with the outcomes of the same answer.
    pub fn handle_news(&mut self, now: Time, link: LinkId, items: &[Item], sliced: bool) {
        self.actions.extend(news::take_in(&mut self.known, now, link, items, sliced));
    }

    /// `bytes` arrived on the link. `outcomes` says what became of the blocks that they completed, in the order of the
    /// requests.
    pub fn handle_received(&mut self, now: Time, link: LinkId, bytes: u64, outcomes: &[Outcome]) {
        self.actions.extend(self.answers.received(&mut self.known, now, link, bytes, outcomes));
    }

    /// The link has ended, and everything that arrived on it has been passed to the plan.
    pub fn handle_closed(&mut self, now: Time, link: LinkId, ended: Ended) {
        if ended == Ended::NoWay {
            self.connecting.unpay(&self.known, now, link);
        }
        self.actions.extend(self.answers.closed(&mut self.known, now, link, ended));
    }

    /// The links could deliver more than this peer takes, because the user has limited its speed. Call this again as
    /// long as it is so.
    pub fn handle_held_up(&mut self, now: Time) {
        self.known.flow.held_up(now);
    }

    /// Answers [`Action::Revoke`]: `in_time` says whether the link was forbidden to write the block before it had
    /// completed it.
    pub fn handle_revoked(&mut self, now: Time, link: LinkId, block: Block, in_time: bool) {
        let known = &mut self.known;
        known.changed = true;
        match self.assignment.revoked(known, link, block, in_time) {
            Some((Taker::Link(taker), asked)) => {
                self.actions.extend(asked.and_then(|asked| known.request(now, taker, asked)));
                known.links.wake(taker);
            }
            Some((Taker::Peer(peer), Some(asked))) => {
                self.actions.extend(self.connecting.open_with(known, now, peer, Some(asked)));
            }
            Some((Taker::Peer(_), None)) | None => {}
        }
    }

    /// The file now has the blocks of `have` and no others, because the disk has lost some or another program has
    /// changed the file. The driver has ended every link; the peers are not blamed for this.
    pub fn restart(&mut self, have: &Have) {
        for link in self.known.links.ids().collect::<Vec<_>>() {
            self.known.close(link);
        }
        self.actions.clear();
        self.assignment.restart();
        self.known.blocks = Blocks::new(*self.known.blocks.layout(), have);
        self.known.changed = true;
    }

    /// From now on, requests these blocks before all others, because they tell what the other blocks are. With
    /// `at_once`, no peer is asked for any other block before, because parts of the rest may turn out not to be needed.
    pub fn want_first(&mut self, blocks: Range<u64>, at_once: bool) {
        self.assignment.want_first(blocks, at_once);
    }

    /// The next thing that the driver must do. Call it after every `handle_*` method and at the time of
    /// [`Plan::next_wakeup`], until it returns `None`.
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
            let endgame = self.known.all_begun().then(|| now + self.known.tuning.take_margin);
            self.due =
                [self.due, fed.due, endgame, next_starving(&self.known, now)].into_iter().flatten().min();
        }
    }

    /// In the endgame, takes a block for the best of the peers that have no link, and might have one; also while the rest
    /// of a block is missing, because the link that was asked for its next slice is stalled.
    fn take_for_the_unlinked(&mut self, now: Time) {
        let known = &mut self.known;
        if (known.all_asked() || (known.blocks.are_sliced() && self.assignment.is_stalled()))
            && !known.flow.is_held_up(now)
            && !known.blocks.is_complete()
            && !self.assignment.is_taking()
            && let Some(peer) = self.connecting.best_waiting(known, now)
        {
            self.actions.extend(self.assignment.take_for_peer(known, now, peer));
        }
    }

    /// When to call [`Plan::poll_action`] if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        if self.is_complete() {
            return None;
        }
        if self.known.changed || self.known.refill { Some(now) } else { self.due }
    }

    /// When time alone may change what is to be done.
    fn find_due(&mut self, now: Time) -> Option<Time> {
        let (known, mut next) = (&mut self.known, Earliest::new(now));
        known.links.wakeups(now, &mut next);
        let room = known.links.len() < self.connecting.max_links(known);
        known.peers.wakeups(now, room, &mut next);
        self.connecting.wakeups(known, now, &mut next);
        if known.all_begun() {
            next.due(now + known.tuning.take_margin);
        }
        next_starving(known, now).into_iter().for_each(|at| next.due(at));
        self.answers.wrong.next_wakeup(now).into_iter().for_each(|at| next.due(at));
        next.at()
    }

    /// The number of offered blocks that the link's peer has told of so far, modulo 2³². The next requests on the link
    /// carry it.
    #[must_use]
    pub fn offers_seen(&self, link: LinkId) -> u32 {
        let told = self.known.links.get(link).and_then(|state| state.told.as_ref());
        told.map_or(0, |told| told.offers_seen)
    }

    /// The next wrong block that has not been reported yet.
    pub fn poll_wrong(&mut self) -> Option<WrongBlock> {
        self.answers.wrong.poll()
    }

    /// Why the download cannot be completed, if it cannot: the blocks that are left have come wrong too often.
    #[must_use]
    pub fn given_up(&self) -> Option<&GivenUp> {
        self.answers.wrong.given_up()
    }

    /// Whether the plan knows that `block` is verified.
    #[must_use]
    pub fn is_verified(&self, block: Block) -> bool {
        self.known.blocks.is_verified(block)
    }

    /// The sums over the download so far.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        self.answers.totals()
    }

    /// The number of links to peers that have given something, or may soon.
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

    /// The number of connected links.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.known.links.connected()
    }

    /// When data came last, or a limit of the user's held it up; the start, if there was none.
    #[must_use]
    pub fn last_progress(&self) -> Time {
        self.known.flow.last_progress
    }

    /// The number of known peers.
    #[must_use]
    pub fn known_peers(&self) -> usize {
        self.known.peers.len()
    }

    /// Whether there is no link, no connection is being made, and every known peer has failed.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        let peers = &self.known.peers;
        self.known.links.len() == 0 && !peers.any_untried() && !peers.any_to_be_asked_again()
    }

    /// What each peer has given, the largest number of bytes first.
    #[must_use]
    pub fn shares(&self) -> Vec<PeerShare> {
        self.known.peers.shares()
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Sets the address by which other peers know this peer. It may be called once for each address family.
    pub fn set_own_address(&mut self, addr: PeerAddr) {
        self.known.peers.own_mut().set_known_by(addr);
    }

    /// Sets where this peer listens.
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
