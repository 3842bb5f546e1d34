//! The progress of a swarm as a picture: how much each peer has over time, and below it how busy the
//! links are.

use crate::Outcome;
use crate::gauge::Reading;
use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 110.0;
const TOP: f64 = 64.0;
const MAP_HEIGHT: f64 = 420.0;
const GAP: f64 = 56.0;
const LINES_HEIGHT: f64 = 140.0;
const RIGHT: f64 = 120.0;
const BOTTOM: f64 = 48.0;

/// Columns of the map at most: a picture has no more points.
const COLUMNS: usize = 240;

/// The picture.
#[must_use]
pub fn draw(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, outcome);
    out
}

fn write_all(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let (width, height) = (LEFT + WIDTH + RIGHT, TOP + MAP_HEIGHT + GAP + LINES_HEIGHT + BOTTOM);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">"
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    let end = outcome.readings.last().map_or(1.0, |reading| reading.at).max(1e-9);
    write_title(out, outcome)?;
    write_map(out, outcome, end)?;
    write_lines(out, outcome, end)?;
    write_time_axis(out, end)?;
    writeln!(out, "</svg>")
}

fn write_title(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let scenario = &outcome.scenario;
    let name = escape(&scenario.name);
    writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"24\" font-size=\"18\">Swarm “{name}”: 1 seeder, {} peers, {} blocks of {} KiB</text>",
        scenario.peers(),
        scenario.blocks,
        scenario.block_size / 1024
    )?;
    writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"46\" fill=\"#555\">last complete after {:.1} s = {:.3} × F/u = {:.3} × the bound; the seeder sent {:.2} copies; {} of {} complete</text>",
        outcome.times.last,
        outcome.ratio(),
        outcome.times.last / outcome.bound,
        outcome.copies,
        outcome.times.complete,
        outcome.downloaders
    )
}

fn write_map(out: &mut String, outcome: &Outcome, end: f64) -> std::fmt::Result {
    let rows = outcome.readings.first().map_or(0, |reading| reading.rows.len());
    let row_height = MAP_HEIGHT / rows.max(1) as f64;
    let step = outcome.readings.len().div_ceil(COLUMNS).max(1);
    // All of one colour is one path: a third of the bytes of rectangles.
    let mut paths: BTreeMap<u8, String> = BTreeMap::new();
    let mut before = 0.0;
    for reading in outcome.readings.iter().step_by(step) {
        let (x, x_end) = (LEFT + before / end * WIDTH, LEFT + reading.at / end * WIDTH);
        before = reading.at;
        add_column(&mut paths, reading, x, x_end - x, row_height)?;
    }
    writeln!(out, "<g shape-rendering=\"crispEdges\">")?;
    for (level, path) in paths {
        writeln!(out, "<path fill=\"{}\" d=\"{path}\"/>", colour(level))?;
    }
    writeln!(out, "</g>")?;
    writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{WIDTH}\" height=\"{MAP_HEIGHT}\" fill=\"none\" stroke=\"#333\"/>"
    )?;
    write_row_names(out, outcome, rows)?;
    write_legend(out)
}

/// Neighbours of equal colour are one rectangle.
fn add_column(
    paths: &mut BTreeMap<u8, String>,
    reading: &Reading,
    x: f64,
    width: f64,
    row_height: f64,
) -> std::fmt::Result {
    let mut row = 0;
    for equal in reading.rows.chunk_by(|one, other| level(*one) == level(*other)) {
        // A little more than the row: no gap may show between rounded edges.
        let (y, height) = (TOP + row_height * f64::from(row), row_height * equal.len() as f64 + 0.4);
        let path = paths.entry(equal.first().map_or(0, |share| level(*share))).or_default();
        write!(path, "M{x:.1} {y:.1}h{:.1}v{height:.1}h-{:.1}z", width + 0.2, width + 0.2)?;
        row += u32::try_from(equal.len()).unwrap_or(0);
    }
    Ok(())
}

fn write_row_names(out: &mut String, outcome: &Outcome, rows: usize) -> std::fmt::Result {
    let peers = outcome.scenario.peers() + 1;
    let unit = if rows == peers {
        "peer (seeder on top)".to_owned()
    } else {
        format!("groups of {} peers", peers.div_ceil(rows.max(1)))
    };
    let middle = TOP + MAP_HEIGHT / 2.0;
    writeln!(
        out,
        "<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">{unit}</text>"
    )?;
    let mut first = 0;
    let groups = std::iter::once(("seeder", 1))
        .chain(outcome.scenario.groups.iter().map(|(habit, count)| (habit.name(), *count)));
    for (name, count) in groups.filter(|(_, count)| *count > 0) {
        let middle = TOP + MAP_HEIGHT * (first as f64 + count as f64 / 2.0) / peers as f64;
        first += count;
        // Names of a group of rows thinner than a line of text would cover each other.
        if MAP_HEIGHT * count as f64 / peers as f64 >= 14.0 {
            writeln!(
                out,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">{name}</text>",
                LEFT - 6.0,
                middle + 4.0
            )?;
        }
    }
    Ok(())
}

