//! The endgame: nothing is missing, and a link is idle. The block that would arrive last is taken from the link that
//! it was asked of, its holder, and asked of another.

use crate::Time;
use crate::ask::action::Action;
use crate::ask::known::Known;
use crate::ask::links::pipeline::Pace;
use crate::ask::links::{Link, LinkId};
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
    holder: LinkId,
    block: Block,
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
struct Find {
    holder: LinkId,
    block: Block,
    /// Its holder is stalled.
    stalled: bool,
}

/// Takes blocks from links.
#[derive(Debug, Default)]
pub(super) struct Endgame {
    taking: Option<Taking>,
    /// How often a block was taken; only of those that were.
    times: HashMap<Block, u32>,
}

impl Endgame {
    /// Whether the driver is asked to revoke a block.
    pub(super) fn is_taking(&self) -> bool {
        self.taking.is_some()
    }

    /// What was to be revoked is not under way any more.
    pub(super) fn forget_taking(&mut self) {
        self.taking = None;
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
        let has = |block| state.told.as_ref().is_none_or(|told| told.may_give(block));
        let may_ask = |block| has(block) && peer.may_have(now, block) && !state.requests.owes_unwanted(block);
        let pace = state.pipeline.pace();
        let skill = Skill { proven: pace.rate > 0.0, pace, trips: 1 };
        let find = self.find(known, now, state.peer, &skill, &may_ask)?;
        Some(self.take(known, Taker::Link(taker), &find))
    }

    /// Takes a block for a peer that has no link, if it is likely to have it sooner on a new one.
    pub(super) fn take_for_peer(&mut self, known: &mut Known, now: Time, taker: usize) -> Option<Action> {
        let peer = known.peers.get(taker);
        let may_ask = |block| peer.may_have(now, block);
        // The connection is to be made first.
        let skill = Skill { proven: peer.has_given(), pace: peer.pace(), trips: 2 };
        let find = self.find(known, now, taker, &skill, &may_ask)?;
        Some(self.take(known, Taker::Peer(taker), &find))
    }

    /// The block that would arrive last, if a peer with this skill should take it.
    fn find(
        &self,
        known: &Known,
        now: Time,
        taker: usize,
        skill: &Skill,
        may_ask: &dyn Fn(Block) -> bool,
    ) -> Option<Find> {
        let is_end = !known.has_telling_leechers() || known.all_asked();
        let mut last: Option<(Duration, LinkId, Block)> = None;
        // Several links to one peer share its uplink.
        for (id, holder) in known.links.iter().filter(|(_, link)| link.peer != taker) {
            let Some(block) = holder.requests.wanted().rev().find(|block| may_ask(*block)) else {
                continue;
            };
            let times = self.times.get(&block).copied().unwrap_or(0);
            let wait = expected_wait(now, holder, skill.proven, times, is_end);
            let Some(wait) = wait else { continue };
            // A block that others follow in a queue that moves is sent in any case, and the last is as late.
            if wait != Duration::MAX && holder.requests.wanted().next_back() != Some(block) {
                continue;
            }
            if last.is_none_or(|(longest, ..)| wait > longest) {
                last = Some((wait, id, block));
            }
        }
        let (wait, holder, block) = last?;
        let own = skill.pace.time_for(known.blocks.layout().len_of(block), skill.trips);
        let margins = if known.has_telling_leechers() { known.tuning.swarm_margins } else { 1 };
        let enough = own.mul_f64(known.tuning.take_factor) + known.tuning.take_margin * margins;
        (wait > enough).then_some(Find { holder, block, stalled: wait == Duration::MAX })
    }

    fn take(&mut self, known: &mut Known, taker: Taker, find: &Find) -> Action {
        let Find { holder, block, stalled } = *find;
        if stalled && let Some(holder) = known.links.get_mut(holder) {
            holder.snubbed();
        }
        *self.times.entry(block).or_insert(0) += 1;
        self.taking = Some(Taking { taker, holder, block });
        Action::Revoke { link: holder, block }
    }

