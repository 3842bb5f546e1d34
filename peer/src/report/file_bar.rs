//! A bar for one file of a long command: on a terminal, and nothing anywhere else.

use super::row::Row;
use super::screen::{Line, Screen};
use super::{summary, terminal};
use crate::human::{Bytes, Span};
use indicatif::ProgressState;
use std::time::Duration;

/// How often a bar is drawn when nothing happens, so that the time left does not stand still.
const TICK: Duration = Duration::from_secs(1);

/// How much of one file is done, in bytes. Threads may share it.
pub(crate) struct FileBar(Option<Line>);

impl FileBar {
    /// A bar for `total` bytes that are read and hashed, drawn where standard error is a terminal.
    pub(crate) fn new(total: u64, label: &str) -> Self {
        Self(terminal::is_there().then(|| drawn(&Screen::of_stderr(), total, label)))
    }

    /// `bytes` more are done.
    pub(crate) fn inc(&self, bytes: u64) {
        self.0.iter().for_each(|line| line.bar().inc(bytes));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.iter().for_each(|line| line.bar().finish_and_clear());
    }
}

fn drawn(screen: &Screen, total: u64, label: &str) -> Line {
    let name = label.to_owned();
    let line = screen.line(move |state| row(&name, state));
    line.bar().set_length(total);
    line.bar().enable_steady_tick(TICK);
    line
}

fn row(name: &str, state: &ProgressState) -> Row {
    let part = f64::from(state.fraction());
    let mut facts = vec![
        format!("hashing, {:.0} %", (part * 100.0).floor()),
        format!("{}/{}", Bytes(state.pos()), Bytes(state.len().unwrap_or(0))),
        summary::per_second(state.per_sec()),
    ];
    if state.pos() > 0 {
        facts.push(format!("{} left", Span(state.eta())));
    }
    Row { name: name.to_owned(), column: false, bar: Some(part), facts }
}

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::Paper;
    use super::*;

    /// Sizes and times are printed as everywhere else.
    #[test]
    fn a_bar_shows_what_is_done_of_how_much() {
        let paper = Paper::new(100, 10);
        let bar = FileBar(Some(drawn(&paper.screen(), 5 << 20, "data")));
        bar.inc(3 << 19);
        // To set it is to draw it.
        bar.0.iter().for_each(|line| line.bar().set_length(5 << 20));
        let screen = paper.contents();
        assert!(
            screen.starts_with("data █") && screen.contains(" hashing, 30 %, 1.5 MiB/5.0 MiB, "),
            "{screen}"
        );
        bar.finish();
        assert_eq!(paper.contents(), "");
    }

    #[test]
    fn without_a_terminal_there_is_nothing_to_draw() {
        let bar = FileBar(None);
        bar.inc(5);
        bar.finish();
        assert!(bar.0.is_none());
    }
}
