//! A peer that tells nothing of itself and whose part grows, in virtual time: what it gains is asked of it soon,
//! whatever it lacked before. A failure names the seed.

use super::*;
use crate::Time;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::peer_wire::Status;
use cascade_format::{Block, Have, Layout};
use core::net::IpAddr;
use core::time::Duration;

const BLOCKS: u64 = 120;
const BLOCK_LEN: u64 = 5_000;

/// What the peer holds at first, and after each gain.
const PARTS: [usize; 3] = [10, 60, 120];

/// Longest time from a gain to the first of its blocks: some questions, one a second.
const FOUND_WITHIN: Duration = Duration::from_secs(20);

/// The time that may pass until the plan looks again at an idle link: a status 2 is believed no longer.
const LOOKS_WITHIN: Duration = Duration::from_secs(5);

/// A turn of the driver, which polls between two wakeups too.
const TICK: Duration = Duration::from_millis(250);

/// In which order the peer gets its blocks.
#[derive(Debug, Clone, Copy)]
enum Growth {
    Forwards,
    Backwards,
    Anyhow,
}

fn dice(mut seed: u64) -> Random {
    Box::new(move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

struct World {
    name: String,
    plan: Plan,
    now: Time,
    dice: Random,
    /// All blocks, in the order in which the peer gets them; it holds the first `held`.
    growth: Vec<u64>,
    held: usize,
    link: Option<LinkId>,
    /// Requests, and when they are answered.
    queue: VecDeque<(Time, Block)>,
    served: usize,
    refused: usize,
}

impl World {
    fn new(order: Order, growth: Growth, seed: u64) -> Self {
        let layout = Layout::new(BLOCKS * BLOCK_LEN, BLOCK_LEN).unwrap();
        let config = Config { order, max_links: 64, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, dice(seed));
        plan.handle_peers(Time::ZERO, Source::User, &[PeerAddr::new(IpAddr::from([127, 0, 0, 1]), 7001)]);
        let mut dice = dice(!seed);
        let mut blocks: Vec<u64> = (0..BLOCKS).collect();
        match growth {
            Growth::Forwards => {}
            Growth::Backwards => blocks.reverse(),
            Growth::Anyhow => blocks.sort_by_cached_key(|_| dice()),
        }
        let name = format!("{order:?}, {growth:?}, seed {seed}");
        let (now, queue, held) = (Time::ZERO, VecDeque::new(), PARTS[0]);
        Self { name, plan, now, dice, growth: blocks, held, link: None, queue, served: 0, refused: 0 }
    }

    fn micros(&mut self, below: u64) -> Duration {
        Duration::from_micros((self.dice)() % below)
    }

    fn obey(&mut self) {
        while let Some(action) = self.plan.poll_action(self.now) {
            match action {
                Action::Connect { link, .. } => {
                    self.link = Some(link);
                    self.plan.handle_connected(self.now, link);
                }
                Action::Request { blocks, .. } => {
                    for block in blocks {
                        // Now and then the computer has something else to do.
                        let busy = (self.dice)().is_multiple_of(50);
                        let takes = self.micros(if busy { 300_000 } else { 2_000 });
                        let after = self.queue.back().map_or(self.now, |(at, _)| *at);
                        self.queue.push_back((after + takes, block));
                    }
                }
                other @ (Action::Poll { .. }
                | Action::Probe { .. }
                | Action::Revoke { .. }
                | Action::Close { .. }) => panic!("{}: {other:?}", self.name),
            }
        }
    }

    /// Answers what is due; all of it together, or one request.
    fn answer(&mut self) {
        let Some(link) = self.link else { return };
        let together = (self.dice)().is_multiple_of(3);
        let (mut bytes, mut outcomes) = (0, Vec::new());
        while let Some((at, block)) = self.queue.front().copied()
            && at <= self.now
            && (together || outcomes.is_empty())
        {
            self.queue.pop_front();
            if self.growth[..self.held].contains(&block.number()) {
                outcomes.push(Outcome::Verified(block));
                (self.served, bytes) = (self.served + 1, bytes + BLOCK_LEN);
            } else {
                outcomes.push(Outcome::Refused(block, Status::MissingBlock));
                (self.refused, bytes) = (self.refused + 1, bytes + 16);
            }
        }
        if !outcomes.is_empty() {
            self.plan.handle_received(self.now, link, bytes, &outcomes);
        }
    }

    fn step(&mut self) {
        self.obey();
        let wakeup = self.plan.next_wakeup(self.now);
        if self.queue.is_empty() && !self.plan.is_complete() {
            let soon = wakeup.is_some_and(|at| at <= self.now + LOOKS_WITHIN);
            assert!(soon, "{}: at {:?} the next look is at {wakeup:?}", self.name, self.now);
        }
        let answer = self.queue.front().map(|(at, _)| *at);
        let next = [wakeup, answer].into_iter().flatten().fold(self.now + TICK, Time::min);
        self.now = self.now.max(next) + self.micros(3_000);
        self.answer();
    }

    /// Lives until `served` blocks have come.
    fn wait_for(&mut self, served: usize) {
        let start = self.now;
        while self.served < served {
            self.step();
            let took = self.now - start;
            assert!(took < FOUND_WITHIN, "{}: {} served, none more in {took:?}", self.name, self.served);
        }
    }

    /// Lives until everything is there; tells how many questions were in vain.
    fn run(mut self) -> usize {
        for part in PARTS {
            self.held = part;
            self.wait_for(self.served + 1);
            // The peer gains more while it is asked at once, or after it was asked in vain for a while.
            let pause = self.now + self.micros(8_000_000);
            while self.now < pause && part < self.growth.len() {
                self.step();
            }
        }
        self.wait_for(self.growth.len());
        assert!(self.plan.is_complete());
        self.refused
    }
}

#[test]
fn what_a_peer_gains_is_asked_of_it_soon_in_whatever_order_it_grows() {
    for order in [Order::Random, Order::Sequential] {
        for growth in [Growth::Forwards, Growth::Backwards, Growth::Anyhow] {
            for seed in 0..100 {
                let refused = World::new(order, growth, seed).run();
                assert!(refused < 1_200, "{order:?}, {growth:?}, seed {seed}: {refused} questions in vain");
            }
        }
    }
}
