//! The files of a folder that are open: a bounded number.

use crate::ground::AsFile;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

/// Files of one folder that are kept open, for the next read or write. In addition, each thread has at most one open
/// while it reads or writes.
pub const MAX_OPEN_FILES: usize = 32;

/// An open file.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    /// Writes of ours under way: while there are any, nobody can tell whether others write, too.
    pub(super) writes: Mutex<u32>,
    /// It is below the folder that is brought up to date, and only read.
    pub(super) in_base: bool,
}

impl OpenFile {
    pub(super) fn new(file: File) -> Arc<Self> {
        Self::opened(file, false)
    }

    pub(super) fn opened(file: File, in_base: bool) -> Arc<Self> {
        Arc::new(Self { file, writes: Mutex::default(), in_base })
    }
}

impl AsFile for OpenFile {
    fn as_file(&self) -> &File {
        &self.file
    }
}

/// The files that were used last.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<Vec<(u32, Arc<OpenFile>)>>);

impl OpenFiles {
    /// The open file of the entry `number`.
    pub(super) fn get(&self, number: u32) -> Option<Arc<OpenFile>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = files.iter().position(|(there, _)| *there == number)?;
        // The last one is the one that was used last.
        files.get_mut(at..)?.rotate_left(1);
        files.last().map(|(_, file)| Arc::clone(file))
    }

    /// Keeps it, in place of the one that was not used for the longest time. A file in use stays: so a file is never
    /// here twice, and all of its writers are counted in one place.
    pub(super) fn keep(&self, number: u32, file: &Arc<OpenFile>) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(there, _)| *there != number);
        if files.len() >= MAX_OPEN_FILES
            && let Some(unused) = files.iter().position(|(_, file)| Arc::strong_count(file) == 1)
        {
            files.remove(unused);
        }
        files.push((number, Arc::clone(file)));
    }

    /// Closes this one.
    pub(super) fn forget(&self, number: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(there, _)| *there != number);
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_used_last_stay_open_and_those_in_use() {
        let (files, limit) = (OpenFiles::default(), u32::try_from(MAX_OPEN_FILES).unwrap());
        let open = || OpenFile::new(tempfile::tempfile().unwrap());
        let used = open();
        files.keep(0, &used);
        for number in 1..limit {
            files.keep(number, &open());
        }
        assert!(files.get(1).is_some());
        files.keep(limit, &open());
        files.keep(limit + 1, &open());
        assert!(files.get(0).is_some() && files.get(1).is_some() && files.get(limit).is_some());
        assert!(files.get(2).is_none() && files.get(3).is_none());
        files.forget(0);
        assert!(files.get(0).is_none());
        assert_eq!(Arc::strong_count(&used), 1);
        files.clear();
        assert!(files.get(1).is_none());
    }
}
