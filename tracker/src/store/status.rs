//! What a tracker shows of its store.

use std::sync::{Arc, Mutex, PoisonError};

/// Numbers of a store, as this tracker sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Whether it answers and takes registrations.
    pub well: bool,
    /// Changes that wait to be written.
    pub waiting: u64,
    /// Changes that it has taken.
    pub written: u64,
    /// Swarms that were read.
    pub read: u64,
    /// Times that it could not be reached, did not answer in time, or refused to write.
    pub faults: u64,
    /// Goodbyes that could not be kept until it was back: such peers are listed by other trackers until they lapse.
    pub lost_goodbyes: u64,
}

/// The figures of a store, for another thread to look at.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Figures>>);

impl Status {
    /// What they are now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, figures: Figures) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}
