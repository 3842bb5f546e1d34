//! The first of many times.

use crate::Time;

/// The earliest of the times at which something is to be looked at again. All links and peers are asked for theirs when
/// one of them has changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earliest {
    now: Time,
    /// [`Time::MAX`]: never.
    at: Time,
}

impl Earliest {
    /// Of no times yet; it is `now`.
    pub(super) fn new(now: Time) -> Self {
        Self { now, at: Time::MAX }
    }

    /// Something is due at this time, even if that is past.
    pub(super) fn due(&mut self, at: Time) {
        self.at = self.at.min(at);
    }

    /// The passing of this time changes something, if it is not past.
    pub(super) fn passes(&mut self, at: Time) {
        if at > self.now {
            self.at = self.at.min(at);
        }
    }

    /// The first of all.
    pub(super) fn at(self) -> Option<Time> {
        (self.at < Time::MAX).then_some(self.at)
    }
}
