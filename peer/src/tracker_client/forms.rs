//! Which trackers know the commands for both families. Asking costs a connection, so it is remembered.

use cascade_format::tracker_wide::Form;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a tracker is asked as version 1 alone: it may be upgraded some day.
const PLAIN_FOR: Duration = Duration::from_secs(3600);

/// Trackers that are remembered; further ones are asked both ways each time.
const MAX_PLAIN_TRACKERS: usize = 1024;

/// The trackers that know version 1 alone, and since when that is known.
#[derive(Debug, Default)]
pub(crate) struct Forms(Mutex<HashMap<String, Instant>>);

impl Forms {
    /// How `tracker` is asked first.
    pub(super) fn form(&self, tracker: &str, now: Instant) -> Form {
        let plain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plain.get(tracker).is_some_and(|since| now.saturating_duration_since(*since) < PLAIN_FOR);
        if known { Form::Plain } else { Form::Wide }
    }

    /// `tracker` has answered in this form; before, it has refused the other.
    pub(super) fn answered(&self, tracker: &str, form: Form, now: Instant) {
        let mut plain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match form {
            Form::Wide => drop(plain.remove(tracker)),
            Form::Plain if plain.len() < MAX_PLAIN_TRACKERS || plain.contains_key(tracker) => {
                plain.insert(tracker.to_owned(), now);
            }
            Form::Plain => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_tracker_of_version_1_is_asked_anew_after_an_hour() {
        let (forms, now) = (Forms::default(), clock::now());
        assert_eq!(forms.form("a:1", now), Form::Wide);
        forms.answered("a:1", Form::Plain, now);
        assert_eq!(forms.form("a:1", now + PLAIN_FOR / 2), Form::Plain);
        assert_eq!(forms.form("b:1", now), Form::Wide, "another one");
        assert_eq!(forms.form("a:1", now + PLAIN_FOR), Form::Wide);
        forms.answered("a:1", Form::Wide, now + PLAIN_FOR);
        assert_eq!(forms.form("a:1", now), Form::Wide, "it was upgraded");
    }

    #[test]
    fn few_trackers_are_remembered() {
        let (forms, now) = (Forms::default(), clock::now());
        (0..=MAX_PLAIN_TRACKERS).for_each(|port| forms.answered(&format!("a:{port}"), Form::Plain, now));
        assert_eq!(forms.form(&format!("a:{MAX_PLAIN_TRACKERS}"), now), Form::Wide);
        assert_eq!(forms.form("a:0", now), Form::Plain);
    }
}
