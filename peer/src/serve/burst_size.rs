//! How many bytes the next burst to a client should have.

use crate::limits::{BURST_LEN, MIN_BURST_LEN};

/// Learns how much a socket takes from one moment when it is writable to the next when it is full.
/// What a burst has beyond that was read from the file in vain, so a burst stops where the socket
/// filled up the last time, and goes on beyond with small, then doubling steps.
#[derive(Debug)]
pub(super) struct BurstSize {
    /// Bytes taken the last time between writable and full.
    expected: usize,
    /// Bytes taken since it was last full.
    taken: usize,
    /// Next step beyond what is expected.
    step: usize,
}

impl BurstSize {
    pub(super) const fn new() -> Self {
        Self { expected: 64 << 10, taken: 0, step: MIN_BURST_LEN }
    }

    /// Bytes to put into the next burst, in [`MIN_BURST_LEN`]..=[`BURST_LEN`].
    pub(super) fn next(&self) -> usize {
        let left = self.expected.saturating_sub(self.taken);
        if left > 0 { left.clamp(MIN_BURST_LEN, BURST_LEN) } else { self.step }
    }

    /// The socket took `bytes` of a burst; `full` when it would not take more.
    pub(super) fn took(&mut self, bytes: usize, full: bool) {
        let probing = self.taken >= self.expected;
        self.taken = self.taken.saturating_add(bytes);
        if full {
            *self = Self { expected: self.taken, taken: 0, step: MIN_BURST_LEN };
        } else if probing {
            self.step = (self.step * 2).min(BURST_LEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes read for bursts to a socket that takes `room` bytes at a time, over `fills` fills.
    fn read_for(size: &mut BurstSize, room: usize, fills: usize) -> usize {
        let mut read = 0;
        for _ in 0..fills {
            let mut free = room;
            loop {
                let burst = size.next();
                read += burst;
                let taken = burst.min(free);
                free -= taken;
                size.took(taken, taken < burst);
                if taken < burst {
                    break;
                }
            }
        }
        read
    }

    #[test]
    fn little_is_read_in_vain() {
        for room in [20_000, 100_000, 300_000, 1_000_000] {
            let mut size = BurstSize::new();
            read_for(&mut size, room, 3);
            let read = read_for(&mut size, room, 10);
            assert!(read <= 10 * (room + MIN_BURST_LEN), "{read} bytes read for 10 fills of {room}");
        }
    }

    #[test]
    fn a_socket_that_takes_everything_gets_whole_bursts() {
        let mut size = BurstSize::new();
        for _ in 0..8 {
            size.took(size.next(), false);
        }
        assert_eq!(size.next(), BURST_LEN);
        size.took(usize::MAX, false);
        assert_eq!(size.next(), BURST_LEN);
    }

    #[test]
    fn a_full_socket_is_probed_gently() {
        let mut size = BurstSize::new();
        size.took(0, true);
        assert_eq!(size.next(), MIN_BURST_LEN);
    }
}
