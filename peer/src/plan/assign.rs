//! Making links, filling their pipelines, and the endgame.

use super::{Action, LinkId, Plan, Time};
use cascade_format::Block;
use std::time::Duration;

/// A link always has so many requests under way, where the peer takes more than one: the next is
/// there when an answer ends, however small the bandwidth-delay product.
const MIN_PIPELINE: usize = 2;

/// A block is taken from one link to another only where that is faster by this factor …
const THEFT_FACTOR: f64 = 1.5;

/// … and by this much.
const THEFT_MARGIN: Duration = Duration::from_millis(100);

/// A link without any answer yet waits so many times longer before it takes a block from another.
const UNPROVEN_PATIENCE: u32 = 4;

/// So many times a block goes to another link because that is faster; after that only because the link
/// that has it is silent.
const MAX_SPEED_THEFTS: u32 = 2;

impl Plan {
    /// Opens links to peers that deserve one.
    pub(super) fn connect(&mut self, now: Time) {
        while !self.is_complete() && self.links.len() < self.options.max_links {
            let Some(peer) = self.peers.next_to_connect(now, &mut self.random) else { return };
            let state = self.peers.get_mut(peer);
            state.link_opened();
            let addr = state.addr();
            let link = self.links.open(now, peer);
            self.actions.push_back(Action::Connect { link, addr });
        }
    }

    /// Closes links from which nothing more is to be hoped, and wakes those that may rob a stalling one.
    pub(super) fn drop_stalled(&mut self, now: Time) {
        let stalled: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.is_stalled(now)).map(|(id, _)| id).collect();
        for id in stalled {
            if let Some(link) = self.links.get(id) {
                self.peers.get_mut(link.peer).failed(now);
            }
            self.close(id);
        }
        if self.links.iter().any(|(_, link)| link.is_stalling(now)) {
            self.wake_all();
        }
        let unpaused = |link: &super::Link| link.requests() == 0 && !self.peers.get(link.peer).is_paused(now);
        let idle: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.is_connected() && unpaused(link))
            .map(|(id, _)| id)
            .collect();
        self.hungry.extend(idle);
    }

    /// Gives requests to links that have room, until one needs the driver's help.
    pub(super) fn feed(&mut self, now: Time) {
        while self.theft.is_none()
            && let Some(link) = self.hungry.pop_first()
        {
            let blocks = self.fill(now, link);
            if !blocks.is_empty() {
                self.actions.push_back(Action::Request { link, blocks });
            } else if self.links.get(link).is_some_and(|state| state.requests() == 0) {
                self.rob(now, link);
            }
        }
    }

    /// Takes missing blocks for the link until its pipeline is full.
    fn fill(&mut self, now: Time, link: LinkId) -> Vec<Block> {
        let mut taken = Vec::new();
        let rate = self.links.rate();
        let Some(state) = self.links.get_mut(link) else { return taken };
        if state.requests() >= MIN_PIPELINE && state.under_way() > state.pipeline.depth() / 4 * 3 {
            // Some requests with one call are cheaper than each with its own.
            return taken;
        }
        while state.is_connected() {
            let peer = self.peers.get(state.peer);
            if peer.is_paused(now) || !has_room(state, peer) {
                break;
            }
            let may_ask = |block| peer.may_have(now, block) && !state.owes_lost(block);
            let (scattered, last) = (peer.misses() > 0, state.last_pick);
            let (blocks, random) = (&mut self.blocks, &mut self.random);
            let Some(block) = self.order.pick(blocks, &may_ask, scattered, last, rate, random) else { break };
            let length = self.blocks.layout().len_of(block);
            self.blocks.take(block, link);
            state.requested(now, block, length);
            taken.push(block);
        }
        taken
    }

    /// Asks the link for blocks that were just given back for it.
    pub(super) fn request(&mut self, now: Time, link: LinkId, blocks: Vec<Block>) {
        let Some(state) = self.links.get_mut(link) else { return };
        for block in &blocks {
            let length = self.blocks.layout().len_of(*block);
            self.blocks.take(*block, link);
            state.requested(now, *block, length);
        }
        self.actions.push_back(Action::Request { link, blocks });
    }

    /// Endgame: nothing is missing, and `thief` is idle. The block that would arrive last is taken from
    /// its link, if `thief` is likely to have it sooner.
    fn rob(&mut self, now: Time, thief: LinkId) {
        let Some(state) = self.links.get(thief) else { return };
        let peer = self.peers.get(state.peer);
        if !state.is_connected() || peer.is_paused(now) {
            return;
        }
        let may_ask = |block| peer.may_have(now, block) && !state.owes_lost(block);
        let mut prey: Option<(Duration, LinkId, Block)> = None;
        for (id, victim) in self.links.iter().filter(|(id, _)| *id != thief) {
            let Some(block) = victim.wanted().rev().find(|block| may_ask(*block)) else {
                continue;
            };
            let thefts = self.thefts.get(&block).copied().unwrap_or(0);
            let Some(wait) = expected_wait(now, victim, state, thefts) else { continue };
            if prey.is_none_or(|(longest, ..)| wait > longest) {
                prey = Some((wait, id, block));
            }
        }
        let Some((wait, victim, block)) = prey else { return };
        let length = self.blocks.layout().len_of(block);
        let own =
            state.pipeline.time_for(length).unwrap_or(Duration::from_secs(1)) + state.pipeline.round_trip();
        if wait > own.mul_f64(THEFT_FACTOR) + THEFT_MARGIN {
            *self.thefts.entry(block).or_insert(0) += 1;
            self.theft = Some((thief, victim, block));
            self.actions.push_back(Action::Revoke { link: victim, block });
        }
    }
}

/// How long the last block of `victim` would take to arrive there; `None` where it must be left alone.
/// Where everybody is slow, taking blocks from each other would waste what has arrived of them: so each
/// theft of a block makes the next one of it harder, and a thief that has shown nothing yet must find
/// a long silence.
fn expected_wait(now: Time, victim: &super::Link, thief: &super::Link, thefts: u32) -> Option<Duration> {
    let proven = thief.pipeline.rate() > 0.0;
    let patience = if proven { victim.patience() } else { victim.patience() * UNPROVEN_PATIENCE };
    if victim.silence(now) >= patience * (1 << thefts.min(4)) {
        return Some(Duration::MAX);
    }
    let wait = victim.pipeline.time_for(victim.under_way());
    wait.filter(|_| proven && thefts < MAX_SPEED_THEFTS)
}

fn has_room(link: &super::Link, peer: &super::peers::Peer) -> bool {
    let requests = link.requests();
    if requests == 0 {
        return true;
    }
    // A new link shows first that it answers; so does one whose peer just lacked what was asked.
    let proven = link.answers() > 0 && peer.misses() == 0;
    if peer.takes_one_at_a_time() || !proven {
        return false;
    }
    requests < MIN_PIPELINE
        || (link.under_way() < link.pipeline.depth() && requests < crate::limits::MAX_PIPELINE)
}
