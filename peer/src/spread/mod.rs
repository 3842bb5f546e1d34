//! How one file spreads from this machine: who came when, how far each is, and how close that was to the optimum. Pure:
//! it is told views and times, and neither looks nor waits.
//!
//! | module | what it holds |
//! |---|---|
//! | `history` | what was seen so far |
//! | `verdict` | how good it was, and what held it back |
//! | `picture` | all of it as a picture |

mod history;
mod picture;
#[cfg(test)]
mod scene;
mod verdict;

pub(crate) use history::History;
pub(crate) use picture::{draw, page};
pub(crate) use verdict::{Held, Optimum, Unknown, Verdict};
