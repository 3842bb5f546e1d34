//! When a tracker is asked (protocol §2): subscribe at first and every ten minutes, ask for a fresh
//! list every five, and no sooner than thirty seconds when peers are wanted.

use super::Time;
use cascade_format::tracker_wire::Command;
use std::time::Duration;

/// Peers subscribe again after this.
pub const SUBSCRIBE_INTERVAL: Duration = Duration::from_secs(600);

/// Peers ask for a fresh list after this.
pub const LIST_INTERVAL: Duration = Duration::from_secs(300);

/// A list is not asked for sooner than this after the last.
pub const MIN_LIST_INTERVAL: Duration = Duration::from_secs(30);

/// First wait after a tracker could not be reached; it doubles up to [`LIST_INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// The conversation with one tracker about one file.
#[derive(Debug)]
pub struct Announce {
    /// Whether this peer serves, and so registers.
    register: bool,
    subscribe_at: Time,
    list_at: Time,
    asked: bool,
    failures: u32,
}

impl Announce {
    /// Both are due at once. A peer that does not serve (`register` false) only lists.
    #[must_use]
    pub fn new(register: bool) -> Self {
        Self { register, subscribe_at: Time::ZERO, list_at: Time::ZERO, asked: false, failures: 0 }
    }

    /// What to ask now, if anything; [`Announce::handle_answer`] must follow. `hungry`: the download
    /// could use more peers than it has.
    pub fn poll(&mut self, now: Time, hungry: bool) -> Option<Command> {
        if self.asked || now < self.due(hungry) {
            return None;
        }
        self.asked = true;
        // A subscription brings a list too.
        let subscribe = self.register && self.subscribe_at <= now;
        Some(if subscribe { Command::Subscribe } else { Command::List })
    }

    /// The tracker has answered `command` (with a list, or `ok` false: not at all, or with a refusal).
    pub fn handle_answer(&mut self, now: Time, command: Command, ok: bool) {
        self.asked = false;
        if !ok {
            let wait = (FIRST_RETRY * (1 << self.failures.min(6))).min(LIST_INTERVAL);
            self.failures = self.failures.saturating_add(1);
            self.list_at = now + wait;
            if command == Command::Subscribe {
                self.subscribe_at = now + wait;
            }
            return;
        }
        self.failures = 0;
        self.list_at = now + LIST_INTERVAL;
        if command == Command::Subscribe {
            self.subscribe_at = now + SUBSCRIBE_INTERVAL;
        }
    }

    /// When [`Announce::poll`] has something to ask; while an answer is owed, never.
    #[must_use]
    pub fn next_wakeup(&self, hungry: bool) -> Option<Time> {
        (!self.asked).then(|| self.due(hungry))
    }

    fn due(&self, hungry: bool) -> Time {
        let sooner = LIST_INTERVAL - MIN_LIST_INTERVAL;
        let early = hungry && self.failures == 0;
        let list = if early { self.list_at.saturating_sub(sooner) } else { self.list_at };
        if self.register { list.min(self.subscribe_at) } else { list }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Duration::from_secs(seconds)
    }

    /// Asks whenever it is due, for an hour, and tells what was asked when.
    fn hour(mut announce: Announce, hungry: bool, ok: bool) -> Vec<(u64, Command)> {
        let mut asked = Vec::new();
        let mut now = Time::ZERO;
        while now < at(3600) {
            if let Some(command) = announce.poll(now, hungry) {
                asked.push((now.as_secs(), command));
                assert_eq!(announce.poll(now, hungry), None, "one question at a time");
                announce.handle_answer(now, command, ok);
            }
            now = announce.next_wakeup(hungry).unwrap().max(now);
        }
        asked
    }

    #[test]
    fn a_content_peer_subscribes_every_ten_minutes_and_lists_in_between() {
        let asked = hour(Announce::new(true), false, true);
        assert_eq!(
            asked.get(..3),
            Some(&[(0, Command::Subscribe), (300, Command::List), (600, Command::Subscribe)][..])
        );
        assert_eq!(asked.len(), 12);
    }

    #[test]
    fn a_hungry_peer_asks_every_thirty_seconds_and_no_sooner() {
        let asked = hour(Announce::new(true), true, true);
        assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 30), "{asked:?}");
        assert_eq!(asked.iter().filter(|(_, c)| *c == Command::Subscribe).count(), 6);
        assert_eq!(asked.len(), 120);
    }

    #[test]
    fn a_peer_that_does_not_serve_never_registers() {
        assert!(hour(Announce::new(false), true, true).iter().all(|(_, c)| *c == Command::List));
    }

    #[test]
    fn a_dead_tracker_is_asked_with_back_off() {
        let asked = hour(Announce::new(true), true, false);
        let times: Vec<u64> = asked.iter().map(|(time, _)| *time).collect();
        assert_eq!(times.get(..6), Some(&[0, 5, 15, 35, 75, 155][..]));
        assert!(times.len() < 20, "{times:?}");
    }
}
