//! The map of a file's blocks in few bytes: cells of equal numbers of blocks, one letter each, runs with a count.

use crate::limits::MAX_CELLS;
use std::fmt::Write;
use std::ops::Range;

/// A block, seen from this peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Verified.
    Here,
    /// On its way to this peer.
    InFlight,
    /// Not here; this number of the peers that it has links to have it.
    Missing {
        /// Peers that have it.
        had_by: u32,
    },
}

/// Letters of cells of which some blocks are here: one eighth, two eighths …
const PARTS: [char; 7] = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

/// What the blocks of a cell have together.
struct Cell {
    blocks: u64,
    here: u64,
    in_flight: bool,
    had_by: u32,
}

impl Cell {
    const fn letter(&self) -> char {
        if self.here == self.blocks {
            return 'H';
        }
        if self.in_flight {
            return 'F';
        }
        if self.here > 0 {
            let eighths = (self.here.saturating_mul(8) / self.blocks) as usize;
            return PARTS[if eighths == 0 { 0 } else { eighths - 1 }];
        }
        match self.had_by {
            0 => 'n',
            1 => 'r',
            2 | 3 => 'u',
            _ => 'm',
        }
    }
}

/// The map of `blocks` blocks, each of which `of` tells. It has at most [`MAX_CELLS`] cells, in the order of the file;
/// all but the last have the same number of blocks. Equal cells in a row are their number, if it is not 1, and a letter:
///
/// | letter | cell |
/// |---|---|
/// | `H` | all of its blocks are here |
/// | `F` | at least one is on its way |
/// | `a` … `g` | one to seven eighths are here |
/// | `n`, `r`, `u`, `m` | nothing is here; the rarest block is had by none, one, two or three, or more of the linked peers |
#[must_use]
pub fn cells(blocks: u64, mut of: impl FnMut(u64) -> Block) -> String {
    write(blocks, |range| {
        let mut cell = Cell { blocks: range.end - range.start, here: 0, in_flight: false, had_by: u32::MAX };
        for block in range {
            match of(block) {
                Block::Here => cell.here += 1,
                Block::InFlight => cell.in_flight = true,
                Block::Missing { had_by } => cell.had_by = cell.had_by.min(had_by),
            }
        }
        cell.letter()
    })
}

/// The same where `here` says how many blocks of a range are here, and nothing else is known.
#[must_use]
pub fn have_cells(blocks: u64, mut here: impl FnMut(Range<u64>) -> u64) -> String {
    write(blocks, |range| {
        let (count, here) = (range.end - range.start, here(range));
        Cell { blocks: count, here, in_flight: false, had_by: 0 }.letter()
    })
}

fn write(blocks: u64, mut letter: impl FnMut(Range<u64>) -> char) -> String {
    let each = blocks.div_ceil(MAX_CELLS).max(1);
    let mut map = String::new();
    let mut run: Option<(char, u64)> = None;
    let mut first = 0;
    while first < blocks {
        let end = first.saturating_add(each).min(blocks);
        let next = letter(first..end);
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

    #[test]
    fn small_files_have_a_cell_for_each_block() {
        let blocks = [
            Block::Here,
            Block::Here,
            Block::InFlight,
            Block::Missing { had_by: 0 },
            Block::Missing { had_by: 1 },
            Block::Missing { had_by: 3 },
            Block::Missing { had_by: 4 },
            Block::Here,
        ];
        let map = cells(blocks.len() as u64, |block| blocks[usize::try_from(block).unwrap()]);
        assert_eq!(map, "2HFnrumH");
        assert_eq!(cells(0, |_| Block::Here), "");
    }

    #[test]
    fn large_files_have_a_bounded_number_of_cells() {
        let blocks = 10 * MAX_CELLS;
        let half = |block| if block < blocks / 2 { Block::Here } else { Block::Missing { had_by: 9 } };
        assert_eq!(cells(blocks, half), "512H512m");
        assert_eq!(have_cells(blocks, |range| range.end - range.start), "1024H");
        // One of ten is an eighth, nine of ten are seven, and no cell looks complete that is not.
        let all_but = |missing: u64| {
            move |block| if block % 10 < missing { Block::Missing { had_by: 2 } } else { Block::Here }
        };
        assert_eq!(cells(blocks, all_but(9)), "1024a");
        assert_eq!(cells(blocks, all_but(1)), "1024g");
        // The rarest block of a cell decides.
        let one_rare = |block| Block::Missing { had_by: if block % 10 == 3 { 1 } else { 7 } };
        assert_eq!(cells(blocks, one_rare), "1024r");
        let odd = cells(MAX_CELLS + 1, |_| Block::Here);
        assert_eq!(odd, "513H");
    }
}
