//! How far a whole room is, for a person who waits for it: on a terminal, and nothing anywhere else.

use super::row::Row;
use super::screen::{Screen, ToldLine};
use super::terminal;

/// The bar.
pub(crate) struct RoomBar {
    name: String,
    line: Option<ToldLine>,
}

impl RoomBar {
    /// A bar for the room of a file, if it is `wanted` and standard error is a terminal.
    pub(crate) fn new(name: &str, wanted: bool) -> Self {
        let name = name.to_owned();
        let drawn = wanted && terminal::is_there();
        let row = Row { name: name.clone(), column: false, bar: Some(0.0), facts: Vec::new() };
        Self { name, line: drawn.then(|| Screen::of_stderr().told_line(row)) }
    }

    /// Whether it is drawn.
    pub(crate) const fn is_drawn(&self) -> bool {
        self.line.is_some()
    }

    /// How far it is, from 0 to 1, if that is known, and what is said beside it.
    pub(crate) fn set(&self, share: Option<f64>, note: &str) {
        let Some(line) = &self.line else { return };
        line.tell(Row { name: self.name.clone(), column: false, bar: share, facts: vec![note.to_owned()] });
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        self.line = None;
    }
}
