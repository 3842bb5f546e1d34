//! What a swarm looks like, as plain numbers, and what follows from them.

use super::bound;
use super::role::{self, Role};
use crate::linkemu::LinkSpec;
use crate::linkemu::congestion::{CONGESTION_CONTROL, Congestion};
use crate::units::show_size;
use serde::Serialize;
use std::time::Duration;

/// How many times the bound a run may take before it is given up.
const PATIENCE: f64 = 20.0;

/// Added to that: a peer that starts before the others hears of them with its next list, half a minute later.
const LIST_PATIENCE: Duration = Duration::from_secs(90);

/// One seeder and its downloaders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// Number of nodes beside tracker and seeder, the bad ones included.
    pub leechers: usize,
    /// Size of the file, in bytes.
    pub size: u64,
    /// Cascade's block size, in bytes.
    pub block: u64,
    /// Rate of the downloaders' links, in Mbit/s both ways.
    pub rate: u64,
    /// Rate of the seeder's link, in Mbit/s both ways.
    pub seeder_rate: u64,
    /// Delay of every link one way, in milliseconds.
    pub delay: u64,
    /// Length of every link's queues, in milliseconds.
    pub queue: u64,
    /// TCP's congestion control on every node.
    pub congestion: Congestion,
    /// Downloaders with a tenth of the rate.
    pub slow: usize,
    /// Scripted peers of version 1.
    pub v1: usize,
    /// Scripted peers that send wrong bytes.
    pub liars: usize,
    /// Scripted peers that stall every answer.
    pub stallers: usize,
    /// Whether the seeder is a scripted peer of version 1.
    pub v1_seeder: bool,
    /// Whether the starts are spread over F/u.
    pub spread: bool,
    /// The seeder leaves when it has sent this many copies of the file.
    pub seeder_leaves: Option<f64>,
    /// Seconds after the first start at which the tracker dies.
    pub tracker_dies: Option<u64>,
    /// Whether our peers use the swarm extension.
    pub extension: bool,
    /// Of how many files a folder is that they share; `None`: they share one file.
    pub folder: Option<u64>,
}

impl Scenario {
    /// Eight leechers, 128 MiB, 50 Mbit/s: what everything differs from.
    pub const PLAIN: Self = Self {
        leechers: 8,
        size: 128 << 20,
        block: 256 << 10,
        rate: 50,
        seeder_rate: 50,
        delay: 5,
        queue: 50,
        congestion: CONGESTION_CONTROL,
        slow: 0,
        v1: 0,
        liars: 0,
        stallers: 0,
        v1_seeder: false,
        spread: false,
        seeder_leaves: None,
        tracker_dies: None,
        extension: true,
        folder: None,
    };

    /// The same with all downloaders of version 1.
    #[must_use]
    pub fn all_version_1(&self) -> Self {
        Self { v1: self.leechers.saturating_sub(self.liars + self.stallers), slow: 0, ..self.clone() }
    }

    /// Whether scripted peers are in it.
    #[must_use]
    pub fn has_scripted(&self) -> bool {
        self.v1_seeder || self.v1 + self.liars + self.stallers > 0
    }

