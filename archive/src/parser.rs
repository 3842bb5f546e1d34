//! Reads the head of an archive as it arrives.

use crate::archive::{Archive, END_LEN};
use crate::error::{LineError, Refused, Shown};
use crate::head::{FIRST_LINE_LEN, Head, MAGIC, Part, START_LEN, read_first_line};
use crate::header::UNIT;
use crate::limits::{MAX_ENTRIES, MAX_INDEX_LEN, PIECE_LEN};
use crate::line::{Line, MAX_LINE_LEN, MIN_LINE_LEN};
use crate::map::{Mapper, Wrong};
use cascade_format::layout::MAX_LENGTH;

/// Takes the bytes of an archive from its first one on, in chunks of any length. It keeps no more than the index
/// that has arrived, and of a file that is no archive of a folder only some hundred bytes.
#[derive(Debug)]
pub struct Parser {
    total_len: u64,
    /// The first bytes, until there are [`START_LEN`].
    start: Vec<u8>,
    reading: Option<Reading>,
}

/// From when the length of the index is known.
#[derive(Debug)]
struct Reading {
    head: Head,
    /// How far the head has been read.
    at: u64,
    index: Vec<u8>,
    index_len: usize,
    /// Where the first line begins that has not ended.
    line: usize,
    lines: u64,
    claimed: u32,
    mapper: Mapper,
}

impl From<Wrong> for Refused {
    fn from(Wrong { path, fault }: Wrong) -> Self {
        Self::Entry { path, fault }
    }
}

impl Parser {
    /// For an archive of `total_len` bytes, as its `.cascade` file says.
    #[must_use]
    pub const fn new(total_len: u64) -> Self {
        Self { total_len, start: Vec::new(), reading: None }
    }

    /// Bytes in front of the first entry, as soon as it is known: after some hundred of them.
    #[must_use]
    pub fn head_len(&self) -> Option<u64> {
        self.reading.as_ref().map(|reading| reading.head.len())
    }

    /// Whether the whole head has been read: time to [`finish`](Self::finish).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.at >= reading.head.len())
    }

    /// Takes the next bytes. Those behind the head are ignored.
    ///
    /// # Errors
    /// The archive is refused, whatever follows; the parser must not be used again.
    /// [`Refused::NotAFolder`] comes first if at all, and says that this is an ordinary file.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if let Some(reading) = &mut self.reading {
            return reading.take(bytes);
        }
        if self.total_len < START_LEN as u64 {
            return Err(Refused::NotAFolder);
        }
        let (here, rest) = bytes.split_at_checked(START_LEN - self.start.len()).unwrap_or((bytes, &[]));
        self.start.extend_from_slice(here);
        if self.start.len() < START_LEN {
            return Ok(());
        }
        let mut reading = Reading::new(&self.start, self.total_len)?;
        reading.take(&self.start)?;
        let taken = reading.take(rest);
        self.start = Vec::new();
        self.reading = Some(reading);
        taken
    }

    /// The archive.
    ///
    /// # Errors
    /// The head is not complete, or what it says of the whole is wrong: its number of entries, its length, twins.
    pub fn finish(self) -> Result<Archive, Refused> {
        self.reading.ok_or(Refused::Cut)?.finish(self.total_len)
    }
}

