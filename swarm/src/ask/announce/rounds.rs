//! When a tracker is asked about thousands of files: each file as [`Announce`] says, but at a pace, and while the
//! tracker cannot be reached, about one file at a time.

use super::{Announce, FIRST_RETRY, MAX_RETRY, Reply};
use crate::Time;
use alloc::collections::BTreeSet;
use cascade_format::tracker_wire::Command;
use core::hash::Hash;
use core::time::Duration;
use hashbrown::HashMap;

/// The time between two questions to one tracker about many files. At a hundred questions a second, the tracker is
/// asked about 60,000 files in the ten minutes between two subscriptions.
pub const QUESTION_SPACING: Duration = Duration::from_millis(10);

/// The most questions to one tracker that are under way at the same time. With a round trip of up to 100 ms they
/// suffice for a hundred questions a second.
pub const MAX_QUESTIONS: usize = 16;

/// The conversation with one tracker about the many files that this peer serves.
#[derive(Debug)]
pub struct Rounds<K> {
    files: HashMap<K, File>,
    /// Files that no question is under way about, by the time at which one is due. New ones come first.
    due: BTreeSet<(Time, K)>,
    under_way: usize,
    /// No question before this.
    next_at: Time,
    /// Questions in a row that had no answer.
    failures: u32,
    registered: usize,
}

#[derive(Debug)]
struct File {
    announce: Announce,
    /// What is asked at the moment.
    command: Option<Command>,
    registered: bool,
}

impl<K> Default for Rounds<K> {
    fn default() -> Self {
        Self {
            files: HashMap::new(),
            due: BTreeSet::new(),
            under_way: 0,
            next_at: Time::ZERO,
            failures: 0,
            registered: 0,
        }
    }
}

impl<K: Copy + Ord + Hash> Rounds<K> {
    /// Adds a file. The question about it comes before the questions about files that were asked about already.
    pub fn add(&mut self, key: K) {
        let file = File { announce: Announce::new(true), command: None, registered: false };
        if self.files.try_insert(key, file).is_ok() {
            self.due.insert((Time::ZERO, key));
        }
    }

    /// Removes a file, so no more questions are asked about it. Returns whether the tracker may have a registration of
    /// this peer for it.
    pub fn remove(&mut self, key: K) -> bool {
        let Some(file) = self.files.remove(&key) else { return false };
        self.registered -= usize::from(file.registered);
        match file.command {
            // The answer is not waited for any more, and still under way.
            Some(_) => true,
            None => {
                if let Some(at) = file.announce.next_wakeup(false) {
                    self.due.remove(&(at, key));
                }
                file.registered
            }
        }
    }

    /// What to ask the tracker now, and about which file, if anything. Call [`Rounds::handle_answer`] afterwards in any
    /// case.
    pub fn poll(&mut self, now: Time) -> Option<(K, Command)> {
        let &(at, key) = self.due.first()?;
        if at > now || self.next_at > now || self.is_full() {
            return None;
        }
        self.due.remove(&(at, key));
        let file = self.files.get_mut(&key)?;
        file.command = file.announce.poll(now, false);
        let command = file.command?;
        self.under_way += 1;
        self.next_at = now + QUESTION_SPACING;
        Some((key, command))
    }

    /// Takes in the result of the question about this file.
    pub fn handle_answer(&mut self, now: Time, key: K, reply: Reply) {
        self.under_way = self.under_way.saturating_sub(1);
        if matches!(reply, Reply::Unreachable) {
            // Those that were under way together have failed once.
            if self.next_at <= now + QUESTION_SPACING {
                self.next_at = now + (FIRST_RETRY * (1 << self.failures.min(6))).min(MAX_RETRY);
                self.failures = self.failures.saturating_add(1);
            }
        } else {
            if self.failures > 0 {
                self.next_at = now;
            }
            self.failures = 0;
        }
        let Some(file) = self.files.get_mut(&key) else { return };
        let Some(command) = file.command.take() else { return };
        file.announce.handle_answer(now, command, reply);
        let registered = match reply {
            Reply::List(_) => file.registered || command == Command::Subscribe,
            Reply::Refused => false,
            Reply::Unreachable => file.registered,
        };
        self.registered += usize::from(registered);
        self.registered -= usize::from(core::mem::replace(&mut file.registered, registered));
        if let Some(at) = file.announce.next_wakeup(false) {
            self.due.insert((at, key));
        }
    }

