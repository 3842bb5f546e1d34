//! What is made of an origin that fails, refuses, or gives wrong blocks.

use crate::limits::{FIRST_ORIGIN_PAUSE, MAX_ORIGIN_PAUSE, MAX_REFUSED, MAX_WRONG_BLOCKS, MAX_WRONG_FETCHES};
use cascade_swarm::Time;
use std::collections::HashMap;
use std::time::Duration;

/// Failures in a row after which the user is told: a connection that breaks once is nothing to tell.
const TELL_AFTER: u32 = 3;

/// Until a block is fetched again that has come wrong; doubles.
const WRONG_PAUSE: Duration = Duration::from_secs(2);

/// What follows from a wrong block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is fetched again.
    Again,
    /// The origin has other data.
    GiveUp,
}

/// What has gone wrong, and since when nothing has.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// Failures in a row.
    failures: u32,
    /// Of them, those that the origin has said itself.
    refusals: u32,
    resume_at: Option<Time>,
    told: bool,
    wrong_in_a_row: u32,
    wrong: HashMap<u64, Held>,
}

/// A block that has come wrong.
#[derive(Debug, Clone, Copy)]
struct Held {
    times: u32,
    until: Time,
}

impl Troubles {
    /// Whether the origin may be asked for something.
    pub(crate) fn may_ask(&self, now: Time) -> bool {
        self.resume_at.is_none_or(|at| at <= now)
    }

    /// When it may be, if it may not yet.
    pub(crate) fn next_wakeup(&self) -> Option<Time> {
        self.resume_at
    }

    /// Whether `block` is not fetched now because it came wrong.
    pub(crate) fn is_held(&self, now: Time, block: u64) -> bool {
        self.wrong.get(&block).is_some_and(|held| held.until > now)
    }

    /// Whether it is in vain to wait `patience` for `block`.
    pub(crate) fn is_out(&self, now: Time, block: u64, patience: Duration) -> bool {
        self.is_held(now, block) || self.resume_at.is_some_and(|at| at > now + patience)
    }

    /// A request has failed: how long nothing is asked, and whether the user should be told.
    pub(crate) fn failed(&mut self, now: Time) -> (Duration, bool) {
        // Several requests fail for one reason.
        if let Some(at) = self.resume_at.filter(|at| *at > now) {
            return (at - now, false);
        }
        let pause = FIRST_ORIGIN_PAUSE.saturating_mul(1 << self.failures.min(16)).min(MAX_ORIGIN_PAUSE);
        self.failures += 1;
        self.resume_at = Some(now + pause);
        let tell = self.failures >= TELL_AFTER && !self.told;
        self.told |= tell;
        (pause, tell)
    }

    /// The origin has said no: how long nothing is asked; `None`: it is given up.
    pub(crate) fn refused(&mut self, now: Time) -> Option<Duration> {
        if self.may_ask(now) {
            self.refusals += 1;
        }
        (self.refusals < MAX_REFUSED).then(|| self.failed(now).0)
    }

    /// Bytes come. True: the user was told that they did not.
    pub(crate) fn comes(&mut self) -> bool {
        (self.failures, self.refusals, self.resume_at) = (0, 0, None);
        std::mem::take(&mut self.told)
    }

    /// A block has come right.
    pub(crate) fn right(&mut self, block: u64) {
        self.wrong_in_a_row = 0;
        if !self.wrong.is_empty() {
            self.wrong.remove(&block);
        }
    }

    /// A block has come wrong.
    pub(crate) fn wrong(&mut self, now: Time, block: u64) -> Wrong {
        self.wrong_in_a_row += 1;
        let held = self.wrong.entry(block).or_insert(Held { times: 0, until: now });
        held.until = now + WRONG_PAUSE.saturating_mul(1 << held.times.min(8));
        held.times += 1;
        let hopeless = held.times >= MAX_WRONG_FETCHES
            || self.wrong_in_a_row >= MAX_WRONG_FETCHES
            || self.wrong.len() >= MAX_WRONG_BLOCKS;
        if hopeless { Wrong::GiveUp } else { Wrong::Again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_end_with_the_first_byte() {
        let (mut troubles, mut now, mut pauses) = (Troubles::default(), Duration::from_secs(1), Vec::new());
        for number in 0..12 {
            assert!(troubles.may_ask(now));
            let (pause, tell) = troubles.failed(now);
            assert_eq!(tell, number == 2, "told once");
            assert_eq!(troubles.failed(now), (pause, false), "others fail for the same reason");
            assert!(!troubles.may_ask(now));
            pauses.push(pause);
            now += pause;
        }
        assert_eq!(pauses[0], FIRST_ORIGIN_PAUSE);
        assert_eq!(pauses[1], FIRST_ORIGIN_PAUSE * 2);
        assert_eq!(*pauses.last().unwrap(), MAX_ORIGIN_PAUSE);
        assert!(troubles.comes(), "told that it is over");
        assert_eq!(troubles.failed(now), (FIRST_ORIGIN_PAUSE, false));
        assert!(!troubles.comes());
    }

    #[test]
    fn who_refuses_again_and_again_is_given_up() {
        let (mut troubles, mut now) = (Troubles::default(), Duration::from_secs(1));
        for _ in 1..MAX_REFUSED {
            now += troubles.refused(now).unwrap();
        }
        assert_eq!(troubles.refused(now), None);
        troubles.comes();
        assert!(troubles.refused(now).is_some());
    }

    #[test]
    fn blocks_that_come_wrong_again_and_again_are_the_end() {
        let now = Duration::from_secs(1);
        let mut troubles = Troubles::default();
        for block in 1..u64::from(MAX_WRONG_FETCHES) {
            assert_eq!(troubles.wrong(now, block), Wrong::Again);
            assert!(troubles.is_held(now, block) && !troubles.is_held(now + WRONG_PAUSE, block));
        }
        assert_eq!(troubles.wrong(now, 99), Wrong::GiveUp, "in a row");

        let mut troubles = Troubles::default();
        for _ in 1..MAX_WRONG_FETCHES {
            assert_eq!(troubles.wrong(now, 7), Wrong::Again);
            troubles.right(8);
        }
        assert_eq!(troubles.wrong(now, 7), Wrong::GiveUp, "the same again and again");

        let mut troubles = Troubles::default();
        let end = (0..1000).find(|block| {
            troubles.right(5000);
            troubles.wrong(now, *block) == Wrong::GiveUp
        });
        assert_eq!(end, Some(MAX_WRONG_BLOCKS as u64 - 1), "many at a time");
    }
}
