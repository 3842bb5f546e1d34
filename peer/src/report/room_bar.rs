//! How far a whole room is, for who waits for it: on a terminal, and nothing anywhere else.

use super::row::Row;
use super::screen::{Line, Screen};
use super::terminal;
use std::sync::{Arc, Mutex, PoisonError};

/// The bar's length.
const ALL: u64 = 1000;

/// The bar, and what is said beside it.
pub(crate) struct RoomBar(Option<(Line, Arc<Mutex<String>>)>);

impl RoomBar {
    /// A bar for the room of a file, if it is `wanted` and standard error is a terminal.
    pub(crate) fn new(name: &str, wanted: bool) -> Self {
        Self((wanted && terminal::is_there()).then(|| drawn(&Screen::of_stderr(), name)))
    }

    /// Whether it is drawn.
    pub(crate) const fn is_drawn(&self) -> bool {
        self.0.is_some()
    }

    /// How far it is, from 0 to 1, and what is said beside it.
    pub(crate) fn set(&self, share: Option<f64>, note: &str) {
        let Some((line, said)) = &self.0 else { return };
        note.clone_into(&mut said.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(share) = share {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
            line.bar().set_position((share.clamp(0.0, 1.0) * ALL as f64) as u64);
        }
        line.bar().tick();
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.iter().for_each(|(line, _)| line.bar().finish_and_clear());
    }
}

fn drawn(screen: &Screen, name: &str) -> (Line, Arc<Mutex<String>>) {
    let said = Arc::new(Mutex::new(String::new()));
    let (name, note) = (name.to_owned(), Arc::clone(&said));
    let line = screen.line(move |state| Row {
        name: name.clone(),
        column: false,
        bar: Some(f64::from(state.fraction())),
        facts: vec![note.lock().unwrap_or_else(PoisonError::into_inner).clone()],
    });
    line.bar().set_length(ALL);
    (line, said)
}
