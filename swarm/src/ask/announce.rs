//! When a tracker is asked (protocol §2): subscribe at first and every ten minutes, ask for a fresh
//! list every five, and no sooner than thirty seconds when peers are wanted.

use crate::Time;
use cascade_format::tracker_wire::Command;
use core::time::Duration;

pub mod rounds;
pub mod tell;

/// The time between two subscriptions.
pub const SUBSCRIBE_INTERVAL: Duration = Duration::from_secs(600);

/// The time between two requests for a list.
pub const LIST_INTERVAL: Duration = Duration::from_secs(300);

/// The shortest time between two requests for a list, which is used while the download wants more peers.
pub const MIN_LIST_INTERVAL: Duration = Duration::from_secs(30);

/// First wait after a tracker could not be reached; it doubles up to [`MAX_RETRY`], or after refusals up to
/// [`LIST_INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// Longest wait after a tracker could not be reached: one that comes back knows this peer again after it.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// What a tracker answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A list.
    List(Listed),
    /// A refusal, whose reason may last.
    Refused,
    /// No answer, or one that cannot be parsed.
    Unreachable,
}

/// What a list shows of the tracker that sent it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listed {
    /// Number of peers in it.
    pub peers: usize,
    /// The earliest and the latest subscription of the peers in the list, in seconds by the tracker's clock.
    pub subscribed: Option<(u32, u32)>,
}

/// The conversation with one tracker about one file.
///
/// A tracker that was restarted has lost its registrations, and does not say so. A peer is not in the lists that it gets.
/// So it concludes from the other peers that the tracker was restarted: they are gone, or all of them have subscribed
/// since.
#[derive(Debug)]
pub struct Announce {
    /// Whether this peer serves, and so registers.
    register: bool,
    subscribe_at: Time,
    list_at: Time,
    asked: bool,
    failures: u32,
    /// Whether the tracker has listed others since this peer subscribed.
    others: bool,
    /// The latest subscription of another when this peer subscribed last.
    latest: Option<u32>,
}

impl Announce {
    /// A conversation whose subscription and list are both due at once. A peer that does not serve (`register` is
    /// false) never subscribes; it only asks for lists.
    #[must_use]
    pub fn new(register: bool) -> Self {
        let (subscribe_at, list_at) = (Time::ZERO, Time::ZERO);
        Self { register, subscribe_at, list_at, asked: false, failures: 0, others: false, latest: None }
    }

    /// What to ask the tracker now, if anything. Call [`Announce::handle_answer`] afterwards. `hungry` says whether the
    /// download could use more peers than it has.
    pub fn poll(&mut self, now: Time, hungry: bool) -> Option<Command> {
        if self.asked || now < self.due(hungry) {
            return None;
        }
        self.asked = true;
        // A subscription brings a list too.
        let subscribe = self.register && self.subscribe_at <= now;
        Some(if subscribe { Command::Subscribe } else { Command::List })
    }

    /// This peer serves from now on: if it has not subscribed yet, that is due at once. (It may have asked for lists before,
    /// while it had nothing to give.)
    pub const fn begin_to_register(&mut self) {
        self.register = true;
    }

    /// Whether a question is asked that was not due: nothing else is asked meanwhile.
    const fn set_asked(&mut self, asked: bool) {
        self.asked = asked;
    }

    /// Whether the last question had no list for an answer.
    const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Takes in the answer to `command`.
    pub fn handle_answer(&mut self, now: Time, command: Command, reply: Reply) {
        self.asked = false;
        match reply {
            Reply::List(listed) => self.handle_list(now, command, listed),
            Reply::Refused => {
                let wait = self.pause(LIST_INTERVAL);
                self.list_at = now + wait;
                if command == Command::Subscribe {
                    self.subscribe_at = now + wait;
                }
            }
            Reply::Unreachable => {
                // It may have been started again when it answers next.
                self.list_at = now + self.pause(MAX_RETRY);
                self.subscribe_at = self.list_at;
            }
        }
    }

