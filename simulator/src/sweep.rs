//! What each tuned constant is good for: it is halved, doubled, and set so that its mechanism is off, and all rows of a
//! table are simulated again.
//!
//! One simulation says little: another value draws other random numbers, and the last of eight peers may be a percent
//! sooner or later by that alone. So each row is the mean over several seeds, and what differs by less than the rows
//! do without any change (`--sweep` prints that first) is noise.

use crate::preset::{Measure, Preset, compared};
use crate::scenario::Scenario;
use crate::{Outcome, World};
use cascade_swarm::{ask, give};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Times each constant is multiplied with.
const FACTORS: [f64; 2] = [0.5, 2.0];

/// Factors that switch a mechanism off: a pause that never ends, a number that is never reached, a part of nothing.
const OFF: [(&str, f64); 10] = [
    ("ask.link_spacing", 0.0),
    ("ask.many_refusals", 1e6),
    ("ask.hash_lead", 1e6),
    ("ask.take_factor", 1e6),
    ("ask.swarm_margins", 0.0),
    ("give.max_waiting", 1e6),
    ("give.version1_part", 0.0),
    ("give.newcomers_part", 0.0),
    ("give.lapse", 1e6),
    ("give.news_spacing", 0.0),
];

/// A change of a row from which on it is named.
const NAMED: f64 = 0.02;

/// A sweep over the constants of both sides.
#[derive(Debug)]
pub struct Sweep {
    /// The rows that are simulated.
    pub rows: Vec<Preset>,
    /// Seeds of each row: its own, and those that follow it.
    pub seeds: u64,
    /// Only constants whose name contains one of these; empty: all.
    pub only: Vec<String>,
    /// Simulations at a time.
    pub threads: usize,
}

/// One goal of one row: its name, and what it came to, as the mean over the seeds.
#[derive(Debug, Clone, PartialEq)]
struct Reached {
    row: String,
    measure: Measure,
    value: f64,
}

impl Sweep {
    /// Runs it, and tells each constant's line as soon as it is known.
    ///
    /// # Errors
    /// A row that cannot be simulated, or what `tell` says.
    pub fn run(&self, tell: &(dyn Fn(&str) -> Result<(), String> + Sync)) -> Result<(), String> {
        let usual = self.simulate(&Constants::default(), 0)?;
        tell(&format!("{} rows, {} seeds each\n", self.rows.len(), self.seeds))?;
        let again = self.simulate(&Constants::default(), self.seeds)?;
        tell(&line("no constant changed, other seeds", "", &usual, &again))?;
        let work: Vec<(String, f64)> = Constants::names()
            .into_iter()
            .filter(|name| self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str())))
            .flat_map(|name| {
                let off = OFF.iter().filter(|(other, _)| *other == name).map(|(_, factor)| *factor);
                FACTORS.into_iter().chain(off).map(|factor| (name.clone(), factor)).collect::<Vec<_>>()
            })
            .collect();
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(Ok(())));
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while let Some((name, factor)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let told = self.look(name, *factor, &usual).and_then(|line| tell(&line));
                        if told.is_err() {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = told;
                            return;
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, name: &str, factor: f64, usual: &[Reached]) -> Result<String, String> {
        let constants =
            Constants::default().scaled(name, factor).ok_or(format!("there is no constant {name}"))?;
        let value = constants.shown(name).unwrap_or_default();
        Ok(line(name, &value, usual, &self.simulate(&constants, 0)?))
    }

    /// Every goal of every row, with seeds from `first` on.
    fn simulate(&self, constants: &Constants, first: u64) -> Result<Vec<Reached>, String> {
        // A plan keeps its constants for ever: a few hundred bytes stay for each value that is tried.
        let ask: &'static ask::Tuning = Box::leak(Box::new(constants.ask));
        let mut reached = Vec::new();
        for preset in &self.rows {
            let mut sums = vec![0.0; preset.goals.len()];
            for seed in 0..self.seeds {
                let mut scenario = preset.scenario.clone();
                scenario.seed += first + seed;
                (scenario.ask, scenario.give) = (ask, constants.give);
                let other = compared(&scenario)
                    .map(|(other, what)| Ok::<_, String>(what(&run(other)?)))
                    .transpose()?;
                let outcome = run(scenario)?;
                for (sum, goal) in sums.iter_mut().zip(&preset.goals) {
                    *sum += goal.measure.of(&outcome, other);
                }
            }
            reached.extend(preset.goals.iter().zip(sums).map(|(goal, sum)| Reached {
                row: preset.scenario.name.clone(),
                measure: goal.measure,
                value: sum / self.seeds as f64,
            }));
        }
        Ok(reached)
    }
}

