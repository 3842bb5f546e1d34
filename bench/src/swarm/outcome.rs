//! What came of a run.

use super::bound;
use super::role::Role;
use super::scenario::Scenario;
use crate::linkemu::network::ETHERNET_MTU;
use crate::stats::Spread;
use serde::Serialize;

/// When a downloader had the file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Finish {
    /// What it is.
    pub role: Role,
    /// Seconds from its own start to its complete file.
    pub seconds: f64,
}

/// The swarm at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Seconds since the first start.
    pub at: f64,
    /// What each leecher has received, as a share of the file with packet headers; 1 only when it is
    /// complete.
    pub received: Vec<f64>,
    /// Copies of the file that the seeder has sent.
    pub copies: f64,
}

/// What came of a run in which everybody got the file.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The downloaders, in the order of their starts.
    pub times: Vec<Finish>,
    /// Bytes that left the seeder, packet headers included.
    pub seeder_sent: u64,
    /// Packets that left the nodes, acknowledgements and those that are sent again among them, in all links together.
    pub packets: u64,
    /// Packets that found a queue full, in all links together.
    pub drops: u64,
    /// Bytes that were received more than once, as the downloaders themselves report them.
    pub duplicates: Option<u64>,
    /// Bytes that left the liars and stallers, packet headers included.
    pub bad_sent: u64,
    /// When the seeder left, in seconds since the first start.
    pub seeder_left: Option<f64>,
    /// When the tracker died, in seconds since the first start.
    pub tracker_died: Option<f64>,
    /// Share of all cores that was busy until the last with the full rate was done: near 1, the machine is
    /// the limit and not the swarm.
    pub busy: f64,
    /// CPU seconds of the seeder, until it left, and of all leechers: what is left where other programs or the
    /// emulator itself keep the machine busy.
    pub cpu: f64,
    /// The swarm over time, for its picture.
    #[serde(skip)]
    pub readings: Vec<Reading>,
}

impl Outcome {
    /// The times of a group, in seconds.
    pub fn of(&self, role: Role) -> impl Iterator<Item = f64> {
        self.times.iter().filter(move |time| time.role == role).map(|time| time.seconds)
    }

    /// Their spread; `None` when there are none.
    #[must_use]
    pub fn spread(&self, role: Role) -> Option<Spread> {
        Spread::of(self.of(role))
    }

    /// Their mean, in seconds; NaN when there are none.
    #[must_use]
    pub fn mean(&self, role: Role) -> f64 {
        self.of(role).sum::<f64>() / self.of(role).count() as f64
    }

    /// Copies of the file that left the seeder.
    #[must_use]
    pub fn copies(&self, scenario: &Scenario) -> f64 {
        self.seeder_sent as f64 / bound::on_the_wire(scenario.size, ETHERNET_MTU)
    }

    /// Whether the tracker should have died and was still there when everybody was done.
    #[must_use]
    pub fn outlived_by_tracker(&self, scenario: &Scenario) -> bool {
        scenario.tracker_dies.is_some() && self.tracker_died.is_none()
    }

    /// Duplicate bytes in percent of what everybody needed; `None` when not everybody says.
    #[must_use]
    pub fn duplicate_percent(&self, scenario: &Scenario) -> Option<f64> {
        let needed = scenario.size as f64 * self.times.len() as f64;
        self.duplicates.map(|bytes| bytes as f64 * 100.0 / needed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An outcome with these times.
    pub(crate) fn outcome(times: &[(Role, f64)]) -> Outcome {
        Outcome {
            times: times.iter().map(|(role, seconds)| Finish { role: *role, seconds: *seconds }).collect(),
            seeder_sent: 0,
            packets: 0,
            drops: 0,
            duplicates: Some(0),
            bad_sent: 0,
            seeder_left: None,
            tracker_died: None,
            busy: 0.5,
            cpu: 1.0,
            readings: Vec::new(),
        }
    }

    #[test]
    fn groups_are_kept_apart() {
        let outcome = outcome(&[(Role::Own, 1.0), (Role::Version1, 5.0), (Role::Own, 3.0)]);
        assert_eq!(outcome.of(Role::Own).collect::<Vec<_>>(), [1.0, 3.0]);
        assert!((outcome.mean(Role::Own) - 2.0).abs() < 1e-9);
        assert!(outcome.mean(Role::Slow).is_nan());
        assert!(outcome.spread(Role::Slow).is_none());
    }

    #[test]
    fn copies_and_duplicates_are_shares() {
        let mut outcome = outcome(&[(Role::Own, 1.0), (Role::Own, 1.0)]);
        let scenario = Scenario { size: 1448 * 1000, ..Scenario::PLAIN };
        (outcome.seeder_sent, outcome.duplicates) = (1_650_000, Some(1448 * 10));
        assert!((outcome.copies(&scenario) - 1.1).abs() < 1e-9);
        assert!((outcome.duplicate_percent(&scenario).unwrap() - 0.5).abs() < 1e-9);
    }
}
