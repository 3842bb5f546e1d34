//! An outcome as a picture: how much each peer has over time, and below it how busy the links are.

use crate::Outcome;
use crate::gauge::Reading;
use cascade_format::units::Bytes;
use cascade_picture::{Chart, Line, Moment, Picture, Span};

/// The share of some capacity that was in use.
type Use = fn(&Reading) -> f64;

/// The lines of the lower half.
const LINES: [(&str, Use); 3] = [
    ("seeder", |reading| reading.seeder),
    ("uplinks", |reading| reading.uplinks),
    ("downlinks", |reading| reading.downlinks),
];

/// The picture, as SVG.
#[must_use]
pub fn draw(outcome: &Outcome) -> String {
    let scenario = &outcome.scenario;
    let (peers, rows) = (scenario.peers() + 1, outcome.readings.first().map_or(0, |first| first.rows.len()));
    Picture {
        title: format!(
            "Swarm “{}”: 1 seeder, {} peers, {} blocks of {:#}",
            scenario.name,
            scenario.peers(),
            scenario.blocks,
            Bytes(scenario.block_size)
        ),
        subtitle: format!(
            "last complete after {:.1} s = {:.3} × F/u = {:.3} × the bound; the seeder sent {:.2} copies; {} of {} complete",
            outcome.times.last,
            outcome.ratio(),
            outcome.times.last / outcome.bound,
            outcome.copies,
            outcome.times.complete,
            outcome.downloaders
        ),
        rows_name: if rows == peers {
            "peer (seeder on top)".to_owned()
        } else {
            format!("groups of {} peers", peers.div_ceil(rows.max(1)))
        },
        spans: spans(outcome),
        moments: outcome.readings.iter().map(moment).collect(),
        scale_name: "blocks done".to_owned(),
        chart: Chart {
            title: "capacity in use (downlinks: of those who are not complete)".to_owned(),
            most: 1.0,
            percent: true,
            lines: LINES.iter().map(|(name, value)| line(outcome, name, *value)).collect(),
        },
        time_name: "virtual time (s)".to_owned(),
    }
    .draw()
}

/// The seeder, and each group of peers with one habit.
fn spans(outcome: &Outcome) -> Vec<Span> {
    let groups = outcome.scenario.groups.iter().map(|(habit, count)| (habit.name(), *count));
    let peers = (outcome.scenario.peers() + 1) as f64;
    let spans = std::iter::once(("seeder", 1)).chain(groups).filter(|(_, count)| *count > 0);
    spans.map(|(name, count)| Span { name: name.to_owned(), part: count as f64 / peers }).collect()
}

fn moment(reading: &Reading) -> Moment {
    let share = |row: &u8| f64::from(*row) / f64::from(u8::MAX);
    Moment { at: reading.at, shares: reading.rows.iter().map(share).collect() }
}

fn line(outcome: &Outcome, name: &str, value: Use) -> Line {
    let points = outcome.readings.iter().map(|reading| (reading.at, value(reading))).collect();
    Line { name: name.to_owned(), points }
}
