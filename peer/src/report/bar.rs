//! A progress bar for a file. There is none before something is to be shown.

use super::row::Row;
use super::screen::{Screen, ToldLine};
use super::summary;
use crate::human::{Bytes, Count, Span};
use crate::session::{Event, Observer, Progress};
use std::time::Duration;

pub(super) struct Bar {
    screen: Screen,
    name: String,
    line: Option<ToldLine>,
    /// Whether anything was shown to be missing.
    lacked: bool,
}

impl Bar {
    pub(super) fn new(screen: &Screen, name: &str) -> Self {
        Self { screen: screen.clone(), name: name.to_owned(), line: None, lacked: false }
    }

    fn tell(&self, text: &str) {
        self.screen.above(&format!("{}: {text}", self.name));
    }

    fn show(&mut self, bar: Option<f64>, facts: Vec<String>) {
        let row = Row { name: self.name.clone(), column: false, bar, facts };
        match &self.line {
            Some(line) => line.tell(row),
            None => self.line = Some(self.screen.told_line(row)),
        }
    }

    fn show_progress(&mut self, progress: &Progress) {
        let left = progress.bytes_total.saturating_sub(progress.bytes_done);
        self.lacked |= left > 0;
        if !self.lacked {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "a shown number")]
        let time = Duration::try_from_secs_f64(left as f64 / progress.bytes_per_second);
        let time = time.ok().filter(|time| !time.is_zero() && time.as_secs() < 86_400 * 30);
        let mut facts = vec![format!("{}/{}", Bytes(progress.bytes_done), Bytes(progress.bytes_total))];
        if let Some(silence) = summary::silence(progress) {
            facts.push(silence);
        } else {
            facts.push(summary::per_second(progress.bytes_per_second));
            facts.extend(time.map(|time| format!("{} left", Span(time))));
        }
        facts.push(Count(progress.peers as u64, "peer").to_string());
        self.show(Some(part(progress.bytes_done, progress.bytes_total)), facts);
    }
}

/// The part that is done.
#[allow(clippy::cast_precision_loss, reason = "a shown number")]
fn part(done: u64, total: u64) -> f64 {
    done as f64 / total.max(1) as f64
}

impl Observer for Bar {
    fn event(&mut self, event: Event) {
        match event {
            Event::Checking { done, total } => {
                // What takes no time needs no row.
                if done > 0 {
                    let facts = vec!["checking".into(), format!("{}/{}", Bytes(done), Bytes(total))];
                    self.show(Some(part(done, total)), facts);
                }
            }
            // Its own length would make the bar look like the data's.
            Event::Fetching { done, total, known } => {
                self.show(None, vec![summary::fetching(done, total, known)]);
            }
            Event::Start(progress) | Event::Progress(progress) => self.show_progress(&progress),
            Event::TrackerFailed { tracker, error } => self.tell(&format!("tracker {tracker}: {error}")),
            Event::WrongBlock(wrong) => self.tell(&summary::wrong_block(&wrong)),
            Event::Warning(text) => self.tell(&text),
            Event::Done(summary) => {
                self.line = None;
                self.screen.line_to_stdout(&summary::text(&summary));
            }
            Event::Seeding { blocks_done, blocks } => {
                self.line = None;
                self.screen.line_to_stdout(&super::line::seeding(&self.name, blocks_done, blocks));
            }
            Event::Origin { origin, blocks_done, blocks } => {
                self.line = None;
                self.screen.line_to_stdout(&super::line::seeding_from(
                    &self.name,
                    &origin,
                    blocks_done,
                    blocks,
                ));
            }
            // The command line tells it on stderr.
            Event::Failed(_) => self.line = None,
            Event::Fetched { .. }
            | Event::Connected(_)
            | Event::Dropped(..)
            | Event::Tracker { .. }
            | Event::Lan { .. } => {}
        }
    }
}
