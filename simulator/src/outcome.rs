//! What came of a swarm.

use crate::gauge::{Phase, Reading};
use crate::idle::IdleTimes;
use crate::scenario::{Habit, Scenario};
use serde::Serialize;

/// Times of a group, in seconds, each peer's since its own start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// How many are complete.
    pub complete: usize,
    /// The first; 0 where there is none.
    pub first: f64,
    /// The middle one.
    pub median: f64,
    /// Their mean.
    pub mean: f64,
    /// The last.
    pub last: f64,
}

impl Times {
    /// Sums up these times.
    #[must_use]
    pub fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |index: usize| times.get(index).copied().unwrap_or(0.0);
        let complete = times.len();
        Self {
            complete,
            first: at(0),
            median: at(complete.saturating_sub(1) / 2),
            mean: times.iter().sum::<f64>() / complete.max(1) as f64,
            last: at(complete.saturating_sub(1)),
        }
    }
}

/// The downloaders of one habit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Group {
    /// Their habit.
    pub habit: Habit,
    /// Their number.
    pub count: usize,
    /// Their times.
    pub times: Times,
}

/// Sums of what went over the network besides blocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Traffic {
    /// Requests, those for news among them.
    pub requests: u64,
    /// Answers with status 2 to a request for a block.
    pub refusals: u64,
    /// Answers to requests for news alone.
    pub polls: u64,
    /// Answers that told something.
    pub news_messages: u64,
    /// Bytes of what was told.
    pub news_bytes: u64,
    /// Connections, and attempts.
    pub connections: u64,
    /// Most connections on which a downloader asked at one time: the mean over downloaders.
    pub links_mean: f64,
    /// The same: the most.
    pub links_most: usize,
    /// Bytes that left a subnet for another, with headers.
    pub across: u64,
    /// Events of the simulation.
    pub events: u64,
}

/// What came of a swarm. Equal seeds give equal outcomes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The swarm.
    pub scenario: Scenario,
    /// F/u of a downloader's downlink, in seconds; headers not counted.
    pub unit: f64,
    /// The best possible time of the last, in seconds; headers not counted.
    pub bound: f64,
    /// How many wanted the file.
    pub downloaders: usize,
    /// Times of all of them.
    pub times: Times,
    /// Times by habit.
    pub groups: Vec<Group>,
    /// When the last was complete, in seconds since the first might start.
    pub end: f64,
    /// Copies of the file that the seeder sent.
    pub copies: f64,
    /// Bytes of whole blocks that came twice, as a share of the file, mean.
    pub duplicates: f64,
    /// Share of the time until completion for which a downloader's uplink was idle, mean.
    pub idle_up: f64,
    /// The same of the downlink.
    pub idle_down: f64,
    /// What else went over the network.
    pub traffic: Traffic,
    /// Where uplink time was lost.
    pub phases: Vec<Phase>,
    /// The gauges over time.
    pub readings: Vec<Reading>,
    /// When each link of a small swarm was idle, and why.
    #[serde(skip)]
    pub idle: IdleTimes,
}

impl Outcome {
    /// The time of the last over F/u.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.times.last / self.unit
    }

    /// Whether every downloader that stayed has the file.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.times.complete == self.downloaders
    }

    /// The times of one habit.
    #[must_use]
    pub fn group(&self, habit: Habit) -> Option<&Group> {
        self.groups.iter().find(|group| group.habit == habit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_up() {
        let times = Times::of(vec![3.0, 1.0, 2.0, 10.0]);
        assert_eq!((times.complete, times.first, times.median, times.last), (4, 1.0, 2.0, 10.0));
        assert_eq!(Times::of(Vec::new()).last, 0.0);
    }
}
