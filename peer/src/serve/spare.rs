//! A descriptor in hand for the time when there is none.
//!
//! Without a descriptor a connection cannot even be accepted to be refused: it waits in the system's queue, and
//! its client in vain. So one is held that can be given up for it.

use crate::clock;
use crate::limits::WARNING_INTERVAL;
use std::fs::File;
use std::time::Instant;

/// What is opened to hold a descriptor.
const ANYTHING: &str = "/dev/null";

/// The descriptor, and when the user was told that there was no other.
#[derive(Debug)]
pub(super) struct Spare {
    held: Option<File>,
    told_at: Option<Instant>,
    /// Times that there was none since then.
    untold: u64,
}

impl Spare {
    pub(super) fn new() -> Self {
        Self { held: File::open(ANYTHING).ok(), told_at: None, untold: 0 }
    }

    /// Gives up the descriptor: another can be opened in its place.
    pub(super) fn give_up(&mut self) {
        self.held = None;
    }

    /// Takes one again, if one is free; whether it is held now.
    pub(super) fn take_back(&mut self) -> bool {
        if self.held.is_none() {
            self.held = File::open(ANYTHING).ok();
        }
        self.held.is_some()
    }

    /// Notes that the process had no descriptor for a connection; what to tell the user, if it is time.
    pub(super) fn warning(&mut self, clients: u64) -> Option<String> {
        self.untold += 1;
        if self.told_at.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            return None;
        }
        self.told_at = Some(clock::now());
        let times = std::mem::take(&mut self.untold);
        Some(format!(
            "no descriptor was left for a new connection ({times} times), with {clients} connections open; \
             raise the limit with ulimit -n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_told_once_in_a_while() {
        let mut spare = Spare::new();
        let first = spare.warning(7).unwrap();
        assert!(first.contains("(1 times), with 7 connections") && first.contains("ulimit -n"), "{first}");
        assert_eq!(spare.warning(7), None);
        assert_eq!(spare.untold, 1, "told with the next");
    }

    #[test]
    fn it_is_given_up_and_taken_back() {
        let mut spare = Spare::new();
        spare.give_up();
        assert!(spare.held.is_none() && spare.take_back() && spare.held.is_some());
    }
}