    fn pause(&mut self, longest: Duration) -> Duration {
        let wait = (FIRST_RETRY * (1 << self.failures.min(6))).min(longest);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    fn handle_list(&mut self, now: Time, command: Command, listed: Listed) {
        self.failures = 0;
        self.list_at = now + LIST_INTERVAL;
        if command == Command::Subscribe {
            // An empty list says nothing of what happens to the tracker later: the next question subscribes again.
            let alone = listed.peers == 0;
            self.subscribe_at = now + if alone { LIST_INTERVAL } else { SUBSCRIBE_INTERVAL };
            self.latest = listed.subscribed.map(|(_, last)| last);
        } else if self.has_forgotten(listed) {
            self.subscribe_at = self.subscribe_at.min(now + MIN_LIST_INTERVAL);
        }
        self.others = listed.peers > 0 || (self.others && command == Command::List);
    }

    /// Whether the tracker may know less than it did when this peer subscribed. One subscription more than needed
    /// does no harm.
    fn has_forgotten(&self, listed: Listed) -> bool {
        let gone = self.others && listed.peers == 0;
        let all_since = self.latest.zip(listed.subscribed).is_some_and(|(latest, (first, _))| first > latest);
        gone || all_since
    }

    /// When [`Announce::poll`] has the next question; `None` while an answer has not arrived.
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
    use alloc::vec::Vec;

    const LIST: Reply = Reply::List(Listed { peers: 1, subscribed: None });

    const fn at(seconds: u64) -> Time {
        Duration::from_secs(seconds)
    }

    /// Asks whenever it is due, for an hour, and tells what was asked when.
    fn hour(mut announce: Announce, hungry: bool, reply: Reply) -> Vec<(u64, Command)> {
        let mut asked = Vec::new();
        let mut now = Time::ZERO;
        while now < at(3600) {
            if let Some(command) = announce.poll(now, hungry) {
                asked.push((now.as_secs(), command));
                assert_eq!(announce.poll(now, hungry), None, "one question at a time");
                announce.handle_answer(now, command, reply);
            }
            now = announce.next_wakeup(hungry).unwrap().max(now);
        }
        asked
    }

    #[test]
    fn who_begins_to_serve_later_subscribes_then() {
        let mut announce = Announce::new(false);
        assert_eq!(announce.poll(at(0), true), Some(Command::List));
        announce.handle_answer(at(0), Command::List, LIST);
        announce.begin_to_register();
        assert_eq!(announce.next_wakeup(true).filter(|due| *due > at(7)), None);
        assert_eq!(announce.poll(at(7), true), Some(Command::Subscribe));
        announce.handle_answer(at(7), Command::Subscribe, LIST);
        assert_eq!(announce.next_wakeup(false), Some(at(307)));
        // A tracker that could not be reached is asked again in its time.
        let mut announce = Announce::new(false);
        assert_eq!(announce.poll(at(0), true), Some(Command::List));
        announce.handle_answer(at(0), Command::List, Reply::Unreachable);
        announce.begin_to_register();
        assert_eq!(
            (announce.poll(at(4), true), announce.poll(at(5), true)),
            (None, Some(Command::Subscribe))
        );
    }

    #[test]
    fn a_content_peer_subscribes_every_ten_minutes_and_lists_in_between() {
        let asked = hour(Announce::new(true), false, LIST);
        assert_eq!(
            asked.get(..3),
            Some(&[(0, Command::Subscribe), (300, Command::List), (600, Command::Subscribe)][..])
        );
        assert_eq!(asked.len(), 12);
    }

    #[test]
    fn a_hungry_peer_asks_every_thirty_seconds_and_no_sooner() {
        let asked = hour(Announce::new(true), true, LIST);
        assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 30), "{asked:?}");
        assert_eq!(asked.iter().filter(|(_, c)| *c == Command::Subscribe).count(), 6);
        assert_eq!(asked.len(), 120);
    }

    #[test]
    fn a_peer_that_does_not_serve_never_registers() {
        assert!(hour(Announce::new(false), true, LIST).iter().all(|(_, c)| *c == Command::List));
    }

    #[test]
    fn a_dead_tracker_is_asked_with_back_off() {
        let asked = hour(Announce::new(true), true, Reply::Unreachable);
        let times: Vec<u64> = asked.iter().map(|(time, _)| *time).collect();
        assert_eq!(times.get(..7), Some(&[0, 5, 15, 35, 75, 135, 195][..]));
        assert!(times.len() < 70, "{times:?}");
        assert!(asked.iter().all(|(_, command)| *command == Command::Subscribe), "{asked:?}");
    }

    #[test]
    fn one_that_refuses_is_asked_less_often() {
        let asked = hour(Announce::new(true), true, Reply::Refused);
        assert!(asked.len() < 20, "{asked:?}");
    }

    /// Answers questions until one subscribes, from the second on, and tells when.
    fn subscribes_again(hungry: bool, first: Listed, later: Listed) -> u64 {
        let mut announce = Announce::new(true);
        let (mut now, mut reply) = (Time::ZERO, first);
        loop {
            if let Some(command) = announce.poll(now, hungry) {
                if now > Time::ZERO && command == Command::Subscribe {
                    return now.as_secs();
                }
                announce.handle_answer(now, command, Reply::List(reply));
                reply = later;
            }
            now = announce.next_wakeup(hungry).unwrap().max(now);
        }
    }

    #[test]
    fn a_tracker_that_has_forgotten_everybody_is_told_again() {
        let two = Listed { peers: 2, subscribed: Some((1000, 1500)) };
        let none = Listed { peers: 0, subscribed: None };
        let newcomers = Listed { peers: 2, subscribed: Some((1600, 1700)) };
        assert_eq!(subscribes_again(false, two, two), 600, "nothing has happened");
        assert_eq!(subscribes_again(false, two, none), 330);
        assert_eq!(subscribes_again(true, two, none), 60);
        assert_eq!(subscribes_again(true, two, newcomers), 60, "all of them have come since");
        assert_eq!(subscribes_again(false, none, none), 300, "nobody else would show it");
    }

    #[test]
    fn a_tracker_that_was_away_for_a_moment_is_told_again() {
        let mut announce = Announce::new(true);
        let subscribed = announce.poll(Time::ZERO, false).unwrap();
        announce.handle_answer(Time::ZERO, subscribed, LIST);
        let list = announce.poll(at(300), false).unwrap();
        assert_eq!(list, Command::List);
        announce.handle_answer(at(300), list, Reply::Unreachable);
        assert_eq!(announce.poll(at(305), false), Some(Command::Subscribe));
    }
}
