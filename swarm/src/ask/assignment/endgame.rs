//! The endgame: nothing is missing, and a link is idle. The block that would arrive last is taken from the link that
//! it was asked of, its holder, and asked of another.
//!
//! Where only a peer that gives whole blocks is left, and the holder of a slice is stalled, what is in flight of its block
//! is taken slice by slice, and then all of the block is asked for.

use super::choose::waits_for_offers;
use crate::Time;
use crate::ask::action::Action;
use crate::ask::known::Known;
use crate::ask::links::pipeline::Pace;
use crate::ask::links::told::Has;
use crate::ask::links::{Asked, Link, LinkId};
use crate::ask::peers::Peer;
use crate::ask::tuning::doubled;
use cascade_format::Block;
use core::time::Duration;
use hashbrown::HashMap;

/// Takes of one block by links that are merely faster than its holder; further ones need a stall. Without this bound two
/// links take a block from each other for ever, within one moment: seen on a busy machine.
const MAX_FAST_TAKES: u32 = 2;

/// A link without any answer yet takes a block only from one that is stalled for four times as long.
const UNPROVEN_DOUBLINGS: u32 = 2;

/// What takes a block.
#[derive(Debug, Clone, Copy)]
pub(in crate::ask) enum Taker {
    /// A link that has nothing to do.
    Link(LinkId),
    /// A peer to which a link is made for it: one that closes after each answer has none that is idle.
    Peer(usize),
}

/// A block that is to be taken from a link, while the driver revokes it.
#[derive(Debug)]
struct Taking {
    taker: Taker,
    find: Find,
}

/// What a taker has shown of itself.
struct Skill {
    /// It has given something; no other takes a block because it is slow.
    proven: bool,
    pace: Pace,
    /// Round trips until a block begins to arrive.
    trips: u32,
}

/// A block that is worth taking.
#[derive(Debug, Clone, Copy)]
struct Find {
    holder: LinkId,
    held: Asked,
    /// What the taker is asked for instead: the same, the whole block in place of a slice, or the first slice that is not
    /// verified in place of a whole block.
    asked: Asked,
    /// Its holder is stalled.
    stalled: bool,
}

/// Takes blocks from links.
#[derive(Debug, Default)]
pub(super) struct Endgame {
    taking: Option<Taking>,
    /// How often a block was to be taken; only of those that were.
    times: HashMap<Block, u32>,
}

impl Endgame {
    /// Whether the driver is asked to revoke a block.
    pub(super) fn is_taking(&self) -> bool {
        self.taking.is_some()
    }

    /// Nothing is under way any more, and what was taken is asked for anew.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Takes a block for `taker`, an idle link, if it is likely to have it sooner.
    pub(super) fn take_for_link(&mut self, known: &mut Known, now: Time, taker: LinkId) -> Option<Action> {
        let state = known.links.get(taker)?;
        let peer = known.peers.get(state.peer);
        let closing = peer.habits.closes() && state.is_closing(now);
        let paused = closing || peer.refusals.is_paused(now);
        if !state.is_connected() || state.is_probed() || paused || state.is_snubbed() {
            return None;
        }
        let blocks = &known.blocks;
        let has = |asked: Asked| {
            state.told.as_ref().is_none_or(|told| match &told.has {
                Has::Some(have) if asked.whole => blocks.is_all_in(Some(have), asked.block),
                Has::Some(_) | Has::Everything => told.may_give(asked.block),
                Has::Choosing => {
                    told.offers(blocks.layout(), asked.block) || !waits_for_offers(known, now, state)
                }
            })
        };
        let instead = |held: Asked| {
            // A slice is of no use to a link that gives whole blocks. One that gives slices gives them one by one.
            let asked = match state.gives_slices() {
                true if held.whole => known.asked(blocks.first_unverified(held.block)?, true),
                true => held,
                false => known.asked(held.block, false),
            };
            let verifiable = asked.whole || blocks.can_be_verified(asked.block, Some(taker));
            let owed = state.requests.owes_unwanted(asked.block);
            (verifiable && has(asked) && may_have(known, now, peer, asked) && !owed).then_some(asked)
        };
        let pace = state.pipeline.pace();
        let skill = Skill { proven: pace.rate > 0.0, pace, trips: 1 };
        let find = self.find(known, now, state.peer, &skill, &instead)?;
        Some(self.take(known, Taker::Link(taker), find))
    }

    /// Takes a block for a peer that has no link, if it is likely to have it sooner on a new one.
    pub(super) fn take_for_peer(&mut self, known: &mut Known, now: Time, taker: usize) -> Option<Action> {
        let peer = known.peers.get(taker);
        // A link is asked for a whole block first.
        let instead = |held: Asked| {
            let asked = known.asked(held.block, false);
            may_have(known, now, peer, asked).then_some(asked)
        };
        // The connection is to be made first.
        let skill = Skill { proven: peer.has_given(), pace: peer.pace(), trips: 2 };
        let find = self.find(known, now, taker, &skill, &instead)?;
        Some(self.take(known, Taker::Peer(taker), find))
    }

