//! The lower half: lines over time.

use crate::svg::{LEFT, WIDTH, escape, marks, shown, small_text, thinned, x_of};
use crate::{Chart, Line};
use std::fmt::{Result, Write};

pub(crate) const HEIGHT: f64 = 130.0;

/// The colours of the lines, in their order.
const COLOURS: [&str; 5] = ["#c0392b", "#1b6ca8", "#2a9d4a", "#8e44ad", "#7f6000"];

pub(crate) fn write(out: &mut String, chart: &Chart, end: f64, top: f64) -> Result {
    let (bottom, most) = (top + HEIGHT, chart.most.max(f64::MIN_POSITIVE));
    for mark in marks(most, 4.0) {
        let y = bottom - HEIGHT * mark / most;
        writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>",
            LEFT + WIDTH
        )?;
        let label = if chart.percent { format!("{} %", shown(mark * 100.0)) } else { shown(mark) };
        small_text(out, LEFT - 6.0, y + 4.0, "end", &label)?;
    }
    writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">{}</text>", top - 10.0, escape(&chart.title))?;
    for ((number, line), colour) in (0u32..).zip(&chart.lines).zip(COLOURS) {
        write_line(out, line, end, colour, |value| bottom - HEIGHT * value / most)?;
        let (x, y) = (LEFT + WIDTH + 20.0, top + 14.0 + f64::from(number) * 18.0);
        writeln!(out, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>", escape(&line.name))?;
    }
    Ok(())
}

fn write_line(out: &mut String, line: &Line, end: f64, colour: &str, y_of: impl Fn(f64) -> f64) -> Result {
    let mut points = String::new();
    for (at, value) in thinned(&line.points) {
        write!(points, "{:.1},{:.1} ", x_of(*at, end), y_of(*value))?;
    }
    writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>")
}
