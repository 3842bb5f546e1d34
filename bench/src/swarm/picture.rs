//! A run as a picture: what each leecher has over time, and below it the copies that the seeder has sent.

use super::outcome::Reading;
use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 64.0;
const ROW_HEIGHT: f64 = 26.0;
const GAP: f64 = 64.0;
const LINE_HEIGHT: f64 = 120.0;
const BOTTOM: f64 = 48.0;

/// Columns of the map at most: a picture has no more points.
const COLUMNS: usize = 300;

/// Steps of the colour scale; the last is for what is complete.
const LEVELS: u8 = 16;

/// The words of a picture.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// The large line on top.
    pub title: String,
    /// The line below it.
    pub subtitle: String,
    /// The leechers from top to bottom: number in the readings, and name.
    pub rows: Vec<(usize, String)>,
}

/// The picture.
#[must_use]
pub fn draw(words: &Words, readings: &[Reading]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, words, readings);
    out
}

fn write_all(out: &mut String, words: &Words, readings: &[Reading]) -> std::fmt::Result {
    let map = ROW_HEIGHT * words.rows.len() as f64;
    let (width, height) = (LEFT + WIDTH + RIGHT, TOP + map + GAP + LINE_HEIGHT + BOTTOM);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">"
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    writeln!(out, "<text x=\"{LEFT}\" y=\"24\" font-size=\"18\">{}</text>", escape(&words.title))?;
    writeln!(out, "<text x=\"{LEFT}\" y=\"46\" fill=\"#555\">{}</text>", escape(&words.subtitle))?;
    let end = readings.last().map_or(1.0, |reading| reading.at).max(0.001);
    write_map(out, words, readings, end)?;
    write_rows(out, &words.rows, map)?;
    write_legend(out)?;
    write_copies(out, readings, end, TOP + map + GAP)?;
    write_time_axis(out, end, &[TOP + map, TOP + map + GAP + LINE_HEIGHT])?;
    writeln!(out, "</svg>")
}

fn write_map(out: &mut String, words: &Words, readings: &[Reading], end: f64) -> std::fmt::Result {
    let step = readings.len().div_ceil(COLUMNS).max(1);
    let chosen: Vec<&Reading> = readings.iter().step_by(step).chain(readings.last()).collect();
    // All of one colour is one path.
    let mut paths: BTreeMap<u8, String> = BTreeMap::new();
    for (row, (leecher, _)) in (0u32..).zip(&words.rows) {
        let columns: Vec<(f64, f64, u8)> = chosen
            .iter()
            .zip(chosen.iter().skip(1))
            .filter_map(|(from, to)| Some((from.at, to.at, level(*to.received.get(*leecher)?))))
            .collect();
        // Neighbours of one colour are one rectangle.
        for equal in columns.chunk_by(|one, other| one.2 == other.2) {
            let (Some((from, _, level)), Some((_, to, _))) = (equal.first(), equal.last()) else { continue };
            let (x, width) = (LEFT + from / end * WIDTH, (to - from) / end * WIDTH);
            let (y, height) = (TOP + ROW_HEIGHT * f64::from(row), ROW_HEIGHT - 2.0);
            let path = paths.entry(*level).or_default();
            write!(path, "M{x:.1} {y:.1}h{width:.1}v{height:.1}h-{width:.1}z")?;
        }
    }
    writeln!(out, "<g shape-rendering=\"crispEdges\">")?;
    for (level, path) in paths {
        writeln!(out, "<path fill=\"{}\" d=\"{path}\"/>", colour(level))?;
    }
    writeln!(out, "</g>")
}

fn write_rows(out: &mut String, rows: &[(usize, String)], map: f64) -> std::fmt::Result {
    writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{WIDTH}\" height=\"{map}\" fill=\"none\" stroke=\"#333\"/>"
    )?;
    for (number, (_, name)) in (0u32..).zip(rows) {
        let (x, y) = (LEFT - 6.0, TOP + ROW_HEIGHT * (f64::from(number) + 0.5) + 4.0);
        let name = escape(name);
        writeln!(out, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\" font-size=\"11\">{name}</text>")?;
    }
    Ok(())
}

