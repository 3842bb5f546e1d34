//! The swarms of the table, and what each must reach.

use super::outcome::Outcome;
use super::role::Role;
use super::scenario::Scenario;
use crate::units::show_size;
use serde::Serialize;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Measure {
    /// Runs in which somebody does not get the file.
    Incomplete,
    /// The last of ours with the full rate, over F/u.
    Last,
    /// Their median, over F/u.
    Median,
    /// The last, over F/u of the seeder's uplink.
    LastOfSeeder,
    /// Copies that the seeder sent.
    Copies,
    /// Bytes that came twice, in percent.
    Duplicates,
    /// The mean of the version 1 peers, over their mean in a swarm of their own.
    Version1,
}

/// One thing that a swarm must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// What is measured.
    pub measure: Measure,
    /// The most that it may be.
    pub at_most: f64,
}

/// One swarm of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// The swarm.
    pub scenario: Scenario,
    /// What it must reach.
    pub limits: &'static [Limit],
}

const fn at_most(measure: Measure, at_most: f64) -> Limit {
    Limit { measure, at_most }
}

/// Everybody completes.
const ALL: Limit = at_most(Measure::Incomplete, 0.0);

/// All rows. A row that takes long at a low rate has a smaller file; the table says so.
pub const ROWS: [Row; 11] = [
    Row {
        name: "1-1",
        scenario: Scenario { leechers: 1, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::Last, 1.06)],
    },
    Row {
        name: "1-8",
        scenario: Scenario::PLAIN,
        limits: &[
            ALL,
            at_most(Measure::Last, 1.15),
            at_most(Measure::Median, 1.12),
            at_most(Measure::Copies, 1.15),
            at_most(Measure::Duplicates, 0.5),
        ],
    },
    Row {
        name: "1-8-folder",
        // Within 2 % of the row before, which the table does not compare by itself.
        scenario: Scenario { folder: Some(1000), ..Scenario::PLAIN },
        limits: &[
            ALL,
            at_most(Measure::Last, 1.15),
            at_most(Measure::Median, 1.12),
            at_most(Measure::Copies, 1.15),
            at_most(Measure::Duplicates, 0.5),
        ],
    },
    Row {
        name: "1-16",
        scenario: Scenario { leechers: 16, rate: 20, seeder_rate: 20, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::Last, 1.18)],
    },
    Row {
        name: "large-blocks",
        // As many files of the field have them: a block takes 0.4 s, and there are few to exchange.
        scenario: Scenario { size: 32 << 20, block: 1 << 20, rate: 20, seeder_rate: 20, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::Last, 1.30), at_most(Measure::Duplicates, 2.0)],
    },
    Row {
        name: "seeder-tenth",
        scenario: Scenario { seeder_rate: 5, size: 32 << 20, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::LastOfSeeder, 1.15), at_most(Measure::Copies, 1.10)],
    },
    Row {
        name: "spread",
        scenario: Scenario { spread: true, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::Last, 1.25)],
    },
    Row {
        name: "extension-off",
        scenario: Scenario { extension: false, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::Last, 1.5)],
    },
    Row {
        name: "half-version-1",
        scenario: Scenario { v1: 4, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::Last, 1.35), at_most(Measure::Version1, 1.0)],
    },
    Row {
        name: "bad-peers",
        scenario: Scenario { slow: 1, liars: 2, stallers: 1, ..Scenario::PLAIN },
        limits: &[ALL, at_most(Measure::Last, 1.25)],
    },
    Row {
        name: "seeder-leaves",
        // So slow that the tracker dies in the middle. Ours send few more than one copy: a seeder that left after
        // 1.1 would stay to the end.
        scenario: Scenario {
            rate: 10,
            seeder_rate: 10,
            seeder_leaves: Some(1.05),
            tracker_dies: Some(60),
            ..Scenario::PLAIN
        },
        limits: &[ALL],
    },
];

impl Row {
    /// Whether the row compares with a swarm of version 1 peers alone.
    #[must_use]
    pub fn needs_version_1_alone(&self) -> bool {
        self.limits.iter().any(|limit| limit.measure == Measure::Version1)
    }

    /// The name in the table; a file that is not the usual one is named.
    #[must_use]
    pub fn title(&self) -> String {
        if self.scenario.size == Scenario::PLAIN.size {
            self.name.to_owned()
        } else {
            format!("{}, {}", self.name, show_size(self.scenario.size))
        }
    }

