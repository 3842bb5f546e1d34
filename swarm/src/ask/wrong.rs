//! Wrong blocks: which peers sent them, and when they are asked of the same peer again.
//!
//! A block that came wrong is asked of others. Where nobody else has it, the same peer is asked again, after pauses
//! that grow: what was wrong may have been a bit that flipped on the way. In the end the download is given
//! up, rather than wait without a word; but only when nobody else has ever offered the block.

use super::known::Known;
use super::links::told::Told;
use crate::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::Block;
use cascade_format::PeerAddr;
use core::time::Duration;
use hashbrown::HashMap;

/// The download ends with this number of wrong blocks without a right one in between, or when each block that is left has
/// come wrong this many times, if no other peer has them.
const MAX_WRONG: u32 = 5;

/// A block came with a wrong hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongBlock {
    /// The peer that sent it.
    pub addr: PeerAddr,
    /// Which block.
    pub block: Block,
    /// How many times this block has come wrong so far, from any peer.
    pub times: u32,
    /// After this time the same peer is asked for the block again, because no other peer has it. `None`: other peers
    /// may have it.
    pub again: Option<Duration>,
}

/// Why a download cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// A block that came wrong.
    pub block: Block,
    /// How many times it came wrong, from any peer.
    pub times: u32,
    /// The peers that sent it wrong.
    pub addrs: Vec<PeerAddr>,
    /// The number of blocks that are still missing.
    pub left: u64,
}

/// What is known of wrong blocks.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    times: HashMap<Block, u32>,
    /// Since the last right one.
    in_a_row: u32,
    review_at: Time,
    untold: VecDeque<WrongBlock>,
    given_up: Option<GivenUp>,
}

impl Wrong {
    /// A right block came.
    pub(super) fn right(&mut self) {
        self.in_a_row = 0;
    }

    /// When it is to be looked again which other peers have what came wrong.
    pub(super) fn next_wakeup(&self, now: Time) -> Option<Time> {
        (!self.times.is_empty()).then_some(self.review_at).filter(|at| *at > now)
    }

    /// The next wrong block that was not told yet.
    pub(super) fn poll(&mut self) -> Option<WrongBlock> {
        self.untold.pop_front()
    }

    /// Why the download cannot be completed, if that is so.
    pub(super) fn given_up(&self) -> Option<&GivenUp> {
        self.given_up.as_ref()
    }

    /// The peer sent a wrong `block`.
    pub(super) fn handle(&mut self, known: &mut Known, now: Time, peer: usize, block: Block) {
        known.peers.get_mut(peer).lied_about(now, block);
        let times = self.times.entry(block).or_insert(0);
        *times = times.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if !self.ask_again_if_alone(known, now, peer, block) {
            self.tell(known, peer, block, None);
        }
    }

    /// Looks which other peers have what came wrong: peers come and go.
    pub(super) fn review(&mut self, known: &mut Known, now: Time) {
        if self.times.is_empty() || now < self.review_at {
            return;
        }
        self.review_at = now + known.tuning.review_interval;
        let lies: Vec<(usize, Block)> = known
            .peers
            .iter()
            .flat_map(|(number, peer)| peer.lies.blocks().map(move |block| (number, block)))
            .filter(|(_, block)| !known.blocks.is_verified(*block))
            .collect();
        for (peer, block) in lies {
            let state = known.peers.get(peer);
            match (state.lies.has_another_try(block), others_may_have(known, block, false)) {
                (true, true) => known.peers.get_mut(peer).lies.ask_no_more(block),
                (false, false) => drop(self.ask_again_if_alone(known, now, peer, block)),
                (true, false) | (false, true) => {}
            }
        }
        self.give_up_if_alone(known);
    }

    /// Lets the peer be asked for `block` again, and says so, if nobody else has it.
    fn ask_again_if_alone(&mut self, known: &mut Known, now: Time, peer: usize, block: Block) -> bool {
        let alone = !others_may_have(known, block, false);
        if alone {
            let times = self.times.get(&block).copied().unwrap_or(1);
            let pause = known.tuning.back_off(times);
            known.peers.get_mut(peer).ask_again(now, block, pause);
            self.tell(known, peer, block, Some(pause));
        }
        alone
    }

