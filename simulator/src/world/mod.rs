//! The simulation: events in virtual time.
//!
//! | module | what it models |
//! |---|---|
//! | [`queue`], [`event`] | what happens, in the order of time |
//! | [`node`] | one peer |
//! | [`line`], [`uplink`] | its access link, and whose block leaves next |
//! | [`conn`], [`wire`] | connections and what is on its way |
//! | [`subnets`] | thin links between groups of peers |
//! | [`serve`] | the answering side, with the decisions that ship |
//! | [`ours`] | the driver of the plan that ships |
//! | [`field`] | a program of the field |
//! | [`tracker`] | the tracker, with the registry that ships |
//! | [`life`] | coming, turns, going |
//! | [`observe`], [`idle`] | reading the gauges, and why links are idle |

mod conn;
mod event;
mod field;
mod idle;
mod life;
mod line;
mod node;
mod node_id;
mod observe;
mod ours;
mod queue;
mod serve;
mod slab;
mod subnets;
mod tracker;
mod uplink;
mod wire;

use crate::gauge::Gauges;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::scenario::{Habit, Scenario};
use crate::units::{Nanos, Pace, SECOND, nanos};
use cascade_format::{Layout, LayoutError};
use conn::Conn;
use event::Event;
use line::{Downlink, Uplink};
use node::{Node, Nodes};
use node_id::NodeId;
use queue::Queue;
use slab::Slab;
use subnets::Subnets;
use tracker::Tracker;
use wire::Wire;

/// The time between the start of the seeder and that of the first peer.
const HEAD_START: Nanos = SECOND;

/// A simulation is given up after this number of F/u and [`PATIENCE`] more.
const LONGEST: f64 = 60.0;

const PATIENCE: Nanos = 3600 * SECOND;

/// Sums of the whole swarm.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) requests: u64,
    pub(crate) refusals: u64,
    pub(crate) polls: u64,
    pub(crate) news: u64,
    pub(crate) news_bytes: u64,
    pub(crate) connections: u64,
    pub(crate) events: u64,
}

/// A swarm and its time.
pub struct World {
    scenario: Scenario,
    layout: Layout,
    /// How blocks are divided into slices, if our peers ask for slices.
    sliced: Option<Layout>,
    network: Wire,
    now: Nanos,
    events: Queue<Event>,
    nodes: Nodes,
    conns: Slab<Conn>,
    tracker: Tracker,
    subnets: Subnets,
    counters: Counters,
    gauges: Gauges,
    /// Downloaders that are not complete, those to come included.
    unfinished: usize,
    last_complete: Nanos,
    seeder_leaving: bool,
}

impl World {
    const SEEDER: NodeId = NodeId(0);

    /// The world before anything has happened.
    ///
    /// # Errors
    /// The scenario's blocks are no layout.
    pub fn new(scenario: Scenario) -> Result<Self, LayoutError> {
        let layout = Layout::new(scenario.length(), scenario.block_size)?;
        let sliced = layout.sliced().filter(|_| scenario.extension && scenario.slices);
        let mut random = Random::new(scenario.seed, 1);
        let mut events = Queue::new();
        let mut nodes = Vec::new();
        for (number, habit) in (0..).zip(scenario.habits()) {
            let start = if number == 0 { 0 } else { HEAD_START + random.below(scenario.spread.max(1)) };
            let start = start + scenario.comes_after(number);
            let rates = scenario.rates_of(habit);
            let up = Uplink::new(Pace::of(rates.up), scenario.network.transfers);
            let down = Downlink::new(Pace::of(rates.down));
            nodes.push(Node::new(&layout, sliced.as_ref(), habit, start, scenario.latency / 2, up, down));
            events.push(start, Event::Start(NodeId(number)));
        }
        scenario.tracker_dies.into_iter().for_each(|at| events.push(HEAD_START + at, Event::TrackerDies));
        if let Some((count, at)) = scenario.quitters {
            let ours = (0..).zip(scenario.habits()).filter(|(_, habit)| *habit == Habit::Ours).take(count);
            ours.for_each(|(number, _)| events.push(HEAD_START + at, Event::Goodbye(NodeId(number))));
        }
        events.push(HEAD_START, Event::Gauge);
        let unfinished = scenario.count(Habit::downloads);
        let gauges = Gauges::new(nanos(scenario.unit() / 100.0).max(1), nodes.len());
        let mut tracker = Tracker::new(random.next_u64(), scenario.subnets);
        tracker.register(0, Self::SEEDER.addr());
        Ok(Self {
            subnets: Subnets::new(scenario.subnets),
            network: Wire { headers: scenario.network.headers },
            scenario,
            layout,
            sliced,
            now: 0,
            events,
            nodes: Nodes(nodes),
            conns: Slab::new(),
            tracker,
            counters: Counters::default(),
            gauges,
            unfinished,
            last_complete: 0,
            seeder_leaving: false,
        })
    }

    /// Lives until everybody has the file, or nothing more is to be hoped.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let limit = PATIENCE + HEAD_START + nanos(crate::bound::best(&self.scenario) * LONGEST);
        while self.unfinished > 0
            && let Some((now, event)) = self.events.pop()
            && now < limit
        {
            self.now = now;
            self.counters.events += 1;
            self.happen(event);
        }
        self.read_gauges();
        self.outcome()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(node) => self.start(node),
            Event::Turn(node) => self.turn(node),
            Event::Wake(node) => self.wake(node),
            Event::Sent(node) => self.sent(node),
            Event::Pump(node) => self.pump(node),
            Event::Across { conn, bytes, took } => self.piece_is_across(conn, bytes, took),
            Event::Piece { conn, bytes, took } => self.piece_arrives(conn, bytes, took),
            Event::PieceIn { conn, bytes } => self.piece_in(conn, bytes),
            Event::Asks { conn, count } => self.asks_arrive(conn, count),
            Event::AsksIn { conn, count } => self.asks_in(conn, count),
            Event::Answer { conn, bytes } => self.answer_arrives(conn, bytes),
            Event::AnswerIn { conn } => self.answer_in(conn),
            Event::Connected { conn } => self.connected(conn),
            Event::Unreachable { conn } => self.unreachable(conn),
            Event::End { conn } => self.end_arrives(conn),
            Event::EndIn { conn } => self.end_in(conn),
            Event::Decide { conn } => self.decide_due(conn),
            Event::TrackerAsked(node) => self.tracker_asked(node),
            Event::TrackerAnswer { node, ok } => self.tracker_answer(node, ok),
            Event::TrackerDies => self.tracker.die(),
            Event::Goodbye(node) => self.say_goodbye(node),
            Event::Gone(node) => self.gone(node),
            Event::Gauge => self.gauge(),
        }
    }
}
