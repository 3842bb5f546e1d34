//! A progress bar for a file.

use super::{out, summary, terminal};
use crate::human::{Count, Span};
use crate::session::{Event, Observer};
use indicatif::{MultiProgress, ProgressBar};
use std::time::Duration;

const TEMPLATE: &str = "{prefix:.bold} {wide_bar} {done}/{total} {msg}";

pub(super) struct Bar {
    bars: MultiProgress,
    bar: ProgressBar,
    name: String,
}

impl Bar {
    pub(super) fn new(bars: &MultiProgress, name: &str) -> Self {
        // The length comes with the first event; a bar of length 0 would look complete.
        let bar = ProgressBar::new(1);
        if let Some(style) = terminal::style(TEMPLATE, "█▉▊▋▌▍▎▏ ") {
            bar.set_style(style);
        }
        terminal::set_name(&bar, name);
        Self { bars: bars.clone(), bar: bars.add(bar), name: name.to_owned() }
    }

    fn tell(&self, text: &str) {
        terminal::above(&self.bars, &format!("{}: {text}", self.name));
    }
}

impl Observer for Bar {
    fn event(&mut self, event: Event) {
        match event {
            Event::Checking { done, total } => {
                self.bar.set_length(total);
                self.bar.set_position(done);
                terminal::set_note(&self.bar, "checking");
            }
            Event::Fetching { done, total, known } => {
                // Its own length would make the bar look like the data's.
                let text = summary::fetching(done, total, known);
                terminal::set_note(&self.bar, &text);
            }
            Event::Start(progress) | Event::Progress(progress) => {
                self.bar.set_length(progress.bytes_total);
                self.bar.set_position(progress.bytes_done);
                let speed = summary::per_second(progress.bytes_per_second);
                let peers = Count(progress.peers as u64, "peer");
                #[allow(clippy::cast_precision_loss, reason = "a shown number")]
                let left = progress.bytes_total.saturating_sub(progress.bytes_done) as f64;
                let left = Duration::try_from_secs_f64(left / progress.bytes_per_second);
                let left = left.ok().filter(|left| !left.is_zero() && left.as_secs() < 86_400 * 30);
                let left = left.map_or(String::new(), |left| format!(", {} left", Span(left)));
                terminal::set_note(&self.bar, &format!("{speed}, {peers}{left}"));
            }
            Event::TrackerFailed { tracker, error } => self.tell(&format!("tracker {tracker}: {error}")),
            Event::WrongBlock(wrong) => self.tell(&summary::wrong_block(&wrong)),
            Event::Warning(text) => self.tell(&text),
            Event::Done(summary) => {
                self.bar.finish_and_clear();
                self.bars.suspend(|| out::line(&summary::text(&summary)));
            }
            Event::Seeding { have, blocks } => {
                self.bar.finish_and_clear();
                self.bars.suspend(|| out::line(&super::line::seeding(&self.name, have, blocks)));
            }
            // The command line tells it on stderr.
            Event::Failed(_)
            | Event::Fetched { .. }
            | Event::Connected(_)
            | Event::Dropped(..)
            | Event::Tracker { .. }
            | Event::Lan { .. } => {}
        }
    }
}
