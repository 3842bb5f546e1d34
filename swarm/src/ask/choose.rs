//! Which block a link is asked for next, if any.

use super::knowledge::Has;
use super::{LinkId, Plan, Time, owners};
use alloc::vec::Vec;
use cascade_format::Block;
use core::time::Duration;

/// Requests that wait at each uplink of a swarm, as a mean: so many that hardly any has none.
const REQUESTS_AN_UPLINK: u64 = 16;

/// Small blocks count together up to so many bytes.
const UNIT: u64 = 256 << 10;

/// With requests under way at so many leechers of version 1, its seeders are not asked.
const BUSY_LEECHERS: usize = 2;

/// A leecher is asked again for a block that it lacked after so long at least.
const MIN_LACK: Duration = Duration::from_millis(50);

/// Missing blocks among which the next is sought of those that somebody owns.
const MAX_SEARCHED: usize = 2048;

/// When no block has come for so long, and for as long as two take, a seeder is asked also for what it does
/// not offer.
pub(super) const STARVING: Duration = Duration::from_secs(3);

/// However slowly they come.
const MAX_STARVING: Duration = Duration::from_secs(30);

/// A link always has so many requests under way, where the peer takes more than one: the next is
/// there when an answer ends, however small the bandwidth-delay product.
pub(super) const MIN_PIPELINE: usize = 2;

impl Plan {
    /// The next block to ask the link for, if it should be asked for one now.
    pub(super) fn next_for(&mut self, now: Time, link: LinkId) -> Option<Block> {
        if let Some(offered) = self.next_offered(now, link) {
            return Some(offered);
        }
        let in_swarm = self.rarity.partial > 0;
        let state = self.links.get(link)?;
        let peer = self.peers.get(state.peer);
        if !state.is_connected()
            || state.is_probed()
            || peer.is_paused(now)
            || now < state.busy_until()
            || !has_room(now, state, peer, in_swarm)
        {
            return None;
        }
        if state.told.as_ref().is_some_and(|told| told.exhausted) || !self.has_room_in_flight(link) {
            return None;
        }
        let lacks_anything = peer.lacks_anything();
        if let Some(first) = self.next_first(now, link) {
            return Some(first);
        }
        let picked =
            if state.told.is_some() { self.pick_told(now, link) } else { self.pick_blind(now, link) };
        if let Some(told) = self.links.get_mut(link).and_then(|state| state.told.as_mut())
            && !matches!(told.has, Has::Choosing)
        {
            told.exhausted = picked.is_none() && !lacks_anything;
        }
        picked
    }

    /// A block for a link whose peer has told what it has.
    fn pick_told(&mut self, now: Time, link: LinkId) -> Option<Block> {
        let (in_swarm, starving) = (self.rarity.partial > 0, self.is_starving(now));
        // The links' own rates count bursts; together they are more than what arrives.
        let rate = if in_swarm { self.received.rate() } else { self.links.rate() };
        let state = self.links.get(link)?;
        let peer = self.peers.get(state.peer);
        let may_ask = |block| peer.may_have(now, block) && !state.owes_lost(block);
        let (last, scattered) = (state.last_pick, peer.misses() > 0);
        let (blocks, random) = (&mut self.blocks, &mut self.random);
        match &state.told.as_ref()?.has {
            Has::Choosing if !starving || state.requests() > 0 => None,
            Has::Some(have) => {
                self.order.rarest(blocks, Some(have), &self.rarity, &may_ask, last, rate, random)
            }
            Has::Everything if in_swarm => {
                self.order.rarest(blocks, None, &self.rarity, &may_ask, last, rate, random)
            }
            Has::Everything | Has::Choosing => {
                self.order.pick(blocks, &may_ask, scattered, last, rate, random)
            }
        }
    }

    /// A block for a link whose peer tells nothing: what it owns, if it is a leecher; of a seeder, what
    /// this peer owns; else any. What is owned is asked for in the order of the file: where everybody does
    /// so, the first block that is missing of a leecher's own is the next one that it gets.
    pub(super) fn pick_blind(&mut self, now: Time, link: LinkId) -> Option<Block> {
        let rate = self.links.rate();
        let state = self.links.get(link)?;
        let peer = self.peers.get(state.peer);
        let may_ask = |block| peer.may_have(now, block) && !state.owes_lost(block);
        let (last, scattered) = (state.last_pick, peer.misses() > 0);
        let owner = if peer.never_missed() { self.own } else { Some(peer.addr()) };
        let leechers: Vec<_> = self.peers.plain_leechers().into_iter().chain(self.own).collect();
        let suffice = self.leechers_suffice(link);
        let (blocks, random) = (&mut self.blocks, &mut self.random);
        if let Some(owner) = owner.filter(|_| leechers.len() > 1) {
            let owned = |block: &Block| owners::owns(owner, &leechers, *block);
            let first = blocks.first_missing()?.number();
            let missing = blocks.find_missing(None, first..blocks.layout().blocks());
            let next = missing.take(MAX_SEARCHED).find(owned);
            if next.is_some_and(may_ask) {
                return next;
            }
            if peer.never_missed() && suffice {
                return None;
            }
        }
        self.order.pick(blocks, &may_ask, scattered, last, rate, random)
    }

