//! A download by slices and its peers, in virtual time. After each step the invariants of the plan are checked.

use super::super::*;
use super::nature::{Manner, Nature, Speech};
use crate::Time;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::extension::{Item, Run};
use cascade_format::peer_wire::Status;
use cascade_format::{Block, Have, Layout};
use core::net::IpAddr;
use core::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Slice(Block),
    /// A whole block, named by its first slice.
    Whole(Block),
    News {
        sliced: bool,
    },
    Probe,
}

#[derive(Debug)]
struct Conn {
    peer: usize,
    free_at: Time,
    queue: VecDeque<Ask>,
    revoked: Vec<Ask>,
    /// What has been told on it, of the file and of its slices.
    told_file: bool,
    told_slices: bool,
    told: Have,
    offered: Vec<Block>,
    stuck: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Connected(LinkId),
    Unreachable(LinkId),
    Answer(LinkId),
    Half(LinkId, u64),
    Trickle(LinkId),
    Ended(LinkId, Ended),
    Gain(usize),
    Restart,
}

pub(super) struct World {
    seed: u64,
    pub(super) plan: Plan,
    layout: Layout,
    random: fastrand::Rng,
    natures: Vec<Nature>,
    /// What each peer has.
    parts: Vec<Have>,
    conns: BTreeMap<LinkId, Conn>,
    events: BTreeMap<(Time, u64), Event>,
    number: u64,
    now: Time,
    /// What is verified on the disk.
    store: Have,
    given: Vec<u64>,
}

fn addr(index: usize) -> PeerAddr {
    PeerAddr::new(IpAddr::from([10, 0, 0, u8::try_from(index).unwrap() + 1]), 7001)
}

fn dice(seed: u64) -> Random {
    let mut random = fastrand::Rng::with_seed(seed);
    Box::new(move || random.u64(..))
}

impl World {
    pub(super) fn new(layout: Layout, order: Order, natures: Vec<Nature>, seed: u64) -> Self {
        let store = Have::none(&layout);
        let config = Config { order, max_links: 64, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &store, config, dice(!seed));
        let addrs: Vec<_> = (0..natures.len()).map(addr).collect();
        plan.handle_peers(Time::ZERO, Source::Tracker(0), &addrs);
        let part = |nature: &Nature| if nature.leeches { Have::none(&layout) } else { Have::all(&layout) };
        let mut world = Self {
            seed,
            plan,
            layout,
            random: fastrand::Rng::with_seed(seed),
            parts: natures.iter().map(part).collect(),
            given: vec![0; natures.len()],
            natures,
            conns: BTreeMap::new(),
            events: BTreeMap::new(),
            number: 0,
            now: Time::ZERO,
            store,
        };
        for peer in 0..world.natures.len() {
            if world.natures[peer].leeches {
                world.at(Duration::ZERO, Event::Gain(peer));
            }
        }
        world
    }

    pub(super) fn at(&mut self, after: Duration, event: Event) {
        self.number += 1;
        self.events.insert((self.now + after, self.number), event);
    }

    fn slices_of(&self, name: Block) -> Vec<Block> {
        let numbers = self.layout.slices_of(self.layout.block_of(name));
        numbers.map(|number| self.layout.block(number).unwrap()).collect()
    }

    fn has_whole(&self, have: &Have, name: Block) -> bool {
        self.slices_of(name).iter().all(|slice| have.has(*slice))
    }

    fn is_verifiable(&self, slice: Block) -> bool {
        self.layout.verified_before(slice).is_none_or(|before| self.store.has(before))
    }

