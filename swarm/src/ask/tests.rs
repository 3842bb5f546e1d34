//! The plan against a small world: peers with a rate, a delay and a habit each, in virtual time. No
//! socket, no sleep; a failure names the world's seed.

use super::*;
use crate::Time;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::peer_wire::Status;
use cascade_format::{Block, Have, Layout};
use core::net::IpAddr;
use core::time::Duration;

/// What a peer of the world does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Habit {
    Honest,
    /// Closes after each answer.
    Closes,
    /// Answers a second request under way with status 4 and a close.
    OneAtATime,
    /// Has every other block.
    Half,
    /// Sends wrong bytes.
    Liar,
    /// Never answers.
    Silent,
    /// Answers half a block, then nothing.
    Stalls,
    /// Cannot be reached.
    Dead,
    /// Does not have the file.
    Ignorant,
}

#[derive(Debug, Clone, Copy)]
struct Nature {
    habit: Habit,
    rate: f64,
    delay: Duration,
}

fn nature(habit: Habit) -> Nature {
    Nature { habit, rate: 10e6, delay: Duration::from_millis(10) }
}

struct Conn {
    peer: usize,
    free_at: Time,
    queue: Vec<Block>,
    /// What the plan took away, and its answer is to be discarded.
    revoked: Vec<Block>,
    answers: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    Connected,
    Unreachable,
    Answer(Block, u64),
    Half(u64),
    Ended,
}

struct World {
    plan: Plan,
    layout: Layout,
    natures: Vec<Nature>,
    conns: BTreeMap<LinkId, Conn>,
    news: BinaryHeap<core::cmp::Reverse<(Time, u64, LinkId, News)>>,
    seq: u64,
    now: Time,
    have: Have,
    requests: Vec<u64>,
    asked: Vec<Block>,
    connects: Vec<u64>,
}

/// Peer number `index`, on a host of its own.
fn addr(index: usize) -> PeerAddr {
    let number = u32::try_from(index).unwrap();
    PeerAddr::new(IpAddr::from((0x0a00_0001 + number).to_be_bytes()), 1000 + u16::try_from(index).unwrap())
}

fn random(mut seed: u64) -> Random {
    Box::new(move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    })
}

impl World {
    fn new(layout: Layout, order: Order, natures: Vec<Nature>, seed: u64) -> Self {
        let have = Have::none(&layout);
        let mut plan =
            Plan::new(layout, &have, Config { order, max_links: 64, tuning: &Tuning::DEFAULT }, random(seed));
        let addrs: Vec<_> = (0..natures.len()).map(addr).collect();
        plan.handle_peers(Time::ZERO, Source::Tracker(0), &addrs);
        Self {
            plan,
            layout,
            requests: vec![0; natures.len()],
            asked: Vec::new(),
            connects: vec![0; natures.len()],
            natures,
            conns: BTreeMap::new(),
            news: BinaryHeap::new(),
            seq: 0,
            now: Time::ZERO,
            have,
        }
    }

    fn tell(&mut self, at: Time, link: LinkId, news: News) {
        self.seq += 1;
        self.news.push(core::cmp::Reverse((at, self.seq, link, news)));
    }

    fn obey(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.plan.poll_action(self.now) {
            actions += 1;
            assert!(actions < 100_000, "the plan never comes to rest at {:?}", self.now);
            match action {
                Action::Connect { link, addr, .. } => self.connect(link, usize::from(addr.port()) - 1000),
                Action::Request { link, blocks, .. } => self.request(link, blocks),
                Action::Revoke { link, block, .. } => {
                    let in_time = !self.have.has(block);
                    if in_time && let Some(conn) = self.conns.get_mut(&link) {
                        conn.revoked.push(block);
                    }
                    self.plan.handle_revoked(self.now, link, block, in_time);
                }
                Action::Probe { .. } => {}
                Action::Poll { link, .. } => panic!("{link:?} has not told anything"),
                Action::Close { link } => drop(self.conns.remove(&link)),
            }
        }
    }

    fn connect(&mut self, link: LinkId, peer: usize) {
        let nature = self.natures[peer];
        self.connects[peer] += 1;
        if nature.habit == Habit::Dead {
            self.tell(self.now + nature.delay, link, News::Unreachable);
            return;
        }
        let (queue, revoked) = (Vec::new(), Vec::new());
        // A request may stand ready: it leaves when the connection is made.
        let free_at = self.now + nature.delay * 2;
        self.conns.insert(link, Conn { peer, free_at, queue, revoked, answers: 0 });
        self.tell(self.now + nature.delay, link, News::Connected);
    }