/// The constants of both sides. Their names begin with `ask.` or `give.`.
#[derive(Debug, Clone, Copy, Default)]
struct Constants {
    ask: ask::Tuning,
    give: give::Tuning,
}

impl Constants {
    fn names() -> Vec<String> {
        let ask = ask::Tuning::NAMES.iter().map(|name| format!("ask.{name}"));
        ask.chain(give::Tuning::NAMES.iter().map(|name| format!("give.{name}"))).collect()
    }

    fn scaled(self, name: &str, factor: f64) -> Option<Self> {
        match name.split_once('.')? {
            ("ask", name) => Some(Self { ask: self.ask.scaled(name, factor)?, ..self }),
            ("give", name) => Some(Self { give: self.give.scaled(name, factor)?, ..self }),
            _ => None,
        }
    }

    fn shown(&self, name: &str) -> Option<String> {
        match name.split_once('.')? {
            ("ask", name) => self.ask.shown(name),
            ("give", name) => self.give.shown(name),
            _ => None,
        }
    }
}

fn run(scenario: Scenario) -> Result<Outcome, String> {
    World::new(scenario).map(World::run).map_err(|error| error.to_string())
}

/// How much worse a goal is than usual: a share, for what is a time or a number of copies; a share of the file, for
/// duplicates; peers that do not get the file count whole.
fn worse(usual: &Reached, now: &Reached) -> f64 {
    match now.measure {
        Measure::Duplicates => (now.value - usual.value) / 100.0,
        Measure::Incomplete => now.value - usual.value,
        Measure::Last
        | Measure::Median
        | Measure::LastOfSeeder
        | Measure::LastOfBound
        | Measure::Copies
        | Measure::Version1
        | Measure::Across => now.value / usual.value - 1.0,
    }
}

/// A line of the table: the constant, its value, the largest changes for the worse and for the better, and every goal
/// that changes by [`NAMED`] or more.
fn line(name: &str, value: &str, usual: &[Reached], now: &[Reached]) -> String {
    let changes: Vec<f64> = usual.iter().zip(now).map(|(usual, now)| worse(usual, now)).collect();
    let most = changes.iter().copied().fold(0.0, f64::max);
    let least = changes.iter().copied().fold(0.0, f64::min);
    let mut text = format!("{name:<34} {value:>12} {:>+7.1} % {:>+7.1} %  ", most * 100.0, least * 100.0);
    for (change, goal) in changes.iter().zip(now).filter(|(change, _)| change.abs() >= NAMED) {
        // Writing to a string cannot fail.
        let _ = write!(text, " {}: {} {:+.1} %;", goal.row, goal.measure.name(), change * 100.0);
    }
    text.truncate(text.trim_end_matches([' ', ';']).len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(measure: Measure, value: f64) -> Reached {
        Reached { row: "1-8".into(), measure, value }
    }

    #[test]
    fn each_mechanism_is_switched_off_by_a_constant_that_exists() {
        for (name, factor) in OFF {
            assert!(Constants::default().scaled(name, factor).is_some(), "{name}");
        }
    }

    #[test]
    fn a_line_names_what_changes() {
        let usual = [
            reached(Measure::Last, 1.0),
            reached(Measure::Duplicates, 0.0),
            reached(Measure::Incomplete, 0.0),
        ];
        let now = [
            reached(Measure::Last, 1.019),
            reached(Measure::Duplicates, 3.0),
            reached(Measure::Incomplete, 1.0),
        ];
        let text = line("name", "30ms", &usual, &now);
        assert!(text.contains("+100.0 %") && text.contains("1-8: duplicate % +3.0 %"), "{text}");
        assert!(!text.contains("last"), "{text}");
    }

    #[test]
    fn a_sweep_finds_the_row_that_needs_a_constant() {
        let rows =
            crate::preset::presets().into_iter().filter(|preset| preset.scenario.name == "1-1").collect();
        let name = Constants::names().into_iter().next().unwrap();
        let sweep = Sweep { rows, seeds: 1, only: vec![name.clone()], threads: 1 };
        let lines = Mutex::new(String::new());
        sweep
            .run(&|line| {
                lines.lock().unwrap().push_str(line);
                Ok(())
            })
            .unwrap();
        assert_eq!(lines.into_inner().unwrap().matches(&name).count(), 2, "half and double");
    }
}