    fn tell(&mut self, known: &Known, peer: usize, block: Block, again: Option<Duration>) {
        let times = self.times.get(&block).copied().unwrap_or(1);
        let addr = known.peers.get(peer).addr();
        let block = known.blocks.layout().block_of(block);
        self.untold.push_back(WrongBlock { addr, block, times, again });
    }

    fn give_up_if_alone(&mut self, known: &Known) {
        let spent = |times: &&u32| **times >= MAX_WRONG;
        let wrong = || self.times.iter().filter(|(block, _)| !known.blocks.is_verified(**block));
        let layout = known.blocks.layout();
        let mut all = wrong()
            .filter(|(_, times)| spent(times))
            .map(|(block, _)| layout.block_of(*block))
            .collect::<Vec<_>>();
        all.sort_unstable();
        all.dedup();
        let all_spent = all.len() as u64 == known.blocks.incomplete();
        if (self.in_a_row < MAX_WRONG && !all_spent) || known.blocks.is_complete() {
            return;
        }
        // The worst of those that nobody else has.
        let lonely = wrong().filter(|(block, _)| !others_may_have(known, **block, true));
        let Some((block, times)) = lonely.max_by_key(|(block, times)| (**times, core::cmp::Reverse(**block)))
        else {
            return;
        };
        let liars = known.peers.iter().filter(|(_, peer)| peer.lies.contains(*block));
        let addrs = liars.map(|(_, peer)| peer.addr()).collect();
        let (block, times, left) = (layout.block_of(*block), *times, known.blocks.incomplete());
        self.given_up = Some(GivenUp { block, times, addrs, left });
    }
}