    fn request(&mut self, link: LinkId, blocks: Vec<Block>) {
        for block in blocks {
            let Some(conn) = self.conns.get_mut(&link) else { return };
            let nature = self.natures[conn.peer];
            self.requests[conn.peer] += 1;
            self.asked.push(block);
            conn.queue.push(block);
            let length = self.layout.len_of(block);
            let part = if nature.habit == Habit::Stalls { length / 2 } else { length };
            let start = conn.free_at.max(self.now + nature.delay);
            conn.free_at = start + Duration::from_secs_f64(part as f64 / nature.rate);
            let at = conn.free_at + nature.delay;
            match nature.habit {
                Habit::Silent => {}
                Habit::Stalls => self.tell(at, link, News::Half(part)),
                _ => self.tell(at, link, News::Answer(block, length)),
            }
        }
    }

    fn hear(&mut self, link: LinkId, news: News) {
        let now = self.now;
        match news {
            News::Unreachable => self.plan.handle_closed(now, link, Ended::Unreachable),
            News::Connected => self.plan.handle_connected(now, link),
            News::Ended => {
                if self.conns.remove(&link).is_some() {
                    self.plan.handle_closed(now, link, Ended::Between);
                }
            }
            News::Half(bytes) => {
                if self.conns.contains_key(&link) {
                    self.plan.handle_received(now, link, bytes, &[]);
                }
            }
            News::Answer(block, length) => self.answer(link, block, length),
        }
    }

    fn answer(&mut self, link: LinkId, block: Block, length: u64) {
        let Some(conn) = self.conns.get_mut(&link) else { return };
        let (habit, now) = (self.natures[conn.peer].habit, self.now);
        let pipelined = conn.queue.len() > 1;
        assert_eq!(conn.queue.remove(0), block);
        conn.answers += 1;
        let mut end = habit == Habit::Closes;
        let outcome = if let Some(at) = conn.revoked.iter().position(|revoked| *revoked == block) {
            conn.revoked.remove(at);
            Outcome::Discarded(block)
        } else {
            match habit {
                Habit::Half if block.number() % 2 == 1 => Outcome::Refused(block, Status::MissingBlock),
                Habit::Ignorant => Outcome::Refused(block, Status::UnknownFile),
                Habit::Liar => Outcome::Corrupt(block),
                Habit::OneAtATime if pipelined => {
                    end = true;
                    Outcome::Refused(block, Status::BadRequest)
                }
                _ => {
                    self.have.insert(block);
                    Outcome::Verified(block)
                }
            }
        };
        let bytes = if matches!(outcome, Outcome::Refused(..)) { 20 } else { length };
        if end {
            self.tell(now, link, News::Ended);
        }
        self.plan.handle_received(now, link, bytes, &[outcome]);
    }

    /// Lives until the download is complete; tells how long that took.
    fn run(&mut self, limit: Duration) -> Duration {
        loop {
            self.obey();
            if self.plan.is_complete() {
                assert!(self.have.is_complete(), "the plan says complete, the disk does not");
                return self.now;
            }
            let event = self.news.peek().map(|event| event.0.0);
            let wakeup = self.plan.next_wakeup(self.now);
            let next = [event, wakeup].into_iter().flatten().min();
            let Some(next) = next else { panic!("nothing will ever happen again at {:?}", self.now) };
            self.now = self.now.max(next);
            assert!(self.now < limit, "not complete after {limit:?}: {:?}", self.plan.totals());
            while self.news.peek().is_some_and(|event| event.0.0 <= self.now) {
                let Some(core::cmp::Reverse((_, _, link, news))) = self.news.pop() else { break };
                self.hear(link, news);
            }
        }
    }
}

/// 64 MiB in blocks of 256 KiB: 6.7 seconds at 10 MB/s.
fn layout() -> Layout {
    Layout::new(64 << 20, 256 << 10).unwrap()
}

fn run(natures: &[Nature], limit: u64) -> (Duration, World) {
    let mut longest = Duration::ZERO;
    let mut last = None;
    for seed in 0..8 {
        let order = if seed % 4 == 3 { Order::Sequential } else { Order::Random };
        let mut world = World::new(layout(), order, natures.to_vec(), seed);
        longest = longest.max(world.run(Duration::from_secs(limit)));
        last = Some(world);
    }
    (longest, last.unwrap())
}

#[test]
fn one_honest_peer_is_used_at_its_full_rate() {
    let (time, world) = run(&[nature(Habit::Honest)], 60);
    assert!(time < Duration::from_millis(7000), "{time:?}");
    assert_eq!(world.plan.totals().bytes_duplicate, 0);
    assert_eq!(world.requests[0], layout().blocks());
}

