//! Room on the disk that a file gives back: for its own blocks, or for those of another file.

use crate::origin::cache::Dropped;
use crate::origin::pool::Evict;
use crate::origin::{Fetcher, OriginError};
use crate::store::Shared;
use std::io;
use std::sync::Arc;

/// The file of which parts are dropped.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) shared: Arc<Shared>,
}

impl Room {
    /// Drops these parts.
    pub(super) fn make(&self, dropped: &[Dropped]) -> Result<(), OriginError> {
        if dropped.is_empty() {
            return Ok(());
        }
        // Nobody reads what is about to be zeroes.
        let _alone = self.fetcher.dropping();
        for Dropped { blocks, hole } in dropped {
            self.shared.withdraw_range(blocks.clone());
            let end = hole.end.min(self.shared.layout().length());
            self.shared.data().punch(hole.start..end).map_err(|source| self.no_holes(source))?;
        }
        Ok(())
    }

    /// Looks whether the file system gives room back at all.
    pub(super) fn is_given_back(&self) -> Result<(), OriginError> {
        // Behind the end there is nothing to lose.
        let end = self.shared.layout().length();
        self.shared.data().punch(end..end + 1).map_err(|source| self.no_holes(source))
    }

    fn no_holes(&self, source: io::Error) -> OriginError {
        OriginError::NoHoles { path: self.shared.data().path().to_owned(), source }
    }
}

impl Evict for Room {
    fn evict(&self, stretch: u64) {
        let dropped = self.fetcher.evict(stretch);
        // That it can be given back was seen at the start; and there is nobody here who could do more about it.
        let _ = self.make(&dropped);
    }
}
