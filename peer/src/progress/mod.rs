//! Progress of a long command: a bar for each file on a terminal, nothing anywhere else.

use crate::report::{stderr_is_terminal, terminal};
use cascade_format::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// How often a bar is drawn when nothing happens, so that the time left does not stand still.
const TICK: Duration = Duration::from_secs(1);

/// A label is cut to so many characters.
const LABEL_WIDTH: usize = 30;

/// Whether bars would be seen: standard error is a terminal.
#[must_use]
pub fn on_terminal() -> bool {
    stderr_is_terminal()
}

/// The bars of one command, one below the other.
#[derive(Debug)]
pub struct ProgressGroup {
    bars: Option<MultiProgress>,
}

impl ProgressGroup {
    /// A group without bars. Where `visible` is false, none is ever drawn.
    #[must_use]
    pub fn new(visible: bool) -> Self {
        Self { bars: visible.then(terminal::bars) }
    }

    /// Adds a bar for `total` bytes below the others.
    #[must_use]
    pub fn add(&self, total: u64, label: &str) -> Progress {
        let bar = self.bars.as_ref().map(|bars| {
            // Hidden until it has its style and its place in the group.
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
            dress(&bar, label);
            let bar = bars.add(bar);
            bar.enable_steady_tick(TICK);
            bar
        });
        Progress { bar }
    }

    /// Writes something on standard error while the bars are out of the way, so that neither spoils
    /// the other.
    pub fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// How far one piece of work has come, in bytes. Threads may share it.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar of its own for `total` bytes; drawn where `visible`.
    #[must_use]
    pub fn new(total: u64, label: &str, visible: bool) -> Self {
        ProgressGroup::new(visible).add(total, label)
    }

    /// `done` bytes are done altogether.
    pub fn set(&self, done: u64) {
        self.with(|bar| bar.set_position(done));
    }

    /// `bytes` more are done.
    pub fn inc(&self, bytes: u64) {
        self.with(|bar| bar.inc(bytes));
    }

    /// Starts again from `done` bytes: what was there before does not count for the speed.
    pub fn resume(&self, done: u64) {
        self.with(|bar| {
            bar.set_position(done);
            bar.reset_eta();
        });
    }

    /// Free text at the end of the line, such as the number of peers.
    pub fn note(&self, text: &str) {
        self.with(|bar| terminal::set_note(bar, text));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.with(ProgressBar::finish_and_clear);
    }

    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &self.bar {
            act(bar);
        }
    }
}

/// Label, bar, figures, note.
fn dress(bar: &ProgressBar, label: &str) {
    let template = "{prefix} {bar:24} {percent:>3}% {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    terminal::set_name(bar, &shorten(label));
}

/// The end of a long label, which tells more than its beginning. It is made fit for a terminal before it is
/// cut: an escape takes more room than the character that it stands for.
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

    #[test]
    fn an_invisible_bar_takes_everything() {
        let progress = Progress::new(10, "data", false);
        progress.inc(5);
        progress.set(20);
        progress.resume(3);
        progress.note("3 peers");
        progress.finish();
        assert!(progress.bar.is_none());
        assert_eq!(ProgressGroup::new(false).suspend(|| 7), 7);
    }

    /// Where standard error is no terminal, indicatif draws nothing; the figures are kept all the same.
    #[test]
    fn a_bar_counts() {
        let group = ProgressGroup::new(true);
        let (one, two) = (group.add(100, "one"), group.add(50, "two"));
        one.inc(30);
        let shared = one.clone();
        shared.inc(12);
        two.set(50);
        two.note("done");
        let position = |progress: &Progress| progress.bar.as_ref().unwrap().position();
        assert_eq!((position(&one), position(&two)), (42, 50));
        one.finish();
        two.finish();
    }
}
