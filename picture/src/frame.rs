//! The frame around both halves: title, time axis.

use crate::svg::{LEFT, TOP, WIDTH, escape, marks, shown, small_text, x_of};
use crate::{Picture, chart, map};
use std::fmt::{Result, Write};

const RIGHT: f64 = 120.0;
const GAP: f64 = 60.0;
const BOTTOM: f64 = 48.0;

pub(crate) fn write(out: &mut String, picture: &Picture) -> Result {
    let map_bottom = TOP + map::height(picture.rows());
    let chart_top = map_bottom + GAP;
    let chart_bottom = chart_top + chart::HEIGHT;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">",
        LEFT + WIDTH + RIGHT,
        chart_bottom + BOTTOM
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    writeln!(out, "<text x=\"{LEFT}\" y=\"24\" font-size=\"18\">{}</text>", escape(&picture.title))?;
    let two = picture.subtitle.contains('\n');
    for (number, line) in (0u32..2).zip(picture.subtitle.split('\n')) {
        let y = if two { 41 + number * 16 } else { 46 };
        writeln!(out, "<text x=\"{LEFT}\" y=\"{y}\" fill=\"#555\">{}</text>", escape(line))?;
    }
    map::write(out, picture)?;
    chart::write(out, &picture.chart, picture.end(), chart_top)?;
    write_time_axis(out, picture, [map_bottom, chart_bottom])?;
    writeln!(out, "</svg>")
}

fn write_time_axis(out: &mut String, picture: &Picture, lines: [f64; 2]) -> Result {
    let end = picture.end();
    for at in marks(end, 10.0) {
        let x = x_of(at, end);
        for y in lines {
            writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{}\" stroke=\"#333\"/>",
                y + 5.0
            )?;
            small_text(out, x, y + 18.0, "middle", &shown(at))?;
        }
    }
    let (x, y) = (LEFT + WIDTH / 2.0, lines[1] + 38.0);
    writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escape(&picture.time_name))
}
