//! Contestants run in turns: A B C, B C A, C A B …, so that whatever drifts on the machine hits all alike.

use crate::error::{Context, Result};
use std::path::Path;
use tempfile::TempDir;

/// The order of one round: `count` contestants, starting with another one in each `round`.
pub fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (turn + round) % count)
}

/// A new folder for one run, removed when dropped.
///
/// # Errors
/// It cannot be made.
pub fn run_folder(inside: &Path) -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix("run-").tempdir_in(inside);
    made.context(|| format!("cannot create a folder in {}", inside.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_runs_once_a_round_and_the_first_changes() {
        assert_eq!(order(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(3, 4).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(order(0, 4).count(), 0);
    }
}