#[test]
fn four_honest_peers_are_used_together() {
    let (time, _) = run(&[nature(Habit::Honest); 4], 60);
    assert!(time < Duration::from_millis(2000), "{time:?}");
}

#[test]
fn every_habit_alone_beside_one_honest_peer_costs_little() {
    use Habit::{Closes, Dead, Half, Ignorant, Liar, OneAtATime, Silent, Stalls};
    for habit in [Closes, Dead, Half, Ignorant, Liar, OneAtATime, Silent, Stalls] {
        let (time, world) = run(&[nature(Habit::Honest), nature(habit)], 60);
        assert!(time < Duration::from_millis(7400), "{habit:?}: {time:?}");
        if matches!(habit, Dead | Ignorant | Liar | Silent | Stalls) {
            assert!(world.requests[1] <= 8, "{habit:?} was asked {} times", world.requests[1]);
            assert!(world.connects[1] <= 5, "{habit:?} was called {} times", world.connects[1]);
        }
        if matches!(habit, Closes | Half | OneAtATime) {
            assert!(world.requests[1] >= 40, "{habit:?} was asked only {} times", world.requests[1]);
        }
    }
}

#[test]
fn a_peer_that_closes_after_each_answer_is_enough() {
    let (time, world) = run(&[nature(Habit::Closes)], 120);
    // Up to three connections side by side: the field's peers take a new one for every block.
    assert!(time < Duration::from_secs(12), "{time:?}");
    assert!(world.requests[0] <= layout().blocks() + 5);
}

#[test]
fn a_peer_that_takes_one_request_at_a_time_is_not_blamed() {
    let (time, world) = run(&[nature(Habit::OneAtATime)], 120);
    assert!(time < Duration::from_secs(13), "{time:?}");
    assert!(world.connects[0] <= 2, "{} connections", world.connects[0]);
}

#[test]
fn one_slow_peer_does_not_hold_the_end() {
    let slow = Nature { rate: 0.05e6, ..nature(Habit::Honest) };
    let (time, world) = run(&[nature(Habit::Honest), slow], 60);
    assert!(time < Duration::from_millis(7400), "{time:?}");
    assert!(world.plan.totals().bytes_duplicate <= 2 * layout().block_size());
}

#[test]
fn a_crowd_of_bad_peers_does_not_stop_one_honest() {
    use Habit::{Dead, Half, Honest, Ignorant, Liar, Silent, Stalls};
    let natures: Vec<Nature> = [Dead, Half, Ignorant, Liar, Silent, Stalls]
        .iter()
        .cycle()
        .take(48)
        .chain([&Honest])
        .map(|h| nature(*h))
        .collect();
    let (time, _) = run(&natures, 60);
    assert!(time < Duration::from_secs(8), "{time:?}");
}

#[test]
fn a_dead_peer_is_tried_again_with_back_off() {
    let mut world = World::new(layout(), Order::Random, vec![nature(Habit::Dead)], 1);
    while world.now < Duration::from_secs(600) {
        world.obey();
        let event = world.news.peek().map(|event| event.0.0);
        let next = [event, world.plan.next_wakeup(world.now)].into_iter().flatten().min();
        world.now = world.now.max(next.unwrap());
        while let Some(event) = world.news.peek()
            && event.0.0 <= world.now
        {
            let Some(core::cmp::Reverse((_, _, link, news))) = world.news.pop() else { break };
            world.hear(link, news);
        }
    }
    assert!((10..=18).contains(&world.connects[0]), "{} attempts in ten minutes", world.connects[0]);
}

#[test]
fn in_order_means_in_order() {
    let mut world = World::new(layout(), Order::Sequential, vec![nature(Habit::Honest)], 1);
    world.run(Duration::from_secs(60));
    assert_eq!(world.asked, layout().iter().collect::<Vec<_>>());
}

#[test]
fn small_blocks_are_asked_for_in_runs() {
    let layout = Layout::new(4 << 20, 1 << 10).unwrap();
    let mut world = World::new(layout, Order::Random, vec![nature(Habit::Honest)], 5);
    let time = world.run(Duration::from_secs(60));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn a_crowd_of_slow_starters_does_not_rob_each_other_for_ever() {
    // Every peer takes three seconds to its first byte: longer than a silence is usually borne.
    let slow = Nature { habit: Habit::Honest, rate: 0.3e6, delay: Duration::from_millis(1500) };
    let (time, world) = run(&[slow; 100], 120);
    assert!(time < Duration::from_secs(40), "{time:?}");
    let duplicate = world.plan.totals().bytes_duplicate;
    assert!(duplicate < layout().length() / 4, "{duplicate} bytes came twice");
}
