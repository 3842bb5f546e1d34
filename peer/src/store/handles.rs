//! Data files that are open because somebody reads them: a bounded number of all the files of a process.

use crate::ground::AsFile;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Data files of a served folder that are kept open for the next reader. Besides, each serving thread has at most one
/// open while it reads it.
pub(crate) const MAX_OPEN_DATA: usize = 128;

/// An open data file.
#[derive(Debug)]
pub(super) struct Handle(pub(super) File);

impl AsFile for Handle {
    fn as_file(&self) -> &File {
        &self.0
    }
}

/// The files that were read last.
#[derive(Debug)]
pub(crate) struct Handles {
    most: usize,
    next: AtomicU64,
    /// The last one is the one that was read last.
    open: Mutex<Vec<(u64, Arc<Handle>)>>,
}

impl Handles {
    /// At most so many.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), next: AtomicU64::new(0), open: Mutex::default() })
    }

    /// A number for one more file.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Handle>> {
        let mut open = self.lock();
        let at = open.iter().rposition(|(there, _)| *there == number)?;
        open.get_mut(at..)?.rotate_left(1);
        open.last().map(|(_, file)| Arc::clone(file))
    }

    /// Keeps it, in place of the one that was not read for the longest time. If another thread has opened the file
    /// meanwhile, that one is kept.
    pub(super) fn keep(&self, number: u64, file: File) -> Arc<Handle> {
        let mut open = self.lock();
        if let Some((_, there)) = open.iter().find(|(there, _)| *there == number) {
            return Arc::clone(there);
        }
        if open.len() >= self.most {
            open.remove(0);
        }
        let file = Arc::new(Handle(file));
        open.push((number, Arc::clone(&file)));
        file
    }

    /// Closes this one.
    pub(super) fn forget(&self, number: u64) {
        self.lock().retain(|(there, _)| *there != number);
    }

    /// Closes all: somebody needs descriptors.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Arc<Handle>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_read_last_stay_open() {
        let handles = Handles::new(3);
        let open = || tempfile::tempfile().unwrap();
        (0..3).for_each(|number| drop(handles.keep(number, open())));
        let first = handles.get(0).unwrap();
        assert!(Arc::ptr_eq(&first, &handles.keep(0, open())), "it is open already");
        handles.keep(3, open());
        assert!(handles.get(1).is_none() && handles.get(0).is_some() && handles.get(3).is_some());
        handles.forget(0);
        assert!(handles.get(0).is_none());
        assert_eq!(Arc::strong_count(&first), 1, "who reads it keeps it until then");
        handles.clear();
        assert!(handles.get(3).is_none());
    }
}