    /// What is asked for on each link, and neither answered nor taken away.
    fn wanted(&self) -> impl Iterator<Item = (LinkId, Ask)> + '_ {
        self.conns.iter().flat_map(|(link, conn)| {
            let mut revoked = conn.revoked.clone();
            conn.queue.iter().rev().filter_map(move |ask| {
                let at = revoked.iter().position(|other| other == ask);
                at.map_or(Some((*link, *ask)), |at| {
                    revoked.remove(at);
                    None
                })
            })
        })
    }

    fn obey(&mut self) {
        let (mut actions, mut taking) = (0, false);
        while let Some(action) = self.plan.poll_action(self.now) {
            actions += 1;
            assert!(actions < 20_000, "seed {}: no rest at {:?}: {action:?}", self.seed, self.now);
            let is_revoke = matches!(action, Action::Revoke { .. });
            match action {
                Action::Connect { link, addr, .. } => {
                    let IpAddr::V4(ip) = addr.ip() else { panic!("{addr}") };
                    self.connect(link, usize::from(ip.octets()[3]) - 1);
                }
                Action::Request { link, blocks, sliced } => {
                    for block in blocks {
                        self.check_request(link, block, sliced, taking);
                        self.ask(link, if sliced { Ask::Slice(block) } else { Ask::Whole(block) });
                    }
                }
                Action::Poll { link, sliced } => self.ask(link, Ask::News { sliced }),
                Action::Probe { link } => self.ask(link, Ask::Probe),
                Action::Revoke { link, block, sliced } => {
                    let there =
                        if sliced { self.store.has(block) } else { self.has_whole(&self.store, block) };
                    if !there && let Some(conn) = self.conns.get_mut(&link) {
                        conn.revoked.push(if sliced { Ask::Slice(block) } else { Ask::Whole(block) });
                    }
                    self.plan.handle_revoked(self.now, link, block, !there);
                }
                Action::Close { link } => drop(self.conns.remove(&link)),
            }
            taking = is_revoke;
        }
        self.check();
    }

    fn check_request(&self, link: LinkId, block: Block, sliced: bool, taking: bool) {
        let seed = self.seed;
        let block_of = |ask| match ask {
            Ask::Slice(slice) | Ask::Whole(slice) => Some(self.layout.block_of(slice)),
            Ask::News { .. } | Ask::Probe => None,
        };
        let here = Some(self.layout.block_of(block));
        let mut same = self.wanted().filter(|(_, ask)| block_of(*ask) == here);
        let gives = self.plan.known().links.get(link).is_some_and(|link| link.gives_slices());
        if sliced {
            assert!(gives, "seed {seed}: slice {block} is asked of a peer that gives none");
            if let Some(before) = self.layout.verified_before(block)
                && !self.store.has(before)
            {
                let there = self.wanted().any(|wanted| wanted == (link, Ask::Slice(before)));
                assert!(there, "seed {seed}: slice {block} is asked for before the one behind it");
            }
            let whole = same.find(|(_, ask)| matches!(ask, Ask::Whole(_)));
            assert_eq!(whole, None, "seed {seed}: slice {block}");
        } else {
            assert_eq!(self.layout.first_slice(self.layout.block_of(block)), block, "seed {seed}");
            assert_eq!(same.next(), None, "seed {seed}: all of {block} is asked for");
            let untouched = self.slices_of(block).iter().all(|slice| !self.store.has(*slice));
            assert!(untouched || !gives || taking, "seed {seed}: the rest of {block}");
        }
        assert!(!self.has_whole(&self.store, block), "seed {seed}: {block} is there");
    }

    /// The plan's books say what is under way and what is there.
    fn check(&self) {
        let blocks = &self.plan.known().blocks;
        blocks.assert_disjoint();
        blocks.assert_parts();
        let mut under_way = Have::none(&self.layout);
        for (_, ask) in self.wanted() {
            match ask {
                Ask::Slice(slice) => assert!(under_way.insert(slice), "seed {}: {slice} twice", self.seed),
                Ask::Whole(name) => {
                    for slice in self.slices_of(name).into_iter().filter(|slice| !self.store.has(*slice)) {
                        assert!(under_way.insert(slice), "seed {}: {slice} twice", self.seed);
                    }
                }
                Ask::News { .. } | Ask::Probe => {}
            }
        }
        for slice in self.layout.iter() {
            let (verified, missing) = (blocks.is_verified(slice), blocks.is_missing(slice));
            assert_eq!(
                verified,
                self.store.has(slice),
                "seed {}: slice {slice} at {:?}",
                self.seed,
                self.now
            );
            let in_flight = !verified && !missing;
            assert_eq!(in_flight, under_way.has(slice), "seed {}: slice {slice}", self.seed);
        }
    }

    fn connect(&mut self, link: LinkId, peer: usize) {
        let Nature { manner, delay, .. } = self.natures[peer];
        let conn = Conn {
            peer,
            free_at: self.now + delay * 2,
            queue: VecDeque::new(),
            revoked: Vec::new(),
            told_file: false,
            told_slices: false,
            told: Have::none(&self.layout),
            offered: Vec::new(),
            stuck: false,
        };
        self.conns.insert(link, conn);
        let reached = manner != Manner::Dead;
        self.at(delay, if reached { Event::Connected(link) } else { Event::Unreachable(link) });
    }

    fn ask(&mut self, link: LinkId, ask: Ask) {
        let Some(conn) = self.conns.get_mut(&link) else { return };
        let Nature { manner, rate, delay, speech, .. } = self.natures[conn.peer];
        assert!(speech == Speech::Slices || !matches!(ask, Ask::Slice(_) | Ask::News { sliced: true }));
        conn.queue.push_back(ask);
        let length = match ask {
            Ask::Slice(slice) => self.layout.len_of(slice),
            Ask::Whole(name) => self.layout.whole().len_of(self.layout.block_of(name)),
            Ask::News { .. } | Ask::Probe => 100,
        };
        let length = if manner == Manner::Refuses { 20 } else { length };
        let sticks = matches!(manner, Manner::Stalls | Manner::Trickles) && self.random.u8(..4) == 0;
        let cuts = manner == Manner::Cuts && self.random.u8(..5) == 0;
        let wait = if matches!(ask, Ask::News { .. }) { 50 } else { 0 };
        conn.free_at = conn.free_at.max(self.now + delay)
            + Duration::from_secs_f64(length as f64 / rate)
            + Duration::from_millis(wait);
        let after = (conn.free_at + delay).saturating_sub(self.now);
        if conn.stuck {
            return;
        }
        conn.stuck = sticks || cuts;
        if !conn.stuck {
            return self.at(after, Event::Answer(link));
        }
        self.at(after, Event::Half(link, length / 2));
        if cuts {
            self.at(after, Event::Ended(link, Ended::Cut));
        } else if manner == Manner::Trickles {
            self.at(after, Event::Trickle(link));
        }
    }

    fn hear(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Connected(link) if self.conns.contains_key(&link) => self.plan.handle_connected(now, link),
            Event::Unreachable(link) => return self.hear(Event::Ended(link, Ended::Unreachable)),
            Event::Answer(link) => self.answer(link),
            Event::Half(link, bytes) if self.conns.contains_key(&link) => {
                self.plan.handle_received(now, link, bytes, &[]);
            }
            Event::Trickle(link) if self.conns.contains_key(&link) => {
                self.plan.handle_received(now, link, 1, &[]);
                self.at(Duration::from_secs(10), Event::Trickle(link));
            }
            Event::Ended(link, ended) => {
                if self.conns.remove(&link).is_some() {
                    self.plan.handle_closed(now, link, ended);
                }
            }
            Event::Gain(peer) => self.gain(peer),
            Event::Restart => self.restart(),
            Event::Connected(_) | Event::Half(..) | Event::Trickle(_) => {}
        }
        self.obey();
    }

    /// A leecher gains some slices, or a block.
    fn gain(&mut self, peer: usize) {
        let whole = self.layout.whole();
        let block = whole.block(self.random.u64(..whole.blocks())).unwrap();
        let all = self.natures[peer].speech != Speech::Slices;
        let most = if all { usize::MAX } else { self.random.usize(1..4) };
        let slices: Vec<u64> = self.layout.slices_of(block).collect();
        let part = &mut self.parts[peer];
        let lacks =
            slices.iter().map(|number| self.layout.block(*number).unwrap()).filter(|slice| !part.has(*slice));
        for slice in lacks.collect::<Vec<_>>().into_iter().take(most) {
            part.insert(slice);
        }
        self.at(Duration::from_millis(100), Event::Gain(peer));
    }

    fn restart(&mut self) {
        let mut left = Have::none(&self.layout);
        for block in self.layout.whole().iter() {
            let name = self.layout.first_slice(block);
            if self.has_whole(&self.store, name) && self.random.bool() {
                self.slices_of(name).into_iter().for_each(|slice| _ = left.insert(slice));
            }
        }
        self.store = left;
        self.conns.clear();
        self.plan.restart(&self.store);
    }

    /// What the peer tells in front of an answer, by this name.
    fn news(&mut self, link: LinkId, sliced: bool) -> Option<Vec<Item>> {
        let peer = self.conns[&link].peer;
        let Nature { speech, manner, leeches, .. } = self.natures[peer];
        if speech == Speech::Version1 {
            return None;
        }
        let mut items = Vec::new();
        let conn = self.conns.get_mut(&link).unwrap();
        let first =
            !core::mem::replace(if sliced { &mut conn.told_slices } else { &mut conn.told_file }, true);
        if first && !sliced && speech == Speech::Slices {
            items.push(Item::Slices);
        }
        match manner {
            _ if leeches => {
                let part = &self.parts[peer];
                let layout = if sliced { self.layout } else { self.layout.whole() };
                let has = |block: &Block| {
                    let last = self.layout.slices_of(*block).end - 1;
                    if sliced { part.has(*block) } else { part.has(self.layout.block(last).unwrap()) }
                };
                let runs: Vec<Run> = layout.iter().filter(has).map(Run::of).collect();
                if conn.told != *part || first {
                    items.push(Item::Have(runs.into_iter().collect()));
                    conn.told = part.clone();
                }
            }
            Manner::Chooses => {
                if first {
                    items.push(Item::Choosing);
                }
                if sliced == (speech == Speech::Slices) {
                    items.extend(self.offer(link, sliced));
                }
            }
            _ if first => items.push(Item::Everything),
            _ => {}
        }
        Some(items)
    }

    fn offer(&mut self, link: LinkId, sliced: bool) -> Option<Item> {
        let whole = self.layout.whole();
        let block = whole.block(self.random.u64(..whole.blocks())).unwrap();
        let slices = self.slices_of(self.layout.first_slice(block));
        let conn = self.conns.get_mut(&link)?;
        if conn.offered.len() > 40 {
            conn.offered.clear();
        }
        conn.offered.extend(&slices);
        let run = if sliced {
            Run { first: slices[0], count: u32::try_from(slices.len()).unwrap() }
        } else {
            Run::of(block)
        };
        Some(Item::Offer([run].into_iter().collect()))
    }

    fn answer(&mut self, link: LinkId) {
        let Some(conn) = self.conns.get_mut(&link) else { return };
        let (peer, now) = (conn.peer, self.now);
        let ask = conn.queue.pop_front().unwrap();
        let sliced = matches!(ask, Ask::Slice(_) | Ask::News { sliced: true });
        if let Some(items) = self.news(link, sliced) {
            self.plan.handle_news(now, link, &items, sliced);
        }
        let (bytes, outcome) = match ask {
            Ask::News { .. } | Ask::Probe => (20, Outcome::Told),
            Ask::Slice(slice) => (self.layout.len_of(slice), self.outcome(link, peer, ask, slice)),
            Ask::Whole(name) => {
                (self.layout.whole().len_of(self.layout.block_of(name)), self.outcome(link, peer, ask, name))
            }
        };
        let bytes = if matches!(outcome, Outcome::Refused(..)) { 20 } else { bytes };
        if self.natures[peer].manner == Manner::Closes {
            self.at(Duration::ZERO, Event::Ended(link, Ended::Between));
        }
        self.plan.handle_received(now, link, bytes, &[outcome]);
    }

    /// What becomes of an answer.
    fn outcome(&mut self, link: LinkId, peer: usize, ask: Ask, block: Block) -> Outcome {
        let manner = self.natures[peer].manner;
        let whole = matches!(ask, Ask::Whole(_));
        let has = if whole { self.has_whole(&self.parts[peer], block) } else { self.parts[peer].has(block) };
        let conn = self.conns.get_mut(&link).unwrap();
        let revoked = conn.revoked.iter().position(|revoked| *revoked == ask);
        if let Some(at) = revoked {
            conn.revoked.remove(at);
        }
        let offered = conn.offered.contains(&block);
        let refuses = match manner {
            Manner::Refuses => true,
            Manner::Busy => self.random.bool(),
            Manner::Chooses => !offered && self.random.bool(),
            _ => !has,
        };
        if refuses {
            return Outcome::Refused(block, Status::MissingBlock);
        }
        if revoked.is_some() || (!whole && !self.is_verifiable(block)) {
            return Outcome::Discarded(block);
        }
        if manner == Manner::Liar && self.random.u8(..3) == 0 {
            return Outcome::Corrupt(block);
        }
        self.given[peer] += 1;
        if whole {
            self.slices_of(block).into_iter().for_each(|slice| _ = self.store.insert(slice));
            return Outcome::VerifiedWhole(block);
        }
        self.store.insert(block);
        Outcome::Verified(block)
    }

    /// Lives until the download is complete; tells how long that took.
    pub(super) fn run(&mut self, limit: Duration) -> Duration {
        loop {
            self.obey();
            if self.plan.is_complete() {
                assert!(self.store.is_complete());
                return self.now;
            }
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let wakeup = self.plan.next_wakeup(self.now);
            let next = [event, wakeup].into_iter().flatten().min();
            let Some(next) = next else { panic!("seed {}: nothing will ever happen again", self.seed) };
            self.now = self.now.max(next);
            let left = self.layout.blocks() - self.plan.known().blocks.verified();
            assert!(
                self.now < limit,
                "seed {}: {left} slices are left after {limit:?}, {:?}, among {:#?}",
                self.seed,
                self.plan.known().blocks,
                self.natures
            );
            while let Some(event) = self.events.first_entry()
                && event.key().0 <= self.now
            {
                let event = event.remove();
                self.hear(event);
            }
        }
    }
}
