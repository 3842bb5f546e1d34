//! Goes through the entries of an archive, from its start or from a checkpoint.

use crate::archive::Archive;
use crate::entry::Entry;
use crate::header::{header_len, padded};
use crate::line::Line;
use crate::map::{SHARED, SPACING};
use crate::place::Place;

/// An entry and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    /// Which entry it is, from 0.
    pub(crate) number: u32,
    /// Where its header begins in the archive.
    pub(crate) start: u64,
    /// Bytes of its header; its content is behind it.
    pub(crate) header_len: u64,
    pub(crate) line: Line<'a>,
}

impl Step<'_> {
    /// Where the next entry begins in the archive.
    pub(crate) const fn end(&self) -> u64 {
        self.start.saturating_add(self.header_len).saturating_add(padded(self.line.what.size()))
    }
}

/// Stands before an entry. The index was checked when the archive was made, so nothing fails here; where it could,
/// the entries end.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    archive: &'a Archive,
    /// Where the next entry's line begins in the index.
    line: usize,
    number: u32,
    start: u64,
    /// Where the last entry is.
    place: Place,
}

impl<'a> Cursor<'a> {
    /// Before the checkpoint `number`; `None` if there is none.
    pub(crate) fn at_checkpoint(archive: &'a Archive, number: usize) -> Option<Self> {
        let checkpoint = archive.map().checkpoints.get(number)?;
        let mut place = Place::default();
        enter_folder(archive, checkpoint.folder, &mut place);
        let start = archive.head_len() + checkpoint.start;
        let number = u32::try_from(number).ok()? * SPACING;
        Some(Self { archive, line: checkpoint.line as usize, number, start, place })
    }

    /// The next entry; where it is, is then in [`path`](Self::path).
    pub(crate) fn step(&mut self) -> Option<Step<'a>> {
        if self.number >= self.archive.count() {
            return None;
        }
        let (text, line) = line_at(self.archive, self.line)?;
        self.place.enter(line.depth, line.name);
        let header_len = header_len(self.place.path(), line.what);
        let step = Step { number: self.number, start: self.start, header_len, line };
        self.line += text.len() + 1;
        self.number += 1;
        self.start = step.end();
        Some(step)
    }

    /// The path of the last entry.
    pub(crate) fn path(&self) -> &str {
        self.place.path()
    }

    /// The last entry, which was `step`.
    pub(crate) fn entry(&self, step: &Step<'_>) -> Entry {
        Entry { path: self.path().into(), kind: step.line.what.into(), mtime: step.line.mtime }
    }
}

fn line_at(archive: &Archive, at: usize) -> Option<(&str, Line<'_>)> {
    let (text, _) = archive.index().get(at..)?.split_once('\n')?;
    Some((text, Line::parse(text).ok()?))
}

/// Goes down to a folder: first it looks upwards, for a folder knows only its parent.
fn enter_folder(archive: &Archive, folder: u32, place: &mut Place) {
    let mut names = Vec::new();
    let mut at = folder;
    while at != SHARED
        && let Some(folder) = archive.map().folders.get(at as usize)
        && let Some((_, line)) = line_at(archive, folder.line as usize)
    {
        names.push(line.name);
        at = folder.parent;
    }
    for (depth, name) in names.into_iter().rev().enumerate() {
        place.enter(depth, name);
    }
}
