//! Which trackers keep no room: they are not told anything there, and not asked for one with each question.

use crate::clock;
use crate::limits::NO_ROOM_FOR;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What this process has found out about trackers, by their addresses as the user gave them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<HashMap<String, Known>>>);

#[derive(Debug, Clone, Copy)]
enum Known {
    /// It has taken a report.
    Keeps,
    /// It has taken an ordinary request where it had not taken a report, then.
    Refuses(Instant),
}

impl Kept {
    /// Whether a report to this tracker makes sense.
    pub(crate) fn may_report(&self, tracker: &str) -> bool {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tracker) {
            Some(Known::Refuses(at)) => at.elapsed() >= NO_ROOM_FOR,
            Some(Known::Keeps) | None => true,
        }
    }

    /// It has taken a report.
    pub(crate) fn keeps(&self, tracker: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tracker.to_owned(), Known::Keeps);
    }

    /// It has taken an ordinary request, and had not taken a report; whether it had `refused` that in words. A
    /// tracker that has kept a room before is believed that alone: connections break.
    pub(crate) fn refuses(&self, tracker: &str, refused: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused || !matches!(known.get(tracker), Some(Known::Keeps)) {
            known.insert(tracker.to_owned(), Known::Refuses(clock::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_is_not_told_and_who_breaks_off_once_is() {
        let kept = Kept::default();
        assert!(kept.may_report("a:1") && kept.may_report("b:1"));
        kept.refuses("a:1", false);
        kept.keeps("b:1");
        kept.refuses("b:1", false);
        assert!(!kept.may_report("a:1") && kept.may_report("b:1"));
        kept.refuses("b:1", true);
        kept.keeps("a:1");
        assert!(kept.may_report("a:1") && !kept.may_report("b:1"));
    }
}
