//! Makes the archive of a folder from its entries.

use crate::archive::Archive;
use crate::entry::{Entry, order};
use crate::error::{BuildError, Fault, Shown};
use crate::head::{FIRST_LINE_LEN, first_line};
use crate::limits::{MAX_ENTRIES, MAX_INDEX_LEN};
use crate::line::Line;
use crate::map::{Mapper, Wrong};
use crate::path::check_component;
use cascade_format::layout::MAX_LENGTH;
use std::cmp::Ordering;
use std::fmt::Write;

/// Takes entries one by one, in the order of the archive, so that a walk of a tree need not hold them all.
#[derive(Debug)]
pub struct Builder {
    /// The index; its first line is written at the end.
    index: String,
    mapper: Mapper,
}

impl Default for Builder {
    fn default() -> Self {
        Self { index: first_line(0, 0), mapper: Mapper::default() }
    }
}

impl From<Wrong> for BuildError {
    fn from(Wrong { path, fault }: Wrong) -> Self {
        Self::Entry { path, fault }
    }
}

impl Builder {
    /// Takes the next entry: its path is behind the last one's by [`order`], and the folder that it is in has been
    /// taken.
    ///
    /// # Errors
    /// Everything in [`BuildError`] but twins, which are found at the end. The entry is not taken, and the
    /// others stay.
    pub fn push(&mut self, entry: &Entry) -> Result<(), BuildError> {
        let (depth, name) = self.place_of(&entry.path).map_err(|fault| wrong(entry, fault))?;
        if self.mapper.entries() == MAX_ENTRIES {
            return Err(BuildError::TooManyEntries);
        }
        let line = Line { depth, what: (&entry.kind).into(), mtime: entry.mtime, name };
        let at = self.index.len();
        // Writing to a `String` does not fail.
        let _ = write!(self.index, "{line}");
        let taken = if self.index.len() > MAX_INDEX_LEN {
            Err(BuildError::IndexTooLong)
        } else {
            self.mapper.take(at, &line).map_err(|Wrong { fault, .. }| wrong(entry, fault))
        };
        if taken.is_err() {
            self.index.truncate(at);
        }
        taken
    }

    /// How many folders down the entry is, and its name, if the folder it is in is on the way to the last entry.
    fn place_of<'a>(&self, path: &'a str) -> Result<(usize, &'a str), Fault> {
        if path.starts_with('/') {
            return Err(Fault::Absolute);
        }
        path.split('/').try_for_each(check_component)?;
        let place = self.mapper.place();
        if order(place.path(), path) == Ordering::Greater {
            return Err(Fault::Order);
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folders = folder.split('/').filter(|component| !component.is_empty());
        let mut depth = 0;
        for component in folders {
            if place.component(depth) != Some(component) {
                return Err(Fault::NoFolder);
            }
            depth += 1;
        }
        Ok((depth, name))
    }

    /// The archive of all entries taken.
    ///
    /// # Errors
    /// Two entries are twins, or no file can be as long as the archive.
    pub fn finish(mut self) -> Result<Archive, BuildError> {
        let line = first_line(self.mapper.entries(), self.index.len() - FIRST_LINE_LEN);
        self.index.replace_range(..FIRST_LINE_LEN, &line);
        let archive = Archive::new(self.index, self.mapper)?;
        if archive.total_len() > MAX_LENGTH {
            return Err(BuildError::TooLong);
        }
        Ok(archive)
    }
}

fn wrong(entry: &Entry, fault: Fault) -> BuildError {
    BuildError::Entry { path: Shown(entry.path.clone()), fault }
}

impl Archive {
    /// The archive of `entries`, in any order. The same entries make the same archive, byte for byte.
    ///
    /// # Errors
    /// Everything in [`BuildError`].
    pub fn build(mut entries: Vec<Entry>) -> Result<Self, BuildError> {
        entries.sort_by(|a, b| order(&a.path, &b.path));
        let mut builder = Builder::default();
        entries.iter().try_for_each(|entry| builder.push(entry))?;
        builder.finish()
    }
}
