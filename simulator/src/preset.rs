//! Scenarios with names, and what each must reach.

use crate::outcome::Outcome;
use crate::scenario::{Habit, Network, Rates, Scenario, Subnets};
use crate::units::{SECOND, nanos};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The last of our ordinary peers (without slow ones), over F/u.
    Last,
    /// The median of them, over F/u.
    Median,
    /// The last, over F/u of the seeder's uplink.
    LastOfSeeder,
    /// The last, over the bound.
    LastOfBound,
    /// Copies that the seeder sent.
    Copies,
    /// Bytes that came twice, in percent.
    Duplicates,
    /// Downloaders that do not get the file.
    Incomplete,
    /// The mean of the version 1 peers, over their mean among themselves.
    Version1,
    /// Bytes between subnets, over those with a tracker that prefers nobody.
    Across,
}

/// One thing that a scenario must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// What is measured.
    pub measure: Measure,
    /// The most that it may be.
    pub limit: f64,
}

/// A scenario of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// The scenario.
    pub scenario: Scenario,
    /// What it must reach.
    pub goals: Vec<Goal>,
}

impl Measure {
    /// Its name in a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Last => "last / (F/u)",
            Self::Median => "median / (F/u)",
            Self::LastOfSeeder => "last / (F/u_seed)",
            Self::LastOfBound => "last / bound",
            Self::Copies => "copies by seeder",
            Self::Duplicates => "duplicate %",
            Self::Incomplete => "without the file",
            Self::Version1 => "v1 mean / alone",
            Self::Across => "across / not near",
        }
    }

    /// What it is in an outcome; `other`: what of the other swarm is compared with ([`compared`]).
    #[must_use]
    pub fn of(self, outcome: &Outcome, other: Option<f64>) -> f64 {
        let ours = outcome.group(Habit::Ours).map_or(outcome.times, |group| group.times);
        let version1 = outcome.groups.iter().find(|group| group.habit.is_version1());
        match self {
            Self::Last => ours.last / outcome.unit,
            Self::Median => ours.median / outcome.unit,
            Self::LastOfSeeder => {
                ours.last / (outcome.unit * outcome.scenario.rates.down / outcome.scenario.seeder.up)
            }
            Self::LastOfBound => ours.last / outcome.bound,
            Self::Copies => outcome.copies,
            Self::Duplicates => outcome.duplicates * 100.0,
            Self::Incomplete => outcome.downloaders.saturating_sub(outcome.times.complete) as f64,
            Self::Version1 => version1.map_or(0.0, |group| group.times.mean) / other.unwrap_or(f64::INFINITY),
            Self::Across => across(outcome) / other.unwrap_or(f64::INFINITY),
        }
    }
}

fn at_most(measure: Measure, limit: f64) -> Goal {
    Goal { measure, limit }
}

/// Everybody completes, and the last within `limit` times F/u.
fn last(limit: f64) -> Vec<Goal> {
    vec![at_most(Measure::Incomplete, 0.0), at_most(Measure::Last, limit)]
}

fn preset(name: &str, goals: Vec<Goal>, change: impl FnOnce(&mut Scenario)) -> Preset {
    let mut scenario = Scenario { name: name.into(), ..Scenario::default() };
    change(&mut scenario);
    Preset { scenario, goals }
}

fn ours(count: usize) -> Vec<(Habit, usize)> {
    vec![(Habit::Ours, count)]
}

/// A crowd and a file of 1,000 blocks.
fn crowd(scenario: &mut Scenario, count: usize) {
    scenario.groups = ours(count);
    scenario.blocks = 1000;
}

/// A crowd and the same file in 4,000 blocks.
fn fine_crowd(scenario: &mut Scenario, count: usize) {
    crowd(scenario, count);
    scenario.blocks *= 4;
    scenario.block_size /= 4;
    scenario.network = Network::for_blocks(scenario.block_size);
}

/// Every scenario with a name: the rows of the table.
#[must_use]
pub fn presets() -> Vec<Preset> {
    let mut presets = small();
    presets.extend(troubled());
    presets.extend(divided());
    presets.extend(large());
    presets
}

/// The preset of this name.
#[must_use]
pub fn find(name: &str) -> Option<Preset> {
    presets().into_iter().find(|preset| preset.scenario.name == name)
}

fn small() -> Vec<Preset> {
    let mut eight = last(1.15);
    eight.extend([
        at_most(Measure::Median, 1.12),
        at_most(Measure::Copies, 1.15),
        at_most(Measure::Duplicates, 0.5),
    ]);
    let seeder_tenth = vec![
        at_most(Measure::Incomplete, 0.0),
        at_most(Measure::LastOfSeeder, 1.15),
        at_most(Measure::Copies, 1.10),
    ];
    let mut large_blocks = last(1.30);
    large_blocks.push(at_most(Measure::Duplicates, 2.0));
    vec![
        preset("1-1", last(1.06), |scenario| scenario.groups = ours(1)),
        preset("1-8", eight, |_| {}),
        preset("1-16", last(1.18), |scenario| scenario.groups = ours(16)),
        preset("large-blocks", large_blocks, |scenario| {
            (scenario.blocks, scenario.block_size) = (32, 1 << 20);
            scenario.rates = Rates { up: 20e6, down: 20e6 };
            scenario.seeder = scenario.rates;
            scenario.network = Network::for_blocks(scenario.block_size);
        }),
        preset("far", last(1.30), |scenario| {
            (scenario.latency, scenario.blocks) = (SECOND / 20, 1024);
            scenario.rates = Rates { up: 300e6, down: 300e6 };
            scenario.seeder = scenario.rates;
        }),
        preset("seeder-tenth", seeder_tenth, |scenario| scenario.seeder.up /= 10.0),
        preset("spread", last(1.25), |scenario| scenario.spread = nanos(scenario.unit())),
        preset("second-crowd", last(1.40), |scenario| {
            scenario.groups = vec![(Habit::Ours, 16), (Habit::Slow, 1)];
            (scenario.blocks, scenario.block_size) = (32, 4 << 20);
            scenario.network = Network::for_blocks(scenario.block_size);
            scenario.second_crowd = Some(nanos(3.0 * scenario.unit()));
            scenario.leave_after = Some(SECOND / 2);
        }),
        preset("come-and-go", last(1.25), |scenario| {
            scenario.groups = ours(30);
            scenario.spread = nanos(10.0 * scenario.unit());
            scenario.leave_after = Some(SECOND);
        }),
        preset("version-1", last(1.5), |scenario| scenario.extension = false),
    ]
}