/// Whether a peer that has not sent `block` wrong may have it. With `at_all`, also one that is gone.
fn others_may_have(known: &Known, block: Block, at_all: bool) -> bool {
    let told = known.links.iter().any(|(_, link)| {
        let has = link.told.as_ref().is_some_and(|told| told.heard && told.has_block(block));
        has && !known.peers.get(link.peer).lies.contains(block)
    });
    // A peer that tells what it has, and has not told of this block, does not have it.
    let lacks = |number: usize| {
        let lacks = |told: &Told| told.heard && !told.has_block(block);
        known.links.iter().any(|(_, link)| link.peer == number && link.told.as_ref().is_some_and(lacks))
    };
    told || known.peers.iter().any(|(number, peer)| peer.may_offer(block, at_all) && !lacks(number))
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Config, LinkId, Order, Outcome, Plan, Source, Tuning};
    use super::*;
    use alloc::boxed::Box;
    use cascade_format::peer_wire::Status;
    use cascade_format::{Have, Layout};
    use core::net::IpAddr;

    const BLOCKS: u64 = 8;

    /// A plan, and what the peers of a small world do: tells for a peer and a block what becomes of it.
    struct World<F> {
        plan: Plan,
        links: HashMap<LinkId, u8>,
        asked: Vec<(Time, u8, Block)>,
        told: Vec<(Time, WrongBlock)>,
        outcome: F,
        now: Time,
    }

    fn addr(peer: u8) -> PeerAddr {
        PeerAddr::new(IpAddr::from([10, 0, 0, peer]), 7001)
    }

    impl<F: FnMut(u8, Block) -> Option<Outcome>> World<F> {
        fn new(peers: &[u8], outcome: F) -> Self {
            let layout = Layout::new(BLOCKS, 1).unwrap();
            let config = Config { order: Order::Sequential, max_links: 8, tuning: &Tuning::DEFAULT };
            let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
            let peers: Vec<_> = peers.iter().map(|peer| addr(*peer)).collect();
            plan.handle_peers(Time::ZERO, Source::Tracker(0), &peers);
            let (links, asked, told, now) = (HashMap::new(), Vec::new(), Vec::new(), Time::ZERO);
            Self { plan, links, asked, told, outcome, now }
        }

        /// Lives until the download is complete or given up, or the time is over.
        fn run(&mut self, until: Time) {
            while self.now < until && !self.plan.is_complete() && self.plan.given_up().is_none() {
                while let Some(action) = self.plan.poll_action(self.now) {
                    self.obey(action);
                }
                while let Some(wrong) = self.plan.poll_wrong() {
                    self.told.push((self.now, wrong));
                }
                let next = self.plan.next_wakeup(self.now).unwrap_or(self.now);
                self.now = next.max(self.now + Duration::from_millis(1));
            }
        }

        fn obey(&mut self, action: Action) {
            match action {
                Action::Connect { link, addr, .. } => {
                    self.links.insert(link, addr.v4().unwrap().ip().octets()[3]);
                    self.plan.handle_connected(self.now, link);
                }
                Action::Request { link, blocks, .. } => {
                    for block in blocks {
                        let Some(peer) = self.links.get(&link).copied() else { return };
                        self.asked.push((self.now, peer, block));
                        if let Some(outcome) = (self.outcome)(peer, block) {
                            self.plan.handle_received(self.now, link, 10, &[outcome]);
                        }
                    }
                }
                Action::Revoke { link, block, .. } => self.plan.handle_revoked(self.now, link, block, true),
                Action::Close { link } => drop(self.links.remove(&link)),
                Action::Poll { .. } | Action::Probe { .. } => {}
            }
        }

        fn wrong_from(&self, peer: u8) -> usize {
            self.told.iter().filter(|(_, wrong)| wrong.addr == addr(peer)).count()
        }
    }

    fn flipped(block: Block) -> Outcome {
        if block.number() == 3 { Outcome::Corrupt(block) } else { Outcome::Verified(block) }
    }

    const LONG: Time = Time::from_secs(3600);

    #[test]
    fn a_lone_seeder_is_asked_again_with_growing_pauses_and_then_given_up() {
        let mut world = World::new(&[1], |_, block| Some(flipped(block)));
        world.run(LONG);
        let given_up = world.plan.given_up().unwrap();
        assert_eq!((given_up.block.number(), given_up.times, given_up.left), (3, MAX_WRONG, 1));
        assert_eq!(given_up.addrs, [addr(1)]);
        let pauses: Vec<_> = world.told.iter().map(|(_, wrong)| wrong.again.unwrap().as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32]);
        assert!((30..40).contains(&world.now.as_secs()), "{:?}", world.now);
        assert!(!world.plan.is_hopeless(), "who does not wait waits for that");
    }

    #[test]
    fn what_comes_right_in_the_end_completes_the_download() {
        let mut tries = 0;
        let mut world = World::new(&[1], move |_, block| {
            tries += u32::from(block.number() == 3);
            Some(if tries < MAX_WRONG { flipped(block) } else { Outcome::Verified(block) })
        });
        world.run(LONG);
        assert!(world.plan.is_complete(), "{:?}", world.told);
    }

    #[test]
    fn a_peer_with_nothing_right_is_given_up_if_it_is_alone() {
        let mut world = World::new(&[1], |_, block| Some(Outcome::Corrupt(block)));
        world.run(LONG);
        assert!(world.plan.given_up().is_some());
        assert!(world.now < Time::from_secs(30), "{:?}", world.now);
    }

    #[test]
    fn an_honest_peer_that_has_offered_the_block_and_is_slow_or_gone_keeps_the_download_alive() {
        // It gives one block, and falls silent.
        let mut given = 0;
        let mut world = World::new(&[1, 2], move |peer, block| {
            if peer == 1 {
                return Some(Outcome::Corrupt(block));
            }
            given += 1;
            (given == 1).then_some(Outcome::Verified(block))
        });
        world.run(Time::from_secs(120));
        assert_eq!(world.plan.given_up(), None, "{:?}", world.told);
        assert!(world.wrong_from(1) > 0 && world.wrong_from(1) <= 4, "{:?}", world.told);
        assert!(
            world.told.iter().all(|(_, wrong)| wrong.again.is_none()),
            "another has it: {:?}",
            world.told
        );
    }

    #[test]
    fn leechers_that_lack_the_block_do_not_count() {
        let mut world = World::new(&[1, 2, 3], |peer, block| {
            Some(match peer {
                1 => flipped(block),
                _ if block.number() % 2 == 1 => Outcome::Refused(block, Status::MissingBlock),
                _ => Outcome::Verified(block),
            })
        });
        world.run(LONG);
        assert_eq!(world.plan.given_up().map(|given_up| given_up.block.number()), Some(3));
        assert_eq!(
            world.asked.iter().filter(|(_, peer, block)| *peer == 1 && block.number() == 3).count(),
            5
        );
    }
}