fn write_legend(out: &mut String) -> std::fmt::Result {
    let x = LEFT + WIDTH + 20.0;
    writeln!(out, "<text x=\"{x}\" y=\"{}\">blocks held</text>", TOP + 10.0)?;
    for step in 0..=10u8 {
        let y = TOP + 22.0 + f64::from(10 - step) * 14.0;
        let percent = u32::from(step) * 10;
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"18\" height=\"14\" fill=\"{}\"/><text x=\"{}\" y=\"{}\" font-size=\"11\">{percent} %</text>",
            colour(level(u8::try_from(u32::from(step) * 255 / 10).unwrap_or(255))),
            x + 24.0,
            y + 11.0
        )?;
    }
    Ok(())
}

/// The lines of the lower picture: name, colour, value.
type Line = (&'static str, &'static str, fn(&Reading) -> f64);

const LINES: [Line; 3] = [
    ("uplinks", "#1b6ca8", |reading| reading.uplinks),
    ("downlinks", "#2a9d4a", |reading| reading.downlinks),
    ("seeder", "#c0392b", |reading| reading.seeder),
];

fn write_lines(out: &mut String, outcome: &Outcome, end: f64) -> std::fmt::Result {
    let top = TOP + MAP_HEIGHT + GAP;
    let bottom = top + LINES_HEIGHT;
    for percent in [0u32, 50, 100] {
        let y = bottom - LINES_HEIGHT * f64::from(percent) / 100.0;
        writeln!(out, "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/>", LEFT + WIDTH)?;
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-size=\"11\">{percent} %</text>",
            LEFT - 6.0,
            y + 4.0
        )?;
    }
    writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\">capacity in use (downlinks: of those who are not complete)</text>",
        top - 10.0
    )?;
    for (number, (name, colour, value)) in (0u32..).zip(LINES) {
        let mut points = String::new();
        for reading in &outcome.readings {
            let (x, y) = (LEFT + reading.at / end * WIDTH, bottom - LINES_HEIGHT * value(reading));
            write!(points, "{x:.1},{y:.1} ")?;
        }
        writeln!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        )?;
        let (x, y) = (LEFT + WIDTH + 20.0, top + 14.0 + f64::from(number) * 18.0);
        writeln!(out, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{name}</text>")?;
    }
    Ok(())
}

fn write_time_axis(out: &mut String, end: f64) -> std::fmt::Result {
    let step = tick(end);
    let bottom = TOP + MAP_HEIGHT + GAP + LINES_HEIGHT;
    let mut at = 0.0;
    while at <= end {
        let x = LEFT + at / end * WIDTH;
        for y in [TOP + MAP_HEIGHT, bottom] {
            writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{}\" stroke=\"#333\"/>",
                y + 5.0
            )?;
            writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{at}</text>",
                y + 18.0
            )?;
        }
        at += step;
    }
    writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">virtual time (s)</text>",
        LEFT + WIDTH / 2.0,
        bottom + 38.0
    )
}

/// A round step for about ten marks.
fn tick(end: f64) -> f64 {
    let rough = end / 10.0;
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough)
}

/// Shares in steps of about six percent, so that many neighbours are equal; all and nearly all differ.
const fn level(share: u8) -> u8 {
    if share == u8::MAX { share } else { share & 0xf0 }
}

/// From pale over blue to dark; what is complete is green.
fn colour(share: u8) -> String {
    if share == u8::MAX {
        return "#2a9d4a".into();
    }
    let mix = |from: f64, to: f64| from + (to - from) * f64::from(share) / 255.0;
    format!("rgb({:.0},{:.0},{:.0})", mix(247.0, 8.0), mix(251.0, 48.0), mix(255.0, 140.0))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        assert_eq!(tick(45.0), 5.0);
        assert_eq!(tick(1234.0), 200.0);
    }

    #[test]
    fn names_cannot_break_the_picture() {
        assert_eq!(escape("<a&b>"), "&lt;a&amp;b&gt;");
    }
}
