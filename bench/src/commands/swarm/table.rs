//! `bench swarm --table`: every swarm that has a goal, and whether it is reached.

use super::contestants::{self, Contestant, Kind};
use super::{Options, report};
use crate::data::DataFile;
use crate::error::{BenchError, Result};
use crate::machine::Machine;
use crate::swarm;
use crate::swarm::outcome::Outcome;
use crate::swarm::rows::{self, Limit, Measure, ROWS, Row};
use crate::swarm::scenario::Scenario;
use crate::table::{Goal, Table};
use crate::turns;
use serde::Serialize;
use std::path::Path;

/// The runs of a row.
#[derive(Serialize)]
struct Ran {
    row: Row,
    /// The swarm's run, and that of version 1 peers alone where they are compared.
    runs: Vec<(Outcome, Option<Outcome>)>,
    /// Why runs did not come to their end.
    failures: Vec<String>,
    goals: Vec<Goal>,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: &'a [Ran],
}

/// Runs the rows one after the other.
///
/// # Errors
/// [`BenchError::Unavailable`] where namespaces are not permitted or our binaries are missing; the user stops.
pub(super) fn run(options: &Options, machine: &Machine) -> Result<()> {
    let chosen = |row: &&Row| {
        options.only_rows.is_empty() || options.only_rows.iter().any(|name| name.as_str() == row.name)
    };
    let folder = options.common.place.folder()?;
    let mut all = Vec::new();
    for row in ROWS.iter().filter(chosen) {
        let scenario = Scenario {
            size: options.size.unwrap_or(row.scenario.size),
            block: options.block.unwrap_or(row.scenario.block),
            delay: options.delay,
            queue: options.queue,
            congestion: options.link.congestion,
            ..row.scenario.clone()
        };
        let row = Row { scenario, ..row.clone() };
        println!("\n{}: {}", row.name, row.scenario.describe());
        let work = turns::run_folder(folder.path())?;
        let ran = run_row(&row, options, work.path())?;
        print(std::slice::from_ref(&ran));
        draw(&ran, options)?;
        all.push(ran);
    }
    println!("\nthe worst of {} runs of each swarm; packet headers count against it", options.runs);
    print(&all);
    options.common.place.write_json(&Report { machine, rows: &all })
}

fn run_row(row: &Row, options: &Options, folder: &Path) -> Result<Ran> {
    let data = super::data(&row.scenario, folder)?;
    let prepare = |kind| contestants::prepare(kind, options, &row.scenario, &data, folder);
    let ours = prepare(Kind::Cascade)?;
    let alone = if row.needs_version_1_alone() { Some(prepare(Kind::Version1)?) } else { None };
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let outcome = run_once(&ours, &data, folder).and_then(|outcome| {
            let alone = alone.as_ref().map(|alone| run_once(alone, &data, folder)).transpose()?;
            Ok((outcome, alone))
        });
        match outcome {
            Ok(outcomes) => runs.push(outcomes),
            Err(BenchError::Failed(why)) => {
                println!("FAILED: {why}");
                failures.push(why);
            }
            Err(error) => return Err(error),
        }
    }
    // That of a folder is as long as its archive.
    let row = &Row { scenario: ours.scenario, ..row.clone() };
    let goals = row.limits.iter().map(|limit| goal(row, *limit, &runs, failures.len())).collect();
    Ok(Ran { row: row.clone(), runs, failures, goals })
}

fn run_once(client: &Contestant, data: &DataFile, folder: &Path) -> Result<Outcome> {
    let work = turns::run_folder(folder)?;
    let outcome = swarm::run(&client.scenario, client.client.as_ref(), data, work.path())?;
    report::tell(&client.name, &client.scenario, &outcome);
    Ok(outcome)
}

/// The worst of the runs beside its limit. A run that failed counts as one without the file, and as nothing
/// measured.
fn goal(row: &Row, limit: Limit, runs: &[(Outcome, Option<Outcome>)], failures: usize) -> Goal {
    let measured = runs.iter().map(|(run, alone)| limit.measure.of(&row.scenario, run, alone.as_ref()));
    let measured = if limit.measure == Measure::Incomplete {
        rows::worst(measured.chain([0.0])) + failures as f64
    } else {
        rows::worst(measured.chain((failures > 0).then_some(f64::NAN)))
    };
    Goal::at_most(row.what(limit.measure), measured, limit.at_most)
}

/// One table of all goals.
fn print(all: &[Ran]) {
    let mut table = Table::new(&["swarm", "what", "reached", "limit", "verdict", "machine busy"]);
    for ran in all {
        let busy = rows::worst(ran.runs.iter().map(|(run, _)| run.busy));
        for (at, goal) in ran.goals.iter().enumerate() {
            let first = |text: String| if at == 0 { text } else { String::new() };
            table.row([
                first(ran.row.title()),
                goal.what.clone(),
                number(goal.measured),
                format!("≤ {}", goal.limit),
                if goal.reached() { "pass" } else { "FAIL" }.to_owned(),
                first(percent(busy)),
            ]);
        }
    }
    println!("\n{}", table.render());
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "?".to_owned(),
        // What is counted and not measured.
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value => format!("{value:.3}"),
    }
}

fn percent(share: f64) -> String {
    if share.is_nan() { "?".to_owned() } else { format!("{:.0} %", share * 100.0) }
}

fn draw(ran: &Ran, options: &Options) -> Result<()> {
    let Some(file) = &options.svg else { return Ok(()) };
    let runs: Vec<Outcome> = ran.runs.iter().map(|(run, _)| run.clone()).collect();
    report::draw_worst("cascade", &ran.row.scenario, &runs, &report::named(file, ran.row.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_what_they_are() {
        assert_eq!([number(f64::NAN), number(0.0), number(1.0625)], ["?", "0", "1.062"]);
        assert_eq!([percent(f64::NAN), percent(0.456)], ["?", "46 %"]);
    }

    #[test]
    fn a_failed_run_reaches_nothing() {
        let row = &ROWS[0];
        for limit in row.limits {
            assert!(!goal(row, *limit, &[], 1).reached(), "{limit:?}");
        }
        assert!(goal(row, row.limits[0], &[], 0).reached(), "nobody failed");
    }
}
