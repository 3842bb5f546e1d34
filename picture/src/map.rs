//! The upper half: a band for each receiver, whose colour shows how much it has.

use crate::svg::{LEFT, TOP, WIDTH, escape, small_text, thinned, x_of};
use crate::{Moment, Picture};
use std::collections::BTreeMap;
use std::fmt::{Result, Write};

/// Height of a band where there are few …
const ROW_HEIGHT: f64 = 26.0;

/// … and of the whole map where there are many.
const MAX_HEIGHT: f64 = 420.0;

/// Bands higher than this have a gap between them.
const APART_FROM: f64 = 8.0;

/// A label needs this height.
const LABEL_HEIGHT: f64 = 12.0;

/// Steps of the colour scale; the last is for what is complete.
const LEVELS: u8 = 16;

/// The colour of what is complete.
pub(crate) const COMPLETE: &str = "#2a9d4a";

pub(crate) fn height(rows: usize) -> f64 {
    (ROW_HEIGHT * rows as f64).min(MAX_HEIGHT)
}

pub(crate) fn write(out: &mut String, picture: &Picture) -> Result {
    let height = height(picture.rows());
    writeln!(out, "<g shape-rendering=\"crispEdges\">")?;
    for (level, path) in paths(picture)? {
        writeln!(out, "<path fill=\"{}\" d=\"{path}\"/>", colour(level))?;
    }
    writeln!(out, "</g>")?;
    writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{WIDTH}\" height=\"{height}\" fill=\"none\" stroke=\"#333\"/>"
    )?;
    write_labels(out, picture, height)?;
    write_scale(out, &picture.scale_name)
}

/// All bands of one colour are one path: a third of the bytes of rectangles.
fn paths(picture: &Picture) -> std::result::Result<BTreeMap<u8, String>, std::fmt::Error> {
    let (end, rows) = (picture.end(), picture.rows());
    let row_height = height(rows) / rows.max(1) as f64;
    // Bands without a gap overlap a little: none may show between rounded edges.
    let drawn = if row_height > APART_FROM { row_height - 2.0 } else { row_height + 0.4 };
    let moments: Vec<&Moment> = thinned(&picture.moments).collect();
    let mut paths: BTreeMap<u8, String> = BTreeMap::new();
    for row in 0..rows {
        let columns: Vec<(f64, f64, u8)> = moments
            .windows(2)
            .filter_map(|pair| {
                let [from, to] = pair else { return None };
                Some((from.at, to.at, level(*to.shares.get(row)?)))
            })
            .collect();
        // Neighbours of one colour are one rectangle.
        for equal in columns.chunk_by(|one, other| one.2 == other.2) {
            let (Some((from, _, level)), Some((_, to, _))) = (equal.first(), equal.last()) else { continue };
            let (x, width) = (x_of(*from, end), (to - from) / end * WIDTH);
            let y = TOP + row_height * row as f64;
            let path = paths.entry(*level).or_default();
            write!(path, "M{x:.1} {y:.1}h{width:.1}v{drawn:.1}h-{width:.1}z")?;
        }
    }
    Ok(paths)
}

fn write_labels(out: &mut String, picture: &Picture, height: f64) -> Result {
    let mut above = 0.0;
    for span in &picture.spans {
        let middle = TOP + height * (above + span.part / 2.0);
        above += span.part;
        // Labels of thinner spans would cover each other.
        if height * span.part >= LABEL_HEIGHT {
            small_text(out, LEFT - 6.0, middle + 4.0, "end", &span.name)?;
        }
    }
    let (middle, name) = (TOP + height / 2.0, escape(&picture.rows_name));
    writeln!(
        out,
        "<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">{name}</text>"
    )
}

fn write_scale(out: &mut String, name: &str) -> Result {
    let x = LEFT + WIDTH + 20.0;
    writeln!(out, "<text x=\"{x}\" y=\"{}\">{}</text>", TOP + 10.0, escape(name))?;
    for quarter in 0..=4u32 {
        let (y, share) = (TOP + 22.0 + f64::from(4 - quarter) * 16.0, f64::from(quarter) / 4.0);
        let colour = colour(level(share));
        writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"18\" height=\"16\" fill=\"{colour}\"/>")?;
        let label = if quarter == 4 { "complete".to_owned() } else { format!("{:.0} %", share * 100.0) };
        small_text(out, x + 24.0, y + 12.0, "start", &label)?;
    }
    Ok(())
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
        return COMPLETE.to_owned();
    }
    let mix = |from: f64, to: f64| from + (to - from) * f64::from(level) / f64::from(LEVELS);
    format!("rgb({:.0},{:.0},{:.0})", mix(247.0, 8.0), mix(251.0, 48.0), mix(255.0, 140.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_complete_is_green() {
        assert_eq!(level(1.0), LEVELS);
        assert_eq!(level(0.9999), LEVELS - 1);
        assert_eq!((level(0.0), level(-1.0), level(f64::NAN)), (0, 0, 0));
        assert_eq!(colour(level(1.0)), COMPLETE);
    }
}
