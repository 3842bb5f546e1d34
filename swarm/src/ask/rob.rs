//! The endgame: nothing is missing, and somebody is idle. The block that would arrive last is taken from its link.

use super::peers::Wanted;
use super::pipeline::Pace;
use super::tuning::Tuning;
use super::{Action, Link, LinkId, Plan, Time};
use alloc::vec;
use cascade_format::Block;
use core::time::Duration;

/// Who takes a block.
#[derive(Debug, Clone, Copy)]
enum Thief {
    /// A link that has nothing to do.
    Link(LinkId),
    /// A peer to which a link is made for it: one that closes after each answer has none that is idle.
    Peer(usize),
}

/// A block that is to be taken from a link for another, while the driver revokes it.
#[derive(Debug)]
pub(super) struct Theft {
    thief: Thief,
    victim: LinkId,
    block: Block,
}

/// What a thief has shown of itself.
struct Skill {
    /// It has given something; nobody else takes a block because it is slow.
    proven: bool,
    pace: Pace,
    /// Round trips until a block begins to arrive.
    trips: u32,
}

impl Plan {
    /// Takes a block for `thief`, an idle link, if it is likely to have it sooner.
    pub(super) fn rob(&mut self, now: Time, thief: LinkId) {
        let Some(state) = self.links.get(thief) else { return };
        let peer = self.peers.get(state.peer);
        let closing = peer.closes() && state.is_closing(now);
        if !state.is_connected() || state.is_probed() || closing || peer.is_paused(now) || !state.may_rob() {
            return;
        }
        let has = |block| state.told.as_ref().is_none_or(|told| told.may_give(block));
        let may_ask = |block| has(block) && peer.may_have(now, block) && !state.owes_lost(block);
        let pace = state.pipeline.pace();
        let skill = Skill { proven: pace.rate > 0.0, pace, trips: 1 };
        let prey = self.prey(now, state.peer, &skill, &may_ask);
        self.take_from(Thief::Link(thief), prey);
    }

    /// Takes a block for the best of those peers that have no link, and might have one.
    pub(super) fn rob_for_the_unlinked(&mut self, now: Time) {
        let none_missing = self.blocks.missing_bytes() == 0 && !self.is_complete();
        if !none_missing || self.theft.is_some() || self.links.len() >= self.max_links() {
            return;
        }
        let known = !self.may_try(now);
        let wanted = Wanted { known, ..Wanted::ANY };
        let Some(best) = self.peers.next_to_connect(now, wanted, &mut self.random) else { return };
        let peer = self.peers.get(best);
        let may_ask = |block| peer.may_have(now, block);
        // The connection is to be made first.
        let skill = Skill { proven: peer.has_given(), pace: peer.pace(), trips: 2 };
        let prey = self.prey(now, best, &skill, &may_ask);
        self.take_from(Thief::Peer(best), prey);
    }

    /// The block that would arrive last, where and whether it is silent, if somebody with this skill should take it.
    fn prey(
        &self,
        now: Time,
        thief: usize,
        skill: &Skill,
        may_ask: &dyn Fn(Block) -> bool,
    ) -> Option<(LinkId, Block, bool)> {
        let is_end = self.rarity.partial == 0 || self.blocks.missing_bytes() == 0;
        let mut prey: Option<(Duration, LinkId, Block)> = None;
        // Several links to one peer share its uplink.
        for (id, victim) in self.links.iter().filter(|(_, link)| link.peer != thief) {
            let Some(block) = victim.wanted().rev().find(|block| may_ask(*block)) else {
                continue;
            };
            let thefts = self.thefts.get(&block).copied().unwrap_or(0);
            let Some(wait) = expected_wait(self.tuning, now, victim, skill.proven, thefts, is_end) else {
                continue;
            };
            // What stands before others in a queue that moves is sent in any case, and the last is as late.
            if wait != Duration::MAX && victim.wanted().next_back() != Some(block) {
                continue;
            }
            if prey.is_none_or(|(longest, ..)| wait > longest) {
                prey = Some((wait, id, block));
            }
        }
        let (wait, victim, block) = prey?;
        let own = skill.pace.time_for(self.blocks.layout().len_of(block), skill.trips);
        let margin = if self.rarity.partial == 0 {
            self.tuning.theft_margin
        } else {
            self.tuning.theft_margin * self.tuning.swarm_margins
        };
        (wait > own.mul_f64(self.tuning.theft_factor) + margin).then_some((
            victim,
            block,
            wait == Duration::MAX,
        ))
    }

    fn take_from(&mut self, thief: Thief, prey: Option<(LinkId, Block, bool)>) {
        let Some((victim, block, silent)) = prey else { return };
        if silent && let Some(victim) = self.links.get_mut(victim) {
            victim.robbed();
        }
        *self.thefts.entry(block).or_insert(0) += 1;
        self.theft = Some(Theft { thief, victim, block });
        self.actions.push_back(Action::Revoke { link: victim, block });
    }

    /// Whether the driver was in time to forbid the block to the link.
    pub fn handle_revoked(&mut self, now: Time, victim: LinkId, block: Block, in_time: bool) {
        self.scan = true;
        let Some(theft) = self.theft.take() else { return };
        let is_this = (theft.victim, theft.block) == (victim, block);
        let taken = in_time && is_this && self.blocks.give_back(block, victim);
        if taken && let Some(state) = self.links.get_mut(victim) {
            state.lost(block);
        }
        match theft.thief {
            Thief::Link(thief) => {
                if taken {
                    self.request(now, thief, vec![block]);
                }
                self.touch(thief);
            }
            Thief::Peer(peer) if taken => self.open_with(now, peer, Some(block)),
            Thief::Peer(_) => {}
        }
    }
}

/// How long the last block of `victim` would take to arrive there; `None` where it must be left alone.
/// Where everybody is slow, taking blocks from each other would waste what has arrived of them: so each
/// theft of a block makes the next one of it harder, and a thief that has shown nothing yet must find
/// a long silence.
fn expected_wait(
    tuning: &Tuning,
    now: Time,
    victim: &Link,
    proven: bool,
    thefts: u32,
    is_end: bool,
) -> Option<Duration> {
    let patience = if proven { victim.patience() } else { victim.patience() * tuning.unproven_stalls };
    if victim.silence(now) >= patience * (1 << thefts.min(tuning.theft_doublings)) {
        return Some(Duration::MAX);
    }
    // Who has shown no rate yet, or has fallen silent, takes as long again as it has been silent for no
    // usual reason.
    let silence = victim.unusual_silence(now);
    let wait = victim.pipeline.time_for(victim.under_way()).unwrap_or_default().max(silence);
    (is_end && proven && thefts < tuning.speed_thefts).then_some(wait)
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "one action is looked for")]
mod tests {
    use super::super::{Config, Ended, Order, Outcome, Source};
    use super::*;
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use cascade_format::peer_wire::Status;
    use cascade_format::{Have, Layout};
    use core::net::{Ipv4Addr, SocketAddrV4};

    const MOMENT: Duration = Duration::from_millis(1);

    fn addr(host: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 7001)
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
