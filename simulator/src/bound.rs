//! How fast a swarm could be at best. Neither bound knows of packet headers.

use crate::scenario::{Habit, Scenario};

/// Time in which the last of the downloaders can have the file at best, in seconds.
///
/// Equal links: Mundinger, Weber and Weiss, F/u · (1 + floor(log2 N) / M) (blocks make it coarser than a
/// fluid). Unequal ones: Kumar and Ross, max(F/u of the seeder, F/d of the slowest downloader,
/// N·F / (sum of all uplinks)). Slow peers are left out: they have a time of their own.
#[must_use]
pub fn best(scenario: &Scenario) -> f64 {
    let bits = scenario.length() as f64 * 8.0;
    let downloaders: Vec<_> = scenario
        .habits()
        .into_iter()
        .filter(|habit| habit.downloads() && *habit != Habit::Slow)
        .map(|habit| scenario.rates_of(habit))
        .collect();
    let count = downloaders.len() as f64;
    let slowest = downloaders.iter().map(|rates| rates.down).fold(f64::INFINITY, f64::min);
    let uplinks: f64 = downloaders.iter().map(|rates| rates.up).sum();
    let fluid =
        (bits / scenario.seeder.up).max(bits / slowest).max(count * bits / (scenario.seeder.up + uplinks));
    if is_equal(scenario) { fluid.max(equal_links(scenario, count)) } else { fluid }
}

fn is_equal(scenario: &Scenario) -> bool {
    let Scenario { rates, seeder, .. } = scenario;
    let equal = |one: f64, other: f64| (one - other).abs() < 1.0;
    equal(rates.up, rates.down) && equal(rates.up, seeder.up)
}

fn equal_links(scenario: &Scenario, count: f64) -> f64 {
    let rounds = count.max(1.0).log2().floor();
    scenario.unit() * (1.0 + rounds / (scenario.blocks.max(1) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Rates;

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < expected * 1e-6
    }

    #[test]
    fn the_issue_s_example() {
        // 128 MiB over 100 Mbit/s to eight.
        let rates = Rates { up: 100e6, down: 100e6 };
        let scenario = Scenario { rates, seeder: rates, ..Scenario::default() };
        assert!((10.7..10.9).contains(&best(&scenario)), "{}", best(&scenario));
    }

    #[test]
    fn the_scarcest_decides() {
        let unit = Scenario::default().unit();
        let slow_seeder = Scenario { seeder: Rates { up: 5e6, down: 50e6 }, ..Scenario::default() };
        assert!(close(best(&slow_seeder), unit * 10.0));
        let home = Rates { up: 10e6, down: 50e6 };
        let home =
            Scenario { rates: home, seeder: home, groups: vec![(Habit::Ours, 99)], ..Scenario::default() };
        assert!(close(best(&home), unit * 5.0 * 0.99 + unit * 0.05) || close(best(&home), unit * 5.0));
    }
}
