//! What decides whether a peer is given a link, of all peers side by side. All are looked at whenever something has
//! happened, and few have changed since the last time.

use super::hosts::Hosts;
use super::origin::Origins;
use super::peer::{Peer, Rank};
use crate::Time;
use crate::ask::earliest::Earliest;
use alloc::vec::Vec;

/// What the choice of the next link needs to know of one peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outline {
    /// When it deserves a link; [`Time::MAX`]: it does not.
    due_at: Time,
    /// When its host may be tried, and whether there is room for one more link to it: of a peer that has not shown
    /// itself.
    pub(super) try_at: Time,
    pub(super) crowded: bool,
    /// See [`Peer::rank`]; as if it had no rivals.
    rank: Rank,
    pub(super) origins: Origins,
    pub(super) links: usize,
    pub(super) mutual: bool,
    pub(super) shown: bool,
    pub(super) spoken: bool,
    pub(super) closes: bool,
    pub(super) may_tell: bool,
    pub(super) plain: bool,
    /// The peer may have changed.
    stale: bool,
}

impl Outline {
    /// The outline of `peer`, which lives on one of `hosts`.
    pub(super) fn of(peer: &Peer, hosts: &Hosts) -> Self {
        let (shown, host) = (peer.is_shown(), peer.host());
        Self {
            due_at: peer.due_at(),
            try_at: if shown { Time::ZERO } else { hosts.try_at(host) },
            crowded: !shown && !hosts.has_room(host),
            rank: peer.rank(0),
            origins: peer.origins(),
            links: peer.links(),
            mutual: peer.is_mutual(),
            shown,
            spoken: peer.has_spoken(),
            closes: peer.habits.closes(),
            may_tell: peer.may_tell(),
            plain: peer.speaks_plainly(),
            stale: false,
        }
    }

    /// Whether it deserves a link now.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.due_at <= now
    }

    /// Whether its host has had enough of us for now: see [`Hosts`].
    pub(super) fn is_spared(&self, now: Time) -> bool {
        self.crowded || self.try_at > now
    }

    /// See [`Peer::rank`].
    pub(super) fn rank(&self, rivals: usize) -> Rank {
        let (gave_nothing, silent, _, hearsay, failures, alien, links) = self.rank;
        (gave_nothing, silent, rivals, hearsay, failures, alien, links)
    }
}

/// The outlines of all peers, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Outlines {
    outlines: Vec<Outline>,
    /// Of each, the first of the times of [`Peer::wakeups`] or when its host may be tried, as of the last time that this
    /// was looked at; zero if it has changed since.
    wakeups: Vec<Time>,
    /// The numbers of the peers that may have changed.
    stale: Vec<usize>,
    /// Whether there was room for another link when it was looked at the wakeups.
    room: bool,
}

impl Outlines {
    /// The peer may have changed.
    pub(super) fn touch(&mut self, index: usize) {
        if let Some(outline) = self.outlines.get_mut(index)
            && !core::mem::replace(&mut outline.stale, true)
        {
            self.stale.push(index);
        }
    }

    /// A host has changed, and so all peers on it.
    pub(super) fn touch_all(&mut self) {
        self.outlines.clear();
        self.wakeups.clear();
        self.stale.clear();
    }

    /// The outlines of `peers` as they are now.
    pub(super) fn refresh(&mut self, peers: &[Peer], hosts: &Hosts) -> &[Outline] {
        for index in self.stale.drain(..) {
            if let (Some(outline), Some(peer)) = (self.outlines.get_mut(index), peers.get(index)) {
                *outline = Outline::of(peer, hosts);
            }
            self.wakeups.iter_mut().skip(index).take(1).for_each(|at| *at = Time::ZERO);
        }
        let new = peers.iter().skip(self.outlines.len());
        self.outlines.extend(new.map(|peer| Outline::of(peer, hosts)));
        self.wakeups.resize(peers.len(), Time::ZERO);
        &self.outlines
    }

    /// When one of `peers` is due for a link (if there is `room` for one), or ends a pause. Those of which nothing has
    /// changed, and whose time has not come, are as before.
    pub(super) fn wakeups(
        &mut self,
        peers: &[Peer],
        hosts: &Hosts,
        now: Time,
        room: bool,
        next: &mut Earliest,
    ) {
        self.refresh(peers, hosts);
        if core::mem::replace(&mut self.room, room) != room {
            self.wakeups.fill(Time::ZERO);
        }
        for ((at, outline), peer) in self.wakeups.iter_mut().zip(&self.outlines).zip(peers) {
            if *at <= now {
                let mut first = Earliest::new(now);
                peer.wakeups(room, &mut first);
                if room && outline.is_due(now) {
                    first.passes(outline.try_at);
                }
                *at = first.at().unwrap_or(Time::MAX);
            }
            next.passes(*at);
        }
    }
}
