//! How far a whole room is, for who waits for it: on a terminal, and nothing anywhere else.

use super::{out, terminal};
use indicatif::{ProgressBar, ProgressDrawTarget};

/// The bar's length.
const ALL: u64 = 1000;

const TEMPLATE: &str = "{prefix:.bold} {bar:20} {msg}";

/// The bar.
#[derive(Debug)]
pub(crate) struct RoomBar(Option<ProgressBar>);

impl RoomBar {
    /// A bar for the room of a file, if it is `wanted` and standard error is a terminal.
    pub(crate) fn new(name: &str, wanted: bool) -> Self {
        Self((wanted && out::stderr_is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(ALL), ProgressDrawTarget::hidden());
            if let Some(style) = terminal::style(TEMPLATE, "█▉▊▋▌▍▎▏ ") {
                bar.set_style(style);
            }
            terminal::set_name(&bar, name);
            terminal::bars().add(bar)
        }))
    }

    /// Whether it is drawn.
    pub(crate) const fn is_drawn(&self) -> bool {
        self.0.is_some()
    }

    /// How far it is, from 0 to 1, and what is said beside it.
    pub(crate) fn set(&self, share: Option<f64>, note: &str) {
        let Some(bar) = &self.0 else { return };
        if let Some(share) = share {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
            bar.set_position((share.clamp(0.0, 1.0) * ALL as f64) as u64);
        }
        terminal::set_note(bar, note);
        bar.tick();
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}
