//! Which commands trackers know. Asking costs a connection, so it is remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a tracker is not asked for more than it has answered: it may be upgraded some day.
const LESS_FOR: Duration = Duration::from_secs(3600);

/// The same after it has closed, or answered nothing: that may have had another reason.
const UNSURE_FOR: Duration = Duration::from_secs(600);

/// Trackers that are remembered; further ones are asked each way each time.
const MAX_TRACKERS: usize = 1024;

/// What a tracker knows, each level with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Version 1.
    Plain,
    /// Addresses of both families.
    Wide,
    /// Reports, and rooms.
    Room,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    level: Level,
    /// What it has answered at most.
    proven: Level,
    until: Instant,
}

/// What is known of trackers.
#[derive(Debug, Default)]
pub(crate) struct Forms(Mutex<HashMap<String, Known>>);

impl Forms {
    /// The most that `tracker` is asked for.
    pub(super) fn level(&self, tracker: &str, now: Instant) -> Level {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(tracker).filter(|known| now < known.until);
        known.map_or(Level::Room, |known| known.level)
    }

    /// Whether a report to `tracker` makes sense.
    pub(crate) fn may_report(&self, tracker: &str, now: Instant) -> bool {
        self.level(tracker, now) == Level::Room
    }

    /// `tracker` has answered at this level; what is above has been tried before, and it had no answer to that but,
    /// perhaps, a refusal. A tracker that has taken reports before is believed a refusal alone: connections break.
    pub(super) fn answered(&self, tracker: &str, level: Level, refused: bool, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let knew_more = known.get(tracker).is_some_and(|known| known.proven > level);
        if (knew_more && !refused) || (known.len() >= MAX_TRACKERS && !known.contains_key(tracker)) {
            return;
        }
        let until = now + if refused || level == Level::Room { LESS_FOR } else { UNSURE_FOR };
        known.insert(tracker.to_owned(), Known { level, proven: level, until });
    }

    /// `tracker` does not take a report; what else it knows, nobody has asked.
    pub(super) fn no_room(&self, tracker: &str, refused: bool, now: Instant) {
        self.answered(tracker, Level::Plain, refused, now);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(tracker).filter(|known| known.proven == Level::Plain) {
            known.level = Level::Wide;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_tracker_of_version_1_is_asked_anew_after_a_time() {
        let (forms, now) = (Forms::default(), clock::now());
        assert_eq!(forms.level("a:1", now), Level::Room);
        for (refused, time) in [(true, LESS_FOR), (false, UNSURE_FOR)] {
            forms.answered("a:1", Level::Plain, refused, now);
            assert_eq!(forms.level("a:1", now + time / 2), Level::Plain);
            assert!(!forms.may_report("a:1", now) && forms.may_report("b:1", now), "another one");
            assert_eq!(forms.level("a:1", now + time), Level::Room);
        }
        forms.answered("a:1", Level::Wide, false, now + LESS_FOR);
        assert_eq!(forms.level("a:1", now + LESS_FOR), Level::Wide, "it was upgraded");
    }

    #[test]
    fn one_that_has_taken_reports_is_believed_a_refusal_alone() {
        let (forms, now) = (Forms::default(), clock::now());
        forms.answered("a:1", Level::Room, false, now);
        forms.answered("a:1", Level::Plain, false, now);
        assert_eq!(forms.level("a:1", now), Level::Room);
        forms.answered("a:1", Level::Plain, true, now);
        assert_eq!(forms.level("a:1", now), Level::Plain);
    }

    #[test]
    fn one_that_takes_no_report_may_know_both_families() {
        let (forms, now) = (Forms::default(), clock::now());
        forms.no_room("a:1", false, now);
        assert_eq!(forms.level("a:1", now), Level::Wide);
        forms.answered("a:1", Level::Plain, false, now);
        assert_eq!(forms.level("a:1", now), Level::Plain);
        forms.answered("b:1", Level::Room, false, now);
        forms.no_room("b:1", false, now);
        assert_eq!(forms.level("b:1", now), Level::Room);
    }

    #[test]
    fn few_trackers_are_remembered() {
        let (forms, now) = (Forms::default(), clock::now());
        (0..=MAX_TRACKERS).for_each(|port| forms.answered(&format!("a:{port}"), Level::Plain, true, now));
        assert_eq!(forms.level(&format!("a:{MAX_TRACKERS}"), now), Level::Room);
        assert_eq!(forms.level("a:0", now), Level::Plain);
    }
}
