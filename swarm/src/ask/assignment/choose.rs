//! Which block a link is asked for next, if any.

use super::behind;
use super::first::First;
use super::order::{Order, Picker};
use super::owners;
use super::room;
use super::way::{MayAsk, Way};
use crate::Time;
use crate::ask::blocks::Blocks;
use crate::ask::known::Known;
use crate::ask::links::told::Has;
use crate::ask::links::{Asked, Link, LinkId};
use crate::ask::tuning::Tuning;
use crate::limits::MAX_PIPELINE;
use alloc::collections::VecDeque;
use cascade_format::{Block, Layout};
use core::ops::Range;
use core::time::Duration;

/// Chooses blocks.
#[derive(Debug)]
pub(super) struct Chooser {
    picker: Picker,
    first: First,
    /// See [`behind`]; as of the last comparison.
    behind: bool,
}

impl Chooser {
    pub(super) fn new(tuning: &'static Tuning, order: Order) -> Self {
        Self { picker: Picker::new(order, tuning), first: First::default(), behind: false }
    }

    /// See [`super::first`].
    pub(super) fn want_first(&mut self, blocks: Range<u64>, at_once: bool) {
        self.first = First::of(blocks, at_once);
    }

    /// Compares this peer with the others.
    pub(super) fn compare(&mut self, known: &Known) {
        self.behind = behind::is_behind(known);
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Another block may be in flight while fewer bytes than this are.
    pub(super) fn room(&self, known: &Known) -> u64 {
        room::in_swarm(known, self.behind)
    }

    /// What to ask the link for next, if it should be asked for anything now; see [`Chooser::room`].
    pub(super) fn next_for(&self, known: &mut Known, now: Time, link: LinkId, room: u64) -> Option<Asked> {
        if let Some(offered) = next_offered(known, now, link) {
            return Some(offered);
        }
        let state = known.links.get(link)?;
        let peer = known.peers.get(state.peer);
        if !state.is_connected()
            || state.is_probed()
            || peer.refusals.is_paused(now)
            || now < state.busy_until()
            || !room::on_link(known.tuning, now, state, peer, known.has_telling_leechers())
            || state.told.as_ref().is_some_and(|told| told.exhausted)
            || known.links.under_way() >= room
            || waits_for_offers(known, now, state)
        {
            return None;
        }
        let lacks_anything = peer.lacks_anything();
        let tells = state.told.is_some();
        let ways = Way::of(known, state);
        // Every leecher wants the same ones first: a seeder that chooses gives them to one.
        if let Some(first) = ways.iter().find_map(|way| self.first.next_for(known, now, link, *way)) {
            return Some(first);
        }
        let picked = ways.iter().find_map(|way| {
            let block = if tells {
                self.pick_told(known, now, link, *way)
            } else {
                self.pick_blind(known, now, link, *way)
            };
            Some(way.asked(known, block?))
        });
        if let Some(told) = known.links.get_mut(link).and_then(|state| state.told.as_mut())
            && !matches!(told.has, Has::Choosing)
        {
            told.exhausted = picked.is_none() && !lacks_anything && told.slices_at(now).is_none();
        }
        picked
    }

    /// What a link is opened with.
    pub(super) fn first_for(&self, known: &mut Known, now: Time, link: LinkId) -> Option<Asked> {
        if known.links.under_way() >= self.room(known) {
            return None;
        }
        let ways = Way::of(known, known.links.get(link)?);
        let first = ways.iter().find_map(|way| self.first.next_for(known, now, link, *way));
        first.or_else(|| {
            ways.iter().find_map(|way| {
                let block = self.pick_blind(known, now, link, *way)?;
                Some(way.asked(known, block))
            })
        })
    }

    /// A block for a link whose peer has told what it has.
    fn pick_told(&self, known: &mut Known, now: Time, id: LinkId, way: Way) -> Option<Block> {
        let in_swarm = known.has_telling_leechers();
        // The links' own rates count bursts; together they are more than what arrives.
        let rate = if in_swarm { known.flow.received.rate() } else { known.links.rate() };
        let link = known.links.get(id)?;
        let peer = known.peers.get(link.peer);
        let may_ask = MayAsk { way, now, id, link, peer };
        let (last, scattered) = (link.requests.last(), peer.refusals.in_a_row() > 0);
        let (blocks, random, rarity) = (&mut known.blocks, &mut known.random, &known.rarity);
        let have = link.told.as_ref()?.part();
        let allows = |blocks: &Blocks, block| may_ask.allows(blocks, have, block);
        match &link.told.as_ref()?.has {
            Has::Some(_) => self.picker.rarest(blocks, have, rarity, &allows, last, rate, random),
            Has::Everything if in_swarm => {
                self.picker.rarest(blocks, None, rarity, &allows, last, rate, random)
            }
            Has::Everything | Has::Choosing => {
                self.picker.pick(blocks, &allows, scattered, last, rate, random)
            }
        }
    }

    /// A block for a link whose peer tells nothing: what it owns, if it is a leecher; of a seeder, what
    /// this peer owns; else any. What is owned is asked for in the order of the file: where everybody does
    /// so, the first block that is missing of a leecher's own is the next one that it gets.
    fn pick_blind(&self, known: &mut Known, now: Time, id: LinkId, way: Way) -> Option<Block> {
        let rate = known.links.rate();
        let leechers = owners::leechers(known);
        let suffice = leechers_suffice(known, id);
        let link = known.links.get(id)?;
        let peer = known.peers.get(link.peer);
        let seeder = !peer.refusals.any();
        let may_ask = MayAsk { way, now, id, link, peer };
        let (last, scattered) = (link.requests.last(), peer.refusals.in_a_row() > 0);
        let owner = if seeder { known.peers.own() } else { Some(peer.addr()) };
        let (blocks, random) = (&mut known.blocks, &mut known.random);
        if let Some(owner) = owner.filter(|_| leechers.len() > 1) {
            let next = owners::next_of(owner, &leechers, blocks);
            if next.is_some_and(|next| may_ask.allows(blocks, None, next)) {
                return next;
            }
            if seeder && suffice {
                return None;
            }
        }
        let allows = |blocks: &Blocks, block| may_ask.allows(blocks, None, block);
        self.picker.pick(blocks, &allows, scattered, last, rate, random)
    }
}

/// Whether a seeder that knows only version 1 is left to leechers that have no other source: the leechers that this peer
/// is linked with keep it busy.
fn leechers_suffice(known: &Known, seeder: LinkId) -> bool {
    if known.peers.giving_leechers() == 0 {
        return false;
    }
    let gives = |link: &Link| {
        let refusals = &known.peers.get(link.peer).refusals;
        !link.requests.is_empty() && refusals.any() && refusals.in_a_row() == 0
    };
    let busy = known.links.iter().filter(|(id, link)| *id != seeder && gives(link)).count();
    busy >= known.tuning.busy_leechers
}

/// Whether the link's peer chooses, and is asked for nothing but what it offers.
pub(super) fn waits_for_offers(known: &Known, now: Time, link: &Link) -> bool {
    let chooses = link.told.as_ref().is_some_and(|told| matches!(told.has, Has::Choosing));
    if !chooses || !link.requests.is_empty() {
        return chooses;
    }
    let layout = known.blocks.layout();
    let given = if link.gives_slices() { *layout } else { layout.whole() };
    now < starving_at(known, given)
}

/// When a seeder that chooses, and gives what `given` divides the file into, must be asked for something that it does not
/// offer, if nothing comes before.
fn starving_at(known: &Known, given: Layout) -> Time {
    let tuning = known.tuning;
    // The rates of the links while they give something: what arrives on the whole becomes less with each such wait, and the
    // next wait would be longer.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let two_blocks = Duration::try_from_secs_f64(given.block_size() as f64 * 2.0 / known.links.rate());
    let longest = tuning.max_stall * 2;
    let wait = two_blocks.unwrap_or(longest).clamp(tuning.starving_after(), longest);
    known.flow.last_verified.max(known.flow.held_up_until) + wait
}

/// When [`waits_for_offers`] may change, if nothing comes before.
pub(in crate::ask) fn next_starving(known: &Known, now: Time) -> Option<Time> {
    let layout = known.blocks.layout();
    [*layout, layout.whole()].map(|given| starving_at(known, given)).into_iter().filter(|at| *at > now).min()
}

/// The next missing block of those that the link's peer offers: asked for at once, since it was
/// chosen for us.
fn next_offered(known: &mut Known, now: Time, id: LinkId) -> Option<Asked> {
    if known.blocks.are_sliced() {
        return next_offered_slice(known, now, id);
    }
    while let Some(block) = known.links.get_mut(id)?.told.as_mut()?.offered.pop_front() {
        let link = known.links.get(id)?;
        let peer = known.peers.get(link.peer);
        let may_ask = MayAsk { way: Way::Each, now, id, link, peer }.allows(&known.blocks, None, block);
        if may_ask && known.blocks.is_missing(block) && link.requests.len() < MAX_PIPELINE {
            return Some(Way::Each.asked(known, block));
        }
    }
    None
}

/// The same of slices. An offer of slices is long: it waits here, where it keeps nothing else from being asked for. It
/// also waits while its block is in flight on another link, whose peer may refuse it.
fn next_offered_slice(known: &mut Known, now: Time, id: LinkId) -> Option<Asked> {
    let link = known.links.get(id)?;
    let peer = known.peers.get(link.peer);
    if link.told.as_ref()?.offered.is_empty() || !room::on_link(known.tuning, now, link, peer, true) {
        return None;
    }
    let (way, blocks) = (if link.gives_slices() { Way::Each } else { Way::Untouched }, &known.blocks);
    let may_ask = MayAsk { way, now, id, link, peer };
    let (mut next, mut held_up) = (None, None);
    let keeps = |block: &Block| {
        let whole = blocks.layout().block_of(*block);
        let behind = held_up.is_some_and(|held| blocks.layout().block_of(held) == whole && *block > held);
        if next.is_some() || behind {
            return true;
        }
        if blocks.is_missing(*block) && may_ask.allows(blocks, None, *block) {
            next = Some(*block);
            return false;
        }
        let waits = !blocks.is_verified(*block) && !blocks.is_in_flight_on(*block, id);
        if waits {
            held_up = Some(*block);
        }
        waits
    };
    let offered: VecDeque<Block> = link.told.as_ref()?.offered.iter().copied().filter(keeps).collect();
    known.links.get_mut(id)?.told.as_mut()?.offered = offered;
    Some(way.asked(known, next?))
}

#[cfg(test)]
mod tests {
    use crate::Time;
    use crate::ask::{Action, Config, LinkId, Order, Outcome, Plan, Source, Tuning};
    use alloc::boxed::Box;
    use cascade_format::extension::Item;
    use cascade_format::{Block, Have, Layout, PeerAddr};
    use core::net::IpAddr;
    use core::time::Duration;

