//! What decides whether a peer is given a link, of all peers side by side. All are looked at whenever something has
//! happened, and few have changed since the last time.

use super::hosts::Hosts;
use super::origin::Origins;
use super::peer::Peer;
use crate::Time;
use crate::ask::earliest::Earliest;
use alloc::vec::Vec;

/// What the choice of the next link needs to know of one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outline {
    /// When it may be given a link: it deserves one, and its host is not spared. [`Time::MAX`]: it may not.
    pub(super) from: Time,
    pub(super) origins: Origins,
    failures: u32,
    pub(super) links: u32,
    gave_nothing: bool,
    hearsay: bool,
    pub(super) mutual: bool,
    pub(super) shown: bool,
    pub(super) spoken: bool,
    pub(super) closes: bool,
    pub(super) may_tell: bool,
    pub(super) plain: bool,
    /// The peer may have changed.
    stale: bool,
}

const _: () = assert!(size_of::<Outline>() <= 48, "all are looked at for each link");

impl Outline {
    /// The outline of `peer`, which lives on one of `hosts`.
    pub(super) fn of(peer: &Peer, hosts: &Hosts) -> Self {
        let (shown, host) = (peer.is_shown(), peer.host());
        let from = if shown {
            peer.due_at()
        } else if hosts.has_room(host) {
            peer.due_at().max(hosts.try_at(host))
        } else {
            Time::MAX
        };
        Self {
            from,
            origins: peer.origins(),
            failures: peer.failures(),
            links: u32::try_from(peer.links()).unwrap_or(u32::MAX),
            gave_nothing: !peer.has_given(),
            hearsay: peer.is_hearsay(),
            mutual: peer.is_mutual(),
            shown,
            spoken: peer.has_spoken(),
            closes: peer.habits.closes(),
            may_tell: peer.may_tell(),
            plain: peer.speaks_plainly(),
            stale: false,
        }
    }

    /// Better ones first: peers that gave something; that spoke the protocol; that were heard of by the way with the
    /// fewest links (`rivals`) to peers that never spoke; that are more than hearsay; with fewer failures; with a link to
    /// this peer (so that each has about as many askers as it asks); with fewer links.
    pub(super) fn rank(&self, rivals: u32) -> Rank {
        (self.gave_nothing, !self.spoken, rivals, self.hearsay, self.failures, !self.mutual, self.links)
    }
}

/// See [`Outline::rank`].
pub(super) type Rank = (bool, bool, u32, bool, u32, bool, u32);

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
        for (at, peer) in self.wakeups.iter_mut().zip(peers) {
            if *at <= now {
                let mut first = Earliest::new(now);
                peer.wakeups(room, &mut first);
                if room && !peer.is_shown() && peer.due_at() <= now {
                    first.passes(hosts.try_at(peer.host()));
                }
                *at = first.at().unwrap_or(Time::MAX);
            }
            next.passes(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Peers, Source};
    use super::*;
    use crate::ask::tuning::Tuning;
    use cascade_format::{Layout, PeerAddr};
    use core::net::IpAddr;
    use core::time::Duration;

    /// Something happens to one peer.
    fn happen(peers: &mut Peers, now: Time, random: &mut fastrand::Rng) {
        let addr = PeerAddr::new(IpAddr::from([10, 0, 0, random.u8(1..6)]), random.u16(1..40));
        let block = Layout::new(8, 1).unwrap().block(random.u64(..8)).unwrap();
        let at = random.usize(..peers.len().max(1));
        match random.u8(..14) {
            0 => peers.hear(now, Source::Tracker(0), &[addr]),
            1 => peers.hear(now, Source::User, &[addr]),
            2 => peers.learn_hearsay(now, [addr].into_iter(), random.bool()),
            _ if peers.len() == 0 => {}
            3 | 4 => peers.link_opened(now, at),
            5 | 6 => peers.link_ended(at),
            7 => drop(peers.spoke(at)),
            8 => peers.get_mut(at).failed(now),
            9 => peers.get_mut(at).delivered(1),
            10 => peers.get_mut(at).habits.closed_after(random.u64(1..3)),
            11 => peers.get_mut(at).lied_about(now, block),
            12 => peers.get_mut(at).ask_again(now, block, Duration::from_secs(3)),
            _ => (0..9).for_each(|_| peers.get_mut(at).refusals.add(now, block, Duration::from_secs(2))),
        }
    }

    #[test]
    fn what_is_kept_is_as_if_it_were_made_anew_whatever_has_happened() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..50 {
            let (mut peers, mut now) = (Peers::new(&Tuning::DEFAULT), Time::ZERO);
            for _ in 0..400 {
                (0..random.u8(..4)).for_each(|_| happen(&mut peers, now, &mut random));
                now += Duration::from_millis(random.u64(..2000));
                let (room, mut kept, mut anew) = (random.u8(..8) > 0, Earliest::new(now), Earliest::new(now));
                peers.wakeups(now, room, &mut kept);
                let mut fresh = Outlines::default();
                fresh.wakeups(&peers.peers, &peers.hosts, now, room, &mut anew);
                assert_eq!(kept.at(), anew.at());
                assert_eq!(peers.outlines.outlines, fresh.outlines);
            }
        }
    }
}
