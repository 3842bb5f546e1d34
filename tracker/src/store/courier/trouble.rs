//! When a store is in trouble, how long to leave it alone, and what an operator is told. No I/O, no clock.

use std::time::Duration;

/// The first pause after a failure; it doubles with each.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// The longest pause: so late a store is noticed that is back.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long a store must be well before it counts as back: one that comes and goes is one trouble.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);

/// The state of a store's health.
#[derive(Debug)]
pub(super) struct Trouble {
    name: String,
    /// Since when there is trouble.
    since: Option<Duration>,
    /// Since when all has been well again.
    well: Option<Duration>,
    /// It answers and refuses to write.
    refuses: bool,
    /// What was told of this trouble: that it is away, and that it refuses to write. Each is told once.
    told: [bool; 2],
    failures: u32,
    /// It has been well once, and that was said.
    greeted: bool,
    line: Option<String>,
}

impl Trouble {
    pub(super) const fn new(name: String) -> Self {
        Self {
            name,
            since: None,
            well: None,
            refuses: false,
            told: [false; 2],
            failures: 0,
            greeted: false,
            line: None,
        }
    }

    pub(super) const fn refuses(&self) -> bool {
        self.refuses
    }

    pub(super) const fn poll_line(&mut self) -> Option<String> {
        self.line.take()
    }

    /// The connection is lost; returns how long to leave the store alone.
    pub(super) fn handle_lost(&mut self, why: &str, now: Duration, jitter: f64) -> Duration {
        self.refuses = false;
        self.fail(now, jitter, || format!("{why}; lists have what this tracker knows itself"))
    }

    /// It does not write; returns how long not to try that.
    pub(super) fn handle_refused(&mut self, why: &str, now: Duration, jitter: f64) -> Duration {
        self.refuses = true;
        self.fail(now, jitter, || {
            format!("it takes no registrations: {why}; other trackers do not learn of new peers here")
        })
    }

    fn fail(&mut self, now: Duration, jitter: f64, what: impl FnOnce() -> String) -> Duration {
        self.well = None;
        self.since.get_or_insert(now);
        let [away, refuses] = &mut self.told;
        if !std::mem::replace(if self.refuses { refuses } else { away }, true) {
            let line =
                format!("store {}: {}. All registrations are brought in when it is back", self.name, what());
            self.line = Some(line);
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(10)).min(MAX_PAUSE);
        self.failures = self.failures.saturating_add(1);
        // From a half of it to all of it.
        pause.mul_f64(jitter.clamp(0.0, 1.0).mul_add(0.5, 0.5))
    }

    /// It answers and takes what is written.
    pub(super) fn handle_well(&mut self, now: Duration) {
        self.refuses = false;
        self.well.get_or_insert(now);
        if self.since.is_none() && !self.greeted {
            self.line = Some(format!("store {}: connected", self.name));
        }
        self.greeted = true;
    }

    /// Time has passed.
    pub(super) fn handle_time(&mut self, now: Duration) {
        if let (Some(since), Some(well)) = (self.since, self.well)
            && now.saturating_sub(well) >= SETTLED
        {
            (self.since, self.failures, self.told) = (None, 0, [false; 2]);
            let secs = well.saturating_sub(since).as_secs();
            self.line =
                Some(format!("store {}: back after {secs} s; all registrations are brought in", self.name));
        }
    }

    /// When time alone may change something.
    pub(super) fn next_wakeup(&self) -> Duration {
        match (self.since, self.well) {
            (Some(_), Some(well)) => well + SETTLED,
            _ => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_trouble_is_told_once_until_the_store_is_back() {
        let (mut trouble, at) = (Trouble::new("x".into()), Duration::from_secs);
        trouble.handle_well(at(0));
        assert_eq!(trouble.poll_line().unwrap(), "store x: connected");
        for round in 0..2 {
            let now = 100 * round;
            for (number, told) in [(1, true), (2, false)] {
                trouble.handle_lost("gone", at(now + number), 0.5);
                assert_eq!(trouble.poll_line().is_some(), told);
                // It answers again, and is full.
                trouble.handle_well(at(now + number));
                trouble.handle_refused("OOM", at(now + number), 0.5);
                assert_eq!(trouble.poll_line().is_some_and(|line| line.contains("OOM")), told);
            }
            trouble.handle_well(at(now + 3));
            trouble.handle_time(at(now + 10));
            assert_eq!(
                trouble.poll_line().unwrap(),
                "store x: back after 2 s; all registrations are brought in"
            );
        }
    }
}
