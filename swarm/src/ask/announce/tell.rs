//! When this peer reports to a tracker that keeps a room: a report takes the place of every other question, and one
//! more is sent when there is something to tell.

use super::{Announce, Reply};
use crate::Time;
use cascade_format::tracker_wire::Command;
use core::time::Duration;

/// The time between two reports of a receiver, and of any peer whose figures have changed.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(30);

/// What this peer would report now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it has everything.
    pub complete: bool,
    /// Blocks that it has, bytes that it has received and given.
    pub figures: [u64; 3],
}

/// What to ask a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// For peers, with the commands of version 1 or those for both families.
    Peers(Command),
    /// A report, whose answer has a list of peers, too. If the tracker does not understand reports, send the command
    /// instead; without a command, there was nothing else to ask.
    Report(Option<Command>),
}

/// The conversation with one tracker about one file, as [`Announce`], with a tracker that may keep a room.
#[derive(Debug)]
pub struct Tell {
    announce: Announce,
    register: bool,
    /// The last report that was accepted.
    told: Option<(Time, Standing)>,
    /// No report before this: the last one was not accepted.
    not_before: Time,
    /// When there was last nothing to ask: the figures may have changed since.
    looked: Time,
    /// What is under way: what it asks, and the report in it.
    asked: Option<(Option<Command>, Option<Standing>)>,
}

impl Tell {
    /// See [`Announce::new`].
    #[must_use]
    pub fn new(register: bool) -> Self {
        let (announce, not_before, looked) = (Announce::new(register), Time::ZERO, Time::ZERO);
        Self { announce, register, told: None, not_before, looked, asked: None }
    }

    /// See [`Announce::begin_to_register`].
    pub const fn begin_to_register(&mut self) {
        self.register = true;
        self.announce.begin_to_register();
    }

    /// What to ask the tracker now, if anything. Call [`Tell::handle_answer`] afterwards. For `hungry` see
    /// [`Announce::poll`]. `standing` is what this peer would report; with `None` it reports nothing, and the tracker
    /// is asked as [`Announce`] decides.
    pub fn poll(&mut self, now: Time, hungry: bool, standing: Option<Standing>) -> Option<Question> {
        if self.asked.is_some() {
            return None;
        }
        let usual = self.announce.poll(now, hungry);
        if usual.is_none() {
            if self.report_at(standing).is_none_or(|at| at > now) {
                self.looked = now;
                return None;
            }
            self.announce.set_asked(true);
        }
        self.asked = Some((usual, standing));
        match usual {
            Some(command) if standing.is_none() => Some(Question::Peers(command)),
            command => Some(Question::Report(command)),
        }
    }

    /// Takes in the answer to the question. `reported` says whether the question was a report.
    pub fn handle_answer(&mut self, now: Time, reported: bool, reply: Reply) {
        let Some((command, standing)) = self.asked.take() else { return };
        let told = reported && matches!(reply, Reply::List(_));
        if let Some(standing) = standing.filter(|_| told) {
            self.told = Some((now, standing));
        } else if !reported && standing.is_some() {
            self.told = None;
            self.not_before = now + REPORT_INTERVAL;
        }
        // A report registers, as a subscription does.
        let registered = reported && self.register;
        let command = if registered { Command::Subscribe } else { command.unwrap_or(Command::List) };
        self.announce.handle_answer(now, command, reply);
    }

    /// The tracker did not understand a report that had no command with it.
    pub fn handle_not_understood(&mut self, now: Time) {
        if self.asked.take().is_some() {
            self.announce.set_asked(false);
            (self.told, self.not_before) = (None, now + REPORT_INTERVAL);
        }
    }

    /// Whether the tracker may have this peer in its room, also because of a report that is under way. If so, it must
    /// be told a goodbye.
    #[must_use]
    pub const fn is_in_room(&self) -> bool {
        self.told.is_some() || matches!(self.asked, Some((_, Some(_))))
    }

    /// When [`Tell::poll`] has the next question, if `hungry` and `standing` do not change; `None` while an answer has
    /// not arrived.
    #[must_use]
    pub fn next_wakeup(&self, hungry: bool, standing: Option<Standing>) -> Option<Time> {
        let usual = self.announce.next_wakeup(hungry).filter(|_| self.asked.is_none())?;
        Some(self.next_report(standing).map_or(usual, |report| report.min(usual)))
    }

    /// When there may be something to report: if nothing is now, something may have changed by then.
    fn next_report(&self, standing: Option<Standing>) -> Option<Time> {
        let sooner = self.report_at(standing);
        let later = self.told.filter(|_| standing.is_some() && !self.announce.is_failing());
        sooner.or_else(|| later.map(|(at, _)| at.max(self.looked) + REPORT_INTERVAL))
    }

