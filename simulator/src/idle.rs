//! When each link of a small swarm was idle, and why: what to look at when a swarm is slower than it could be.

/// Peers of which each link is looked at; of a larger swarm none is.
pub const MAX_PEERS: usize = 32;

/// Longest time that has a row of its own, in seconds.
const MAX_ROWS: usize = 3600;

/// Why a link did not carry what it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An uplink: its peer has no block.
    HasNothing,
    /// An uplink: nobody waits for a block of it, and nobody lacks one.
    NobodyLacks,
    /// An uplink: nobody waits for a block of it, though some peer lacks one.
    NobodyAsks,
    /// An uplink: those that wait for a block take it more slowly.
    ReceiversFull,
    /// A downlink: its peer waits for no block.
    AsksNothing,
    /// A downlink: none of the blocks that its peer waits for has begun to leave.
    NothingComes,
    /// A downlink: what comes shares other peers' uplinks.
    SendersShared,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HasNothing,
        Self::NobodyLacks,
        Self::NobodyAsks,
        Self::ReceiversFull,
        Self::AsksNothing,
        Self::NothingComes,
        Self::SendersShared,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HasNothing => "uplink: no block",
            Self::NobodyLacks => "uplink: nobody lacks",
            Self::NobodyAsks => "uplink: nobody asks",
            Self::ReceiversFull => "uplink: receivers full",
            Self::AsksNothing => "downlink: asks nothing",
            Self::NothingComes => "downlink: nothing comes",
            Self::SendersShared => "downlink: senders shared",
        }
    }
}

/// One second of one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cell {
    /// Seconds for which its uplink and its downlink were in use.
    pub up: f64,
    /// The same of its downlink.
    pub down: f64,
    /// Blocks that it has at the end.
    pub blocks: u64,
}

/// One reading of one peer.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Its number; the seeder is 0.
    pub peer: usize,
    /// The end of the span, and its length, in seconds.
    pub at: f64,
    /// The length of the span, in seconds.
    pub span: f64,
    /// Share of it for which the uplink was in use, and why it was not for the rest.
    pub up: (f64, Reason),
    /// The same of the downlink, of a peer that is not complete.
    pub down: Option<(f64, Reason)>,
    /// Blocks that it has.
    pub blocks: u64,
}

/// All readings of a small swarm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IdleTimes {
    /// For each second, each peer.
    pub rows: Vec<Vec<Cell>>,
    /// Idle seconds of all links together, by reason.
    pub sums: Vec<(Reason, f64)>,
}

impl IdleTimes {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), sums: Reason::ALL.into_iter().map(|reason| (reason, 0.0)).collect() }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        let Sample { peer, at, span, up, down, blocks } = sample;
        let second = usize::try_from(crate::units::whole(at - span / 2.0)).unwrap_or(usize::MAX);
        if peer > MAX_PEERS || second >= MAX_ROWS {
            return;
        }
        if self.rows.len() <= second {
            self.rows.resize(second + 1, Vec::new());
        }
        // A piece counts when it begins, so that a span may have more than it is long.
        for (used, reason) in [Some(up), down].into_iter().flatten() {
            let sum = self.sums.iter_mut().find(|(other, _)| *other == reason);
            sum.into_iter().for_each(|(_, sum)| *sum += (1.0 - used) * span);
        }
        let Some(row) = self.rows.get_mut(second) else { return };
        if row.len() <= peer {
            row.resize(peer + 1, Cell::default());
        }
        let Some(cell) = row.get_mut(peer) else { return };
        cell.up += up.0 * span;
        cell.down += down.map_or(0.0, |(used, _)| used * span);
        cell.blocks = blocks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_summed_up_by_reason_and_second() {
        let mut times = IdleTimes::new();
        for at in [0.5, 1.0, 1.5] {
            let up = (0.5, Reason::NobodyAsks);
            times.add(Sample {
                peer: 1,
                at,
                span: 0.5,
                up,
                down: Some((1.0, Reason::AsksNothing)),
                blocks: 3,
            });
        }
        assert_eq!(times.rows.len(), 2);
        assert_eq!(times.rows[0][1], Cell { up: 0.5, down: 1.0, blocks: 3 });
        assert!(times.sums.contains(&(Reason::NobodyAsks, 0.75)));
        assert!(times.sums.contains(&(Reason::AsksNothing, 0.0)));
    }
}
