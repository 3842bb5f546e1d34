//! A bar for one file of a long command: on a terminal, and nothing anywhere else.

use super::{out, terminal};
use cascade_format::text;
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::time::Duration;

/// How often a bar is drawn when nothing happens, so that the time left does not stand still.
const TICK: Duration = Duration::from_secs(1);

/// The longest label, in characters.
const LABEL_WIDTH: usize = 30;

const TEMPLATE: &str = "{prefix} {bar:24} {percent:>3}% {done}/{total}, {speed}, {left} left";

/// How much of one file is done, in bytes. Threads may share it.
#[derive(Debug)]
pub(crate) struct FileBar(Option<ProgressBar>);

impl FileBar {
    /// A bar for `total` bytes, drawn where standard error is a terminal.
    pub(crate) fn new(total: u64, label: &str) -> Self {
        Self(out::stderr_is_terminal().then(|| drawn(total, label)))
    }

    /// `bytes` more are done.
    pub(crate) fn inc(&self, bytes: u64) {
        self.0.iter().for_each(|bar| bar.inc(bytes));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn drawn(total: u64, label: &str) -> ProgressBar {
    // Hidden until it has its style.
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
    if let Some(style) = terminal::style(TEMPLATE, "=> ") {
        bar.set_style(style);
    }
    terminal::set_name(&bar, &shorten(label));
    let bar = terminal::bars().add(bar);
    bar.enable_steady_tick(TICK);
    bar
}

/// The end of a long label, which tells more than its beginning. It is made fit for a terminal before it is
/// cut: an escape takes more room than the character that it replaces.
fn shorten(label: &str) -> String {
    let shown = text::line(label);
    match shown.chars().count().checked_sub(LABEL_WIDTH) {
        None | Some(0) => shown,
        Some(surplus) => std::iter::once('…').chain(shown.chars().skip(surplus + 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_keep_their_end() {
        assert_eq!(shorten("data.tar"), "data.tar");
        let long = format!("{}.tar", "x".repeat(100));
        let short = shorten(&long);
        assert_eq!(short.chars().count(), LABEL_WIDTH);
        assert!(short.starts_with('…') && short.ends_with("x.tar"));
        assert_eq!(shorten("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\u{a}");
    }

    /// Where standard error is no terminal, nothing is drawn; the figures are kept all the same.
    #[test]
    fn a_bar_counts() {
        let bar = FileBar(Some(drawn(100, "data")));
        bar.inc(30);
        bar.inc(12);
        assert_eq!(bar.0.as_ref().map(ProgressBar::position), Some(42));
        bar.finish();
    }

    #[test]
    fn without_a_terminal_there_is_nothing_to_draw() {
        let bar = FileBar(None);
        bar.inc(5);
        bar.finish();
        assert!(bar.0.is_none());
    }
}