fn troubled() -> Vec<Preset> {
    use Habit::{Liar, Ours, Slow, Staller, Version1};
    let mut mixed = last(1.35);
    mixed.push(at_most(Measure::Version1, 1.0));
    vec![
        preset("half-version-1", mixed, |scenario| scenario.groups = vec![(Ours, 4), (Version1, 4)]),
        preset("bad-peers", last(1.25), |scenario| {
            scenario.groups = vec![(Ours, 4), (Slow, 1), (Liar, 2), (Staller, 1)];
        }),
        preset("slow-peers", last(1.4), |scenario| {
            scenario.groups = vec![(Ours, 1), (Slow, 4)];
            scenario.block_size = 1 << 20;
            scenario.blocks = 256;
            scenario.network = Network::for_blocks(scenario.block_size);
        }),
        preset("seeder-leaves", vec![at_most(Measure::Incomplete, 0.0)], |scenario| {
            // Slow enough links for the tracker to die in the middle.
            let rates = Rates { up: 10e6, down: 10e6 };
            (scenario.rates, scenario.seeder) = (rates, rates);
            scenario.seeder_leaves = Some(1.1);
            scenario.tracker_dies = Some(60 * SECOND);
        }),
    ]
}

/// Four subnets with 50 peers each, whose links have the rate of four peers.
fn four_subnets(scenario: &mut Scenario) {
    scenario.groups = ours(200);
    scenario.blocks = 256;
    scenario.block_size = 64 << 10;
    scenario.network = Network::for_blocks(scenario.block_size);
    scenario.subnets = Some(Subnets { count: 4, rate: 200e6, firewalled: false, prefer_near: true });
}

fn divided() -> Vec<Preset> {
    let near = |limit| vec![at_most(Measure::Incomplete, 0.0), at_most(Measure::Across, limit)];
    vec![
        preset("subnets", near(0.9), four_subnets),
        preset("subnets-version-1", near(0.7), |scenario| {
            four_subnets(scenario);
            scenario.groups = vec![(Habit::Version1, 200)];
        }),
        preset("firewalled", vec![at_most(Measure::Incomplete, 0.0)], |scenario| {
            four_subnets(scenario);
            scenario.subnets = scenario.subnets.map(|subnets| Subnets { firewalled: true, ..subnets });
        }),
        preset("firewalled-version-1", last(25.0), |scenario| {
            four_subnets(scenario);
            scenario.groups = vec![(Habit::Version1, 200)];
            scenario.subnets = scenario.subnets.map(|subnets| Subnets { firewalled: true, ..subnets });
        }),
    ]
}

fn large() -> Vec<Preset> {
    let home = vec![at_most(Measure::Incomplete, 0.0), at_most(Measure::LastOfBound, 1.20)];
    vec![
        preset("100", last(1.10), |scenario| crowd(scenario, 100)),
        preset("100-fine", last(1.10), |scenario| fine_crowd(scenario, 100)),
        preset("1000", last(1.12), |scenario| crowd(scenario, 1000)),
        preset("1000-fine", last(1.12), |scenario| fine_crowd(scenario, 1000)),
        preset("home", home, |scenario| {
            crowd(scenario, 1000);
            let rates = Rates { up: 10e6, down: 50e6 };
            (scenario.rates, scenario.seeder) = (rates, rates);
        }),
        preset("10000", last(1.15), |scenario| crowd(scenario, 10_000)),
        preset("10000-fine", last(1.15), |scenario| fine_crowd(scenario, 10_000)),
    ]
}

fn across(outcome: &Outcome) -> f64 {
    outcome.traffic.across as f64
}

/// A number of an outcome.
pub type Number = fn(&Outcome) -> f64;

/// The swarm that a swarm is compared with, and by which number.
#[must_use]
pub fn compared(scenario: &Scenario) -> Option<(Scenario, Number)> {
    if let Some(subnets) = scenario.subnets.filter(|subnets| subnets.prefer_near) {
        let subnets = Some(Subnets { prefer_near: false, ..subnets });
        let other = Scenario { subnets, ..scenario.clone() };
        return Some((other, across));
    }
    Some((among_themselves(scenario)?, |outcome| outcome.times.mean))
}

/// The same swarm with all downloaders of version 1: what those of a mixed one are compared with.
fn among_themselves(scenario: &Scenario) -> Option<Scenario> {
    let habit = scenario.groups.iter().map(|(habit, _)| *habit).find(|habit| habit.is_version1())?;
    let groups = vec![(habit, scenario.count(Habit::downloads))];
    Some(Scenario { groups, network: Network { ..scenario.network }, ..scenario.clone() })
}
