//! What was seen of the spread of one file, at many moments.

use crate::store::distinct;
use crate::view::{FileView, ReceiverView};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Receivers that are followed one by one; those that come later are only counted.
const MAX_FOLLOWED: usize = 1024;

/// Moments that are kept: with one more, every second one is forgotten.
const MAX_MOMENTS: usize = 512;

/// Between two moments at first.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

/// The time over which the best rate is measured: buffers of the system, which take bytes at once, count little in it.
const RATE_WINDOW: Duration = Duration::from_secs(2);

/// A receiver, as it is known by now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Receiver {
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
    /// When it came.
    pub(crate) came: Duration,
    /// When it told that it has everything.
    pub(crate) done: Option<Duration>,
    /// Whether it tells how far it is.
    pub(crate) tells: bool,
}

/// One moment; all times count from the start of the peer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    pub(super) at: Duration,
    /// Bytes of the file that were given.
    pub(super) sent: u64,
    /// Bytes that were given of all files.
    pub(super) sent_of_all: u64,
    /// How much each receiver has, in 255ths: all of it is 255 and nothing less is. Later ones are missing.
    pub(super) shares: Vec<u8>,
}

/// The spread of one file.
#[derive(Debug)]
pub(crate) struct History {
    pub(super) length: u64,
    pub(super) receivers: Vec<Receiver>,
    numbers: HashMap<(IpAddr, Option<u16>), usize>,
    /// Receivers that are not followed.
    pub(super) more: usize,
    pub(super) moments: Vec<Moment>,
    interval: Duration,
    /// The latest samples of all that was given, a window and a bit.
    window: VecDeque<(Duration, u64)>,
    /// The most bytes a second that were given over a window.
    pub(super) best_rate: Option<f64>,
    /// For how long, since the first receiver came, none that lacks something was there.
    pub(super) alone: Duration,
    /// At the last look, one was there.
    needy: bool,
    pub(super) sent: u64,
    /// Receivers that were given something.
    pub(super) given: usize,
    pub(super) last_look: Duration,
}

/// How many receivers these are: one may have addresses of both families.
pub(super) fn count<'a>(receivers: impl Iterator<Item = &'a Receiver>) -> usize {
    distinct(receivers.map(|receiver| (receiver.ip, receiver.port.unwrap_or(0))))
}

impl History {
    /// Of a file of `length` bytes.
    pub(crate) fn new(length: u64) -> Self {
        Self {
            length,
            receivers: Vec::new(),
            numbers: HashMap::new(),
            more: 0,
            moments: Vec::new(),
            interval: FIRST_INTERVAL,
            window: VecDeque::new(),
            best_rate: None,
            alone: Duration::ZERO,
            needy: false,
            sent: 0,
            given: 0,
            last_look: Duration::ZERO,
        }
    }

    /// When the first receiver came.
    pub(crate) fn begin(&self) -> Option<Duration> {
        self.receivers.iter().map(|receiver| receiver.came).min()
    }

    /// The file at `now`, a time since the start of the peer; `sent_of_all`: bytes that were given of all files.
    pub(crate) fn look(&mut self, now: Duration, sent_of_all: u64, file: &FileView) {
        let mut shares = vec![0; self.receivers.len()];
        for receiver in &file.receivers {
            if let Some(number) = self.follow(now, receiver) {
                shares.resize(self.receivers.len(), 0);
                if let Some(share) = shares.get_mut(number) {
                    *share = self.share(receiver, file);
                }
            }
        }
        self.more = file.receivers_known.saturating_sub(count(self.receivers.iter()));
        // A receiver that has left has what it had.
        if let Some(last) = self.moments.last() {
            for (share, before) in shares.iter_mut().zip(&last.shares) {
                *share = (*share).max(*before);
            }
        }
        // What was seen last holds until now: nobody looks while nobody is there.
        if let Some(begin) = self.begin().filter(|_| !self.needy) {
            self.alone += now.saturating_sub(self.last_look.max(begin));
        }
        let needy = |receiver: &ReceiverView| receiver.active && receiver.complete != Some(true);
        self.needy = file.receivers.iter().any(needy);
        self.measure(now, sent_of_all);
        (self.last_look, self.sent, self.given) = (now, file.bytes_given, file.receivers_given);
        let due = self.moments.last().is_none_or(|last| now >= last.at + self.interval);
        if due && self.begin().is_some() {
            self.moments.push(Moment { at: now, sent: file.bytes_given, sent_of_all, shares });
            if self.moments.len() > MAX_MOMENTS {
                let mut number = 0;
                self.moments.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.interval *= 2;
            }
        }
    }

