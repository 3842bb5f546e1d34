//! Filling the links' pipelines.

use super::choose::{MIN_PIPELINE, Room};
use super::knowledge::Told;
use super::peer::FIRST_BACK_OFF;
use super::{Action, LinkId, Plan, Time};
use alloc::vec::Vec;
use cascade_format::Block;

/// Links that are compared for the next request.
const DRAWS: usize = 3;

impl Plan {
    /// Closes links from which nothing more is to be hoped, and wakes all where one is stalling.
    pub(super) fn drop_stalled(&mut self, now: Time) {
        let stalled: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.is_stalled(now)).map(|(id, _)| id).collect();
        for id in stalled {
            if let Some(link) = self.links.get(id) {
                self.peers.get_mut(link.peer).failed(now);
            }
            self.close(id);
        }
        self.links.look();
        self.stalling = self.links.iter().any(|(_, link)| link.is_stalling(now));
        if self.stalling {
            self.wake_all();
        }
    }

    /// Wakes the links that have nothing to do.
    pub(super) fn wake_idle(&mut self, now: Time) {
        let robbing = self.may_rob();
        let waits = |link: &super::Link| link.told.as_ref().is_some_and(Told::only_waits);
        let idle = |link: &super::Link| {
            link.is_connected()
                && link.requests() == 0
                && (robbing || !waits(link))
                && !self.peers.get(link.peer).is_paused(now)
        };
        for (id, link) in self.links.iter() {
            if idle(link) {
                self.hungry.insert(id);
            }
        }
    }

    /// Whether several leechers serve each other.
    fn in_swarm(&self) -> bool {
        self.rarity.partial > 0 || self.peers.giving_leechers() > 1
    }

    /// Whether an idle link may take a block from another. In a swarm, links are idle also because
    /// nobody has what is missing.
    fn may_rob(&self) -> bool {
        !self.in_swarm() || self.stalling || self.blocks.missing_bytes() == 0
    }

    /// Gives requests to links that have room, until one needs the driver's help.
    pub(super) fn feed(&mut self, now: Time) {
        while self.theft.is_none()
            && let Some(link) = self.next_to_feed(now)
        {
            let blocks = self.fill(now, link);
            if !blocks.is_empty() {
                self.actions.push_back(Action::Request { link, blocks });
            } else if self.links.get(link).is_some_and(|state| state.requests() == 0) {
                self.poll_news(now, link);
                if self.may_rob() {
                    self.rob(now, link);
                }
                self.probe_or_close(now, link);
            }
            let wakeup = self.links.get(link).and_then(|state| state.next_wakeup(now));
            self.due = [self.due, wakeup].into_iter().flatten().min();
        }
    }

    /// Nothing is left to ask the link for, which was never asked for anything. While nothing flows, those that were
    /// asked may be of no use, so it is asked whether it speaks the protocol at all. Else what it was made for came
    /// from others meanwhile, and it is closed: it may keep a peer waiting that serves one connection after the other.
    fn probe_or_close(&mut self, now: Time, link: LinkId) {
        let vain = self.links.get(link).filter(|state| state.is_connected() && !state.was_asked());
        if let Some(state) = vain
            && self.blocks.missing_bytes() == 0
            && self.theft.is_none()
        {
            if self.nothing_flows(now) && !self.peers.get(state.peer).has_spoken() {
                self.actions.push_back(Action::Probe { link });
                self.links.probed(link);
            } else {
                self.peers.get_mut(state.peer).put_off(now + FIRST_BACK_OFF);
                self.close(link);
            }
        }
    }

    /// A link that may take requests. While there is no room in flight, only those that have offers, or that may
    /// be asked for news: to look at all the others for every block that arrives would be most of the work.
    fn next_to_feed(&mut self, now: Time) -> Option<LinkId> {
        let room = self.room_in_flight();
        if room != Room::Any && self.fresh.len() < self.hungry.len() && !self.may_rob() {
            let mut hungry = core::mem::take(&mut self.hungry);
            let is_free = |link: LinkId| room == Room::Free && self.load(link) == 0;
            let may_poll = |link| self.links.get(link).is_some_and(|state| state.may_poll(now));
            hungry.retain(|link| self.fresh.contains(*link) || is_free(*link) || may_poll(*link));
            self.fresh.copy(&hungry);
            self.hungry = hungry;
        }
        let link = self.next_hungry()?;
        self.hungry.remove(link);
        self.fresh.remove(link);
        Some(link)
    }

    /// One of those that may take requests. Of a few that are drawn, the one whose peer has the fewest
    /// waiting: the best of all would be everybody's best, and have the longest queue a moment later.
    fn next_hungry(&mut self) -> Option<LinkId> {
        let hungry = self.hungry.as_slice();
        let first = hungry.first().copied()?;
        if hungry.len() == 1 || self.rarity.partial == 0 {
            return Some(first);
        }
        let mut drawn = [first; DRAWS];
        for link in &mut drawn {
            let at = usize::try_from((self.random)() % hungry.len() as u64).unwrap_or(0);
            *link = hungry.get(at).copied().unwrap_or(first);
        }
        drawn.into_iter().min_by_key(|link| self.load(*link))
    }

    /// Clients that wait for a block at the link's peer, as far as is known.
    pub(super) fn load(&self, link: LinkId) -> u16 {
        self.links.get(link).and_then(|state| state.told.as_ref()).map_or(0, |told| told.load)
    }

    /// Takes missing blocks for the link until its pipeline is full.
    fn fill(&mut self, now: Time, link: LinkId) -> Vec<Block> {
        let mut taken = Vec::new();
        let Some(state) = self.links.get(link) else { return taken };
        let refill_below = state.pipeline.refill_below(self.rarity.partial > 0);
        if state.requests() >= MIN_PIPELINE && state.under_way() > refill_below {
            return taken;
        }
        while let Some(block) = self.next_for(now, link) {
            let length = self.blocks.layout().len_of(block);
            self.blocks.take(block, link);
            self.links.requested(now, link, block, length, self.usual_wait);
            taken.push(block);
        }
        taken
    }

    /// Asks an idle link's peer for news, if it knows the extension.
    fn poll_news(&mut self, now: Time, link: LinkId) {
        if let Some(state) = self.links.get_mut(link).filter(|state| state.may_poll(now)) {
            state.polls(now);
            self.actions.push_back(Action::Poll { link });
        }
    }

    /// Asks the link for blocks that were just given back for it.
    pub(super) fn request(&mut self, now: Time, link: LinkId, blocks: Vec<Block>) {
        if self.links.get(link).is_none() {
            return;
        }
        for block in &blocks {
            let length = self.blocks.layout().len_of(*block);
            self.blocks.take(*block, link);
            self.links.requested(now, link, *block, length, self.usual_wait);
        }
        self.actions.push_back(Action::Request { link, blocks });
    }
}
