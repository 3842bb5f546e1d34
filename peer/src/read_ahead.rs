//! Asking the disk for what a pass over a file reads next.
//!
//! Whoever reads and hashes in one thread lets the disk rest while it hashes, but for the little that the system
//! reads ahead by itself.

use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::num::NonZeroU64;

/// Bytes asked for with one call.
const WINDOW: u64 = 4 << 20;

/// How far ahead of the reader the disk is asked, in bytes: what a fast disk brings while a window is hashed.
const AHEAD: u64 = 16 << 20;

/// How far a file was asked for.
#[derive(Debug)]
pub(crate) struct ReadAhead<'a> {
    file: &'a File,
    length: u64,
    asked: u64,
}

impl<'a> ReadAhead<'a> {
    /// Nothing of the first `length` bytes of `file` was asked for.
    pub(crate) const fn of(file: &'a File, length: u64) -> Self {
        Self { file, length, asked: 0 }
    }

    /// The reader is at `at`. Asks for what is due.
    pub(crate) fn reached(&mut self, at: u64) {
        self.asked = self.asked.max(at);
        while self.asked < self.length && self.asked < at + AHEAD {
            let window = WINDOW.min(self.length - self.asked);
            // Advice only: a file system that does not take it reads when it is asked to.
            let _ = fadvise(self.file, self.asked, NonZeroU64::new(window), Advice::WillNeed);
            self.asked += window;
        }
    }
}
