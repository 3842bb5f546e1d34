//! The archive of a folder: its index, and where everything is that follows from it.

use crate::cursor::Cursor;
use crate::entry::Entry;
use crate::error::{Fault, NotCanonical, Shown};
use crate::head::Head;
use crate::header::UNIT;
use crate::map::{Map, Mapper, SPACING, Wrong};
use crate::segments::{Segment, Segments};
use crate::twins;
use std::collections::BTreeMap;
use std::ops::Range;

/// Zero bytes at the end of every archive: two units.
pub(crate) const END_LEN: u64 = 2 * UNIT as u64;

/// The archive of a folder. It has been checked: unpacking it writes nothing outside, and no entry over another.
///
/// It takes the memory of its index, of which [`MAX_INDEX_LEN`](crate::limits::MAX_INDEX_LEN) is the bound, and at
/// most 9 bytes an entry besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The index, from its first line on.
    index: String,
    map: Map,
}

impl Archive {
    /// Joins an index with what was found in it.
    pub(crate) fn new(mut index: String, mapper: Mapper) -> Result<Self, Wrong> {
        index.shrink_to_fit();
        let (map, suspects) = mapper.finish();
        let archive = Self { index, map };
        archive.check_twins(&suspects)?;
        Ok(archive)
    }

    pub(crate) const fn map(&self) -> &Map {
        &self.map
    }

    pub(crate) fn index(&self) -> &str {
        &self.index
    }

    pub(crate) const fn head(&self) -> Head {
        Head::new(self.index.len())
    }

    /// Number of entries.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.map.entries
    }

    /// Bytes in front of the first entry: the index, and what makes it tar.
    #[must_use]
    pub fn head_len(&self) -> u64 {
        self.head().len()
    }

    /// Bytes of the archive.
    #[must_use]
    pub fn total_len(&self) -> u64 {
        self.head_len().saturating_add(self.map.body_len).saturating_add(END_LEN)
    }

    /// Where the zero bytes at the end begin.
    pub(crate) fn end(&self) -> u64 {
        self.head_len().saturating_add(self.map.body_len)
    }

    /// All entries, in their order: a folder before what is in it.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let mut cursor = Cursor::at_checkpoint(self, 0);
        std::iter::from_fn(move || {
            let cursor = cursor.as_mut()?;
            cursor.step().map(|step| cursor.entry(&step))
        })
    }

    /// Entry `number`, counted from 0, if there is one. Takes the time of reading some lines of the index.
    #[must_use]
    pub fn entry(&self, number: u32) -> Option<Entry> {
        let mut cursor = Cursor::at_checkpoint(self, (number / SPACING) as usize)?;
        for _ in 0..number % SPACING {
            cursor.step()?;
        }
        let step = cursor.step()?;
        Some(cursor.entry(&step))
    }

    /// What the bytes `range` of the archive are made of, in order and without gaps. What is behind the end is left
    /// out. Finding the first takes the time of a binary search and of reading some lines of the index.
    #[must_use]
    pub fn segments(&self, range: Range<u64>) -> Segments<'_> {
        Segments::new(self, range)
    }

    /// Compares `bytes`, which somebody says are those of the archive from `at` on, with what the index says,
    /// where no file's content is.
    ///
    /// # Errors
    /// The first byte that differs. Content cannot differ: the hashes of blocks are there for it.
    pub fn check(&self, at: u64, bytes: &[u8]) -> Result<(), NotCanonical> {
        let mut rest = bytes;
        let mut at = at;
        for segment in self.segments(at..at.saturating_add(bytes.len() as u64)) {
            let len = usize::try_from(segment.len()).unwrap_or(usize::MAX);
            let (here, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            let wrong = match &segment {
                Segment::Made(made) => made.iter().zip(here).position(|(a, b)| a != b),
                Segment::Zero(_) => here.iter().position(|byte| *byte != 0),
                Segment::File { .. } => None,
            };
            if let Some(wrong) = wrong {
                let at = at + wrong as u64;
                return Err(NotCanonical { at, path: self.shown_at(at) });
            }
            (rest, at) = (behind, at + len as u64);
        }
        Ok(())
    }

    /// The entry that byte `at` is of.
    fn shown_at(&self, at: u64) -> Shown {
        let mut cursor = self.cursor_before(at);
        while let Some(cursor) = cursor.as_mut()
            && cursor.step().is_some_and(|step| step.end() <= at)
        {}
        Shown(cursor.map(|cursor| cursor.path().to_string()).unwrap_or_default())
    }

    /// A cursor at the last checkpoint whose entry begins at or before byte `at`, or at the first one.
    pub(crate) fn cursor_before(&self, at: u64) -> Option<Cursor<'_>> {
        let within = at.saturating_sub(self.head_len());
        let behind = self.map.checkpoints.partition_point(|checkpoint| checkpoint.start <= within);
        Cursor::at_checkpoint(self, behind.saturating_sub(1))
    }

    /// Looks again at those entries whose numbers are the same: are their names?
    fn check_twins(&self, suspects: &[u64]) -> Result<(), Wrong> {
        if suspects.is_empty() {
            return Ok(());
        }
        let mut cursor = Cursor::at_checkpoint(self, 0);
        let mut on_the_way: Vec<u64> = Vec::new();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        while let Some(cursor) = cursor.as_mut()
            && let Some(step) = cursor.step()
        {
            on_the_way.truncate(step.line.depth);
            let number = twins::number(on_the_way.last().copied().unwrap_or(0), step.line.name);
            on_the_way.push(number);
            if suspects.binary_search(&number).is_ok() {
                let folded = cursor.path().split('/').map(twins::fold).collect::<Vec<_>>().join("/");
                let path = cursor.path().to_string();
                if let Some(other) = seen.insert(folded, path.clone()) {
                    return Err(Wrong { path: Shown(path), fault: Fault::Twin(Shown(other)) });
                }
            }
        }
        Ok(())
    }
}
