//! Whether entries, in the order of an archive, make a tree. Every rule about entries is applied here, for
//! archives that are built and for those that are read.

use crate::error::Fault;
use crate::limits::{MAX_PATH_LEN, MAX_TIME};
use crate::line::{Line, What};
use crate::path::{check_component, check_target};
use crate::place::Place;
use crate::twins;
use std::cmp::Ordering;

/// Sees the entries go by.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// Where the last entry is.
    place: Place,
    last: Last,
    /// The [number](twins::number) of each folder on the way to the last entry, and its own.
    on_the_way: Vec<u64>,
    /// Of each entry.
    numbers: Vec<u64>,
}

/// What the last entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    /// A folder; before the first entry, the shared one.
    #[default]
    Folder,
    Link,
    File,
}

impl Checker {
    /// Where the last entry is.
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Takes the next entry.
    pub(crate) fn take(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        check_component(line.name)?;
        self.check_folder(line)?;
        self.check_order(line)?;
        let len = self.place.len_with(line.depth, line.name);
        if len > MAX_PATH_LEN {
            return Err(Fault::PathTooLong(len));
        }
        if let What::Link { target } = line.what {
            check_target(target, line.depth)?;
        }
        if line.mtime > MAX_TIME {
            return Err(Fault::Time(line.mtime));
        }
        self.place.enter(line.depth, line.name);
        self.last = match line.what {
            What::Folder => Last::Folder,
            What::Link { .. } => Last::Link,
            What::File { .. } => Last::File,
        };
        self.on_the_way.truncate(line.depth);
        let number = twins::number(self.on_the_way.last().copied().unwrap_or(0), line.name);
        self.on_the_way.push(number);
        self.numbers.push(number);
        Ok(())
    }

    /// It is in a folder that is on the way to the last entry, or is the last entry.
    fn check_folder(&self, line: &Line<'_>) -> Result<(), Fault> {
        match (line.depth.cmp(&self.place.depth()), self.last) {
            (Ordering::Less, _) | (Ordering::Equal, Last::Folder) => Ok(()),
            (Ordering::Equal, Last::Link) => Err(Fault::BelowLink),
            (Ordering::Equal, Last::File) => Err(Fault::FileAndFolder),
            (Ordering::Greater, _) => Err(Fault::NoFolder),
        }
    }

    /// Its name is behind that of the one before it in the same folder.
    fn check_order(&self, line: &Line<'_>) -> Result<(), Fault> {
        let Some(before) = self.place.component(line.depth) else { return Ok(()) };
        let before_is_folder = line.depth + 1 < self.place.depth() || self.last == Last::Folder;
        match before.cmp(line.name) {
            Ordering::Less => Ok(()),
            Ordering::Equal if before_is_folder == line.what.is_folder() => Err(Fault::Twice),
            Ordering::Equal => Err(Fault::FileAndFolder),
            Ordering::Greater => Err(Fault::Order),
        }
    }

    /// The numbers of entries that may be twins, sorted; hardly ever any others.
    pub(crate) fn suspects(self) -> Vec<u64> {
        twins::repeated(self.numbers)
    }
}