    /// The driver has forbidden `block` to `holder`, if it was `in_time`. Returns what takes it, and whether it is taken.
    pub(super) fn revoked(
        &mut self,
        known: &mut Known,
        holder: LinkId,
        block: Block,
        in_time: bool,
    ) -> Option<(Taker, bool)> {
        let taking = self.taking.take()?;
        let is_this = (taking.holder, taking.block) == (holder, block);
        let taken = in_time && is_this && known.blocks.give_back(block, holder);
        if taken && let Some(state) = known.links.get_mut(holder) {
            state.requests.taken_away(block);
        }
        Some((taking.taker, taken))
    }
}

/// How long the last block of `holder` would take to arrive there; `None` where it must be left alone.
/// Where everybody is slow, taking blocks from each other would waste what has arrived of them: so each
/// time that a block is taken makes the next one harder, and a taker that has shown nothing yet must find
/// a long stall.
fn expected_wait(now: Time, holder: &Link, proven: bool, times: u32, is_end: bool) -> Option<Duration> {
    let doublings = if proven { times } else { times + UNPROVEN_DOUBLINGS };
    if holder.stalls_for(now) >= doubled(holder.stall_time(), doublings) {
        return Some(Duration::MAX);
    }
    // A holder that has shown no rate yet, or has fallen silent, takes as long again as it has been silent for no
    // usual reason.
    let silence = holder.unusual_silence(now);
    let wait = holder.pipeline.time_for(holder.requests.left()).unwrap_or_default().max(silence);
    (is_end && proven && times < MAX_FAST_TAKES).then_some(wait)
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "one action is looked for")]
mod tests {
    use super::*;
    use crate::ask::{Config, Ended, Order, Outcome, Plan, Source, Tuning};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use cascade_format::PeerAddr;
    use cascade_format::peer_wire::Status;
    use cascade_format::{Have, Layout};
    use core::net::IpAddr;

    const MOMENT: Duration = Duration::from_millis(1);

