//! The files of a folder that are open: a bounded number.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

/// Files of one folder that are kept open, for the next who reads them. Besides, each thread has at most one open
/// while it reads it.
pub const MAX_OPEN_FILES: usize = 32;

/// The files that were read last.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<Vec<(u32, Arc<File>)>>);

impl OpenFiles {
    /// The open file of the entry `number`.
    pub(super) fn get(&self, number: u32) -> Option<Arc<File>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = files.iter().position(|(there, _)| *there == number)?;
        // The last one is the one that was used last.
        files.get_mut(at..)?.rotate_left(1);
        files.last().map(|(_, file)| Arc::clone(file))
    }

    /// Keeps it, in place of the one that was not used for the longest time.
    pub(super) fn keep(&self, number: u32, file: &Arc<File>) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(there, _)| *there != number);
        if files.len() == MAX_OPEN_FILES {
            files.remove(0);
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
    fn those_that_were_used_last_stay_open() {
        let (files, limit) = (OpenFiles::default(), u32::try_from(MAX_OPEN_FILES).unwrap());
        let file = Arc::new(tempfile::tempfile().unwrap());
        for number in 0..limit {
            files.keep(number, &file);
        }
        assert!(files.get(0).is_some());
        files.keep(limit, &file);
        assert!(files.get(0).is_some() && files.get(1).is_none() && files.get(limit).is_some());
        files.forget(0);
        assert!(files.get(0).is_none());
        assert_eq!(Arc::strong_count(&file), MAX_OPEN_FILES);
        files.clear();
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
