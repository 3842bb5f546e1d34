//! Which subscriber is told something next, when more ask for news than should be told at once.
//!
//! A client that only asks for news costs itself 64 bytes a question. So the answers with news alone have a
//! budget for each file, whatever the number of clients that ask. The subscriber comes first that was told least often
//! since it was given a block: a leecher that takes what it hears of does not wait for those that only listen.

use super::subscriber_id::SubscriberId;
use crate::Time;
use crate::limits::{NEWS_A_SECOND, NEWS_AT_ONCE};
use alloc::collections::BTreeSet;
use core::time::Duration;

/// The queue and its budget.
#[derive(Debug)]
pub(super) struct NewsQueue {
    /// Interval at which those that wait for the budget are called together: see [`Tuning::news_interval`](super::Tuning).
    batch: Duration,
    queue: BTreeSet<Position>,
    /// Positions ever given.
    places: u64,
    /// When the budget is whole again.
    whole_at: Time,
}

/// A place in the queue: the smallest is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    times_told: u32,
    number: u64,
    subscriber: SubscriberId,
}

impl NewsQueue {
    pub(super) fn new(batch: Duration) -> Self {
        Self { batch, queue: BTreeSet::new(), places: 0, whole_at: Time::ZERO }
    }

    /// `subscriber` is in the queue from now on. It was told `times_told` times since it was given a block.
    pub(super) fn join(&mut self, subscriber: SubscriberId, times_told: u32) -> Position {
        self.places += 1;
        let place = Position { times_told, number: self.places, subscriber };
        self.queue.insert(place);
        place
    }

    /// The one at `place` does not wait any more.
    pub(super) fn leave(&mut self, place: Position) {
        self.queue.remove(&place);
    }

    /// The subscriber that is told next, if the budget has something for it. `all`: whatever the budget has.
    pub(super) fn next(&mut self, now: Time, all: bool) -> Option<SubscriberId> {
        let place = *self.queue.first()?;
        if !all && now < self.opens_at() {
            return None;
        }
        self.queue.remove(&place);
        self.whole_at = self.whole_at.max(now) + Duration::from_secs(1) / NEWS_A_SECOND;
        Some(place.subscriber)
    }

    /// When to call [`NewsQueue::next`] again; `None`: nobody waits.
    pub(super) fn next_wakeup(&self) -> Option<Time> {
        (!self.queue.is_empty()).then(|| self.opens_at() + self.batch)
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

    /// All in `queue` that are told at `now`.
    fn told(queue: &mut NewsQueue, now: Time) -> Vec<u64> {
        core::iter::from_fn(|| queue.next(now, false)).map(|subscriber| subscriber.0).collect()
    }

    #[test]
    fn a_thousand_listeners_are_told_within_the_budget() {
        let (mut queue, mut now, mut times_told) = (NewsQueue::new(BATCH), Time::ZERO, 0u32);
        for subscriber in 0..10_000 {
            queue.join(SubscriberId(subscriber), 0);
        }
        while now < Time::from_secs(4) {
            for subscriber in told(&mut queue, now) {
                times_told += 1;
                queue.join(SubscriberId(subscriber), 1);
            }
            now = queue.next_wakeup().unwrap();
        }
        let expected = NEWS_A_SECOND * 4 + NEWS_AT_ONCE;
        assert!(times_told.abs_diff(expected) <= NEWS_A_SECOND / 50, "{times_told} instead of {expected}");
    }

    #[test]
    fn who_takes_blocks_does_not_wait_for_those_who_listen() {
        let (mut queue, now) = (NewsQueue::new(BATCH), Time::from_secs(1));
        for subscriber in 0..1000 {
            queue.join(SubscriberId(subscriber), 7);
        }
        assert_eq!(told(&mut queue, now).len(), NEWS_AT_ONCE as usize);
        queue.join(SubscriberId(2000), 0);
        assert_eq!(told(&mut queue, now), Vec::<u64>::new());
        let later = queue.next_wakeup().unwrap();
        assert!(later <= now + BATCH * 2);
        assert_eq!(told(&mut queue, later).first(), Some(&2000));
    }

    #[test]
    fn who_leaves_the_line_is_not_told_and_a_goodbye_waits_for_nobody() {
        let (mut queue, now) = (NewsQueue::new(BATCH), Time::ZERO);
        let place = queue.join(SubscriberId(1), 0);
        queue.leave(place);
        assert_eq!((queue.next(now, true), queue.next_wakeup()), (None, None));
        for subscriber in 0..1000 {
            queue.join(SubscriberId(subscriber), 0);
        }
        assert_eq!(core::iter::from_fn(|| queue.next(now, true)).count(), 1000);
    }
}
