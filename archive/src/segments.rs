//! What a range of an archive's bytes is made of.

use crate::archive::Archive;
use crate::cursor::{Cursor, Step};
use crate::entry::Entry;
use crate::head::Part;
use crate::header::header;
use std::borrow::Cow;
use std::ops::Range;

/// A piece of an archive; none is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment<'a> {
    /// These bytes: of the index or of a header.
    Made(Cow<'a, [u8]>),
    /// Bytes of a file.
    File {
        /// Which entry it is, from 0.
        number: u32,
        /// The entry; it is a file.
        entry: Entry,
        /// Where the bytes begin in the file.
        offset: u64,
        /// How many there are.
        len: u64,
    },
    /// This number of zero bytes.
    Zero(u64),
}

impl Segment<'_> {
    /// How many bytes it has, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "no segment is empty")]
    pub fn len(&self) -> u64 {
        match self {
            Self::Made(bytes) => bytes.len() as u64,
            Self::File { len, .. } | Self::Zero(len) => *len,
        }
    }
}

/// The segments of a range, in order. Made by [`Archive::segments`].
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    archive: &'a Archive,
    at: u64,
    end: u64,
    cursor: Option<Cursor<'a>>,
    /// The entry that the cursor has last gone by.
    step: Option<Step<'a>>,
}

impl<'a> Segments<'a> {
    pub(crate) fn new(archive: &'a Archive, range: Range<u64>) -> Self {
        let end = range.end.min(archive.total_len());
        let cursor = archive.cursor_before(range.start);
        Self { archive, at: range.start, end, cursor, step: None }
    }

    /// Of the bytes from `at` to `until`, as many as are in the range.
    fn reach(&self, until: u64) -> u64 {
        until.min(self.end) - self.at
    }

    fn in_head(&self) -> Segment<'a> {
        let bytes = match self.archive.head().part(self.at) {
            Part::Made(bytes) => Cow::Owned(bytes),
            Part::Index(range) => {
                Cow::Borrowed(self.archive.index().as_bytes().get(range).unwrap_or_default())
            }
        };
        self.made(bytes)
    }

    /// As many of `bytes` as are in the range.
    fn made(&self, bytes: Cow<'a, [u8]>) -> Segment<'a> {
        let len = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        Segment::Made(match bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..len).unwrap_or(bytes)),
            Cow::Owned(mut bytes) => {
                bytes.truncate(len);
                Cow::Owned(bytes)
            }
        })
    }

    fn in_body(&mut self) -> Option<Segment<'a>> {
        let cursor = self.cursor.as_mut()?;
        while self.step.is_none_or(|step| step.end() <= self.at) {
            self.step = Some(cursor.step()?);
        }
        let step = self.step?;
        let cursor = self.cursor.as_ref()?;
        let content = step.start + step.header_len;
        let content_end = content + step.line.what.size();
        Some(if self.at < content {
            let mut bytes = header(step.number, cursor.path(), step.line.what, step.line.mtime);
            let skipped = usize::try_from(self.at - step.start).unwrap_or(usize::MAX);
            bytes.drain(..skipped.min(bytes.len()));
            self.made(Cow::Owned(bytes))
        } else if self.at < content_end {
            let (number, entry) = (step.number, cursor.entry(&step));
            Segment::File { number, entry, offset: self.at - content, len: self.reach(content_end) }
        } else {
            Segment::Zero(self.reach(step.end()))
        })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        if self.at >= self.end {
            return None;
        }
        let segment = if self.at < self.archive.head_len() {
            self.in_head()
        } else if self.at < self.archive.end() {
            self.in_body()?
        } else {
            Segment::Zero(self.end - self.at)
        };
        self.at += segment.len();
        Some(segment)
    }
}
