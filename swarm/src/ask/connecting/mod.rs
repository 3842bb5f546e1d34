//! Making links: to which peers, when, and in place of which.

mod replace;
#[cfg(test)]
mod tests;

use super::action::Action;
use super::assignment::Assignment;
use super::earliest::Earliest;
use super::known::Known;
use super::links::pipeline::Pace;
use super::links::{Asked, LinkId};
use super::peers::Wanted;
use super::tuning::{MAX_DOUBLINGS, Tuning, doubled};
use crate::Time;
use alloc::vec::Vec;
use core::time::Duration;

/// The spacing while nothing arrives from anybody. It bounds how fast a list of addresses where nobody is makes us
/// knock.
const HURRIED_SPACING: Duration = Duration::from_millis(20);

/// Opens links, and closes some for others.
#[derive(Debug)]
pub(super) struct Connecting {
    tuning: &'static Tuning,
    max_links: usize,
    /// Until when the tries of addresses that have never spoken are paid for: each costs the spacing, and the first
    /// ones are given in advance. Newcomers know at first only other newcomers, and a swarm whose first members ask
    /// each other alone asks the others too little.
    tries_paid_until: Time,
    /// Before that, no link is closed in favour of another.
    replace_at: Time,
}

impl Connecting {
    /// With at most `max_links` links.
    pub(super) fn new(tuning: &'static Tuning, max_links: usize) -> Self {
        Self { tuning, max_links, tries_paid_until: Time::ZERO, replace_at: Time::ZERO }
    }

    /// Opens links to peers that deserve one, in place of one that is of no use where all are taken. None is opened
    /// for which nothing is left to ask.
    pub(super) fn connect(&mut self, known: &mut Known, now: Time, assignment: &Assignment) -> Vec<Action> {
        let (mut actions, mut asked) = (Vec::new(), true);
        while !known.blocks.is_complete() {
            // While nothing flows, the links that all blocks are asked of may be of no use, and others are tried.
            let quiet = known.nothing_flows(now);
            if known.all_asked() {
                if !quiet {
                    break;
                }
                let closed = self.free_from_silence(known, now);
                if closed.is_some() {
                    actions.extend(closed);
                    continue;
                }
            }
            let full = known.links.len() >= self.max_links(known);
            let enough = known.has_telling_leechers() && known.links.len() >= self.tuning.swarm_links;
            let mutual = enough && !assignment.is_behind();
            let fresh = known.blocks.missing() > known.links.unasked() as u64 || quiet;
            let wanted = Wanted { mutual, known: !self.may_try(known, now), asked, quiet, fresh };
            let next = if full { None } else { known.peers.next_to_connect(now, wanted, &mut known.random) };
            let done = if let Some(peer) = next {
                let opened = self.open(known, now, peer, assignment);
                asked = !opened.is_empty();
                actions.extend(opened);
                true
            } else if full || mutual {
                let wanted = Wanted { mutual: false, ..wanted };
                self.make_room(known, now, full, wanted, assignment, &mut actions)
            } else {
                let closed = self.make_room_on_host(known, now, wanted);
                let any = closed.is_some();
                actions.extend(closed);
                any
            };
            if !done {
                break;
            }
        }
        actions
    }

    /// Whether an address that has never spoken the protocol may be tried.
    fn may_try(&mut self, known: &Known, now: Time) -> bool {
        let spacing = self.spacing(known, now);
        self.tries_paid_until = self.tries_paid_until.min(now + spacing * self.tuning.first_links);
        self.tries_paid_until <= now + spacing * (self.tuning.first_links - 1)
    }

    fn spacing(&self, known: &Known, now: Time) -> Duration {
        if known.nothing_flows(now) { HURRIED_SPACING } else { self.tuning.link_spacing }
    }

    /// When the passing of time lets more links be opened, or one be closed for another.
    pub(super) fn wakeups(&self, known: &Known, now: Time, next: &mut Earliest) {
        let tuning = self.tuning;
        if self.has_room(known) {
            let ahead = self.spacing(known, now) * (tuning.first_links - 1);
            next.passes(self.tries_paid_until.saturating_sub(ahead));
        }
        let quiet = known.flow.last_progress + tuning.stall_after;
        for since in known.links.iter().filter_map(|(_, link)| link.silent_since()) {
            let ends = (0..=MAX_DOUBLINGS).map(|doublings| since + doubled(tuning.stall_after, doublings));
            ends.for_each(|end| next.passes(end.max(quiet)));
        }
        if known.links.len() >= tuning.swarm_links {
            next.passes(self.replace_at);
        }
    }

    /// The peer that deserves a link most, if there is room for it.
    pub(super) fn best_waiting(&mut self, known: &mut Known, now: Time) -> Option<usize> {
        if self.has_room(known) { self.waiting(known, now) } else { None }
    }

    fn waiting(&mut self, known: &mut Known, now: Time) -> Option<usize> {
        let wanted = Wanted { known: !self.may_try(known, now), ..Wanted::ANY };
        known.peers.next_to_connect(now, wanted, &mut known.random)
    }

    /// Opens a link. Nothing: it would be opened with a request, and there is nothing to ask for now.
    fn open(&mut self, known: &mut Known, now: Time, peer: usize, assignment: &Assignment) -> Vec<Action> {
        if !Wanted::with_request(known.peers.get(peer), known.nothing_flows(now)) {
            return self.open_with(known, now, peer, None);
        }
        let first = assignment.first_for(known, now, peer);
        first.map_or_else(Vec::new, |asked| self.open_with(known, now, peer, Some(asked)))
    }

    /// Opens a link on which `first` is asked for at once.
    pub(super) fn open_with(
        &mut self,
        known: &mut Known,
        now: Time,
        peer: usize,
        first: Option<Asked>,
    ) -> Vec<Action> {
        let state = known.peers.get(peer);
        if !state.has_spoken() {
            self.tries_paid_until = self.tries_paid_until.max(now) + self.spacing(known, now);
        }
        let (addr, marked) = (state.addr(), state.habits.takes_marks());
        let pace = if first.is_some() { state.pace() } else { Pace::default() };
        known.peers.link_opened(now, peer);
        let link = known.links.open(now, peer, marked, pace);
        let connect = Action::Connect { link, addr, marked };
        let request = first.and_then(|asked| known.request(now, link, asked));
        [Some(connect), request].into_iter().flatten().collect()
    }

    /// Nothing was sent for the try of this link: it is not paid for, lest addresses out of reach take the turns of
    /// others.
    pub(super) fn unpay(&mut self, known: &Known, now: Time, link: LinkId) {
        let peer = known.links.get(link).map(|state| known.peers.get(state.peer));
        if peer.is_some_and(|peer| !peer.has_spoken()) {
            self.tries_paid_until = self.tries_paid_until.saturating_sub(self.spacing(known, now));
        }
    }

    fn has_room(&self, known: &Known) -> bool {
        known.links.len() < self.max_links(known)
    }

    /// Links that are worth having.
    pub(super) fn max_links(&self, known: &Known) -> usize {
        let enough = if known.has_telling_leechers() { self.tuning.swarm_links * 3 / 2 } else { usize::MAX };
        self.max_links.min(enough)
    }
}