    fn addr(host: u8) -> PeerAddr {
        PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)
    }

    fn plan(blocks: u64, hosts: &[u8]) -> Plan {
        let layout = Layout::new(blocks, 1).unwrap();
        let config = Config { order: Order::Sequential, max_links: 8, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
        let addrs: Vec<_> = hosts.iter().map(|host| addr(*host)).collect();
        plan.handle_peers(Time::ZERO, Source::Tracker(0), &addrs);
        plan
    }

    fn actions(plan: &mut Plan, now: Time) -> Vec<Action> {
        core::iter::from_fn(|| plan.poll_action(now)).collect()
    }

    /// The blocks that are asked for, and on which link.
    fn requests(actions: &[Action]) -> Vec<(LinkId, Block)> {
        let of = |action: &Action| match action {
            Action::Request { link, blocks } => Some((*link, blocks[0])),
            _ => None,
        };
        actions.iter().filter_map(of).collect()
    }

    /// The link that `actions` open to the peer, and what is asked on it.
    fn opened(actions: &[Action], host: u8) -> Option<(LinkId, Vec<Block>, bool)> {
        let (link, marked) = actions.iter().find_map(|action| match action {
            Action::Connect { link, addr: to, marked } if *to == addr(host) => Some((*link, *marked)),
            _ => None,
        })?;
        let asked = actions.iter().find_map(|action| match action {
            Action::Request { link: on, blocks } if *on == link => Some(blocks.clone()),
            _ => None,
        });
        Some((link, asked.unwrap_or_default(), marked))
    }

    #[test]
    fn a_link_to_a_peer_that_closes_is_opened_with_its_request_and_only_while_something_is_missing() {
        let (mut plan, mut now) = (plan(4, &[1]), MOMENT);
        let (link, asked, _) = opened(&actions(&mut plan, now), 1).unwrap();
        assert_eq!(asked, [], "it is not known yet that it closes");
        plan.handle_connected(now, link);
        let asked = requests(&actions(&mut plan, now));
        plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0].1)]);
        plan.handle_closed(now, link, Ended::Between);
        now += MOMENT;
        // Three links at once, each with a block of its own.
        let next = actions(&mut plan, now);
        let connects = next.iter().filter(|action| matches!(action, Action::Connect { .. })).count();
        let requests = requests(&next);
        assert_eq!((connects, requests.len()), (3, 3));
        for (link, block) in requests {
            plan.handle_connected(now, link);
            assert_eq!(actions(&mut plan, now), [], "nothing more is to be asked for");
            plan.handle_received(now, link, 1, &[Outcome::Verified(block)]);
            plan.handle_closed(now, link, Ended::Between);
        }
        assert!(plan.is_complete());
        assert_eq!(actions(&mut plan, now), []);
    }

    #[test]
    fn a_connection_that_is_known_to_end_is_not_asked_again_but_one_that_goes_on_is() {
        let (mut plan, mut now) = (plan(100, &[1]), MOMENT);
        let (link, ..) = opened(&actions(&mut plan, now), 1).unwrap();
        plan.handle_connected(now, link);
        let asked = requests(&actions(&mut plan, now));
        plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0].1)]);
        plan.handle_closed(now, link, Ended::Between);
        let asked = requests(&actions(&mut plan, now));
        let (link, block) = asked[0];
        plan.handle_connected(now, link);
        plan.handle_received(now, link, 1, &[Outcome::Verified(block)]);
        assert_eq!(requests(&actions(&mut plan, now)), []);
        now += Duration::from_secs(1);
        let again = requests(&actions(&mut plan, now));
        assert_eq!(again.len(), 1, "it has not closed: {again:?}");
        plan.handle_received(now, link, 1, &[Outcome::Verified(again[0].1)]);
        let more = requests(&actions(&mut plan, now));
        assert!(more.iter().any(|(on, _)| *on == link), "it keeps its connections open");
    }

    /// Three links whose peers give what they owe at odd times, or fall silent: in no moment is there more to do than a
    /// few actions for each block.
    #[test]
    fn links_do_not_take_a_block_from_each_other_without_end() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut plan, mut now) = (plan(12, &[1, 2, 3]), MOMENT);
            let mut owed: Vec<(LinkId, Block)> = Vec::new();
            let mut left = 12;
            for _ in 0..200 {
                let mut acted = 0;
                while let Some(action) = plan.poll_action(now) {
                    acted += 1;
                    assert!(acted < 200, "seed {seed}: no end at {now:?}");
                    match action {
                        Action::Connect { link, .. } => plan.handle_connected(now, link),
                        Action::Request { link, blocks } => {
                            owed.extend(blocks.iter().map(|block| (link, *block)));
                        }
                        Action::Revoke { link, block } => {
                            owed.retain(|other| *other != (link, block));
                            plan.handle_revoked(now, link, block, true);
                        }
                        _ => {}
                    }
                }
                now += Duration::from_millis(random.u64(1..400));
                if left > 1 && !owed.is_empty() && random.u8(..) < 100 {
                    // The first that a random link owes.
                    let (link, _) = owed[random.usize(..owed.len())];
                    let at = owed.iter().position(|(other, _)| *other == link).unwrap();
                    let (_, block) = owed.remove(at);
                    plan.handle_received(now, link, 1, &[Outcome::Verified(block)]);
                    left -= 1;
                }
            }
        }
    }

    #[test]
    fn after_a_restart_a_peer_is_asked_again_when_its_refusals_are_believed_no_more() {
        let (mut plan, mut now) = (plan(2, &[1]), MOMENT);
        let (link, ..) = opened(&actions(&mut plan, now), 1).unwrap();
        plan.handle_connected(now, link);
        for _ in 0..2 {
            let asked = requests(&actions(&mut plan, now));
            now += MOMENT;
            let outcomes = asked.iter().map(|(_, block)| Outcome::Refused(*block, Status::MissingBlock));
            plan.handle_received(now, link, 40, &outcomes.collect::<Vec<_>>());
        }
        // The disk is looked at for three seconds, in which nothing arrives.
        now += Duration::from_secs(3);
        let layout = Layout::new(2, 1).unwrap();
        plan.restart(&Have::none(&layout));
        while requests(&actions(&mut plan, now)).is_empty() {
            now = plan.next_wakeup(now).expect("it sleeps until a tracker answers").max(now + MOMENT);
            assert!(now < Duration::from_secs(7), "{now:?}");
        }
    }

    /// Of two large blocks the second is under way on a slow link, of which `arrived` bytes have come: whether it is taken
    /// for the fast link.
    fn is_taken(arrived: u64) -> bool {
        const BLOCK: u64 = 1 << 20;
        let layout = Layout::new(2 * BLOCK, BLOCK).unwrap();
        let config = Config { order: Order::Sequential, max_links: 8, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
        plan.handle_peers(Time::ZERO, Source::Tracker(0), &[addr(1), addr(2)]);
        let mut now = MOMENT;
        let first = actions(&mut plan, now);
        let (slow, fast) = (opened(&first, 1).unwrap().0, opened(&first, 2).unwrap().0);
        plan.handle_connected(now, slow);
        plan.handle_connected(now, fast);
        let asked = requests(&actions(&mut plan, now));
        let of = |link| asked.iter().find(|(on, _)| *on == link).unwrap().1;
        now += Duration::from_millis(100);
        plan.handle_received(now, fast, BLOCK, &[Outcome::Verified(of(fast))]);
        // A quarter of a megabyte a second, in pieces.
        for _ in 0..arrived / (16 << 10) {
            now += Duration::from_millis(64);
            plan.handle_received(now, slow, 16 << 10, &[]);
        }
        let revoked = |action: &Action| matches!(action, Action::Revoke { link, .. } if *link == slow);
        actions(&mut plan, now).iter().any(revoked)
    }

    #[test]
    fn a_block_that_has_nearly_arrived_is_left_where_it_is() {
        assert!(is_taken(128 << 10));
        assert!(!is_taken(1000 << 10));
    }

    #[test]
    fn a_peer_that_closes_takes_the_block_of_a_silent_one_after_the_usual_patience() {
        let (mut plan, mut now) = (plan(2, &[1, 2]), MOMENT);
        let first = actions(&mut plan, now);
        let (silent, closing) = (opened(&first, 1).unwrap().0, opened(&first, 2).unwrap().0);
        plan.handle_connected(now, silent);
        plan.handle_connected(now, closing);
        let asked = actions(&mut plan, now);
        let of = |link: LinkId| {
            asked.iter().find_map(|action| match action {
                Action::Request { link: on, blocks } if *on == link => Some(blocks[0]),
                _ => None,
            })
        };
        let (held, given) = (of(silent).unwrap(), of(closing).unwrap());
        now += MOMENT;
        plan.handle_received(now, closing, 1, &[Outcome::Verified(given)]);
        plan.handle_closed(now, closing, Ended::Between);
        loop {
            for action in actions(&mut plan, now) {
                match action {
                    Action::Revoke { link, block } => {
                        assert_eq!((link, block), (silent, held));
                        plan.handle_revoked(now, link, block, true);
                    }
                    Action::Connect { addr: to, .. } => assert_eq!(to, addr(2)),
                    Action::Request { blocks, .. } => {
                        assert_eq!(blocks, [held]);
                        assert!(now < Duration::from_millis(2200), "{now:?}");
                        return;
                    }
                    Action::Close { .. } | Action::Poll { .. } | Action::Probe { .. } => {}
                }
            }
            now = plan.next_wakeup(now).unwrap().max(now + MOMENT);
            assert!(now < Duration::from_secs(9), "the block is left to the silent one");
        }
    }

    #[test]
    fn status_4_to_a_marked_request_is_followed_by_zeros_and_pipelining_is_another_matter() {
        let (mut plan, now) = (plan(100, &[1]), MOMENT);
        let (link, _, marked) = opened(&actions(&mut plan, now), 1).unwrap();
        assert!(marked);
        plan.handle_connected(now, link);
        let bad = |block| Outcome::Refused(block, Status::BadRequest);
        let request = |actions: &[Action]| match actions.first() {
            Some(Action::Request { blocks, .. }) => blocks.clone(),
            other => panic!("{other:?}"),
        };
        let asked = request(&actions(&mut plan, now));
        plan.handle_received(now, link, 20, &[bad(asked[0])]);
        let (link, _, marked) = opened(&actions(&mut plan, now), 1).expect("at once");
        assert!(!marked);
        plan.handle_connected(now, link);
        let asked = request(&actions(&mut plan, now));
        plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0])]);
        let asked = request(&actions(&mut plan, now));
        assert!(asked.len() > 1, "it is not known to take one at a time");
        plan.handle_received(now, link, 20, &[bad(asked[0])]);
        let (link, _, marked) = opened(&actions(&mut plan, now), 1).expect("without blame");
        assert!(!marked, "both are true of it");
        plan.handle_connected(now, link);
        let asked = request(&actions(&mut plan, now));
        plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0])]);
        assert_eq!(request(&actions(&mut plan, now)).len(), 1, "one at a time");
    }
}
