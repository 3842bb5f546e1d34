//! A file that is written to and guarded: what others write to it is told from what we write.

use super::own_writes::OwnWrites;
use super::reserve::{punch, reserve};
use super::watch::Watch;
use crate::ground::file::write_all_at;
use crate::ground::{AsFile, Ground, Guarded, OnGround, Stamp};
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file, and what is known of who writes to it.
#[derive(Debug)]
pub(super) struct GuardedFile {
    file: File,
    guard: Mutex<Guard>,
}

#[derive(Debug, Default)]
struct Guard {
    own: OwnWrites,
    watch: Option<Watch>,
}

impl GuardedFile {
    pub(super) fn new(file: File) -> Self {
        Self { file, guard: Mutex::default() }
    }

    /// Does something to the file that moves its stamp.
    pub(super) fn as_ours<T>(&self, work: impl FnOnce() -> T) -> T {
        let guarded = {
            let mut guard = self.lock();
            let guarded = guard.own.is_guarded();
            if guarded {
                guard.own.begins(self.stamp());
            }
            guarded
        };
        let result = work();
        if guarded {
            self.lock().own.ends(self.stamp());
        }
        result
    }

    fn stamp(&self) -> Option<Stamp> {
        Stamp::of(&self.file).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFile for GuardedFile {
    fn as_file(&self) -> &File {
        &self.file
    }
}

impl Guarded for GuardedFile {
    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn guard(&self, stamp: Stamp) {
        let mut guard = self.lock();
        if guard.watch.is_none() {
            guard.watch = Watch::of(&self.file);
        }
        guard.own.guard(stamp);
    }

    fn end_guard(&self) {
        let mut guard = self.lock();
        guard.own.end_guard();
        guard.watch = None;
    }

    /// Costs one or two system calls.
    fn is_ours(&self) -> bool {
        let mut guard = self.lock();
        if guard.own.is_guarded() {
            guard.look(&self.file);
        }
        guard.own.is_ours()
    }

    fn is_uncertain(&self) -> bool {
        let mut guard = self.lock();
        guard.listen();
        guard.own.has_company() || guard.own.stamps_tell_nothing()
    }

    fn false_alarm(&self) {
        self.lock().own.false_alarm();
    }

    fn last_stamp(&self) -> Option<Stamp> {
        self.lock().own.last()
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.as_ours(|| write_all_at(&self.file, slices, offset))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        if self.file.metadata()?.len() == length { Ok(()) } else { self.file.set_len(length) }
    }

    fn reserve(&self, range: Range<u64>) -> bool {
        self.as_ours(|| reserve(&self.file, range))
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.as_ours(|| punch(&self.file, range))
    }
}

impl OnGround for GuardedFile {
    fn ground(&self) -> &impl Ground {
        &self.file
    }
}

impl Guard {
    fn look(&mut self, file: &File) {
        self.listen();
        self.own.compare(Stamp::of(file).ok());
    }

    fn listen(&mut self) {
        if let Some(watch) = &self.watch {
            watch.listen(&mut self.own);
        }
    }
}
