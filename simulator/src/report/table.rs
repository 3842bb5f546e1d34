//! An outcome as text.

use crate::Outcome;
use crate::outcome::Times;
use crate::preset::{Goal, Measure, Preset};
use cascade_format::units::Bytes;
use std::fmt::Write;

/// What one simulation gave. `wall`: how long it took, in seconds.
#[must_use]
pub fn outcome(outcome: &Outcome, wall: f64) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_outcome(&mut text, outcome, wall);
    text
}

fn write_outcome(out: &mut String, outcome: &Outcome, wall: f64) -> std::fmt::Result {
    let Outcome { scenario, unit, bound, traffic, .. } = outcome;
    let habits: Vec<String> =
        scenario.groups.iter().map(|(habit, count)| format!("{count} {}", habit.name())).collect();
    writeln!(out, "swarm          {}: 1 seeder, {}", scenario.name, habits.join(", "))?;
    writeln!(
        out,
        "file           {}, {} blocks of {:#}, seed {}, extension {}",
        Bytes(scenario.length()),
        scenario.blocks,
        Bytes(scenario.block_size),
        scenario.seed,
        if scenario.extension { "on" } else { "off" },
    )?;
    writeln!(out, "F/u            {unit:.2} s, bound {bound:.2} s (both without packet headers)")?;
    for group in &outcome.groups {
        let name = format!("{} ({})", group.habit.name(), group.count);
        writeln!(out, "{name:<14} {}", times(&group.times, *unit, *bound))?;
    }
    writeln!(out, "complete       {} of {}", outcome.times.complete, outcome.downloaders)?;
    writeln!(
        out,
        "seeder sent    {:.3} copies; duplicate bytes {:.3} %",
        outcome.copies,
        outcome.duplicates * 100.0
    )?;
    writeln!(
        out,
        "links idle     uplinks {:.1} %, downlinks {:.1} % of the time until complete",
        outcome.idle_up * 100.0,
        outcome.idle_down * 100.0
    )?;
    writeln!(
        out,
        "messages       {} requests, {} refusals, {} polls, {} with news ({:.2} MB)",
        traffic.requests,
        traffic.refusals,
        traffic.polls,
        traffic.news_messages,
        traffic.news_bytes as f64 / 1e6
    )?;
    writeln!(
        out,
        "links          {:.1} a downloader, at most {}; {} connections",
        traffic.links_mean, traffic.links_most, traffic.connections
    )?;
    if let Some(subnets) = scenario.subnets {
        writeln!(
            out,
            "subnets        {} with {} Mbit/s each, near first {}: {:.1} MB between them",
            subnets.count,
            subnets.rate / 1e6,
            if subnets.prefer_near { "on" } else { "off" },
            traffic.across as f64 / 1e6
        )?;
    }
    write_phases(out, outcome)?;
    writeln!(out, "simulated in   {wall:.1} s, {} events", traffic.events)
}

fn write_phases(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    out.push_str(PHASE_HEAD);
    for phase in &outcome.phases {
        let shares = [phase.uplinks, phase.seeder, phase.downlinks, phase.unasked, phase.asking_nothing];
        write!(out, "{:8.2} to {:8.2}", phase.from, phase.to)?;
        shares.iter().try_for_each(|share| write!(out, " {:7.1}%", share * 100.0))?;
        write!(out, " {:9.1} {:6.1} {:6.1}", phase.seeder_queue, phase.queue, phase.longest_queue)?;
        writeln!(out, " {:9.2} {:6.2} {:6.2}", phase.lost_up, phase.lost_down, phase.lost_seeder)?;
    }
    Ok(())
}

const PHASE_HEAD: &str = "\
phase (s)                  capacity in use      nobody  asking    waiting requests:         lost (s):
                    uplinks   seeder downlinks    asks nothing  at seeder   mean   most        up   down seeder
";

fn times(times: &Times, unit: f64, bound: f64) -> String {
    format!(
        "first {:.2}, median {:.2}, last {:.2} s = {:.3} F/u, {:.3} bound",
        times.first,
        times.median,
        times.last,
        times.last / unit,
        times.last / bound
    )
}

/// The head of the table of goals.
pub const HEAD: &str = "scenario         what                 reached    limit          simulated in\n";

/// The rows of one preset, and whether all goals are reached.
#[must_use]
pub fn goals(preset: &Preset, outcome: &Outcome, other: Option<f64>, wall: f64) -> (String, bool) {
    let (mut text, mut all) = (String::new(), true);
    for Goal { measure, limit } in &preset.goals {
        let reached = measure.of(outcome, other);
        let passes = reached <= *limit;
        all &= passes;
        let verdict = if passes { "PASS" } else { "FAIL" };
        let digits = if *measure == Measure::Incomplete { 0 } else { 3 };
        let name = &preset.scenario.name;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:<16} {:<18} {reached:>9.digits$} {limit:>8.digits$}   {verdict} {wall:>10.1} s",
            measure.name()
        );
    }
    (text, all)
}
