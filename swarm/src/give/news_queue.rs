//! Who is told something next, when more readers ask for news than should be told at once.
//!
//! A client that only asks for news costs itself 64 bytes a question. So the answers with news alone have a
//! budget for each file, whatever the number of those who ask. Who has been told least since it was
//! given a block comes first: a leecher that takes what it hears of does not wait for those who only listen.

use super::subscriber::ReaderId;
use crate::Time;
use crate::limits::{NEWS_A_SECOND, NEWS_AT_ONCE};
use alloc::collections::BTreeSet;
use core::time::Duration;

/// The line and its budget.
#[derive(Debug)]
pub(super) struct NewsLine {
    /// Those who wait for the budget are called together, so often: see [`Tuning::news_batch`](super::Tuning).
    batch: Duration,
    line: BTreeSet<Place>,
    /// Places ever given.
    places: u64,
    /// When the budget is whole again.
    whole_at: Time,
}

/// A place in the line: the smallest is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    tellings: u32,
    number: u64,
    reader: ReaderId,
}

impl NewsLine {
    pub(super) fn new(batch: Duration) -> Self {
        Self { batch, line: BTreeSet::new(), places: 0, whole_at: Time::ZERO }
    }

    /// `reader` stands in line from now on. It has been told so many times since it was given a block.
    pub(super) fn join(&mut self, reader: ReaderId, tellings: u32) -> Place {
        self.places += 1;
        let place = Place { tellings, number: self.places, reader };
        self.line.insert(place);
        place
    }

    /// The one at `place` does not wait any more.
    pub(super) fn leave(&mut self, place: Place) {
        self.line.remove(&place);
    }

    /// The reader that is told next, if the budget has something for it. `all`: whatever the budget has.
    pub(super) fn next(&mut self, now: Time, all: bool) -> Option<ReaderId> {
        let place = *self.line.first()?;
        if !all && now < self.opens_at() {
            return None;
        }
        self.line.remove(&place);
        self.whole_at = self.whole_at.max(now) + Duration::from_secs(1) / NEWS_A_SECOND;
        Some(place.reader)
    }

    /// When to call [`NewsLine::next`] again; `None`: nobody waits.
    pub(super) fn next_wakeup(&self) -> Option<Time> {
        (!self.line.is_empty()).then(|| self.opens_at() + self.batch)
    }

    fn opens_at(&self) -> Time {
        let most = Duration::from_secs(1) / NEWS_A_SECOND * (NEWS_AT_ONCE - 1);
        self.whole_at.saturating_sub(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const BATCH: Duration = Duration::from_millis(10);

    /// Everybody in `line` who is told at `now`.
    fn told(line: &mut NewsLine, now: Time) -> Vec<u64> {
        core::iter::from_fn(|| line.next(now, false)).map(|reader| reader.0).collect()
    }

    #[test]
    fn a_thousand_listeners_are_told_within_the_budget() {
        let (mut line, mut now, mut tellings) = (NewsLine::new(BATCH), Time::ZERO, 0u32);
        for reader in 0..10_000 {
            line.join(ReaderId(reader), 0);
        }
        while now < Time::from_secs(4) {
            for reader in told(&mut line, now) {
                tellings += 1;
                line.join(ReaderId(reader), 1);
            }
            now = line.next_wakeup().unwrap();
        }
        let expected = NEWS_A_SECOND * 4 + NEWS_AT_ONCE;
        assert!(tellings.abs_diff(expected) <= NEWS_A_SECOND / 50, "{tellings} instead of {expected}");
    }

    #[test]
    fn who_takes_blocks_does_not_wait_for_those_who_listen() {
        let (mut line, now) = (NewsLine::new(BATCH), Time::from_secs(1));
        for reader in 0..1000 {
            line.join(ReaderId(reader), 7);
        }
        assert_eq!(told(&mut line, now).len(), NEWS_AT_ONCE as usize);
        line.join(ReaderId(2000), 0);
        assert_eq!(told(&mut line, now), Vec::<u64>::new());
        let later = line.next_wakeup().unwrap();
        assert!(later <= now + BATCH * 2);
        assert_eq!(told(&mut line, later).first(), Some(&2000));
    }

    #[test]
    fn who_leaves_the_line_is_not_told_and_a_goodbye_waits_for_nobody() {
        let (mut line, now) = (NewsLine::new(BATCH), Time::ZERO);
        let place = line.join(ReaderId(1), 0);
        line.leave(place);
        assert_eq!((line.next(now, true), line.next_wakeup()), (None, None));
        for reader in 0..1000 {
            line.join(ReaderId(reader), 0);
        }
        assert_eq!(core::iter::from_fn(|| line.next(now, true)).count(), 1000);
    }
}
