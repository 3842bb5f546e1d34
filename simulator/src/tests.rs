//! Small swarms whose optimum is known, every behaviour, and that a seed decides everything.

use crate::scenario::{Habit, Network, Rates, Scenario, Subnets};
use crate::units::{MILLISECOND, SECOND, nanos};
use crate::{Outcome, World, report};

/// A swarm with 16 MiB in 64 blocks at 50 Mbit/s: F/u is 2.7 s.
fn swarm(groups: Vec<(Habit, usize)>) -> Scenario {
    Scenario { groups, blocks: 64, ..Scenario::default() }
}

fn run(scenario: Scenario) -> Outcome {
    World::new(scenario).unwrap().run()
}

/// Everybody must complete; gives the outcome.
fn completed(scenario: Scenario) -> Outcome {
    let outcome = run(scenario);
    assert!(outcome.is_complete(), "{}", report::table::outcome(&outcome, 0.0));
    outcome
}

fn without_headers(mut scenario: Scenario) -> Scenario {
    scenario.network = Network { headers: false, acknowledgements: false, ..scenario.network };
    scenario
}

#[test]
fn one_to_one_takes_the_link_s_time_and_four_round_trips() {
    let outcome = completed(without_headers(swarm(vec![(Habit::Ours, 1)])));
    // Tracker: two round trips. Connection: one. First request: one.
    let least = outcome.unit + 0.04;
    assert!((least..least + 0.02).contains(&outcome.times.last), "{} of {least}", outcome.times.last);
    assert!((outcome.copies - 1.0).abs() < 1e-9, "{} copies", outcome.copies);
}

#[test]
fn headers_and_the_slower_end_count() {
    let with = completed(swarm(vec![(Habit::Ours, 1)]));
    let least = with.unit * 1500.0 / 1448.0 + 0.04;
    assert!((least..least + 0.02).contains(&with.times.last), "{} of {least}", with.times.last);
    let seeder = Rates { up: 5e6, down: 50e6 };
    let slow = completed(without_headers(Scenario { seeder, blocks: 8, ..swarm(vec![(Habit::Ours, 1)]) }));
    assert!((10.0..10.3).contains(&slow.ratio()), "{} times F/u of the faster end", slow.ratio());
}

