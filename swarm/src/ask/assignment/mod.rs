//! Which block is asked of which link: filling the links' pipelines.
//!
//! | module | decides |
//! |---|---|
//! | [`choose`] | which block a link is asked for next |
//! | [`first`] | which blocks are asked for before all others |
//! | [`order`] | which missing block is next |
//! | [`owners`] | which leecher gets which block first, where no peer tells anything |
//! | [`way`] | as what a block is requested: as a slice, or whole |
//! | [`room`] | whether another request may be under way |
//! | [`behind`] | whether this peer has fallen behind the others |
//! | [`endgame`] | which block is taken from which link for another |

mod behind;
mod choose;
mod endgame;
mod first;
mod order;
mod owners;
mod room;
mod way;

pub(super) use choose::next_starving;
pub(super) use endgame::Taker;
pub use order::Order;
pub(super) use owners::lack_lasts;

use super::action::Action;
use super::earliest::Earliest;
use super::known::Known;
use super::links::{Asked, Link, LinkId};
use super::tuning::Tuning;
use crate::Time;
use alloc::vec::Vec;
use cascade_format::Block;
use choose::Chooser;
use core::ops::Range;
use endgame::Endgame;
use room::MIN_REQUESTS;

/// Gives requests to links.
#[derive(Debug)]
pub(super) struct Assignment {
    chooser: Chooser,
    endgame: Endgame,
    /// See [`Assignment::is_stalled`].
    stalled: bool,
}

/// What links were given.
#[derive(Debug, Default)]
pub(super) struct Fed {
    pub(super) actions: Vec<Action>,
    /// When time alone changes something about one of them.
    pub(super) due: Option<Time>,
}

impl Assignment {
    pub(super) fn new(tuning: &'static Tuning, order: Order) -> Self {
        Self { chooser: Chooser::new(tuning, order), endgame: Endgame::default(), stalled: false }
    }

    /// See [`first`].
    pub(super) fn want_first(&mut self, blocks: Range<u64>, at_once: bool) {
        self.chooser.want_first(blocks, at_once);
    }

    /// Whether this peer has fallen behind the leechers it is linked with; as of the last look at everything.
    pub(super) fn is_behind(&self) -> bool {
        self.chooser.is_behind()
    }

    /// Whether a link owes an answer and is stalled; as of the last look at everything.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Whether a block is being taken from a link: nothing is asked for until the driver has revoked it.
    pub(super) fn is_taking(&self) -> bool {
        self.endgame.is_taking()
    }

    /// What was under way is not any more.
    pub(super) fn restart(&mut self) {
        self.endgame.restart();
    }

    /// Looks at all links: closes those from which nothing more is to be hoped, and wakes those that may take requests.
    pub(super) fn review(&mut self, known: &mut Known, now: Time) -> Vec<Action> {
        let dead = known.links.iter().filter(|(_, link)| link.is_dead(now));
        let dead: Vec<(LinkId, usize)> = dead.map(|(id, link)| (id, link.peer)).collect();
        let mut actions = Vec::new();
        for (id, peer) in dead {
            known.peers.get_mut(peer).failed(now);
            actions.extend(known.close(id));
        }
        known.links.look();
        self.stalled =
            !known.flow.is_held_up(now) && known.links.iter().any(|(_, link)| link.is_stalled(now));
        if self.stalled {
            known.links.wake_all();
        }
        self.wake_idle(known, now);
        self.chooser.compare(known);
        actions
    }

    /// Where there may be room again: wakes the links that have nothing to do.
    pub(super) fn refill(&self, known: &mut Known, now: Time) {
        if known.links.under_way() < self.chooser.room(known) {
            self.wake_idle(known, now);
        }
    }

    fn wake_idle(&self, known: &mut Known, now: Time) {
        let (taking, peers) = (self.may_take(known, now), &known.peers);
        known.links.wake_some(|link| {
            let waits = link.told.as_ref().is_some_and(|told| told.only_waits());
            link.is_connected()
                && link.requests.is_empty()
                && (taking || !waits)
                && !peers.get(link.peer).refusals.is_paused(now)
        });
    }

    /// Whether an idle link may take a block from another. In a swarm, links are idle also because
    /// nobody has what is missing.
    fn may_take(&self, known: &Known, now: Time) -> bool {
        let in_swarm = known.has_telling_leechers() || known.peers.giving_leechers() > 1;
        !known.flow.is_held_up(now) && (!in_swarm || self.stalled || known.all_begun())
    }

