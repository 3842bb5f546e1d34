//! Where entries are: a few numbers for every [`SPACING`] of them, and for each folder. Together with the text of
//! the index this is all that an archive keeps.

use crate::checker::Checker;
use crate::error::{Fault, Shown};
use crate::header::{header_len, padded};
use crate::line::Line;
use crate::place::Place;

/// Entries from one checkpoint to the next. Finding one reads at most this number of lines.
pub(crate) const SPACING: u32 = 64;

/// The folder that is above all others.
pub(crate) const SHARED: u32 = u32::MAX;

/// Where one entry of [`SPACING`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Where its line begins in the index.
    pub(crate) line: u32,
    /// The folder that it is in: a place in [`Map::folders`], or [`SHARED`].
    pub(crate) folder: u32,
    /// Where its header begins, in bytes behind the head.
    pub(crate) start: u64,
}

/// A folder on the way to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Where its line begins in the index.
    pub(crate) line: u32,
    /// The folder that it is in.
    pub(crate) parent: u32,
}

/// Where entries are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) folders: Vec<Folder>,
    /// Number of entries.
    pub(crate) entries: u32,
    /// Bytes of all entries, behind the head.
    pub(crate) body_len: u64,
}

/// Makes a [`Map`] of entries that go by, and checks them.
#[derive(Debug, Default)]
pub(crate) struct Mapper {
    map: Map,
    checker: Checker,
    /// The folders on the way to the last entry, and itself if it is one.
    on_the_way: Vec<u32>,
}

/// Something is wrong with the entry at a path.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) path: Shown,
    pub(crate) fault: Fault,
}

impl Mapper {
    pub(crate) const fn entries(&self) -> u32 {
        self.map.entries
    }

    /// Bytes of all entries, behind the head.
    pub(crate) const fn body_len(&self) -> u64 {
        self.map.body_len
    }

    /// Where the last entry is.
    pub(crate) const fn place(&self) -> &Place {
        self.checker.place()
    }

    /// Takes the next entry, whose line begins at `at` in the index. The caller bounds the number of entries and
    /// the length of the index.
    pub(crate) fn take(&mut self, at: usize, line: &Line<'_>) -> Result<(), Wrong> {
        self.checker.take(line).map_err(|fault| self.wrong(line, fault))?;
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        self.on_the_way.truncate(line.depth);
        let parent = self.on_the_way.last().copied().unwrap_or(SHARED);
        if self.map.entries.is_multiple_of(SPACING) {
            self.map.checkpoints.push(Checkpoint { line: at, folder: parent, start: self.map.body_len });
        }
        if line.what.is_folder() {
            self.on_the_way.push(u32::try_from(self.map.folders.len()).unwrap_or(SHARED));
            self.map.folders.push(Folder { line: at, parent });
        }
        self.map.entries += 1;
        let len = header_len(self.checker.place().path(), line.what);
        // Sums that are too large for a file are refused at the end, with all others that are wrong.
        let content = padded(line.what.size());
        self.map.body_len = self.map.body_len.saturating_add(len).saturating_add(content);
        Ok(())
    }

    fn wrong(&self, line: &Line<'_>, fault: Fault) -> Wrong {
        let mut place = self.checker.place().clone();
        place.enter(line.depth.min(place.depth()), line.name);
        Wrong { path: Shown(place.path().into()), fault }
    }

    /// The map, and the numbers of those that may be twins.
    pub(crate) fn finish(mut self) -> (Map, Vec<u64>) {
        self.map.checkpoints.shrink_to_fit();
        self.map.folders.shrink_to_fit();
        (self.map, self.checker.suspects())
    }
}
