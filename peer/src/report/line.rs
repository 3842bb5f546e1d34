//! A few plain lines for a log.

use super::{out, summary};
use crate::clock;
use crate::human::{Count, Name};
use crate::session::{Event, Observer};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A `.cascade` file usually comes within this time, and nothing needs to be told of it.
const WAITING_AFTER: Duration = Duration::from_secs(2);

/// A line about progress at most so often.
const INTERVAL: Duration = Duration::from_secs(30);

pub(super) struct Lines {
    name: String,
    last_progress: Instant,
    /// That the `.cascade` file is waited for was told.
    waiting: bool,
    began: Instant,
    /// What each tracker said last: said once, not every time.
    trackers: HashMap<String, String>,
}

impl Lines {
    pub(super) fn new(name: &str) -> Self {
        let now = clock::now();
        Self {
            name: name.to_owned(),
            last_progress: now,
            waiting: false,
            began: now,
            trackers: HashMap::new(),
        }
    }

    fn tell(&self, text: &str) {
        out::line(&format!("{}: {text}", self.name));
    }

    fn warn(&self, text: &str) {
        out::warning(&format!("{}: {text}", self.name));
    }

    fn tell_tracker(&mut self, tracker: String, text: String, failed: bool) {
        if self.trackers.get(&tracker) != Some(&text) {
            let line = format!("tracker {tracker}: {text}");
            if failed {
                self.warn(&line);
            } else {
                self.tell(&line);
            }
            self.trackers.insert(tracker, text);
        }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last_progress.elapsed() >= INTERVAL;
        if due {
            self.last_progress = clock::now();
        }
        due
    }
}

/// What is being seeded.
pub(super) fn seeding(name: &str, blocks_done: u64, blocks: u64) -> String {
    if blocks_done == blocks {
        let all = if blocks > 1 { format!("{blocks} blocks") } else { "of it".to_owned() };
        format!("{name}: seeding, all {all} verified")
    } else {
        format!(
            "{name}: seeding {blocks_done} of {}, the others are missing or wrong",
            Count(blocks, "block")
        )
    }
}

/// The same where an origin has what is not here.
pub(super) fn seeding_from(name: &str, origin: &str, blocks_done: u64, blocks: u64) -> String {
    format!("{name}: seeding from {origin}, {blocks_done} of {} here", Count(blocks, "block"))
}

impl Observer for Lines {
    fn event(&mut self, event: Event) {
        match event {
            Event::Checking { done, total } => {
                if self.is_due() {
                    self.tell(&format!("checked {done} of {total} bytes"));
                }
            }
            Event::Fetching { done, total, known } => {
                let first = !self.waiting && self.began.elapsed() >= WAITING_AFTER;
                if first || self.is_due() {
                    self.waiting = true;
                    self.tell(&summary::fetching(done, total, known));
                }
            }
            Event::Fetched { path, bytes } => {
                self.tell(&format!("got {}, {} verified", Name(&path), Count(bytes, "byte")));
            }
            Event::Start(progress) => self.tell(&format!(
                "{} of {} bytes are there, {} to get",
                progress.bytes_done,
                progress.bytes_total,
                Count(progress.blocks_total - progress.blocks_done, "block")
            )),
            Event::Progress(progress) => {
                if self.is_due() {
                    self.tell(&format!(
                        "{} of {} bytes, {}, {}",
                        progress.bytes_done,
                        progress.bytes_total,
                        summary::silence(&progress)
                            .unwrap_or_else(|| summary::per_second(progress.bytes_per_second)),
                        Count(progress.peers as u64, "peer")
                    ));
                }
            }
            Event::Tracker { tracker, peers } => {
                let text = format!("knows {}", Count(peers as u64, "other peer"));
                self.tell_tracker(tracker, text, false);
            }
            Event::Lan { peers } => {
                self.tell(&format!("{} on the local network", Count(peers as u64, "peer")));
            }
            Event::TrackerFailed { tracker, error } => self.tell_tracker(tracker, error, true),
            Event::WrongBlock(wrong) => self.warn(&summary::wrong_block(&wrong)),
            Event::Warning(text) => self.warn(&text),
            Event::Done(summary) => out::line(&summary::text(&summary)),
            Event::Origin { origin, blocks_done, blocks } => {
                out::line(&seeding_from(&self.name, &origin, blocks_done, blocks));
            }
            Event::Seeding { blocks_done, blocks } => out::line(&seeding(&self.name, blocks_done, blocks)),
            // The command line tells it on stderr.
            Event::Failed(_) | Event::Connected(_) | Event::Dropped(..) => {}
        }
    }
}