#[test]
fn no_swarm_is_faster_than_its_bound() {
    for (seed, count) in [(1, 1), (2, 2), (3, 7), (4, 16)] {
        let outcome = completed(without_headers(Scenario { seed, ..swarm(vec![(Habit::Ours, count)]) }));
        assert!(outcome.times.last > outcome.bound, "{count} peers: {} s", outcome.times.last);
        // The seeder alone would need `count` times F/u.
        let alone = count as f64 * outcome.unit;
        assert!(
            outcome.times.last < alone.max(outcome.unit * 1.1),
            "{count} peers: {} s",
            outcome.times.last
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let scenario = |seed| {
        let groups = vec![(Habit::Ours, 6), (Habit::Version1, 2), (Habit::Liar, 1), (Habit::Slow, 1)];
        Scenario { seed, blocks: 32, ..swarm(groups) }
    };
    let json = |seed| report::json(&run(scenario(seed))).unwrap();
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
}

#[test]
fn every_habit_is_survived() {
    use Habit::{Dead, Liar, Ours, Slow, Staller, Version1, Version1Closing};
    for habit in [Slow, Version1, Version1Closing, Liar, Staller, Dead] {
        for extension in [true, false] {
            let groups = vec![(Ours, 3), (habit, 2)];
            completed(Scenario { extension, blocks: 32, ..swarm(groups) });
        }
    }
}

#[test]
fn programs_of_the_field_help_each_other() {
    for habit in [Habit::Version1, Habit::Version1Closing] {
        let outcome = completed(swarm(vec![(habit, 6)]));
        assert!(outcome.copies < 5.0, "{habit:?}: the seeder sent {} copies to six", outcome.copies);
        assert!(outcome.traffic.refusals > 0, "{habit:?}: every peer knew which blocks the others have");
    }
}

#[test]
fn starts_may_be_spread_and_peers_may_leave_when_complete() {
    let spread = 3 * SECOND;
    let scenario = Scenario { spread, leave_after: Some(100 * MILLISECOND), ..swarm(vec![(Habit::Ours, 6)]) };
    let outcome = completed(scenario);
    assert!(outcome.end > outcome.times.last, "the last to come started later");
}

#[test]
fn a_seeder_may_leave_and_the_tracker_die() {
    let scenario =
        Scenario { seeder_leaves: Some(1.3), tracker_dies: Some(SECOND), ..swarm(vec![(Habit::Ours, 6)]) };
    let outcome = completed(scenario);
    assert!(outcome.copies < 1.6, "{} copies", outcome.copies);
}

#[test]
fn those_who_give_up_are_not_waited_for() {
    let quitters = Some((2, nanos(1.0)));
    let outcome = completed(Scenario { quitters, ..swarm(vec![(Habit::Ours, 6)]) });
    assert_eq!(outcome.downloaders, 4);
}

#[test]
fn nobody_completes_without_a_seeder() {
    let quick = Scenario { seeder_leaves: Some(0.2), ..swarm(vec![(Habit::Ours, 2)]) };
    let outcome = run(quick);
    assert_eq!(outcome.times.complete, 0);
}

#[test]
fn a_hundred_peers() {
    let mut scenario = swarm(vec![(Habit::Ours, 30), (Habit::Version1, 70)]);
    scenario.blocks = 6;
    scenario.network.turn = 50 * MILLISECOND;
    let outcome = completed(scenario);
    assert_eq!(outcome.times.complete, 100);
    assert!(outcome.copies < 50.0, "the seeder sent {} copies", outcome.copies);
}

/// Four subnets with peers of such a habit.
fn subnets(habit: Habit, peers: usize, prefer_near: bool, firewalled: bool) -> Scenario {
    let subnets = Some(Subnets { count: 4, rate: 50e6, firewalled, prefer_near });
    Scenario { subnets, ..swarm(vec![(habit, peers)]) }
}

#[test]
fn a_tracker_that_prefers_near_peers_spares_the_thin_links() {
    // Programs of the field know only the peers of lists; ours tell each other of peers, and gain less.
    let [today, near] = [false, true].map(|near| completed(subnets(Habit::Version1, 100, near, false)));
    let ratio = near.traffic.across as f64 / today.traffic.across as f64;
    assert!(ratio < 0.8, "{ratio} of the bytes: {} of {}", near.traffic.across, today.traffic.across);
    assert!(near.times.median < 0.9 * today.times.median, "{:?} after {:?}", near.times, today.times);
    // What each subnet must have from outside: the seeder is in the first.
    assert!(near.traffic.across > 3 * near.scenario.length());
}

#[test]
fn peers_between_firewalls_find_those_that_they_reach() {
    let [today, near] = [false, true].map(|near| completed(subnets(Habit::Version1, 100, near, true)));
    assert!(near.times.median < 0.9 * today.times.median, "{:?} after {:?}", near.times, today.times);
    // They ask the seeder for less, the only one whom all of them reach.
    assert!(near.copies < today.copies, "{} copies after {}", near.copies, today.copies);
    completed(Scenario { blocks: 16, ..subnets(Habit::Ours, 24, true, true) });
}

#[test]
fn what_is_in_one_subnet_passes_no_thin_link() {
    let scenario = Scenario { blocks: 8, ..subnets(Habit::Ours, 1, true, false) };
    let outcome = completed(scenario);
    let length = outcome.scenario.length() as f64;
    let once = length * 1500.0 / 1448.0;
    let across = outcome.traffic.across as f64;
    // Peer 1 is in the second subnet: the file, and few short messages.
    assert!((once..once * 1.06).contains(&across), "{across} bytes of {once}");
    let alone = Subnets { count: 2, rate: 1e6, firewalled: true, prefer_near: true };
    let thin = completed(Scenario { subnets: Some(alone), ..outcome.scenario });
    assert!(thin.times.last > length * 8.0 / 1e6, "it went through the thin link in {} s", thin.times.last);
}

#[test]
fn the_picture_has_axes_and_names() {
    let outcome = completed(Scenario { blocks: 8, ..swarm(vec![(Habit::Ours, 3), (Habit::Liar, 1)]) });
    let picture = report::picture::draw(&outcome);
    for part in ["virtual time (s)", "blocks done", "100 %", "complete", "seeder", "liar", "</svg>"] {
        assert!(picture.contains(part), "{part} is missing");
    }
    assert_eq!(picture.matches("<g").count(), picture.matches("</g>").count());
}

/// The same bytes in 16 blocks of 1 MiB.
fn large(groups: Vec<(Habit, usize)>, slices: bool) -> Scenario {
    let block_size = 1 << 20;
    let network = Network::for_blocks(block_size);
    Scenario { blocks: 16, block_size, network, slices, ..swarm(groups) }
}

#[test]
fn every_habit_is_survived_where_blocks_are_large() {
    use Habit::{Dead, Liar, Ours, Slow, Staller, Version1, Version1Closing};
    for habit in [Slow, Version1, Version1Closing, Liar, Staller, Dead] {
        for slices in [true, false] {
            for seed in [1, 2] {
                completed(Scenario { seed, ..large(vec![(Ours, 4), (habit, 2)], slices) });
            }
        }
    }
    for slices in [true, false] {
        let groups = [Ours, Version1, Version1Closing, Liar, Staller].map(|habit| (habit, 2));
        completed(large(groups.into(), slices));
    }
}

#[test]
fn slices_of_large_blocks_spread_sooner_than_the_blocks() {
    let ratio = |slices, seed| {
        let swarm = large(vec![(Habit::Ours, 8)], slices);
        completed(Scenario { seed, blocks: 32, ..swarm }).ratio()
    };
    let [with, without] =
        [true, false].map(|slices| (1..=3).map(|seed| ratio(slices, seed)).sum::<f64>() / 3.0);
    assert!(with < 1.25 && with < without * 0.93, "{with} instead of {without} times F/u");
}

#[test]
fn large_blocks_lose_nothing_when_a_seeder_leaves_in_the_middle_of_them() {
    for seed in 1..=4 {
        let scenario = Scenario { seed, seeder_leaves: Some(1.6), ..large(vec![(Habit::Ours, 6)], true) };
        let outcome = completed(scenario);
        assert!(outcome.copies < 2.0, "{} copies", outcome.copies);
    }
}