    /// When [`Rounds::poll`] has the next question; `None` if that is not before an answer arrives or a file is added.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Time> {
        let (at, _) = self.due.first().filter(|_| !self.is_full())?;
        Some((*at).max(self.next_at))
    }

    /// The number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The number of files for which the tracker has accepted a registration.
    #[must_use]
    pub const fn registered(&self) -> usize {
        self.registered
    }

    /// The files for which the tracker has accepted a registration.
    pub fn registrations(&self) -> impl Iterator<Item = K> {
        self.files.iter().filter(|(_, file)| file.registered).map(|(key, _)| *key)
    }

    /// While the tracker does not answer, one question shows whether it does again.
    const fn is_full(&self) -> bool {
        self.under_way >= if self.failures > 0 { 1 } else { MAX_QUESTIONS }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Listed;
    use super::*;
    use alloc::vec::Vec;

    const LIST: Reply = Reply::List(Listed { peers: 1, subscribed: None });

    const fn at(seconds: u64) -> Time {
        Duration::from_secs(seconds)
    }

    fn rounds(files: u32) -> Rounds<u32> {
        let mut rounds = Rounds::default();
        (0..files).for_each(|file| rounds.add(file));
        rounds
    }

    /// Asks whenever it is due until `end`; each answer takes `takes`. Returns what was asked when.
    fn run(
        rounds: &mut Rounds<u32>,
        (start, end): (Time, Time),
        takes: Duration,
        reply: impl Fn(Time) -> Reply,
    ) -> Vec<(Time, u32, Command)> {
        let (mut asked, mut answers, mut now) = (Vec::new(), BTreeSet::new(), start);
        while now < end {
            while let Some((file, command)) = rounds.poll(now) {
                asked.push((now, file, command));
                answers.insert((now + takes, file));
            }
            assert!(answers.len() <= MAX_QUESTIONS);
            let answer = answers.first().copied();
            let next = rounds.next_wakeup().unwrap_or(end).max(now);
            match answer {
                Some((when, file)) if when <= next => {
                    answers.pop_first();
                    now = when.max(now);
                    rounds.handle_answer(now, file, reply(now));
                }
                _ => now = next,
            }
        }
        asked
    }

    #[test]
    fn ten_thousand_files_are_registered_at_a_pace_and_again_in_time() {
        let mut rounds = rounds(10_000);
        let asked = run(&mut rounds, (at(0), at(3600)), Duration::from_millis(20), |_| LIST);
        assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= QUESTION_SPACING));
        assert_eq!(rounds.registered(), 10_000);
        let mut last = std::vec![None::<Time>; 10_000];
        for (when, file, command) in asked {
            if command == Command::Subscribe {
                let before = last[file as usize].replace(when);
                assert!(before.map_or(when, |before| when - before) <= at(720), "file {file} at {when:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_added_is_asked_about_before_those_that_are_known() {
        let mut rounds = rounds(1000);
        run(&mut rounds, (at(0), at(290)), Duration::from_millis(20), |_| LIST);
        rounds.add(5000);
        assert_eq!(rounds.poll(at(700)), Some((5000, Command::Subscribe)));
        rounds.add(5000);
        assert_eq!(rounds.len(), 1001, "it is there already");
    }

    #[test]
    fn a_dead_tracker_is_asked_about_one_file_at_a_time() {
        let mut rounds = rounds(10_000);
        let asked = run(&mut rounds, (at(0), at(3600)), Duration::from_millis(20), |_| Reply::Unreachable);
        assert!(asked.len() < 100, "{} questions", asked.len());
        assert_eq!(rounds.registered(), 0);
    }

    #[test]
    fn a_tracker_that_comes_back_knows_all_files_soon() {
        let mut rounds = rounds(2000);
        let soon = Duration::from_millis(1);
        run(&mut rounds, (at(0), at(1000)), soon, |now| {
            if now < at(400) || now > at(500) { LIST } else { Reply::Unreachable }
        });
        let asked = run(&mut rounds, (at(1000), at(1400)), soon, |_| LIST);
        assert!(asked.len() < 5000, "{} questions", asked.len());
        assert_eq!(rounds.registered(), 2000);
    }

    #[test]
    fn what_is_removed_is_not_asked_about_and_may_be_registered() {
        let mut rounds = rounds(3);
        assert!(!rounds.remove(0), "it was not asked about");
        let (file, _) = rounds.poll(at(0)).unwrap();
        assert!(rounds.remove(file), "the question is under way");
        rounds.handle_answer(at(1), file, LIST);
        let (file, _) = rounds.poll(at(1)).unwrap();
        rounds.handle_answer(at(1), file, LIST);
        assert_eq!(rounds.registrations().collect::<Vec<_>>(), [file]);
        assert!(rounds.remove(file) && rounds.is_empty() && rounds.next_wakeup().is_none());
        assert!(!rounds.remove(file));
    }

    #[test]
    fn one_that_refuses_a_file_registers_the_others() {
        let mut rounds = rounds(20);
        for _ in 0..20 {
            let (file, _) =
                rounds.poll(at(1)).or_else(|| rounds.poll(at(2))).or_else(|| rounds.poll(at(3))).unwrap();
            rounds.handle_answer(at(1), file, if file % 2 == 0 { LIST } else { Reply::Refused });
            rounds.next_at = Time::ZERO;
        }
        assert_eq!(rounds.registered(), 10);
    }
}