    /// The text of a limit in the table.
    #[must_use]
    pub fn what(&self, measure: Measure) -> &'static str {
        match measure {
            Measure::Incomplete => "runs in which somebody lacks the file",
            Measure::Last if self.scenario.spread => "the slowest ÷ its own F/u",
            Measure::Last if self.scenario.has_scripted() || self.scenario.slow > 0 => {
                "the last of ours, full rate ÷ F/u"
            }
            Measure::Last => "last ÷ F/u",
            Measure::Median => "median ÷ F/u",
            Measure::LastOfSeeder => "last ÷ F/u of the seeder",
            Measure::Copies => "copies by the seeder",
            Measure::Duplicates => "duplicates, %",
            Measure::Version1 => "mean of version 1 ÷ their mean alone",
        }
    }
}

impl Measure {
    /// What it is in one run; NaN where it was not measured. `alone`: the run of version 1 peers only.
    #[must_use]
    pub fn of(self, scenario: &Scenario, outcome: &Outcome, alone: Option<&Outcome>) -> f64 {
        let times = outcome.spread(scenario.main_role());
        let (last, median) = times.map_or((f64::NAN, f64::NAN), |times| (times.max, times.median));
        match self {
            // A trouble that did not come tells nothing. A seeder that never sends so much may stay.
            Self::Incomplete if outcome.outlived_by_tracker(scenario) => f64::NAN,
            Self::Incomplete => 0.0,
            Self::Last => last / scenario.unit(),
            Self::Median => median / scenario.unit(),
            Self::LastOfSeeder => last / scenario.seeder_unit(),
            Self::Copies => outcome.copies(scenario),
            Self::Duplicates => outcome.duplicate_percent(scenario).unwrap_or(f64::NAN),
            Self::Version1 => {
                outcome.mean(Role::Version1) / alone.map_or(f64::NAN, |alone| alone.mean(Role::Version1))
            }
        }
    }
}

/// The worst of several runs. A value that was not measured is the worst there is.
#[must_use]
pub fn worst(values: impl IntoIterator<Item = f64>) -> f64 {
    let worse = |one: f64, other: f64| if one.is_nan() || one > other { one } else { other };
    values.into_iter().reduce(worse).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::outcome;
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_fits_its_swarm() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(ROWS.iter().skip(at + 1).all(|other| other.name != row.name), "{} is twice", row.name);
            assert_eq!(row.scenario.roles().len(), row.scenario.leechers, "{}", row.name);
            assert!(row.limits.contains(&ALL), "{}: everybody must complete", row.name);
        }
        let dies = ROWS.iter().filter_map(|row| Some((row, row.scenario.tracker_dies?)));
        for (row, at) in dies {
            assert!(row.scenario.unit() > at as f64, "{}: nobody notices the tracker", row.name);
        }
    }

    #[test]
    fn measures_look_at_their_group() {
        let scenario = Scenario { v1: 2, leechers: 4, ..Scenario::PLAIN };
        let unit = scenario.unit();
        let mixed = outcome(&[
            (Role::Own, unit),
            (Role::Own, 1.2 * unit),
            (Role::Version1, 2.0 * unit),
            (Role::Version1, 4.0 * unit),
        ]);
        let alone = outcome(&[(Role::Version1, 4.0 * unit)]);
        let of = |measure: Measure, alone| measure.of(&scenario, &mixed, alone);
        assert!((of(Measure::Last, None) - 1.2).abs() < 1e-9);
        assert!((of(Measure::Median, None) - 1.1).abs() < 1e-9);
        assert!((of(Measure::Version1, Some(&alone)) - 0.75).abs() < 1e-9);
        assert!(of(Measure::Version1, None).is_nan());
    }

    #[test]
    fn a_tracker_that_lives_on_proves_nothing() {
        let scenario = Scenario { tracker_dies: Some(60), ..Scenario::PLAIN };
        let mut run = outcome(&[(Role::Own, 1.0)]);
        assert!(Measure::Incomplete.of(&scenario, &run, None).is_nan());
        run.tracker_died = Some(60.0);
        assert!(Measure::Incomplete.of(&scenario, &run, None).abs() < 1e-9);
    }

    #[test]
    fn the_worst_run_counts() {
        assert!((worst([1.0, 3.0, 2.0]) - 3.0).abs() < 1e-9);
        assert!(worst([1.0, f64::NAN, 2.0]).is_nan());
        assert!(worst([]).is_nan());
    }

    #[test]
    fn another_size_is_named() {
        let tenth = ROWS.iter().find(|row| row.name == "seeder-tenth").unwrap();
        assert_eq!(tenth.title(), "seeder-tenth, 32 MiB");
        assert_eq!(ROWS[0].title(), "1-1");
    }
}