fn write_legend(out: &mut String) -> std::fmt::Result {
    let x = LEFT + WIDTH + 20.0;
    writeln!(out, "<text x=\"{x}\" y=\"{}\">received</text>", TOP + 10.0)?;
    for step in 0..=4u32 {
        let (y, share) = (TOP + 22.0 + f64::from(4 - step) * 16.0, f64::from(step) / 4.0);
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"18\" height=\"16\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{}\" font-size=\"11\">{}</text>",
            colour(level(share)),
            x + 24.0,
            y + 12.0,
            if step == 4 { "complete".to_owned() } else { format!("{:.0} %", share * 100.0) }
        )?;
    }
    Ok(())
}

fn write_copies(out: &mut String, readings: &[Reading], end: f64, top: f64) -> std::fmt::Result {
    let bottom = top + LINE_HEIGHT;
    let most = readings.last().map_or(0.0, |reading| reading.copies).max(1.0).ceil();
    let step = tick(most / 4.0);
    let mut mark = 0.0;
    while mark <= most {
        let y = bottom - LINE_HEIGHT * mark / most;
        writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">{mark}</text>",
            LEFT + WIDTH,
            LEFT - 6.0,
            y + 4.0
        )?;
        mark += step;
    }
    writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">copies that the seeder has sent</text>", top - 10.0)?;
    let mut points = String::new();
    for reading in readings.iter().step_by(readings.len().div_ceil(COLUMNS).max(1)).chain(readings.last()) {
        let (x, y) = (LEFT + reading.at / end * WIDTH, bottom - LINE_HEIGHT * reading.copies / most);
        write!(points, "{x:.1},{y:.1} ")?;
    }
    writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"#c0392b\" stroke-width=\"1.5\"/>")
}

fn write_time_axis(out: &mut String, end: f64, lines: &[f64]) -> std::fmt::Result {
    let step = tick(end / 10.0);
    let mut number = 0u32;
    while f64::from(number) * step <= end {
        let at = f64::from(number) * step;
        let x = LEFT + at / end * WIDTH;
        for y in lines {
            writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{}\" stroke=\"#333\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{}</text>",
                y + 5.0,
                y + 18.0,
                (at * 1000.0).round() / 1000.0
            )?;
        }
        number += 1;
    }
    let (x, y) = (LEFT + WIDTH / 2.0, lines.last().copied().unwrap_or(TOP) + 38.0);
    writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">time since the first start (s)</text>")
}

/// The next round number from `rough` on, which must be positive.
fn tick(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough)
}

/// The step of the colour scale; the last one only for all.
fn level(share: f64) -> u8 {
    if share >= 1.0 {
        return LEVELS;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped into the scale")]
    let level = (share.clamp(0.0, 1.0) * f64::from(LEVELS)) as u8;
    level.min(LEVELS - 1)
}

/// From pale over blue to dark; what is complete is green.
fn colour(level: u8) -> String {
    if level == LEVELS {
        return "#2a9d4a".to_owned();
    }
    let mix = |from: f64, to: f64| from + (to - from) * f64::from(level) / f64::from(LEVELS);
    format!("rgb({:.0},{:.0},{:.0})", mix(247.0, 8.0), mix(251.0, 48.0), mix(255.0, 140.0))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_complete_is_green() {
        assert_eq!(level(1.0), LEVELS);
        assert_eq!(level(0.9999), LEVELS - 1);
        assert_eq!((level(0.0), level(-1.0)), (0, 0));
        assert_eq!(colour(level(1.0)), "#2a9d4a");
    }

    #[test]
    fn marks_are_round() {
        assert_eq!([tick(4.5), tick(123.0), tick(0.25)], [5.0, 200.0, 0.5]);
    }

    #[test]
    fn a_picture_has_its_words_and_stays_small() {
        let readings: Vec<Reading> = (0..2000u32)
            .map(|at| {
                let share = f64::from(at) / 1999.0;
                Reading { at: f64::from(at) / 10.0, received: vec![share, share / 2.0], copies: share }
            })
            .collect();
        let words = Words {
            title: "1 → 2".into(),
            subtitle: "<&>".into(),
            rows: vec![(1, "version 1".into()), (0, "cascade".into()), (9, "nobody".into())],
        };
        let picture = draw(&words, &readings);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("version 1") && picture.contains("&lt;&amp;&gt;"));
        assert_eq!(picture.matches("#2a9d4a").count(), 2, "the legend, and the one that is complete");
        assert!(picture.len() < 20_000, "{} bytes", picture.len());
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(draw(&Words::default(), &[]).ends_with("</svg>\n"));
    }
}
