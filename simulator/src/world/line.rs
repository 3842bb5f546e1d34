//! The two directions of an access link.

use super::slab::ConnId;
use crate::units::{Nanos, Pace};
use std::collections::VecDeque;

/// A piece that is leaving.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    pub(super) conn: ConnId,
    pub(super) bytes: u64,
    pub(super) took: Nanos,
}

/// To the network. Answers under way share it piece by piece; short messages go between pieces.
#[derive(Debug)]
pub(super) struct Uplink {
    pub(super) pace: Pace,
    /// Answers under way at once.
    pub(super) transfers: usize,
    pub(super) leaving: Option<Leaving>,
    /// Connections with an answer under way, the next to send first.
    pub(super) active: VecDeque<ConnId>,
    /// Connections with a block to be sent, in the order of arrival.
    pub(super) waiting: VecDeque<ConnId>,
    /// Everything committed so far is out by then.
    free_at: Nanos,
    /// Time for which it was busy, committed pieces included.
    pub(super) busy: Nanos,
}

impl Uplink {
    pub(super) fn new(pace: Pace, transfers: usize) -> Self {
        Self {
            pace,
            transfers,
            leaving: None,
            active: VecDeque::new(),
            waiting: VecDeque::new(),
            free_at: 0,
            busy: 0,
        }
    }

    /// Commits `bytes` bytes (with headers); gives when they are out and how long they take.
    pub(super) fn commit(&mut self, now: Nanos, bytes: u64) -> (Nanos, Nanos) {
        let took = self.pace.time_for(bytes);
        self.free_at = self.free_at.max(now) + took;
        self.busy += took;
        (self.free_at, took)
    }

    /// Whether nothing waits to be sent.
    pub(super) fn has_nothing_to_send(&self) -> bool {
        self.leaving.is_none() && self.active.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.active.retain(|other| *other != conn);
        self.waiting.retain(|other| *other != conn);
    }
}

/// From the network: first come, first received.
#[derive(Debug)]
pub(super) struct Downlink {
    pub(super) pace: Pace,
    busy_until: Nanos,
    /// Time for which it was busy.
    pub(super) busy: Nanos,
}

impl Downlink {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, busy_until: 0, busy: 0 }
    }

    /// Bytes (with headers) are there to their last one, `took` after their first; gives when they are
    /// through. What the line could have done since the first byte came is not lost.
    pub(super) fn take(&mut self, now: Nanos, took: Nanos, bytes: u64) -> Nanos {
        let takes = self.pace.time_for(bytes);
        self.busy_until = self.busy_until.max(now.saturating_sub(took)) + takes;
        self.busy += takes;
        self.busy_until.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_senders_share_a_downlink() {
        // A byte a nanosecond; each piece took 100 ns to leave, so their last bytes come together.
        let mut line = Downlink::new(Pace::of(8e9));
        assert_eq!(line.take(1000, 100, 100), 1000);
        assert_eq!(line.take(1000, 100, 100), 1100);
        // A slow sender's piece does not keep the line from others.
        assert_eq!(line.take(5000, 3000, 100), 5000);
        assert_eq!(line.take(5000, 100, 100), 5000);
        assert_eq!(line.busy, 400);
    }

    #[test]
    fn short_messages_go_behind_the_piece_that_is_leaving() {
        let mut line = Uplink::new(Pace::of(8e9), 4);
        assert_eq!(line.commit(10, 100), (110, 100));
        assert_eq!(line.commit(50, 5), (115, 5));
        assert_eq!(line.commit(200, 5), (205, 5));
    }
}
