//! The giving side: which client gets which answer, when, and the news for it.
//!
//! A peer tells in front of its answers which blocks it has, which peers it has met, and whether it
//! leaves. A seeder also chooses: as long as it has blocks that it gave to nobody, it offers each to one
//! leecher, and the leechers get the rest from each other. So its uplink is spent on first copies.
//!
//! | module | what it holds |
//! |---|---|
//! | [`upload`] | all of it for one file |
//! | `subscriber_id` | the name of a subscriber |
//! | `subscriber` | what one subscriber has been told, and what is next |
//! | `admission` | how many may wait for a block |
//! | `streams` | to how many clients slices of one block are given at a time |
//! | `askers` | who asks: addresses of subscribers, and hosts that do not tell where they listen |
//! | [`have_log`] | in which order blocks came |
//! | [`offers`] | which block a seeder gives to whom |
//! | `offer_queues` | in which order subscribers get offers, and of each host how many |
//! | [`met`] | peers that have shown themselves |
//! | `news_queue` | which client is told next, when more ask than should be told at once |
//! | `version1` | what clients get that know only version 1 |
//! | `tuning` | the tuned constants |

mod admission;
mod askers;
pub mod conversation;
pub mod have_log;
pub mod met;
mod news_queue;
mod offer_queues;
pub mod offers;
mod streams;
mod subscriber;
mod subscriber_id;
mod tuning;
pub mod upload;
mod version1;

#[cfg(test)]
mod tests;

pub use conversation::{Behind, Conversation, Decision, Request, Wanted};
pub use subscriber_id::SubscriberId;
pub use tuning::Tuning;
pub use upload::{Server, Upload};

use crate::limits::MAX_TOLD_BLOCKS;

/// Whether peers tell each other of a file with this number of blocks. Of one with a single block there is nothing
/// to tell, and a version 1 client that sends a request on as it came would show our marker.
#[must_use]
pub fn is_told(blocks: u64) -> bool {
    (2..=MAX_TOLD_BLOCKS).contains(&blocks)
}
