//! Making links: to whom, when, and in place of which.

use super::knowledge::Has;
use super::peers::Wanted;
use super::pipeline::Pace;
use super::{Action, Link, LinkId, Plan, Time};
use alloc::vec;
use cascade_format::Block;
use core::time::Duration;

impl Plan {
    /// Opens links to peers that deserve one, in place of one that is of no use where all are taken. None is opened
    /// for which nothing is left to ask.
    pub(super) fn connect(&mut self, now: Time) {
        let mut asked = true;
        while !self.is_complete() {
            let none_missing = self.blocks.missing_bytes() == 0;
            if none_missing && self.nothing_flows(now) && self.free_from_silence(now) {
                continue;
            }
            if none_missing && !self.nothing_flows(now) {
                return;
            }
            let full = self.links.len() >= self.max_links();
            let enough = self.rarity.partial > 0 && self.links.len() >= self.tuning.swarm_links;
            let mutual = enough && !self.behind;
            // While nothing flows, those that hold all blocks may be of no use, and others are asked who they are.
            let quiet = self.nothing_flows(now);
            let fresh = self.blocks.missing() > self.links.unasked() as u64 || quiet;
            let wanted = Wanted { mutual, known: !self.may_try(now), asked, quiet, fresh };
            let next = if full { None } else { self.peers.next_to_connect(now, wanted, &mut self.random) };
            if let Some(peer) = next {
                asked = self.open(now, peer);
            } else if full || mutual {
                if !self.make_room(now, full, Wanted { mutual: false, ..wanted }) {
                    return;
                }
            } else if !self.make_room_on_host(now, wanted) {
                return;
            }
        }
    }

    /// Whether an address that has never spoken the protocol may be tried.
    pub(super) fn may_try(&mut self, now: Time) -> bool {
        let spacing = self.spacing(now);
        self.tries_paid_until = self.tries_paid_until.min(now + spacing * self.tuning.first_links);
        self.tries_paid_until <= now + spacing * (self.tuning.first_links - 1)
    }

    fn spacing(&self, now: Time) -> Duration {
        if self.nothing_flows(now) { self.tuning.hurried_spacing } else { self.tuning.link_spacing }
    }

    /// Whether nothing to speak of has arrived from anybody for a while.
    pub(super) fn nothing_flows(&self, now: Time) -> bool {
        now >= self.last_flow + self.tuning.silent_after
    }

