//! How many clients may wait for a block before one more is sent away.

use super::tuning::Tuning;

/// So many others may wait for blocks of `block_size` bytes at a peer that has `have` blocks, when one asks
/// that was sent away so many times.
pub(super) fn most(tuning: &Tuning, block_size: u64, have: u64, sent_away: u64) -> u64 {
    let small = block_size <= tuning.small_block;
    let factor = if small { 2 } else { 1 };
    let most =
        (tuning.max_waiting * factor).min(tuning.min_waiting * factor + have / tuning.blocks_for_another);
    if small { most + sent_away.min(most / tuning.refused_part) } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL_BLOCK: u64 = Tuning::DEFAULT.small_block;

    fn most(block_size: u64, have: u64, sent_away: u64) -> u64 {
        super::most(&Tuning::DEFAULT, block_size, have, sent_away)
    }

    #[test]
    fn who_has_many_blocks_lets_more_wait() {
        for (block_size, have, expected) in
            [(1 << 20, 0, 3), (1 << 20, 8, 4), (1 << 20, 80, 8), (1 << 20, 800, 8)]
        {
            assert_eq!(most(block_size, have, 0), expected, "{have} blocks of {block_size}");
        }
        assert_eq!((most(SMALL_BLOCK, 0, 0), most(SMALL_BLOCK, 800, 0)), (6, 16));
    }

    #[test]
    fn who_was_sent_away_finds_room_before_others_where_blocks_are_small() {
        for (sent_away, expected) in [(0, 16), (1, 17), (4, 20), (99, 20)] {
            assert_eq!(most(SMALL_BLOCK, 800, sent_away), expected, "{sent_away} times");
        }
        assert_eq!(most(SMALL_BLOCK + 1, 800, 99), 8);
    }
}