    /// How long the link's peer is not asked again for `block`, which it lacks. A leecher gets what it
    /// owns one after the other: it is asked again when it should have the next.
    pub(super) fn lack_lasts(&self, link: LinkId, block: Block) -> Duration {
        let Some(state) = self.links.get(link).filter(|state| state.told.is_none()) else {
            return Duration::MAX;
        };
        let leechers: Vec<_> = self.peers.plain_leechers().into_iter().chain(self.own).collect();
        if !owners::owns(self.peers.get(state.peer).addr(), &leechers, block) {
            return Duration::MAX;
        }
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let share = self.blocks.layout().len_of(block) as f64 * leechers.len() as f64 / self.received.rate();
        Duration::try_from_secs_f64(share / 2.0).unwrap_or(Duration::MAX).max(MIN_LACK)
    }

    /// Whether a seeder that knows only version 1 is left to those who have nobody else: the leechers who
    /// are known here keep this peer busy.
    fn leechers_suffice(&self, seeder: LinkId) -> bool {
        if self.peers.giving_leechers() == 0 {
            return false;
        }
        let gives = |link: &super::Link| {
            let peer = self.peers.get(link.peer);
            link.requests() > 0 && !peer.never_missed() && peer.misses() == 0
        };
        let busy = self.links.iter().filter(|(id, link)| *id != seeder && gives(link)).count();
        busy >= BUSY_LEECHERS
    }

    /// Whether a seeder that chooses must be asked for something that it does not offer.
    fn is_starving(&self, now: Time) -> bool {
        let length = self.blocks.layout().block_size();
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let two_blocks = Duration::try_from_secs_f64(length as f64 * 2.0 / self.received.rate());
        now >= self.last_verified + two_blocks.unwrap_or(MAX_STARVING).clamp(STARVING, MAX_STARVING)
    }

    /// The next missing block of those that the link's peer offers: asked for at once, since it was
    /// chosen for us.
    fn next_offered(&mut self, now: Time, link: LinkId) -> Option<Block> {
        let state = self.links.get_mut(link)?;
        while let Some(block) = state.told.as_mut()?.offered.pop_front() {
            let may_ask = self.peers.get(state.peer).may_have(now, block) && !state.owes_lost(block);
            if may_ask && self.blocks.is_missing(block) && state.requests() < crate::limits::MAX_PIPELINE {
                return Some(block);
            }
        }
        None
    }

    /// Whether another block may be in flight on the link. Among leechers who serve each other, a request waits
    /// for those of others; more of them than keep every uplink busy only make blocks late.
    pub(super) fn has_room_in_flight(&self, link: LinkId) -> bool {
        // A peer whose uplink is free does not keep a block waiting.
        match self.room_in_flight() {
            Room::Any => true,
            Room::Free => self.load(link) == 0,
            Room::None => false,
        }
    }

    /// Which links may have another block in flight.
    pub(super) fn room_in_flight(&self) -> Room {
        if self.rarity.partial == 0 {
            return Room::Any;
        }
        let depth = super::pipeline::depth(self.received.rate(), self.links.round_trip());
        let unit = self.blocks.layout().block_size().max(UNIT);
        let leechers = self.rarity.partial as u64 + 1;
        let usual = (REQUESTS_AN_UPLINK * self.links.connected() as u64).div_ceil(leechers);
        let units = self.with_more_if_behind(usual);
        let under_way = self.links.under_way();
        if under_way < depth + unit * units {
            Room::Any
        } else if under_way < depth + unit * units * 2 {
            Room::Free
        } else {
            Room::None
        }
    }
}

/// Which links may have another block in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Every one.
    Any,
    /// Those to peers that nobody waits at.
    Free,
    /// None.
    None,
}

fn has_room(now: Time, link: &super::Link, peer: &super::peer::Peer, in_swarm: bool) -> bool {
    let requests = link.requests();
    if requests == 0 {
        // Its end is on the way: a request would be lost.
        return !(peer.closes() && link.is_closing(now));
    }
    // A new link shows first that it answers; so does one whose peer just lacked what was asked.
    let proven = link.answers() > 0 && peer.misses() == 0;
    if peer.takes_one_at_a_time() || !proven {
        return false;
    }
    // A unit is under way in any case: whoever has few links must not fall behind those who have many.
    let depth = if in_swarm { link.pipeline.depth().max(UNIT) } else { link.pipeline.depth() };
    let fits = link.under_way() < depth && requests < crate::limits::MAX_PIPELINE;
    fits || (!in_swarm && requests < MIN_PIPELINE)
}
