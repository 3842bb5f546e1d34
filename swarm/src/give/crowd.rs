//! How many clients may wait for a block before one more is sent away.

/// When so many other clients wait for a block, one that knows the extension is told to ask elsewhere,
/// or later: a request that waits here is a block that its leecher gets from nobody. Version 1 clients
/// are always served.
const MAX_BUSY: u64 = 8;

/// A peer that has few blocks yet lets only so many wait, and one more for each [`BLOCKS_A_CLIENT`]: a first
/// block that goes to three at once is with each of them sooner than one that goes to eight, and each of
/// them passes it on.
const MIN_BUSY: u64 = 3;

/// See [`MIN_BUSY`].
const BLOCKS_A_CLIENT: u64 = 8;

/// Twice as many may wait for blocks of up to so many bytes, which take half as long or less.
const SMALL_BLOCK: u64 = 128 << 10;

/// Of larger blocks than 256 KiB no more may wait than these bytes hold, or [`MIN_LARGE`]: with eight that share an uplink
/// of 20 Mbit/s a block of 1 MiB takes more than three seconds, and nobody can pass on a part of it.
const MAX_WAITING_BYTES: u64 = 2 << 20;

/// See [`MAX_WAITING_BYTES`].
const MIN_LARGE: u64 = 5;

/// Where blocks are small, one more may wait for each time that the reader was sent away, up to one part in so
/// many: who is sent away by everybody would fall behind all others. With large blocks one more that
/// waits costs everybody more than that.
const SENT_AWAY_PART: u64 = 4;

/// So many others may wait for blocks of `block_size` bytes at a peer that has `have` blocks, when one asks
/// that was sent away so many times.
pub(super) fn most(block_size: u64, have: u64, sent_away: u64) -> u64 {
    let small = block_size <= SMALL_BLOCK;
    let factor = if small { 2 } else { 1 };
    let large = (MAX_WAITING_BYTES / block_size.max(1)).max(MIN_LARGE);
    let most = (MAX_BUSY.min(large) * factor).min(MIN_BUSY * factor + have / BLOCKS_A_CLIENT);
    if small { most + sent_away.min(most / SENT_AWAY_PART) } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_many_blocks_lets_more_wait() {
        for (block_size, have, expected) in
            [(256 << 10, 0, 3), (256 << 10, 8, 4), (256 << 10, 80, 8), (256 << 10, 800, 8)]
        {
            assert_eq!(most(block_size, have, 0), expected, "{have} blocks of {block_size}");
        }
        assert_eq!((most(SMALL_BLOCK, 0, 0), most(SMALL_BLOCK, 800, 0)), (6, 16));
    }

    #[test]
    fn fewer_wait_for_large_blocks() {
        for (block_size, expected) in [(256 << 10, 8), (300 << 10, 6), (512 << 10, 5), (1 << 30, 5)] {
            assert_eq!(most(block_size, 800, 0), expected, "blocks of {block_size}");
        }
    }

    #[test]
    fn who_was_sent_away_finds_room_before_others_where_blocks_are_small() {
        for (sent_away, expected) in [(0, 16), (1, 17), (4, 20), (99, 20)] {
            assert_eq!(most(SMALL_BLOCK, 800, sent_away), expected, "{sent_away} times");
        }
        assert_eq!(most(SMALL_BLOCK + 1, 800, 99), 8);
    }
}
