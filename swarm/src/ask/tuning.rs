//! The tuned constants of a download, each with what it trades.
//!
//! Bounds on memory and on what strangers may use are none of them, nor are the intervals that the protocol names: those
//! stand in [`crate::limits`] or beside the code that keeps them.

use crate::tuning::tuning;
use core::time::Duration;

/// A time that doubles with each failure in a row doubles this often at most.
pub(super) const MAX_DOUBLINGS: u32 = 3;

tuning! {
    /// What a download's decisions weigh. Lengths are in bytes, rates in bytes a second.
    pub struct Tuning {
        /// Links to peers that tell what they have; half as many again with links to peers that have one to this peer, and
        /// of a leecher that is behind. With as many useful links trackers are asked less often. More links find rare
        /// blocks sooner, and cost messages.
        swarm_links: usize = 20,
        /// Links that are opened at once: a quick start against a burst of connections.
        first_links: u32 = 16,
        /// Between opening one link and the next after those: newcomers are met as well against a quick start.
        link_spacing: Duration = Duration::from_millis(100),
        /// Between two looks at which link makes room for another peer, and at which other peers have a block that came wrong: a good
        /// set of links sooner against connections made and closed.
        review_interval: Duration = Duration::from_millis(500),

        /// The first pause after a failure, doubling; the longest between two questions to a peer whose answers bring
        /// nothing; and for which a peer that closes after each answer is not asked again: a quick return against useless
        /// questions.
        pause: Duration = Duration::from_secs(1),
        /// The longest pause after failures, and that after a wrong block, or giving less than others.
        max_pause: Duration = Duration::from_secs(60),
        /// Refusals in a row from which on there is a pause after each, up to `pause` with twice as many: useless requests
        /// against blocks found late. Neutral at `u32::MAX`.
        many_refusals: u32 = 64,
        /// Between two questions for news: fresh knowledge against messages.
        poll_interval: Duration = Duration::from_millis(10),
        /// For which a peer with too many requests waiting is not asked: its queue against its idle uplink.
        busy_pause: Duration = Duration::from_millis(150),

        /// Requests waiting at each uplink of a swarm, as a mean: busy uplinks against late blocks.
        uplink_queue: u64 = 16,
        /// Blocks larger than `run_len` count in it by their bytes, but this many of them may wait in any case: busy
        /// uplinks against blocks that are asked for long before a peer can give them.
        large_waiting: u64 = 4,
        /// With requests under way at this number of version 1 leechers, a version 1 seeder is not asked for others'
        /// blocks: its copies go further against waiting for leechers.
        busy_leechers: usize = 3,
        /// Small blocks are asked for in runs of this, and count together up to this in a queue: fewer calls at both ends
        /// against variety in the swarm.
        run_len: u64 = 256 << 10,
        /// Time that requests under way cover in addition to two round trips, and the shortest over which a link's rate
        /// is measured: a full link against a longer queue.
        turnaround: Duration = Duration::from_millis(30),

        /// Bytes that are kept under way in addition, or three times the above if that is less, and asked for in batches,
        /// where leechers do not share the uplinks: wake-ups of both ends against a longer queue. Over 100 Mbit/s both wake
        /// up 10 times a second for it instead of 50 times, and the sender always has something to send when packets are
        /// acknowledged.
        batch_len: u64 = 1536 << 10,

        /// How far the next blocks are sought from the first missing one, for each second until the end: variety against
        /// reading again what the file's hash has not reached. A core hashes 200 times as much.
        hash_lead: f64 = 7.5e6,
        /// A swarm faster than this is limited by its computers, and looks at the file's hash.
        fast_rate: f64 = 150e6,

        /// Without progress for this a link is stalled, and its blocks may be asked of others; and without any on all links
        /// for this more peers are tried: the download's end against blocks that come twice.
        stall_after: Duration = Duration::from_secs(2),
        /// Usual waits for an answer's first byte that a silence must be longer than.
        stall_waits: u32 = 6,
        /// A link is stalled after this, however long answers take, and closed after twice as long; one that never gave
        /// anything makes room for another.
        max_stall: Duration = Duration::from_secs(15),
        /// A block goes to another link where that is faster by this factor …
        take_factor: f64 = 1.5,
        /// … and by this time, after which it is also looked again: an early end against blocks that come twice.
        take_margin: Duration = Duration::from_millis(100),
        /// Times that margin among leechers that serve each other. Neutral at 1.
        swarm_margins: u32 = 4,
    }
}

impl Tuning {
    /// Until a link's rate is compared with others': a good set of links sooner against judging by chance.
    pub(super) fn judged_after(&self) -> Duration {
        self.stall_after * 2
    }

    /// Without a block for this, or for twice a block's time, a choosing seeder is asked for what it does not offer: the
    /// download goes on against refusals, where the block is still offered to another.
    pub(super) fn starving_after(&self) -> Duration {
        self.stall_after * 3 / 2
    }

    /// For which a peer that refused a block is not asked for it: useless requests against blocks found late.
    pub(super) fn lack_believed(&self) -> Duration {
        self.max_stall / 3
    }

    /// A leecher with fewer blocks than the median of its links, by what arrives in this time, is behind: it catches up
    /// against others' queues.
    pub(super) fn behind_by(&self) -> Duration {
        self.take_margin
    }

    /// The pause after a failure that `failures` others in a row preceded.
    pub(super) fn back_off(&self, failures: u32) -> Duration {
        (self.pause * (1 << failures.min(16))).min(self.max_pause)
    }
}

/// `time`, twice as long for each of `times` that something was in vain.
pub(super) fn doubled(time: Duration, times: u32) -> Duration {
    time * (1 << times.min(MAX_DOUBLINGS))
}
