//! Where things are in the picture, and text.

use std::fmt::{Result, Write};

/// Width of both halves.
pub(crate) const WIDTH: f64 = 900.0;
/// Where both begin.
pub(crate) const LEFT: f64 = 130.0;
/// Where the map begins.
pub(crate) const TOP: f64 = 64.0;

/// Moments and points that are drawn at most: a picture has no more columns.
pub(crate) const COLUMNS: usize = 256;

/// Where the time `at` is, of the time until `end`.
pub(crate) fn x_of(at: f64, end: f64) -> f64 {
    LEFT + at / end * WIDTH
}

/// A text in the size of labels; `anchor` is SVG's `text-anchor`.
pub(crate) fn small_text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) -> Result {
    let text = escape(text);
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"11\">{text}</text>")
}

/// Round numbers from 0 to `end`, about `count` of them.
pub(crate) fn marks(end: f64, count: f64) -> impl Iterator<Item = f64> {
    let step = round_step(end / count);
    (0u32..).map(move |number| f64::from(number) * step).take_while(move |mark| *mark <= end * 1.000_001)
}

/// The next round number from `rough` on, which must be positive.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough)
}

/// A mark without the noise of its binary fraction.
pub(crate) fn shown(mark: f64) -> String {
    ((mark * 1000.0).round() / 1000.0).to_string()
}

/// Every moment or point that is drawn: at most [`COLUMNS`], and the last one.
pub(crate) fn thinned<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let step = all.len().div_ceil(COLUMNS).max(1);
    let last = all.last().filter(|_| !all.len().saturating_sub(1).is_multiple_of(step));
    all.iter().step_by(step).chain(last)
}

/// A text as XML has it; XML has no control characters at all.
pub(crate) fn escape(text: &str) -> String {
    let text = text.replace(char::is_control, "\u{fffd}");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        assert_eq!([round_step(4.5), round_step(123.0), round_step(0.25)], [5.0, 200.0, 0.5]);
        assert_eq!(marks(1.0, 4.0).map(shown).collect::<Vec<_>>(), ["0", "0.5", "1"]);
    }

    #[test]
    fn the_last_moment_is_always_drawn_and_once() {
        for length in [0, 1, 2, 255, 256, 257, 1000, 1025] {
            let all: Vec<usize> = (0..length).collect();
            let drawn: Vec<_> = thinned(&all).collect();
            assert_eq!(drawn.last(), all.last().as_ref(), "{length}");
            assert!(drawn.len() <= COLUMNS + 1 && drawn.windows(2).all(|pair| pair[0] < pair[1]), "{length}");
        }
    }

    #[test]
    fn names_cannot_break_the_picture() {
        assert_eq!(escape("<a&b>\u{1b}\n"), "&lt;a&amp;b&gt;\u{fffd}\u{fffd}");
    }
}
