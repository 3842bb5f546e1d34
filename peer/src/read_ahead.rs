//! Asking the disk for what a pass over a file reads next.
//!
//! A thread that both reads and hashes lets the disk rest while it hashes, but for the little that the system
//! reads ahead by itself.

use crate::ground::Ground;
use std::sync::mpsc::Receiver;

/// Bytes asked for with one call.
pub(crate) const READ_AHEAD_WINDOW: u64 = 4 << 20;

/// How far ahead of the reader the disk is asked, in bytes: what a fast disk brings while a window is hashed.
const AHEAD: u64 = 16 << 20;

/// How far a file was asked for.
#[derive(Debug)]
pub(crate) struct ReadAhead<'a> {
    data: &'a dyn Ground,
    length: u64,
    asked: u64,
}

impl<'a> ReadAhead<'a> {
    /// Nothing of the first `length` bytes of `data` was asked for.
    pub(crate) const fn of(data: &'a dyn Ground, length: u64) -> Self {
        Self { data, length, asked: 0 }
    }

    /// Asks for what is due whenever the reader tells where it is, until it tells no more.
    pub(crate) fn follow(mut self, reader: &Receiver<u64>) {
        reader.iter().for_each(|at| self.reached(at));
    }

    /// The reader is at `at`. Asks for what is due.
    fn reached(&mut self, at: u64) {
        self.asked = self.asked.max(at);
        while self.asked < self.length && self.asked < at + AHEAD {
            let window = READ_AHEAD_WINDOW.min(self.length - self.asked);
            self.data.will_need(self.asked..self.asked + window);
            self.asked += window;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_asked_for_everything_once_and_never_far_ahead() {
        let file = tempfile::tempfile().unwrap();
        let length = 5 * AHEAD + 7;
        let mut ahead = ReadAhead::of(&file, length);
        let mut at = 0;
        while at < length {
            let before = ahead.asked;
            ahead.reached(at);
            assert!(ahead.asked >= before && ahead.asked >= (at + AHEAD).min(length));
            assert!(ahead.asked <= (at + AHEAD + READ_AHEAD_WINDOW).min(length));
            at += 128 << 10;
        }
        assert_eq!(ahead.asked, length);
    }
}
