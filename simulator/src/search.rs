//! Random swarms: what the table does not contain. The worst of them show where the decisions are wrong.
//!
//! A swarm is drawn as options of `simulate`, so that the line which is printed repeats it.

use crate::cli::Cli;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::scenario::Habit;
use crate::world::World;
use clap::Parser;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Sizes of blocks: as an option, and how many are a MiB.
const BLOCK_SIZES: [(&str, u64, u64); 6] =
    [("16KiB", 64, 1), ("64KiB", 16, 1), ("128KiB", 8, 1), ("256KiB", 4, 1), ("1MiB", 1, 1), ("4MiB", 1, 4)];

/// A search among random swarms.
#[derive(Debug)]
pub struct Search {
    /// The number of swarms.
    pub swarms: u64,
    /// The seed of the first one; those that follow have the next seeds.
    pub seed: u64,
    /// The number of swarms that are shown.
    pub worst: usize,
    /// Simulations at a time.
    pub threads: usize,
}

/// What came of one swarm.
#[derive(Debug, Clone)]
struct Found {
    /// The last of our ordinary peers over the bound.
    ratio: f64,
    /// The same in seconds.
    last: f64,
    /// Downloaders without the file that did not leave by themselves.
    without: usize,
    options: String,
}

impl Search {
    /// Simulates the swarms. Returns the text that shows the worst ones, and whether everybody who stayed has the file.
    ///
    /// # Errors
    /// A swarm that cannot be simulated.
    pub fn run(&self) -> Result<(String, bool), String> {
        let (next, found) = (AtomicU64::new(0), Mutex::new(Ok(Vec::new())));
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.swarms {
                            return;
                        }
                        let swarm = simulate(&draw(self.seed.wrapping_add(number)));
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        match (&mut *found, swarm) {
                            (Ok(found), Ok(swarm)) => found.push(swarm),
                            (Ok(_), Err(error)) => *found = Err(error),
                            (Err(_), _) => return,
                        }
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        // Several threads find them in any order; the options end the ties.
        found.sort_by(|a, b| b.ratio.total_cmp(&a.ratio).then_with(|| a.options.cmp(&b.options)));
        Ok((self.show(&found), found.iter().all(|swarm| swarm.without == 0)))
    }

    fn show(&self, found: &[Found]) -> String {
        let mut text = String::new();
        let mean = found.iter().map(|swarm| swarm.ratio).sum::<f64>() / found.len().max(1) as f64;
        let median = found.get(found.len() / 2).map_or(0.0, |swarm| swarm.ratio);
        let _ = writeln!(
            text,
            "{} swarms: the last of ours after {mean:.3} times the bound on average, {median:.3} times in the median",
            found.len()
        );
        let _ =
            writeln!(text, "{:>10} {:>9} {:>12}  simulate with", "last/bound", "last (s)", "without file");
        for Found { ratio, last, without, options } in found.iter().take(self.worst) {
            let _ = writeln!(text, "{ratio:>10.3} {last:>9.2} {without:>12}  {options}");
        }
        text
    }
}

/// The options of the swarm with this seed.
fn draw(seed: u64) -> String {
    let mut random = Random::new(seed, 2);
    let mut pick = |from: u64, to: u64| from + random.below(to - from + 1);
    let peers = pick(2, 10);
    let (block_size, a_mib, mib) = BLOCK_SIZES[usize::try_from(pick(0, 5)).unwrap_or(0)];
    let blocks = ((8 << pick(0, 3)) * a_mib / mib).max(2);
    let up = [2, 10, 20, 50][usize::try_from(pick(0, 3)).unwrap_or(0)];
    let down = up * [1, 1, 2, 5][usize::try_from(pick(0, 3)).unwrap_or(0)];
    let seeder_up = match pick(0, 3) {
        0 => up * 4,
        1 => (up / 2).max(2),
        _ => up,
    };
    let latency = [1, 5, 40][usize::try_from(pick(0, 2)).unwrap_or(0)];
    let mut options = format!(
        "--peers {peers} --blocks {blocks} --block-size {block_size} --up {up} --down {down} --seeder-up {seeder_up} \
         --latency {latency}ms"
    );
    let mut ours = peers;
    for habit in ["v1", "slow", "dead", "liars", "stallers", "quitters"] {
        if ours < 2 || pick(1, 3) > 1 {
            continue;
        }
        let count = pick(1, ours / 2);
        ours -= count;
        let _ = write!(options, " --{habit} {count}");
        if habit == "quitters" {
            let _ = write!(options, " --quit-at {}s", pick(1, 20));
        }
        if habit == "v1" && pick(1, 3) == 1 {
            options.push_str(" --v1-closes");
        }
    }
    if pick(1, 3) == 1 {
        let _ = write!(options, " --spread {}s", pick(1, 30));
    }
    if pick(1, 6) == 1 {
        let _ = write!(options, " --leave-after {}s", pick(0, 5));
    }
    if pick(1, 6) == 1 {
        let _ = write!(options, " --second-crowd {}s", pick(1, 90));
    }
    if pick(1, 7) == 1 {
        options.push_str(" --slices off");
    }
    if pick(1, 10) == 1 {
        options.push_str(" --extension off");
    }
    let _ = write!(options, " --seed {seed}");
    options
}

fn simulate(options: &str) -> Result<Found, String> {
    let cli = Cli::try_parse_from(std::iter::once("simulate").chain(options.split(' ')));
    let scenario = cli.map_err(|error| error.to_string())?.scenario()?;
    let quitters = scenario.quitters.map_or(0, |(count, _)| count);
    let outcome = World::new(scenario).map_err(|error| error.to_string())?.run();
    let last = outcome.group(Habit::Ours).map_or(outcome.times.last, |group| group.times.last);
    Ok(Found {
        ratio: last / outcome.bound,
        last,
        without: without(&outcome, quitters),
        options: options.into(),
    })
}

/// Downloaders without the file, apart from those that left by themselves.
fn without(outcome: &Outcome, quitters: usize) -> usize {
    outcome.downloaders.saturating_sub(outcome.times.complete).saturating_sub(quitters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_is_a_swarm_of_its_own_and_always_the_same() {
        let all: std::collections::BTreeSet<_> = (0..500).map(draw).collect();
        assert_eq!(all.len(), 500);
        for options in &all {
            let cli = Cli::try_parse_from(std::iter::once("simulate").chain(options.split(' ')));
            let scenario = cli.unwrap_or_else(|error| panic!("{options}: {error}")).scenario().unwrap();
            assert!(scenario.count(|habit| habit == Habit::Ours) > 0, "{options}");
        }
        assert_eq!(draw(7), draw(7));
    }

    #[test]
    fn the_worst_are_shown_first_whatever_the_number_of_threads() {
        let search = |threads| Search { swarms: 6, seed: 40, worst: 3, threads }.run().unwrap();
        let (text, complete) = search(1);
        assert!(complete, "{text}");
        assert_eq!(search(3).0, text);
        let ratios: Vec<f64> = text
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert!(ratios.len() == 3 && ratios.is_sorted_by(|a, b| a >= b), "{text}");
    }
}