    /// The block that would arrive last, if a peer with this skill should take it; `instead` says what it would be asked
    /// for.
    fn find(
        &self,
        known: &Known,
        now: Time,
        taker: usize,
        skill: &Skill,
        instead: &dyn Fn(Asked) -> Option<Asked>,
    ) -> Option<Find> {
        let is_end = !known.has_telling_leechers() || known.all_begun();
        let mut last: Option<(Duration, Find)> = None;
        // Several links to one peer share its uplink.
        for (id, holder) in known.links.iter().filter(|(_, link)| link.peer != taker) {
            let found = holder.requests.wanted().rev().find_map(|held| Some((held, instead(held)?)));
            let Some((held, asked)) = found else { continue };
            let times = self.times.get(&held.block).copied().unwrap_or(0);
            // The other slices of the block follow.
            let behind = if held.whole { 0 } else { known.blocks.missing_with(held.block) };
            let wait = expected_wait(now, (holder, behind), skill.proven, times, is_end);
            let Some(wait) = wait else { continue };
            let stalled = wait == Duration::MAX;
            // A block that others follow in a queue that moves is sent in any case, and the last is as late. Slices of the
            // same block follow it to the taker, one by one. All of a block does not come sooner than a slice that moves.
            let layout = known.blocks.layout();
            let mut followers = holder.requests.wanted().rev().take_while(|other| *other != held);
            let is_last = followers.all(|other| layout.block_of(other.block) == layout.block_of(held.block));
            if !stalled && (!is_last || (asked.whole && !held.whole)) {
                continue;
            }
            if last.is_none_or(|(longest, _)| wait > longest) {
                last = Some((wait, Find { holder: id, held, asked, stalled }));
            }
        }
        let (wait, find) = last?;
        let behind = if find.held.whole { 0 } else { known.blocks.missing_with(find.held.block) };
        let own = skill.pace.time_for(find.held.length.max(find.asked.length) + behind, skill.trips);
        let margins = if known.has_telling_leechers() { known.tuning.swarm_margins } else { 1 };
        // Among equals nearly every last block would change hands, each with a part of a slice that comes twice.
        let margin = if behind > 0 { known.tuning.pause } else { known.tuning.take_margin * margins };
        let enough = own.mul_f64(known.tuning.take_factor) + margin;
        (wait > enough).then_some(find)
    }

    fn take(&mut self, known: &mut Known, taker: Taker, find: Find) -> Action {
        let Find { holder, held, stalled, .. } = find;
        if stalled && let Some(holder) = known.links.get_mut(holder) {
            holder.snubbed();
        }
        // Also one that comes too late: the driver may not have told yet that the block is here, and it would be tried again
        // at once, for ever.
        *self.times.entry(held.block).or_insert(0) += 1;
        self.taking = Some(Taking { taker, find });
        Action::Revoke { link: holder, block: held.block, sliced: known.is_sliced(held) }
    }

    /// The driver has forbidden `block` to `holder`, if it was `in_time`. Returns what takes it, and what it is to be asked
    /// for now. Nothing: it was not taken, or more of its block must be taken before all of it is asked for.
    pub(super) fn revoked(
        &mut self,
        known: &mut Known,
        holder: LinkId,
        block: Block,
        in_time: bool,
    ) -> Option<(Taker, Option<Asked>)> {
        let Taking { taker, find } = self.taking.take()?;
        let Find { held, asked, .. } = find;
        let is_this = (find.holder, held.block) == (holder, block);
        let taken = in_time && is_this && known.blocks.give_back(block, holder, held.whole);
        if taken {
            known.links.get_mut(holder).into_iter().for_each(|state| state.requests.taken_away(block));
        }
        let may_ask = taken && (!asked.whole || known.blocks.is_at_rest(asked.block));
        Some((taker, may_ask.then_some(asked)))
    }
}

/// Whether the peer may have what it would be asked for.
fn may_have(known: &Known, now: Time, peer: &Peer, asked: Asked) -> bool {
    peer.may_have(now, known.blocks.noted_as(asked.block, asked.whole))
}

/// How long the last block of `holder`, and the bytes `behind` it that can only follow it, would take to arrive there; `None`
/// where it must be left alone.
/// Where everybody is slow, taking blocks from each other would waste what has arrived of them: so each
/// time that a block is taken makes the next one harder, and a taker that has shown nothing yet must find
/// a long stall.
fn expected_wait(
    now: Time,
    (holder, behind): (&Link, u64),
    proven: bool,
    times: u32,
    is_end: bool,
) -> Option<Duration> {
    let doublings = if proven { times } else { times + UNPROVEN_DOUBLINGS };
    if holder.stalls_for(now) >= doubled(holder.stall_time(), doublings) {
        return Some(Duration::MAX);
    }
    // A holder that has shown no rate yet, or has fallen silent, takes as long again as it has been silent for no
    // usual reason.
    let silence = holder.unusual_silence(now);
    let wait = holder.pipeline.time_for(holder.requests.left() + behind).unwrap_or_default().max(silence);
    (is_end && proven && times < MAX_FAST_TAKES).then_some(wait)
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "one action is looked for")]
mod tests;
