//! Which blocks a thread takes next.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// About how many bytes a thread takes at once: some milliseconds of work, so that the threads end
/// together and the cursor costs nothing.
const CLAIM_LEN: u64 = 4 << 20;

/// The most blocks that a thread takes at once: it holds their hashes, 128 KiB.
const MAX_CLAIM: u64 = 4096;

/// The blocks that nobody has taken yet.
pub(super) struct Cursor {
    next: AtomicU64,
    end: u64,
    /// At least 2: blocks are hashed two at a time.
    most: u64,
    threads: u64,
}

impl Cursor {
    pub(super) fn new(blocks: Range<u64>, block_size: u64, threads: usize) -> Self {
        Self {
            next: AtomicU64::new(blocks.start),
            end: blocks.end,
            most: (CLAIM_LEN / block_size).clamp(2, MAX_CLAIM),
            threads: threads.max(1) as u64,
        }
    }

    /// Takes a range of blocks, fewer towards the end, so that no thread is left alone with the last.
    pub(super) fn claim(&self) -> Option<Range<u64>> {
        let count = |next: u64| self.end.saturating_sub(next).div_ceil(self.threads).min(self.most);
        let take = |next| Some(next + count(next)).filter(|after| *after > next);
        let start = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(start..start + count(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_tile_the_range() {
        for (blocks, block_size, threads) in
            [(0..0, 1, 1), (5..6, 1 << 40, 8), (3..100_000, 1, 3), (0..9, 1 << 20, 2)]
        {
            let cursor = Cursor::new(blocks.clone(), block_size, threads);
            let mut at = blocks.start;
            while let Some(claim) = cursor.claim() {
                assert_eq!(claim.start, at);
                assert!(claim.end > at && claim.end <= blocks.end && claim.end - at <= MAX_CLAIM);
                at = claim.end;
            }
            assert_eq!(at, blocks.end);
        }
    }

    #[test]
    fn two_large_blocks_go_to_two_threads_and_four_in_pairs() {
        let claims = |blocks| {
            let cursor = Cursor::new(0..blocks, 1 << 30, 2);
            std::iter::from_fn(|| cursor.claim()).collect::<Vec<_>>()
        };
        assert_eq!(claims(2), [0..1, 1..2]);
        assert_eq!(claims(4), [0..2, 2..3, 3..4]);
    }
}