    const START: Time = Time::from_millis(1);
    const BLOCK: u64 = 64 << 10;

    /// A plan for a file of `blocks` blocks, and its link to the only peer.
    fn linked(layout: Layout) -> (Plan, LinkId) {
        let config = Config { order: Order::Sequential, max_links: 4, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
        plan.handle_peers(START, Source::User, &[PeerAddr::new(IpAddr::from([10, 0, 0, 1]), 7001)]);
        let Some(Action::Connect { link, .. }) = plan.poll_action(START) else { panic!("no link") };
        plan.handle_connected(START, link);
        (plan, link)
    }

    /// The first block that is requested, and when; nothing but time passes.
    fn next_request(plan: &mut Plan, start: Time) -> (Time, Block) {
        let mut now = start;
        // It may be due at once, and for a moment again.
        for _ in 0..1000 {
            let mut actions = core::iter::from_fn(|| plan.poll_action(now));
            let first = actions.find_map(|action| match action {
                Action::Request { blocks, .. } => blocks.first().copied(),
                Action::Connect { .. }
                | Action::Poll { .. }
                | Action::Probe { .. }
                | Action::Revoke { .. }
                | Action::Close { .. } => None,
            });
            if let Some(block) = first {
                return (now, block);
            }
            now = plan.next_wakeup(now).expect("the plan has something to wait for").max(now);
        }
        panic!("nothing is requested from {start:?} to {now:?}")
    }

    #[test]
    fn a_seeder_that_offers_nothing_for_long_is_asked_each_time_after_the_same_wait() {
        let (mut plan, link) = linked(Layout::new(20 * BLOCK, BLOCK).unwrap());
        let (mut now, mut block) = next_request(&mut plan, START);
        plan.handle_news(now, link, &[Item::Choosing], false);
        for _ in 1..20 {
            let verified = now + Duration::from_millis(50);
            plan.handle_received(verified, link, BLOCK, &[Outcome::Verified(block)]);
            (now, block) = next_request(&mut plan, verified);
            let waited = now - verified;
            assert!(waited < Tuning::DEFAULT.starving_after() * 3 / 2, "{waited:?} before {block}");
        }
    }

    #[test]
    fn a_seeder_that_chooses_among_those_that_ask_for_blocks_is_asked_for_slices() {
        let (mut plan, link) = linked(Layout::new(20 * BLOCK, 10 * BLOCK).unwrap().sliced().unwrap());
        let (now, block) = next_request(&mut plan, START);
        plan.handle_news(now, link, &[Item::Slices, Item::Choosing], false);
        plan.handle_news(now, link, &[Item::Everything], true);
        plan.handle_news(now, link, &[Item::Choosing], false);
        plan.handle_received(now, link, 10 * BLOCK, &[Outcome::VerifiedWhole(block)]);
        assert_eq!(next_request(&mut plan, now).0, now);
        // By the name of the slices it counts.
        let (mut plan, link) = linked(Layout::new(20 * BLOCK, 10 * BLOCK).unwrap().sliced().unwrap());
        let (now, block) = next_request(&mut plan, START);
        plan.handle_news(now, link, &[Item::Slices, Item::Everything], false);
        plan.handle_news(now, link, &[Item::Choosing], true);
        plan.handle_news(now, link, &[Item::Everything], false);
        plan.handle_received(now, link, 10 * BLOCK, &[Outcome::VerifiedWhole(block)]);
        assert!(next_request(&mut plan, now).0 >= now + Tuning::DEFAULT.starving_after());
    }
}
