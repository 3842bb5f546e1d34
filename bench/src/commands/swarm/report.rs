//! What `bench swarm` prints and draws of its runs.

use super::contestants::{self, Contestant};
use crate::error::{Context, Result};
use crate::swarm::outcome::{Outcome, Reading};
use crate::swarm::role::Role;
use crate::swarm::scenario::Scenario;
use crate::table::Table;
use crate::units::show_size;
use cascade_picture::{Chart, Line, Moment, Picture, Span};
use std::path::{Path, PathBuf};

/// One line for each group of a run.
pub(super) fn tell(name: &str, scenario: &Scenario, outcome: &Outcome) {
    for role in Role::ALL {
        let Some(times) = outcome.spread(role) else { continue };
        print!(
            "{:<16} first {:6.2} s, median {:6.2} s, last {:6.2} s",
            group_name(name, scenario, role),
            times.min,
            times.median,
            times.max
        );
        if role == scenario.main_role() {
            print!(
                ", seeder sent {:.2} copies, {} packets dropped, machine {:.0} % busy",
                outcome.copies(scenario),
                outcome.drops,
                outcome.busy * 100.0
            );
        }
        println!();
    }
    if outcome.bad_sent > 0 {
        println!("{:<16} sent {}", "liars, stallers", show_size(outcome.bad_sent));
    }
    let troubles = [("the seeder left", outcome.seeder_left), ("the tracker died", outcome.tracker_died)];
    for (what, at) in troubles {
        if let Some(at) = at {
            println!("{what:<16} after {at:.2} s");
        }
    }
    if scenario.seeder_leaves.is_some() && outcome.seeder_left.is_none() {
        println!("the seeder had not yet sent so much when everybody was done");
    }
    if outcome.outlived_by_tracker(scenario) {
        println!("warning: the tracker was still there when everybody was done: this run tells nothing");
    }
}

/// The name of a group; version 1 peers among themselves are another group than those beside ours.
fn group_name(name: &str, scenario: &Scenario, role: Role) -> String {
    if role == Role::Version1 && role == scenario.main_role() {
        contestants::ALL_VERSION_1.to_owned()
    } else {
        role.name(name)
    }
}

/// The run whose last of the main group was the latest.
fn worst<'a>(scenario: &Scenario, runs: &'a [Outcome]) -> Option<&'a Outcome> {
    let last = |run: &Outcome| run.spread(scenario.main_role()).map_or(0.0, |times| times.max);
    runs.iter().max_by(|one, other| last(one).total_cmp(&last(other)))
}

/// The table: the worst run counts.
pub(super) fn print_rows(rows: &[Contestant], runs: usize) {
    let mut table = Table::new(&[
        "client",
        "first ÷ F/u",
        "median ÷ F/u",
        "last ÷ F/u",
        "last, s",
        "copies by seeder",
        "duplicates",
        "machine busy",
    ]);
    for row in rows {
        let Some(worst) = worst(&row.scenario, &row.runs) else { continue };
        let unit = row.scenario.unit();
        for role in Role::ALL {
            let Some(times) = worst.spread(role) else { continue };
            let mut cells = vec![
                group_name(&row.name, &row.scenario, role),
                format!("{:.3}", times.min / unit),
                format!("{:.3}", times.median / unit),
                format!("{:.3}", times.max / unit),
                format!("{:.2}", times.max),
            ];
            if role == row.scenario.main_role() {
                let duplicates = worst.duplicate_percent(&row.scenario);
                cells.extend([
                    format!("{:.2}", worst.copies(&row.scenario)),
                    duplicates.map_or_else(|| "?".to_owned(), |percent| format!("{percent:.2} %")),
                    format!("{:.0} %", worst.busy * 100.0),
                ]);
            }
            table.row(cells);
        }
    }
    println!("\nthe worst of {runs} runs; packet headers count against the clients\n{}", table.render());
}

/// Draws the worst run; nothing when there is none.
///
/// # Errors
/// The file cannot be written.
pub(super) fn draw_worst(name: &str, scenario: &Scenario, runs: &[Outcome], file: &Path) -> Result<()> {
    let Some(run) = worst(scenario, runs) else { return Ok(()) };
    let mut order: Vec<(Role, usize)> =
        scenario.roles().into_iter().enumerate().map(|(at, role)| (role, at)).collect();
    order.sort_unstable();
    let last = run.spread(scenario.main_role()).map_or(f64::NAN, |times| times.max);
    let names = order.iter().map(|(role, _)| group_name(name, scenario, *role)).collect();
    let picture = Picture {
        title: format!("{name}: {}", scenario.describe()),
        subtitle: format!(
            "the last at {last:.2} s = {:.3} × F/u; the seeder sent {:.2} copies; machine {:.0} % busy",
            last / scenario.unit(),
            run.copies(scenario),
            run.busy * 100.0
        ),
        ..picture_of(&run.readings, names, &order.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    };
    std::fs::write(file, picture.draw()).context(|| format!("cannot write {}", file.display()))
}

/// What each leecher has received over time, and the copies that the seeder has sent; the leechers from top to
/// bottom have these names, and these numbers in the readings.
fn picture_of(readings: &[Reading], names: Vec<String>, leechers: &[usize]) -> Picture {
    let part = 1.0 / leechers.len().max(1) as f64;
    let shares = |reading: &Reading| {
        leechers.iter().map(|at| reading.received.get(*at).copied().unwrap_or(0.0)).collect()
    };
    let points = readings.iter().map(|reading| (reading.at, reading.copies)).collect();
    Picture {
        spans: names.into_iter().map(|name| Span { name, part }).collect(),
        moments: readings.iter().map(|reading| Moment { at: reading.at, shares: shares(reading) }).collect(),
        scale_name: "received".to_owned(),
        chart: Chart {
            title: "copies that the seeder has sent".to_owned(),
            most: readings.last().map_or(0.0, |reading| reading.copies).max(1.0).ceil(),
            percent: false,
            lines: vec![Line { name: String::new(), points }],
        },
        time_name: "time since the first start (s)".to_owned(),
        ..Picture::default()
    }
}

/// `swarm.svg` and `1-8` give `swarm-1-8.svg`.
pub(super) fn named(file: &Path, name: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let extension = file.extension().map_or_else(String::new, |text| format!(".{}", text.to_string_lossy()));
    file.with_file_name(format!("{stem}-{}{extension}", name.replace(' ', "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_names_of_their_own() {
        let mixed = Scenario { v1: 4, slow: 1, ..Scenario::PLAIN };
        let name = |scenario: &Scenario, role| group_name("cascade", scenario, role);
        assert_eq!(name(&mixed, Role::Own), "cascade");
        assert_eq!(name(&mixed, Role::Slow), "cascade, slow");
        assert_eq!(name(&mixed, Role::Version1), "version 1");
        assert_eq!(name(&mixed.all_version_1(), Role::Version1), "all version 1");
    }

    #[test]
    fn pictures_have_names_of_their_own() {
        assert_eq!(named(Path::new("a/swarm.svg"), "all version 1"), Path::new("a/swarm-all-version-1.svg"));
        assert_eq!(named(Path::new("swarm"), "1-8"), Path::new("swarm-1-8"));
    }
}