    /// When this is to be reported, in addition to the other questions.
    fn report_at(&self, standing: Option<Standing>) -> Option<Time> {
        // After a failure the next question is the announce's: it waits.
        let standing = standing.filter(|_| !self.announce.is_failing())?;
        match self.told {
            None => Some(self.not_before),
            Some((at, told)) if standing.complete && !told.complete => Some(at),
            Some((at, told)) if !standing.complete || standing != told => Some(at + REPORT_INTERVAL),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Listed;
    use super::*;
    use alloc::vec::Vec;

    const LIST: Reply = Reply::List(Listed { peers: 1, subscribed: None });
    const SECOND: Time = Duration::from_secs(1);

    fn at(seconds: u32) -> Time {
        SECOND * seconds
    }

    fn standing(have: u64, of: u64, given: u64) -> Option<Standing> {
        Some(Standing { complete: have == of, figures: [have, 0, given] })
    }

    /// Questions of an hour, looked at each second; a report is understood or not.
    fn hour(
        mut tell: Tell,
        hungry: bool,
        understood: bool,
        reply: Reply,
        has: impl Fn(u32) -> Option<Standing>,
    ) -> Vec<(u32, Question)> {
        let mut asked = Vec::new();
        for second in 0..3600 {
            let (now, standing) = (at(second), has(second));
            assert!(tell.next_wakeup(hungry, standing).is_some());
            if let Some(question) = tell.poll(now, hungry, standing) {
                asked.push((second, question));
                assert_eq!(tell.poll(now, hungry, standing), None, "one question at a time");
                assert_eq!(tell.next_wakeup(hungry, standing), None);
                tell.handle_answer(now, understood && matches!(question, Question::Report(_)), reply);
            }
        }
        asked
    }

    #[test]
    fn a_tracker_without_a_room_is_asked_as_ever() {
        for (hungry, register) in [(true, true), (false, true), (true, false)] {
            let mut plain = Announce::new(register);
            let mut expected = Vec::new();
            for second in 0..3600 {
                if let Some(command) = plain.poll(at(second), hungry) {
                    expected.push((second, Question::Peers(command)));
                    plain.handle_answer(at(second), command, LIST);
                }
            }
            assert_eq!(hour(Tell::new(register), hungry, true, LIST, |_| None), expected);
        }
    }

    #[test]
    fn a_receiver_reports_every_thirty_seconds_in_the_place_of_all_else_and_at_once_at_the_end() {
        for hungry in [true, false] {
            let asked = hour(Tell::new(true), hungry, true, LIST, |second| {
                standing(u64::from(second.min(100)), 100, 0)
            });
            assert!(asked.iter().all(|(_, question)| matches!(question, Question::Report(_))));
            let times: Vec<u32> = asked.iter().map(|(second, _)| *second).collect();
            assert_eq!(times[..5], [0, 30, 60, 90, 100]);
            if !hungry {
                assert_eq!(
                    times[5..7],
                    [400, 700],
                    "who has everything and gives nothing has nothing to tell"
                );
            }
        }
    }

    #[test]
    fn a_seeder_reports_while_it_gives() {
        let given = |second: u32| u64::from(second.clamp(100, 200));
        let asked = hour(Tell::new(true), false, true, LIST, |second| standing(9, 9, given(second)));
        let times: Vec<u32> = asked.iter().map(|(second, _)| *second).collect();
        assert_eq!(times[..7], [0, 101, 131, 161, 191, 221, 521]);
    }

    #[test]
    fn a_seeder_with_nothing_to_tell_sleeps_between_its_looks() {
        let (mut tell, mut now, mut looks) = (Tell::new(true), Time::ZERO, 0);
        while now < at(3600) {
            if tell.poll(now, false, standing(9, 9, 0)).is_some() {
                tell.handle_answer(now, true, LIST);
            }
            now = tell.next_wakeup(false, standing(9, 9, 0)).unwrap().max(now);
            looks += 1;
            assert!(looks <= 150, "it looks again and again, and it is {now:?}");
        }
    }

    #[test]
    fn a_tracker_that_does_not_understand_is_not_asked_oftener_than_before() {
        let asked = hour(Tell::new(true), false, false, LIST, |second| {
            (second == 0).then(|| standing(1, 2, 0).unwrap())
        });
        assert_eq!(
            asked[..2],
            [(0, Question::Report(Some(Command::Subscribe))), (300, Question::Peers(Command::List))]
        );
        assert_eq!(asked.len(), 12);
        // Nobody has found out that it never will.
        let asked = hour(Tell::new(true), false, false, LIST, |_| standing(1, 2, 0));
        assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 30), "{asked:?}");
    }

    #[test]
    fn what_becomes_known_between_two_questions_is_reported_at_once() {
        let asked = hour(Tell::new(true), false, true, LIST, |second| {
            (second >= 7).then(|| standing(1, 2, 0).unwrap())
        });
        let first = Question::Peers(Command::Subscribe);
        assert_eq!(asked[..2], [(0, first), (7, Question::Report(None))]);
    }

    #[test]
    fn one_that_fails_is_left_in_peace() {
        let asked = hour(Tell::new(true), true, true, Reply::Unreachable, |_| standing(1, 2, 0));
        let times: Vec<u32> = asked.iter().map(|(second, _)| *second).collect();
        assert_eq!(times[..7], [0, 5, 15, 35, 75, 135, 195]);
        assert!(hour(Tell::new(true), true, true, Reply::Refused, |_| standing(1, 2, 0)).len() < 20);
    }

    #[test]
    fn who_was_in_a_room_says_goodbye_to_it() {
        let mut tell = Tell::new(true);
        assert!(!tell.is_in_room());
        assert!(tell.poll(at(0), false, standing(1, 2, 0)).is_some() && tell.is_in_room());
        tell.handle_answer(at(0), true, LIST);
        assert!(tell.is_in_room());
        assert_eq!(tell.poll(at(30), false, None), None);
        assert_eq!(tell.poll(at(30), false, standing(1, 2, 0)), Some(Question::Report(None)));
        tell.handle_not_understood(at(30));
        assert!(!tell.is_in_room(), "the tracker was exchanged for one that keeps none");
        let next = tell.next_wakeup(false, None);
        assert_eq!(next, Some(at(300)), "nothing else has changed");
    }
}