impl Reading {
    /// Looks at the first [`START_LEN`] bytes: what do they claim?
    fn new(start: &[u8], total_len: u64) -> Result<Self, Refused> {
        let record = start.get(UNIT..).unwrap_or_default();
        let digits = record.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let line = record.get(digits..).and_then(|rest| rest.strip_prefix(b" comment="));
        let line = line.and_then(|line| line.strip_prefix(MAGIC.as_bytes())).ok_or(Refused::NotAFolder)?;
        let line = line.get(..FIRST_LINE_LEN - MAGIC.len()).unwrap_or(line);
        let line = str::from_utf8(line).map_err(|_| Refused::NotAFolder)?;
        let version = line.split(' ').next().unwrap_or_default();
        if version != "1" {
            return Err(Refused::Version(Shown(version.into())));
        }
        let (entries, bytes) = read_first_line(line).ok_or(Refused::Head((UNIT + digits) as u64))?;
        let claimed = u32::try_from(entries).ok().filter(|entries| *entries <= MAX_ENTRIES);
        let claimed = claimed.ok_or(Refused::TooManyEntries(entries))?;
        let index_len = usize::try_from(bytes).ok().map(|bytes| bytes.saturating_add(FIRST_LINE_LEN));
        let index_len = index_len.filter(|len| *len <= MAX_INDEX_LEN).ok_or(Refused::IndexTooLong(bytes))?;
        let head = Head::new(index_len);
        let least = head.len() + entries * UNIT as u64 + END_LEN;
        if least > total_len || entries * MIN_LINE_LEN > bytes {
            return Err(Refused::Claims { entries, bytes, length: total_len });
        }
        let (mapper, index) = (Mapper::default(), Vec::new());
        Ok(Self { head, at: 0, index, index_len, line: FIRST_LINE_LEN, lines: 1, claimed, mapper })
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        while self.at < self.head.len() && !bytes.is_empty() {
            let len = match self.head.part(self.at) {
                Part::Made(made) => {
                    if let Some(wrong) = made.iter().zip(bytes).position(|(a, b)| a != b) {
                        return Err(Refused::Head(self.at + wrong as u64));
                    }
                    made.len().min(bytes.len())
                }
                Part::Index(range) => {
                    let len = range.len().min(bytes.len());
                    self.take_index(bytes.get(..len).unwrap_or(bytes))?;
                    len
                }
            };
            self.at += len as u64;
            bytes = bytes.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    fn take_index(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.index.capacity() - self.index.len() < bytes.len() {
            // The length is a claim: so there is room for what has arrived, and for one more piece at most.
            let left = self.index_len.saturating_sub(self.index.len());
            self.index.reserve_exact(left.min(PIECE_LEN.max(bytes.len())));
        }
        self.index.extend_from_slice(bytes);
        self.take_lines()
    }

    /// Takes the lines that have ended.
    fn take_lines(&mut self) -> Result<(), Refused> {
        while let Some(rest) = self.index.get(self.line..) {
            let wrong = |why| Refused::Line { line: self.lines + 1, why };
            let within = rest.get(..=MAX_LINE_LEN).unwrap_or(rest);
            let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
                return if within.len() > MAX_LINE_LEN { Err(wrong(LineError::TooLong)) } else { Ok(()) };
            };
            let text = rest.get(..end).unwrap_or_default();
            let text = str::from_utf8(text).map_err(|_| wrong(LineError::NotText))?;
            let line = Line::parse(text).map_err(wrong)?;
            if self.mapper.entries() == self.claimed {
                return Err(Refused::Count { found: self.claimed + 1, claimed: self.claimed });
            }
            self.mapper.take(self.line, &line)?;
            self.lines += 1;
            self.line += end + 1;
        }
        Ok(())
    }

    fn finish(self, length: u64) -> Result<Archive, Refused> {
        if self.at < self.head.len() {
            return Err(Refused::Cut);
        }
        let (found, claimed) = (self.mapper.entries(), self.claimed);
        if found != claimed {
            return Err(Refused::Count { found, claimed });
        }
        // Each line is UTF-8, so all are; the bytes after the last one are no line.
        let no_line = |why| Refused::Line { line: self.lines + 1, why };
        if self.line != self.index.len() {
            return Err(no_line(LineError::Field));
        }
        let index = String::from_utf8(self.index).map_err(|_| no_line(LineError::NotText))?;
        let index_says = self.mapper.body_len().saturating_add(self.head.len()).saturating_add(END_LEN);
        if index_says != length || length > MAX_LENGTH {
            return Err(Refused::Length { index: index_says, length });
        }
        Ok(Archive::new(index, self.mapper)?)
    }
}
