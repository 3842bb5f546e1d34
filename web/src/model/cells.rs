//! The map of a file's blocks in few bytes: cells of equal numbers of blocks, one letter each, runs with a count.

use crate::limits::MAX_CELLS;
use std::fmt::Write;
use std::ops::Range;

/// What the blocks of a cell have together, seen from this peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// Verified blocks.
    pub here: u64,
    /// Whether at least one is on its way to this peer.
    pub in_flight: bool,
    /// Of the rarest block: how many of the peers that this one has links to have it. It counts only where nothing is
    /// here.
    pub had_by: u32,
}

impl Cell {
    const fn letter(&self, blocks: u64) -> char {
        if self.here >= blocks {
            return 'H';
        }
        if self.in_flight {
            return 'F';
        }
        if self.here > 0 {
            return match self.here.saturating_mul(8) / blocks {
                0 | 1 => 'a',
                2 => 'b',
                3 => 'c',
                4 => 'd',
                5 => 'e',
                6 => 'f',
                _ => 'g',
            };
        }
        match self.had_by {
            0 => 'n',
            1 => 'r',
            2 | 3 => 'u',
            _ => 'm',
        }
    }
}

/// The map of `blocks` blocks; `of` tells of a range of them, which is never empty. It has at most [`MAX_CELLS`] cells, in the order of the file;
/// all but the last have the same number of blocks. Equal cells in a row are their number, if it is not 1, and a letter:
///
/// | letter | cell |
/// |---|---|
/// | `H` | all of its blocks are here |
/// | `F` | at least one is on its way |
/// | `a` … `g` | one to seven eighths are here |
/// | `n`, `r`, `u`, `m` | nothing is here; the rarest block is had by none, one, two or three, or more of the linked peers |
#[must_use]
pub fn cells(blocks: u64, mut of: impl FnMut(Range<u64>) -> Cell) -> String {
    let each = blocks.div_ceil(MAX_CELLS).max(1);
    let mut map = String::new();
    let mut run: Option<(char, u64)> = None;
    let mut first = 0;
    while first < blocks {
        let end = first.saturating_add(each).min(blocks);
        let next = of(first..end).letter(end - first);
        run = match run {
            Some((letter, count)) if letter == next => Some((letter, count + 1)),
            ended => {
                put(&mut map, ended);
                Some((next, 1))
            }
        };
        first = end;
    }
    put(&mut map, run);
    map
}

fn put(map: &mut String, run: Option<(char, u64)>) {
    // Writing to a string does not fail.
    let _ = match run {
        None => Ok(()),
        Some((letter, 1)) => write!(map, "{letter}"),
        Some((letter, count)) => write!(map, "{count}{letter}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Cell = Cell { here: 1, in_flight: false, had_by: 0 };
    const IN_FLIGHT: Cell = Cell { here: 0, in_flight: true, had_by: 0 };

    const fn missing(had_by: u32) -> Cell {
        Cell { here: 0, in_flight: false, had_by }
    }

    #[test]
    fn small_files_have_a_cell_for_each_block() {
        let blocks = [HERE, HERE, IN_FLIGHT, missing(0), missing(1), missing(3), missing(4), HERE];
        let map = cells(blocks.len() as u64, |range| {
            assert_eq!(range.end, range.start + 1);
            blocks[usize::try_from(range.start).unwrap()]
        });
        assert_eq!(map, "2HFnrumH");
        assert_eq!(cells(0, |_| HERE), "");
    }

    #[test]
    fn large_files_have_a_bounded_number_of_cells() {
        let blocks = 10 * MAX_CELLS;
        let half =
            |range: Range<u64>| if range.end <= blocks / 2 { Cell { here: 10, ..HERE } } else { missing(9) };
        assert_eq!(cells(blocks, half), "512H512m");
        // One of ten is an eighth, nine of ten are seven, and no cell looks complete that is not.
        assert_eq!(cells(blocks, |_| HERE), "1024a");
        assert_eq!(cells(blocks, |_| Cell { here: 9, ..HERE }), "1024g");
        assert_eq!(cells(MAX_CELLS + 1, |range| Cell { here: range.end - range.start, ..HERE }), "513H");
        assert_eq!(cells(u64::MAX, |_| missing(1)).len(), 5);
    }
}
