//! One picture of a whole distribution, as SVG: the upper half shows for each receiver over time how much of
//! the file it has, the lower half shows lines over the same time. The simulator, `bench swarm` and
//! `peer share --report` fill the same [`Picture`].
//!
//! | module | what it draws |
//! |---|---|
//! | `map` | the upper half: a band for each receiver |
//! | `chart` | the lower half: the lines and their scale |
//! | `frame` | the frame around both, and the time axis |
//! | `svg` | places and text, for all of them |

mod chart;
mod frame;
mod map;
mod svg;

/// What is drawn. Nothing in it needs to be escaped: names of others are drawn as text.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// The large line on top.
    pub title: String,
    /// The line below it, or two.
    pub subtitle: String,
    /// What one band of the map is; it stands along the left edge.
    pub rows_name: String,
    /// The labels at the left edge of the map, from top to bottom.
    pub spans: Vec<Span>,
    /// The map over time. All moments have the same number of rows.
    pub moments: Vec<Moment>,
    /// The title above the colour scale.
    pub scale_name: String,
    /// The lower half.
    pub chart: Chart,
    /// The title below the time axis.
    pub time_name: String,
}

/// A label for neighbouring bands of the map.
#[derive(Debug, Clone)]
pub struct Span {
    /// What it says.
    pub name: String,
    /// The part of the map's height that it stands for; all parts together are 1.
    pub part: f64,
}

/// The map at one time.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Seconds since the start.
    pub at: f64,
    /// For each band the part of the file that is there, between 0 and 1; exactly 1 when it is complete.
    pub shares: Vec<f64>,
}

/// Lines over time.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// The title above it.
    pub title: String,
    /// The highest value of the scale, which begins at 0.
    pub most: f64,
    /// Whether the scale counts in percent, or plainly.
    pub percent: bool,
    /// At most five, from the most important on; each has a colour of its own.
    pub lines: Vec<Line>,
}

/// One line of a [`Chart`].
#[derive(Debug, Clone)]
pub struct Line {
    /// What it shows; empty where there is only one line.
    pub name: String,
    /// Seconds since the start, and the value.
    pub points: Vec<(f64, f64)>,
}

impl Picture {
    /// The picture as an SVG document of some tens of kilobytes, whatever the number of moments.
    #[must_use]
    pub fn draw(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = frame::write(&mut out, self);
        out
    }

    /// The last moment that is drawn, in seconds; never 0.
    fn end(&self) -> f64 {
        self.moments.last().map_or(1.0, |moment| moment.at).max(0.001)
    }

    fn rows(&self) -> usize {
        self.moments.first().map_or(0, |moment| moment.shares.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let share = |at: u32| f64::from(at) / 1999.0;
        let moment = |at| Moment { at: f64::from(at) / 10.0, shares: vec![share(at), share(at) / 2.0] };
        let points = (0..2000).map(|at| (f64::from(at) / 10.0, share(at))).collect();
        Picture {
            title: "1 → 2".into(),
            subtitle: "<&>".into(),
            spans: vec![
                Span { name: "version 1".into(), part: 0.5 },
                Span { name: "cascade".into(), part: 0.5 },
            ],
            moments: (0..2000).map(moment).collect(),
            chart: Chart { most: 1.0, lines: vec![Line { name: "x".into(), points }], ..Chart::default() },
            ..Picture::default()
        }
    }

    #[test]
    fn a_picture_has_its_words_and_stays_small() {
        let drawn = picture().draw();
        assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
        assert!(drawn.contains("version 1") && drawn.contains("&lt;&amp;&gt;"));
        assert_eq!(drawn.matches(map::COMPLETE).count(), 2, "the scale, and the receiver that is complete");
        assert!(drawn.len() < 24_000, "{} bytes", drawn.len());
    }

    #[test]
    fn a_subtitle_has_up_to_two_lines() {
        let drawn = Picture { subtitle: "one\ntwo\nthree".into(), ..picture() }.draw();
        assert!(drawn.contains(">one</text>") && drawn.contains(">two</text>") && !drawn.contains("three"));
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(Picture::default().draw().ends_with("</svg>\n"));
    }
}