    /// The number of a receiver, which may be new; `None`: there are too many.
    fn follow(&mut self, now: Duration, seen: &ReceiverView) -> Option<usize> {
        let key = (seen.ip, seen.port);
        let number = self.numbers.get(&key).copied();
        let number =
            number.or_else(|| (self.receivers.len() < MAX_FOLLOWED).then_some(self.receivers.len()))?;
        let came = now.saturating_sub(seen.first_seen);
        if number == self.receivers.len() {
            self.numbers.insert(key, number);
            self.receivers.push(Receiver { ip: seen.ip, port: seen.port, came, done: None, tells: false });
        }
        let receiver = self.receivers.get_mut(number)?;
        receiver.tells |= seen.blocks_done.is_some();
        receiver.done = receiver.done.or_else(|| seen.completed.map(|ago| now.saturating_sub(ago)));
        Some(number)
    }

    /// How much a receiver has: what it tells, and else what it was given here.
    fn share(&self, receiver: &ReceiverView, file: &FileView) -> u8 {
        let (part, whole) = match receiver.blocks_done {
            Some(_) if receiver.complete == Some(true) => return u8::MAX,
            Some(had) => (had, file.blocks),
            None => (receiver.bytes_given, self.length),
        };
        let share = u128::from(part) * u128::from(u8::MAX) / u128::from(whole.max(1));
        u8::try_from(share).unwrap_or(u8::MAX).min(u8::MAX - 1)
    }

    /// Keeps the best rate of any window.
    fn measure(&mut self, now: Duration, sent: u64) {
        self.window.push_back((now, sent));
        // The last sample that is a window old stays.
        while self.window.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATE_WINDOW) {
            self.window.pop_front();
        }
        let Some((from, before)) = self.window.front() else { return };
        let time = now.saturating_sub(*from);
        if time >= RATE_WINDOW && sent > *before {
            let rate = rate(sent - before, time);
            self.best_rate = Some(self.best_rate.map_or(rate, |best| best.max(rate)));
        }
    }
}

/// Bytes a second.
pub(super) fn rate(bytes: u64, time: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a shown number")]
    let bytes = bytes as f64;
    bytes / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, at};
    use super::*;

    #[test]
    fn what_is_kept_stays_bounded_and_spans_all_of_the_time() {
        let mut scene = Scene::new(1_000_000);
        for _ in 0..MAX_FOLLOWED + 10 {
            scene.comes();
        }
        scene.pass(1000.0, 1000.0, &[0.001]);
        let History { receivers, more, moments, .. } = &scene.history;
        assert_eq!((receivers.len(), *more), (MAX_FOLLOWED, 10));
        assert!((MAX_MOMENTS / 2..=MAX_MOMENTS).contains(&moments.len()), "{} moments", moments.len());
        assert!(moments[0].at < at(1.0) && moments.last().unwrap().at > at(990.0));
        assert_eq!(scene.verdict().known, MAX_FOLLOWED + 10);
    }

    #[test]
    fn a_receiver_that_has_left_keeps_what_it_had() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.pass(2.0, 100.0, &[0.25]);
        scene.file.receivers.clear();
        scene.pass(2.0, 0.0, &[]);
        assert_eq!(scene.history.moments.last().unwrap().shares, [127]);
    }

    #[test]
    fn the_best_rate_is_that_of_a_window_and_not_of_a_burst() {
        let mut scene = Scene::new(1_000_000);
        scene.comes();
        scene.pass(10.0, 100.0, &[]);
        scene.pass(0.25, 4000.0, &[]);
        scene.pass(10.0, 100.0, &[]);
        let best = scene.history.best_rate.unwrap();
        assert!((500.0..700.0).contains(&best), "{best} bytes a second");
    }
}
