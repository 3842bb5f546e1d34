//! Which trackers know the commands for both families. Asking costs a connection, so it is remembered.

use cascade_format::tracker_wide::Form;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a tracker that has refused the other commands is asked as version 1 alone: it may be upgraded some day.
const PLAIN_FOR: Duration = Duration::from_secs(3600);

/// The same after it has closed, or answered nothing: that may have had another reason.
const UNSURE_FOR: Duration = Duration::from_secs(600);

/// Trackers that are remembered; further ones are asked both ways each time.
const MAX_PLAIN_TRACKERS: usize = 1024;

/// The trackers that know version 1 alone, and until when that is believed.
#[derive(Debug, Default)]
pub(crate) struct Forms(Mutex<HashMap<String, Instant>>);

impl Forms {
    /// How `tracker` is asked first.
    pub(super) fn form(&self, tracker: &str, now: Instant) -> Form {
        let plain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plain.get(tracker).is_some_and(|until| now < *until) { Form::Plain } else { Form::Wide }
    }

    /// `tracker` has answered a question of version 1, after it has `refused` the other, or given no answer.
    pub(super) fn is_plain(&self, tracker: &str, refused: bool, now: Instant) {
        let mut plain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plain.len() < MAX_PLAIN_TRACKERS || plain.contains_key(tracker) {
            plain.insert(tracker.to_owned(), now + if refused { PLAIN_FOR } else { UNSURE_FOR });
        }
    }

    /// `tracker` knows both.
    pub(super) fn is_wide(&self, tracker: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(tracker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_tracker_of_version_1_is_asked_anew_after_a_time() {
        let (forms, now) = (Forms::default(), clock::now());
        assert_eq!(forms.form("a:1", now), Form::Wide);
        for (refused, time) in [(true, PLAIN_FOR), (false, UNSURE_FOR)] {
            forms.is_plain("a:1", refused, now);
            assert_eq!(forms.form("a:1", now + time / 2), Form::Plain);
            assert_eq!(forms.form("b:1", now), Form::Wide, "another one");
            assert_eq!(forms.form("a:1", now + time), Form::Wide);
        }
        forms.is_wide("a:1");
        assert_eq!(forms.form("a:1", now), Form::Wide, "it was upgraded");
    }

    #[test]
    fn few_trackers_are_remembered() {
        let (forms, now) = (Forms::default(), clock::now());
        (0..=MAX_PLAIN_TRACKERS).for_each(|port| forms.is_plain(&format!("a:{port}"), true, now));
        assert_eq!(forms.form(&format!("a:{MAX_PLAIN_TRACKERS}"), now), Form::Wide);
        assert_eq!(forms.form("a:0", now), Form::Plain);
    }
}
