//! Closing links in favour of others.

use super::Connecting;
use crate::Time;
use crate::ask::action::Action;
use crate::ask::assignment::Assignment;
use crate::ask::known::Known;
use crate::ask::links::told::Told;
use crate::ask::links::{Link, LinkId};
use crate::ask::peers::Wanted;
use crate::ask::tuning::doubled;
use alloc::vec::Vec;

impl Connecting {
    /// All places are taken, and a peer may wait for one: gives it the place of one that has given nothing
    /// for long, or little, if there is such a link. Addresses cost a liar nothing: those that are of no use must
    /// not keep out those that may be. And every peer knows the first ones in a swarm, which cannot serve all.
    /// Tells whether a link was closed for the other.
    pub(super) fn make_room(
        &mut self,
        known: &mut Known,
        now: Time,
        full: bool,
        wanted: Wanted,
        assignment: &Assignment,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(waiting) = known.peers.next_to_connect(now, wanted, &mut known.random) else { return false };
        let shown = known.peers.get(waiting).is_shown();
        let hurried = full && (shown || known.nothing_flows(now));
        if let Some(silent) = silent_link(known, now, |_| true).filter(|_| hurried) {
            actions.extend(close_failed(known, now, silent));
            return true;
        }
        if now < self.replace_at {
            return false;
        }
        self.replace_at = now + self.tuning.review_interval;
        if let Some(useless) = useless_link(known, now) {
            actions.extend(close_failed(known, now, useless));
        } else if let Some((id, peer)) = poor_link(known, now) {
            known.peers.get_mut(peer).rests(now);
            actions.extend(known.close(id));
        } else {
            return false;
        }
        let opened = self.open(known, now, waiting, assignment);
        let any = !opened.is_empty();
        actions.extend(opened);
        any
    }

    /// Nothing is left to ask for, and nothing flows: gives back what a silent link was asked for, if a peer waits that
    /// may have it.
    pub(super) fn free_from_silence(&mut self, known: &mut Known, now: Time) -> Option<Action> {
        self.waiting(known, now)?;
        let silent = silent_link(known, now, |link| link.requests.wanted().next().is_some())?;
        close_failed(known, now, silent)
    }

    /// While nothing flows: makes room on a host whose ports are silent for another port of it.
    pub(super) fn make_room_on_host(&self, known: &mut Known, now: Time, wanted: Wanted) -> Option<Action> {
        if !known.nothing_flows(now) {
            return None;
        }
        let host = known.peers.crowded_host(now, wanted)?;
        let silent = silent_link(known, now, |link| known.peers.get(link.peer).host() == host)?;
        close_failed(known, now, silent)
    }
}

/// Closes a link whose peer was of no use.
fn close_failed(known: &mut Known, now: Time, (link, peer): (LinkId, usize)) -> Option<Action> {
    known.peers.get_mut(peer).failed(now);
    known.close(link)
}

/// Of the links over which nothing has ever come for a while, to peers that have never spoken, the oldest.
fn silent_link(known: &Known, now: Time, fits: impl Fn(&Link) -> bool) -> Option<(LinkId, usize)> {
    let tuning = known.tuning;
    let silent = |link: &Link| {
        // A peer that made room before has more time: it may be a slow one, or one with a queue.
        let peer = known.peers.get(link.peer);
        let wait = doubled(tuning.stall_after, peer.failures());
        let since = link.silent_since().filter(|since| now >= *since + wait);
        since.filter(|_| !peer.has_spoken() && fits(link))
    };
    let links = known.links.iter().filter_map(|(id, link)| Some((silent(link)?, id, link.peer)));
    links.min_by_key(|(since, ..)| *since).map(|(_, id, peer)| (id, peer))
}

/// The oldest link to a peer that has given nothing for long, and is asked for nothing.
fn useless_link(known: &Known, now: Time) -> Option<(LinkId, usize)> {
    let useless = |link: &Link| {
        link.is_connected()
            && link.requests.is_empty()
            && now >= link.opened() + known.tuning.max_stall
            && !known.peers.get(link.peer).has_given()
    };
    let links = known.links.iter().filter(|(_, link)| useless(link));
    links.min_by_key(|(_, link)| link.opened()).map(|(id, link)| (id, link.peer))
}

/// Of the links to leechers, the one that has given least in its time, if that is less than half of the
/// mean. Seeders are kept: they give little to each while they choose, and what nobody else has.
fn poor_link(known: &Known, now: Time) -> Option<(LinkId, usize)> {
    let is_leecher = |link: &Link| link.told.as_ref().and_then(Told::part).is_some();
    let old = |link: &Link| is_leecher(link) && now >= link.opened() + known.tuning.judged_after();
    let links =
        || known.links.iter().filter(|(_, link)| old(link)).map(|(id, link)| (link.yields(now), id, link));
    let mean = links().map(|(yields, ..)| yields).sum::<u64>() / (links().count() as u64).max(1);
    let idle = links().filter(|(yields, _, link)| link.requests.is_empty() && *yields < mean / 2);
    idle.min_by_key(|(yields, ..)| *yields).map(|(_, id, link)| (id, link.peer))
}