    /// When the passing of time lets more links be opened.
    pub(super) fn next_opening(&self, now: Time) -> Option<Time> {
        let tuning = self.tuning;
        let room = self.links.len() < self.max_links();
        let next = self.tries_paid_until.saturating_sub(self.spacing(now) * (self.tuning.first_links - 1));
        let silent = self.links.iter().filter_map(|(_, link)| link.silent_since());
        let ends = silent.flat_map(|since| {
            (0..=tuning.silent_doublings).map(move |doubling| since + tuning.silent_after * (1 << doubling))
        });
        let silent =
            ends.map(|end| end.max(self.last_flow + self.tuning.silent_after)).filter(|at| *at > now).min();
        [Some(next).filter(|_| room), silent].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Opens a link. False: it would be opened with a request, and there is nothing to ask for now.
    fn open(&mut self, now: Time, peer: usize) -> bool {
        let state = self.peers.get(peer);
        if !Wanted::with_request(state, self.nothing_flows(now)) {
            self.open_with(now, peer, None);
            return true;
        }
        let marked = state.takes_marks();
        // What it is asked for is chosen as for a link that is there.
        let trial = self.links.open(now, peer, marked, state.pace());
        let block = if self.has_room_in_flight(trial) { self.pick_blind(now, trial) } else { None };
        self.links.remove(trial);
        if let Some(block) = block {
            self.open_with(now, peer, Some(block));
        }
        block.is_some()
    }

    /// Opens a link on which `first` is asked for at once.
    pub(super) fn open_with(&mut self, now: Time, peer: usize, first: Option<Block>) {
        let spacing = self.spacing(now);
        let state = self.peers.get(peer);
        if !state.has_spoken() {
            self.tries_paid_until = self.tries_paid_until.max(now) + spacing;
        }
        let (addr, marked) = (state.addr(), state.takes_marks());
        let pace = if first.is_some() { state.pace() } else { Pace::default() };
        self.peers.link_opened(now, peer);
        let link = self.links.open(now, peer, marked, pace);
        self.actions.push_back(Action::Connect { link, addr, marked });
        if let Some(block) = first {
            self.request(now, link, vec![block]);
        }
    }

    /// All places are taken, and a peer may wait for one: gives it the place of one that has given nothing
    /// for long, or little, if there is such a link. Addresses cost a liar nothing: those that are of no use must
    /// not keep out those that may be. And everybody knows those who came first, who have no time for so many.
    fn make_room(&mut self, now: Time, full: bool, wanted: Wanted) -> bool {
        let Some(waiting) = self.peers.next_to_connect(now, wanted, &mut self.random) else { return false };
        let shown = self.peers.get(waiting).has_spoken() || self.peers.get(waiting).is_named();
        let hurried = full && (shown || self.nothing_flows(now));
        if let Some(silent) = self.silent_link(now, |_| true).filter(|_| hurried) {
            return self.replace(now, silent);
        }
        if now < self.replace_at {
            return false;
        }
        self.replace_at = now + self.tuning.replace_interval;
        if let Some(useless) = self.useless_link(now) {
            self.replace(now, useless);
        } else if let Some((id, peer)) = self.poor_link(now) {
            self.peers.get_mut(peer).rests(now);
            self.close(id);
        } else {
            return false;
        }
        self.open(now, waiting)
    }

    /// Nothing is left to ask for, and nothing flows: gives back what a silent link was asked for, if a peer waits that
    /// may have it. Tells whether it did.
    fn free_from_silence(&mut self, now: Time) -> bool {
        let wanted = Wanted { known: !self.may_try(now), ..Wanted::ANY };
        let waiting = self.peers.next_to_connect(now, wanted, &mut self.random);
        let holds = |link: &Link| link.wanted().next().is_some();
        let silent = waiting.and_then(|_| self.silent_link(now, holds));
        silent.is_some_and(|silent| self.replace(now, silent))
    }

    /// While nothing flows: makes room on a host whose ports are silent for another port of it.
    fn make_room_on_host(&mut self, now: Time, wanted: Wanted) -> bool {
        if !self.nothing_flows(now) {
            return false;
        }
        let Some(host) = self.peers.crowded_host(now, wanted) else { return false };
        let silent = self.silent_link(now, |link| self.peers.get(link.peer).host() == host);
        silent.is_some_and(|silent| self.replace(now, silent))
    }

    /// Closes a link whose peer was of no use.
    fn replace(&mut self, now: Time, (id, peer): (LinkId, usize)) -> bool {
        self.peers.get_mut(peer).failed(now);
        self.close(id);
        true
    }

    /// Of the links over which nothing has ever come for a while, to peers that have never spoken, the oldest.
    fn silent_link(&self, now: Time, fits: impl Fn(&Link) -> bool) -> Option<(LinkId, usize)> {
        let silent = |link: &Link| {
            // Who made room before has more time: it may be a slow one, or one with a queue.
            let peer = self.peers.get(link.peer);
            let patience =
                self.tuning.silent_after * (1 << peer.failures().min(self.tuning.silent_doublings));
            let since = link.silent_since().filter(|since| now >= *since + patience);
            since.filter(|_| !peer.has_spoken() && fits(link))
        };
        let links = self.links.iter().filter_map(|(id, link)| Some((silent(link)?, id, link.peer)));
        links.min_by_key(|(since, ..)| *since).map(|(_, id, peer)| (id, peer))
    }

    /// The oldest link over which nothing has ever come, and its peer.
    fn useless_link(&self, now: Time) -> Option<(LinkId, usize)> {
        let useless = |link: &Link| {
            link.is_connected()
                && link.requests() == 0
                && now >= link.opened() + self.tuning.useless_after
                && !self.peers.get(link.peer).has_given()
        };
        let links = self.links.iter().filter(|(_, link)| useless(link));
        links.min_by_key(|(_, link)| link.opened()).map(|(id, link)| (id, link.peer))
    }

    /// Of the links to leechers, the one that has given least in its time, if that is less than half of the
    /// mean. Seeders are kept: they give little to each while they choose, and what nobody else has.
    fn poor_link(&self, now: Time) -> Option<(LinkId, usize)> {
        let is_leecher =
            |link: &Link| link.told.as_ref().is_some_and(|told| matches!(told.has, Has::Some(_)));
        let old = |link: &Link| is_leecher(link) && now >= link.opened() + self.tuning.judged_after;
        let links =
            || self.links.iter().filter(|(_, link)| old(link)).map(|(id, link)| (link.yields(now), id, link));
        let mean = links().map(|(yields, ..)| yields).sum::<u64>() / (links().count() as u64).max(1);
        let idle = links().filter(|(yields, _, link)| link.requests() == 0 && *yields < mean / 2);
        idle.min_by_key(|(yields, ..)| *yields).map(|(_, id, link)| (id, link.peer))
    }

    /// Links that are worth having.
    pub(super) fn max_links(&self) -> usize {
        let enough = if self.rarity.partial > 0 { self.tuning.max_swarm_links } else { usize::MAX };
        self.config.max_links.min(enough)
    }
}

#[cfg(test)]
mod tests;