    /// Gives requests to links that have room, until one needs the driver's help.
    pub(super) fn feed(&mut self, known: &mut Known, now: Time) -> Fed {
        let (mut fed, mut due) = (Fed::default(), Earliest::new(now));
        let mut room = self.chooser.room(known);
        while !self.is_taking()
            && let Some(link) = self.next_to_feed(known, now, room)
        {
            let taken = self.fill(known, now, link, room);
            if !taken.is_empty() {
                fed.actions.extend(requests(known, link, &taken));
            } else if known.links.get(link).is_some_and(|state| state.requests.is_empty()) {
                fed.actions.extend(poll_news(known, now, link));
                if self.may_take(known, now) {
                    fed.actions.extend(self.endgame.take_for_link(known, now, link));
                }
                if let Some(action) = self.probe_or_close(known, now, link) {
                    fed.actions.push(action);
                    // There is one link less.
                    room = self.chooser.room(known);
                }
            }
            if let Some(state) = known.links.get(link) {
                state.wakeups(now, &mut due);
            }
        }
        fed.due = due.at();
        fed
    }

    /// Nothing is left to ask the link for, which was never asked for anything. While nothing flows, those that were
    /// asked may be of no use, so it is asked whether it speaks the protocol at all. Else what it was made for came
    /// from others meanwhile, and it is closed: it may keep a peer waiting that serves one connection after the other.
    fn probe_or_close(&self, known: &mut Known, now: Time, link: LinkId) -> Option<Action> {
        if !known.all_asked() || self.is_taking() {
            return None;
        }
        let nothing_flows = known.nothing_flows(now);
        let fits = |state: &&mut Link| state.is_connected() && !state.was_asked();
        let state = known.links.get_mut(link).filter(fits)?;
        let peer = known.peers.get_mut(state.peer);
        if nothing_flows && !peer.has_spoken() {
            state.probed();
            return Some(Action::Probe { link });
        }
        peer.put_off(now + known.tuning.pause);
        known.close(link)
    }

    /// A link that may take requests. While there is no room in flight, only those that have offers, or that may
    /// be asked for news: to look at all the others for every block that arrives would be most of the work.
    fn next_to_feed(&self, known: &mut Known, now: Time, room: u64) -> Option<LinkId> {
        if known.links.under_way() >= room && !self.may_take(known, now) {
            known.links.narrow(|link| link.may_poll(now));
        }
        let link = next_ready(known)?;
        known.links.done(link);
        Some(link)
    }

    /// Takes missing blocks for the link until its pipeline is full.
    fn fill(&self, known: &mut Known, now: Time, link: LinkId, room: u64) -> Vec<Asked> {
        let mut taken = Vec::new();
        let Some(state) = known.links.get(link) else { return taken };
        let full = state.requests.bytes() > state.pipeline.refill_below(known.has_telling_leechers());
        if full && state.requests.len() >= MIN_REQUESTS {
            return taken;
        }
        while let Some(asked) = self.chooser.next_for(known, now, link, room) {
            known.take(now, link, asked);
            taken.push(asked);
        }
        taken
    }

    /// The block that a link to a peer is opened with, chosen as for a link that is there.
    pub(super) fn first_for(&self, known: &mut Known, now: Time, peer: usize) -> Option<Asked> {
        let state = known.peers.get(peer);
        let trial = known.links.open(now, peer, state.habits.takes_marks(), state.pace());
        let block = self.chooser.first_for(known, now, trial);
        known.links.remove(trial);
        block
    }

    /// Takes a block for a peer that has no link, if it is likely to have it sooner on a new one.
    pub(super) fn take_for_peer(&mut self, known: &mut Known, now: Time, peer: usize) -> Option<Action> {
        self.endgame.take_for_peer(known, now, peer)
    }

    /// The driver has forbidden `block` to `holder`, if it was `in_time`. Returns what takes it, and what that is to be
    /// asked for.
    pub(super) fn revoked(
        &mut self,
        known: &mut Known,
        holder: LinkId,
        block: Block,
        in_time: bool,
    ) -> Option<(Taker, Option<Asked>)> {
        self.endgame.revoked(known, holder, block, in_time)
    }
}

/// What was taken for a link, as requests, with as few actions as possible.
fn requests(known: &Known, link: LinkId, taken: &[Asked]) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for asked in taken {
        let is_sliced = known.is_sliced(*asked);
        match actions.last_mut() {
            Some(Action::Request { blocks, sliced, .. }) if *sliced == is_sliced => blocks.push(asked.block),
            _ => actions.push(known.request_of(link, *asked)),
        }
    }
    actions
}

/// One of the links that may take requests. Where peers tell what they have, it is drawn: an order would be everybody's
/// order, and its first link would have the longest queue.
fn next_ready(known: &mut Known) -> Option<LinkId> {
    let ready = known.links.ready();
    if ready.len() < 2 || !known.has_telling_leechers() {
        return ready.first().copied();
    }
    let at = usize::try_from((known.random)() % ready.len() as u64).unwrap_or(0);
    ready.get(at).copied()
}

/// Asks an idle link's peer for news, if it knows the extension.
fn poll_news(known: &mut Known, now: Time, link: LinkId) -> Option<Action> {
    let state = known.links.get_mut(link).filter(|state| state.may_poll(now))?;
    state.polls(now);
    Some(Action::Poll { link, sliced: state.gives_slices() })
}
