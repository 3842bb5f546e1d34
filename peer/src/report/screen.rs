//! What stays in place on a terminal: rows that come and go, each made to fit whatever width there is when it is drawn.

use super::row::Row;
use super::{out, terminal};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The rows of one command; nothing is drawn where stderr is no terminal.
#[derive(Clone)]
pub(crate) struct Screen {
    bars: MultiProgress,
    /// Columns and rows of the terminal.
    size: Arc<dyn Fn() -> (u16, u16) + Send + Sync>,
    bold: bool,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

/// A row that is drawn as long as this lives.
pub(super) struct Line {
    bars: MultiProgress,
    bar: ProgressBar,
}

impl Screen {
    /// The terminal behind stderr, if it is one.
    pub(crate) fn of_stderr() -> Self {
        let bars = MultiProgress::with_draw_target(terminal::target());
        Self { bars, size: Arc::new(terminal::size), bold: terminal::knows_colours() }
    }

    /// Where a test looks.
    #[cfg(test)]
    pub(super) fn over(target: ProgressDrawTarget, size: (u16, u16)) -> Self {
        Self { bars: MultiProgress::with_draw_target(target), size: Arc::new(move || size), bold: true }
    }

    /// Draws, however short ago the last time was.
    #[cfg(test)]
    pub(super) fn draw(&self) {
        self.bars.suspend(|| ());
    }

    /// The number of rows that the terminal has.
    pub(super) fn height(&self) -> usize {
        usize::from((self.size)().1)
    }

    /// A row below the others. What it shows is made when it is drawn.
    pub(super) fn line(&self, row: impl Fn(&ProgressState) -> Row + Clone + Send + Sync + 'static) -> Line {
        let (size, bold) = (Arc::clone(&self.size), self.bold);
        // Hidden until it has its style.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{row}") {
            bar.set_style(style.with_key("row", move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = out.write_str(&row(state).fit(usize::from(size().0), bold));
            }));
        }
        Line { bars: self.bars.clone(), bar: self.bars.add(bar) }
    }

    /// A row below the others that shows what it is told.
    pub(super) fn told_line(&self, row: Row) -> ToldLine {
        let told = Arc::new(Mutex::new(row));
        let shown = Arc::clone(&told);
        let line = self.line(move |_| shown.lock().unwrap_or_else(PoisonError::into_inner).clone());
        line.draw();
        ToldLine { line, told }
    }

    /// Writes one line to stderr, above the rows.
    pub(super) fn above(&self, line: &str) {
        self.bars.suspend(|| out::error_lines(line));
    }

    /// Writes one line to stdout, above the rows.
    pub(super) fn line_to_stdout(&self, line: &str) {
        self.bars.suspend(|| out::line(line));
    }
}

impl Line {
    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Draws it, unless the terminal was drawn on just now.
    pub(super) fn draw(&self) {
        self.bar.tick();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bars.remove(&self.bar);
    }
}

/// A row that shows what it is told.
pub(super) struct ToldLine {
    line: Line,
    told: Arc<Mutex<Row>>,
}

impl ToldLine {
    pub(super) fn tell(&self, row: Row) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = row;
        self.line.draw();
    }
}
