//! The front of an archive: the index in the comments of pax global headers.
//!
//! The index is cut into pieces of [`PIECE_LEN`] bytes. Each is the comment of one global header; after every
//! [`MAX_PIECES_IN_A_ROW`] of them, if more follow, comes a header of the shared folder itself. It follows
//! the index of an empty folder too, for Python's `tarfile` refuses an archive without any entry. So the length of
//! the index alone decides where everything is.

use crate::header::{UNIT, extended, record_start, separator};
use crate::limits::{MAX_PIECES_IN_A_ROW, PIECE_LEN};
use std::ops::Range;

/// What begins the index; the version is behind it.
pub(crate) const MAGIC: &str = "cascade-folder ";

/// Digits of the two numbers in the first line: with zeroes in front, so that its length is always the same.
const NUMBER_LEN: usize = 10;

/// Bytes of the first line, its end included.
pub(crate) const FIRST_LINE_LEN: usize =
    MAGIC.len() + "1 entries ".len() + NUMBER_LEN + " bytes ".len() + NUMBER_LEN + 1;

/// Bytes of an archive after which it is known whether it is a folder's, and how long its head is.
pub(crate) const START_LEN: usize = UNIT + "983056 comment=".len() + FIRST_LINE_LEN;

/// Bytes of a piece that is full, with its header; and of a row of them with the header after it.
const FULL_LEN: u64 = (UNIT + (FULL_START_LEN + PIECE_LEN + 1).next_multiple_of(UNIT)) as u64;
const FULL_START_LEN: usize = "983056 comment=".len();
const ROW_LEN: u64 = FULL_LEN * MAX_PIECES_IN_A_ROW as u64 + UNIT as u64;

/// The first line of an index of `entries` with `bytes` of lines behind this one.
pub(crate) fn first_line(entries: u32, bytes: usize) -> String {
    format!("{MAGIC}1 entries {entries:0NUMBER_LEN$} bytes {bytes:0NUMBER_LEN$}\n")
}

/// The two numbers of a first line behind its version; `None` if it is none.
pub(crate) fn read_first_line(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("1 entries ")?.strip_suffix('\n')?;
    let (entries, bytes) = rest.split_once(" bytes ")?;
    let number = |digits: &str| {
        let is_number = digits.len() == NUMBER_LEN && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { digits.parse().ok() } else { None }
    };
    Some((number(entries)?, number(bytes)?))
}

/// Where the parts of a head are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the index, its first line included; at least that.
    index_len: usize,
}

/// A part of a head, from a byte of it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes that are always the same.
    Made(Vec<u8>),
    /// Bytes of the index.
    Index(Range<usize>),
}

impl Head {
    pub(crate) const fn new(index_len: usize) -> Self {
        Self { index_len }
    }

    const fn pieces(self) -> usize {
        self.index_len.div_ceil(PIECE_LEN)
    }

    /// Bytes of the whole head.
    pub(crate) fn len(self) -> u64 {
        let last = self.pieces().saturating_sub(1);
        let row = (last / MAX_PIECES_IN_A_ROW) as u64;
        let full = FULL_LEN * last as u64 + row * UNIT as u64;
        let separator = if self.is_empty() { UNIT } else { 0 };
        full + (UNIT + self.record_len(last).next_multiple_of(UNIT) + separator) as u64
    }

    /// Whether the index has no entry.
    const fn is_empty(self) -> bool {
        self.index_len == FIRST_LINE_LEN
    }

    fn piece(self, number: usize) -> Range<usize> {
        let start = number * PIECE_LEN;
        start..self.index_len.min(start + PIECE_LEN)
    }

    fn record_len(self, piece: usize) -> usize {
        let len = self.piece(piece).len();
        record_start("comment", len).len() + len + 1
    }

    /// The part that begins at or before byte `at`, which is inside the head, from that byte on.
    pub(crate) fn part(self, at: u64) -> Part {
        let (row, within) = (at / ROW_LEN, at % ROW_LEN);
        let in_row = within / FULL_LEN;
        let within = usize::try_from(within % FULL_LEN).unwrap_or(usize::MAX);
        if in_row == MAX_PIECES_IN_A_ROW as u64 {
            return Part::Made(behind(&separator(), within));
        }
        let number = row * MAX_PIECES_IN_A_ROW as u64 + in_row;
        let number = usize::try_from(number).unwrap_or(usize::MAX).min(self.pieces().saturating_sub(1));
        let piece = self.piece(number);
        let start = record_start("comment", piece.len());
        let index_at = UNIT + start.len();
        let index_end = index_at + piece.len();
        if within < index_at {
            let unit = extended(b'g', self.record_len(number));
            Part::Made(behind(&[&unit, start.as_bytes()].concat(), within))
        } else if within < index_end {
            Part::Index(piece.start + (within - index_at)..piece.end)
        } else {
            let mut end = vec![b'\n'];
            end.resize((index_end + 1).next_multiple_of(UNIT) - index_end, 0);
            if self.is_empty() {
                end.extend_from_slice(&separator());
            }
            Part::Made(behind(&end, within - index_end))
        }
    }
}

fn behind(bytes: &[u8], at: usize) -> Vec<u8> {
    bytes.get(at..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_has_one_length() {
        let line = first_line(u32::MAX, 1_000_000);
        assert_eq!(line, "cascade-folder 1 entries 4294967295 bytes 0001000000\n");
        assert_eq!((line.len(), FIRST_LINE_LEN), (53, 53));
        assert_eq!(read_first_line(&line[MAGIC.len()..]), Some((4_294_967_295, 1_000_000)));
        for wrong in ["", "1 entries 1 bytes 1\n", "1 entries 000000001 bytes 00000000001\n", "2 entries"] {
            assert_eq!(read_first_line(wrong), None, "{wrong:?}");
        }
        assert_eq!(read_first_line("1 entries +000000001 bytes 0000000001\n"), None);
    }

    /// From every byte on, the parts are the same bytes; each byte of the index stands once, in order.
    #[test]
    fn the_parts_of_a_head_fit_together() {
        let row = PIECE_LEN * MAX_PIECES_IN_A_ROW;
        for index_len in
            [53, 480, PIECE_LEN - 1, PIECE_LEN, PIECE_LEN + 1, row - 1, row, row + 1, 2 * row + 53]
        {
            let head = Head::new(index_len);
            let (mut at, mut index, mut separators) = (0, 0, 0);
            while at < head.len() {
                at += match head.part(at) {
                    Part::Made(bytes) => {
                        separators += bytes.windows(3).filter(|bytes| bytes == b"./\0").count();
                        bytes.len() as u64
                    }
                    Part::Index(range) => {
                        assert_eq!(range.start, index, "{index_len}");
                        index = range.end;
                        range.len() as u64
                    }
                };
            }
            assert_eq!((at, index), (head.len(), index_len));
            assert_eq!(separators, if index_len == 53 { 1 } else { (index_len - 1) / row }, "{index_len}");
        }
    }
}