    /// The roles of the leechers, in the order of their starts. There are more than leechers when the
    /// numbers contradict each other.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let others = [
            (Role::Slow, self.slow),
            (Role::Version1, self.v1),
            (Role::Liar, self.liars),
            (Role::Staller, self.stallers),
        ];
        let own = self.leechers.saturating_sub(others.iter().map(|(_, count)| count).sum());
        role::mix(&[&[(Role::Own, own)][..], &others].concat())
    }

    /// The role that ratios are about.
    #[must_use]
    pub fn main_role(&self) -> Role {
        let roles = self.roles();
        Role::ALL.into_iter().find(|role| roles.contains(role)).unwrap_or(Role::Own)
    }

    /// The links of tracker, seeder and leechers.
    #[must_use]
    pub fn links(&self) -> Vec<LinkSpec> {
        let (delay, queue) = (Duration::from_millis(self.delay), Duration::from_millis(self.queue));
        let link = LinkSpec::symmetric(self.rate, delay, queue);
        let slow = LinkSpec { up: link.up / 10, down: link.down / 10, ..link };
        let of = |role| if role == Role::Slow { slow } else { link };
        let seeder = LinkSpec::symmetric(self.seeder_rate, delay, queue);
        [LinkSpec::unlimited(delay), seeder].into_iter().chain(self.roles().into_iter().map(of)).collect()
    }

    /// When a leecher starts.
    #[must_use]
    pub fn start_of(&self, leecher: usize) -> Duration {
        let over = if self.spread { self.unit() } else { 0.0 };
        Duration::from_secs_f64(over * leecher as f64 / self.leechers.max(1) as f64)
    }

    /// F/u: the time of one copy over a leecher's link, in seconds.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.copy_at(self.rate)
    }

    /// The time of one copy over the seeder's link, in seconds.
    #[must_use]
    pub fn seeder_unit(&self) -> f64 {
        self.copy_at(self.seeder_rate)
    }

    fn copy_at(&self, rate: u64) -> f64 {
        self.size as f64 * 8.0 / (rate as f64 * 1e6)
    }

    /// The least time for the last, in seconds, without packet headers.
    #[must_use]
    pub fn bound(&self) -> f64 {
        let links = self.links();
        let seeder = links.get(super::SEEDER).map_or(0, |link| link.up);
        let leechers = self.roles().into_iter().zip(links.into_iter().skip(super::SEEDER + 1));
        let rates: Vec<u64> =
            leechers.filter(|(role, _)| role.downloads()).map(|(_, link)| link.up).collect();
        if self.slow == 0 && seeder == self.rate * 1_000_000 {
            return bound::equal_links(self.size, self.size.div_ceil(self.block), rates.len(), seeder);
        }
        bound::unequal_links(self.size, seeder, &rates, &rates)
    }

    /// The longest time that a run may take.
    #[must_use]
    pub fn within(&self) -> Duration {
        let spread = if self.spread { self.unit() } else { 0.0 };
        Duration::from_secs_f64(self.bound() * PATIENCE + spread) + LIST_PATIENCE
    }

    /// One line for people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "1 → {}{}, {}, {} Mbit/s, {} ms one way, {}{}: F/u {:.2} s, bound {:.2} s",
            self.leechers,
            self.describe_roles(),
            show_size(self.size),
            self.rate,
            self.delay,
            self.congestion,
            self.describe_troubles(),
            self.unit(),
            self.bound()
        )
    }

    fn describe_roles(&self) -> String {
        let roles = [
            (self.slow, "slow"),
            (self.v1, "of version 1"),
            (self.liars, "that lie"),
            (self.stallers, "that stall"),
        ];
        let told = roles.iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!(", {count} {what}")).collect()
    }

    fn describe_troubles(&self) -> String {
        let troubles = [
            (self.seeder_rate != self.rate).then(|| format!("seeder {} Mbit/s", self.seeder_rate)),
            self.v1_seeder.then(|| "seeder of version 1".to_owned()),
            self.spread.then(|| "starts over one F/u".to_owned()),
            (!self.extension).then(|| "extension off".to_owned()),
            self.folder.map(|files| format!("a folder of {files} files")),
            self.seeder_leaves.map(|copies| format!("seeder leaves after {copies} copies")),
            self.tracker_dies.map(|seconds| format!("tracker dies after {seconds} s")),
        ];
        troubles.iter().flatten().map(|what| format!(", {what}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_links_agree() {
        let swarm = Scenario { slow: 1, liars: 2, stallers: 1, ..Scenario::PLAIN };
        let roles = swarm.roles();
        assert_eq!(roles.len(), 8);
        assert_eq!(roles.iter().filter(|role| **role == Role::Own).count(), 4);
        let links = swarm.links();
        let slow = roles.iter().position(|role| *role == Role::Slow).unwrap();
        assert_eq!(links[2 + slow].up, 5_000_000);
        assert_eq!(links.iter().filter(|link| link.up == 50_000_000).count(), 8);
        assert!((swarm.bound() - 10.0 * swarm.unit()).abs() < 1e-9, "the slow one decides");
    }

    #[test]
    fn the_units_are_those_of_the_links() {
        let swarm = Scenario { seeder_rate: 5, ..Scenario::PLAIN };
        assert!((swarm.unit() - 21.47).abs() < 0.01, "{}", swarm.unit());
        assert!((swarm.seeder_unit() - 214.7).abs() < 0.1);
        assert!((swarm.bound() - swarm.seeder_unit()).abs() < 1e-9);
        let spread = Scenario { spread: true, ..Scenario::PLAIN };
        assert!((spread.start_of(4).as_secs_f64() - spread.unit() / 2.0).abs() < 1e-6);
        assert_eq!(swarm.start_of(4), Duration::ZERO);
    }

    #[test]
    fn among_themselves_nobody_is_ours() {
        let swarm = Scenario { v1: 4, ..Scenario::PLAIN };
        assert_eq!(swarm.main_role(), Role::Own);
        assert_eq!(swarm.all_version_1().roles(), [Role::Version1; 8]);
        assert_eq!(swarm.all_version_1().main_role(), Role::Version1);
    }

    #[test]
    fn a_description_names_what_is_special() {
        let plain = Scenario::PLAIN.describe();
        assert_eq!(plain, "1 → 8, 128 MiB, 50 Mbit/s, 5 ms one way, cubic: F/u 21.47 s, bound 21.60 s");
        let hard = Scenario { v1: 4, seeder_rate: 5, seeder_leaves: Some(1.1), ..Scenario::PLAIN }.describe();
        for what in ["8, 4 of version 1, 128", ", seeder 5 Mbit/s", ", seeder leaves after 1.1 copies:"] {
            assert!(hard.contains(what), "{what:?} is not in {hard:?}");
        }
    }
}
