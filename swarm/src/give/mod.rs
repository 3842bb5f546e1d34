//! The giving side: whom to answer what, when, and what is told to those who ask.
//!
//! A peer tells in front of its answers which blocks it has, which peers it has met, and whether it
//! leaves. A seeder also chooses: as long as it has blocks that it gave to nobody, it offers each to one
//! leecher, and the leechers get the rest from each other. So its uplink is spent on first copies.
//!
//! | module | what it holds |
//! |---|---|
//! | [`board`] | all of it for one file |
//! | `reader` | what one reader has been told, and what is next |
//! | `crowd` | how many may wait for a block |
//! | `askers` | hosts that ask without telling where they listen |
//! | [`have_log`] | in which order blocks came |
//! | [`offers`] | which block a seeder gives to whom |
//! | `lines` | in which order readers get offers, and of each host how many |
//! | [`met`] | peers that have shown themselves |
//! | `news_line` | who is told next, when more ask than should be told at once |
//! | `patience` | how long a reader is sent away because others wait, and how often it was |
//! | `plain_share` | what clients get that know only version 1 |
//! | `tuning` | the tuned constants |

mod askers;
pub mod board;
mod crowd;
pub mod have_log;
mod lines;
pub mod met;
mod news_line;
pub mod offers;
mod patience;
mod plain_share;
mod reader;
mod tuning;

#[cfg(test)]
mod tests;

pub use askers::Askers;
pub use board::{Board, Verdict};
pub use reader::ReaderId;
pub use tuning::Tuning;

use crate::limits::MAX_TOLD_BLOCKS;

/// Whether peers tell each other of a file with so many blocks. Of one with a single block there is nothing
/// to tell, and a version 1 client that sends a request on as it came would show our marker.
#[must_use]
pub fn is_told(blocks: u64) -> bool {
    (2..=MAX_TOLD_BLOCKS).contains(&blocks)
}
