//! The tuned constants of a download, each with what it trades.
//!
//! Bounds on memory and on what strangers may use are none of them, nor are the intervals that the protocol names: those
//! stand in [`crate::limits`] or beside the code that keeps them.

use crate::tuning::tuning;
use core::time::Duration;

tuning! {
    /// What a download's decisions weigh. Lengths are in bytes, rates in bytes a second.
    pub struct Tuning {
        /// Links to peers that tell what they have: more of them find rare blocks sooner, and cost messages.
        swarm_links: usize = 20,
        /// The same with links to peers that have one to this peer, and of a leecher that is behind to any: a limit for
        /// messages. Neutral at `swarm_links`.
        max_swarm_links: usize = 30,
        /// With fewer useful links trackers are asked more often: more peers against questions to trackers.
        wanted_peers: usize = 16,
        /// Links that are opened at once: a quick start against a burst of connections.
        first_links: u32 = 16,
        /// Between opening one link and the next after those: newcomers are met as well against a quick start.
        link_spacing: Duration = Duration::from_millis(100),
        /// The same while nothing arrives from anybody. Neutral at `link_spacing`.
        hurried_spacing: Duration = Duration::from_millis(20),
        /// Without anything from anybody, and on a link, until that link makes room: other peers are tried sooner
        /// against slow ones getting no answer through.
        silent_after: Duration = Duration::from_secs(2),
        /// Doublings of that time for a peer that made room before. Neutral at 0.
        silent_doublings: u32 = 3,
        /// Until a link that has given nothing makes room: others are tried sooner against patience with busy peers.
        useless_after: Duration = Duration::from_secs(15),
        /// Until a link's rate is compared with others': a good set of links sooner against judging by chance.
        judged_after: Duration = Duration::from_secs(4),
        /// Between two links that make room: a good set of links sooner against connections made and closed. Neutral at
        /// `Duration::MAX`: no link is closed for another.
        replace_interval: Duration = Duration::from_millis(500),
        /// For which a peer whose link made room is left alone: other peers against finding a better one again.
        rest: Duration = Duration::from_secs(60),
        /// For which a peer that said goodbye is left alone.
        away: Duration = Duration::from_secs(20),
        /// Connections at once to a peer that closes each after one answer: its rate against its descriptors.
        links_to_closer: usize = 3,
        /// In which such a peer closes after an answer: a lost request against an idle connection.
        close_grace: Duration = Duration::from_secs(1),

        /// Before a peer that failed is tried again, doubling: a quick return against useless connections.
        first_back_off: Duration = Duration::from_secs(1),
        /// Up to this.
        max_back_off: Duration = Duration::from_secs(60),
        /// Before a peer that sent a wrong block is tried again, doubling: its other blocks against more wrong ones.
        lie_back_off: Duration = Duration::from_secs(60),
        /// Failures in a row with which an address that only peers told of is forgotten.
        hearsay_failures: u32 = 4,
        /// Failures in a row with which a peer that had everything counts as gone: a clear end of a download against an
        /// end too early.
        gone_failures: u32 = 4,
        /// Before a wrong block that nobody else has is asked of the same peer again, doubling: a disk that recovers
        /// against the user's wait for the failure.
        first_wrong_pause: Duration = Duration::from_secs(2),
        /// Up to this.
        max_wrong_pause: Duration = Duration::from_secs(60),
        /// Between two looks at who else has a block that came wrong: time to notice against work.
        review_interval: Duration = Duration::from_millis(500),

        /// For which a peer that refused a block is not asked for it: useless requests against blocks found late.
        lack_believed: Duration = Duration::from_secs(5),
        /// The same at least for a leecher's own block, which it should have soon.
        min_lack: Duration = Duration::from_millis(50),
        /// Refusals in a row from which on pauses are made: useless requests against blocks found late. Neutral at
        /// `u32::MAX`.
        many_misses: u32 = 64,
        /// Further refusals with which the pause doubles.
        misses_a_doubling: u32 = 8,
        /// First pause after such refusals.
        first_miss_pause: Duration = Duration::from_millis(20),
        /// Longest pause after such refusals.
        max_miss_pause: Duration = Duration::from_secs(1),

        /// Between two questions for news: fresh knowledge against messages.
        poll_interval: Duration = Duration::from_millis(10),
        /// The same where the answers come at once and bring nothing.
        max_poll_pause: Duration = Duration::from_secs(1),
        /// For which a peer with too many requests waiting is not asked: its queue against its idle uplink.
        busy_pause: Duration = Duration::from_millis(150),

        /// Links that are drawn for the next request, of which the least loaded gets it: short queues against everybody
        /// choosing the same peer. Neutral at 1.
        draws: usize = 3,
        /// Requests waiting at each uplink of a swarm, as a mean: busy uplinks against late blocks.
        uplink_queue: u64 = 16,
        /// Times that many may wait at peers whose queue is empty. Neutral at 1.
        free_uplink_factor: u64 = 2,
        /// Small blocks count together up to this in that number: messages against late blocks.
        unit_len: u64 = 256 << 10,
        /// A leecher with fewer blocks than the median of its links, by what arrives in this time, is behind: it catches
        /// up against others' queues. Neutral at `Duration::MAX`.
        behind_by: Duration = Duration::from_millis(100),
        /// With fewer leechers to compare with, none is behind.
        compared_links: usize = 4,
        /// A leecher that is behind has one part in this number more waiting. Neutral at `u64::MAX`.
        behind_part: u64 = 2,
        /// With requests under way at this number of version 1 leechers, a version 1 seeder is not asked for others'
        /// blocks: its copies go further against waiting for leechers.
        busy_leechers: usize = 2,
        /// Without a block for so long, or twice a block's time, a choosing seeder is asked for what it does not offer: the
        /// download goes on against copies given twice.
        starving_after: Duration = Duration::from_secs(3),
        /// The same at most.
        max_starving: Duration = Duration::from_secs(30),

        /// Requests under way on any link where the peer takes more than one: no idle turn against a longer queue.
        min_requests: usize = 2,
        /// Time that requests under way cover besides two round trips: a full link against a longer queue.
        turnaround: Duration = Duration::from_millis(30),
        /// Shortest time over which a link's rate is measured: a quick guess against noise.
        min_sample: Duration = Duration::from_millis(10),

        /// Small blocks are asked for in runs of this: fewer calls at both ends against variety in the swarm.
        run_len: u64 = 256 << 10,
        /// What one core hashes: with `late_share`, how far from the first missing block the next ones are sought.
        hash_rate: f64 = 1.5e9,
        /// Part of the remaining time by which the file's hash may be late: variety against a second reading.
        late_share: f64 = 0.005,
        /// A swarm faster than this is limited by its computers, and looks at the file's hash.
        fast_rate: f64 = 150e6,
        /// A spread below this is not worth a second reading.
        min_spread: f64 = (16 << 20) as f64,

        /// Without progress for this, or some round trips, a link is stalled and its blocks may be asked of others: the
        /// download's end against blocks that come twice.
        stall_after: Duration = Duration::from_secs(2),
        /// Round trips that a silence must be longer than.
        stall_trips: u32 = 4,
        /// Usual waits for an answer's first byte that a silence must be longer than.
        stall_waits: u32 = 6,
        /// A link is stalled after this, however long answers take.
        max_stall: Duration = Duration::from_secs(15),
        /// Bytes that are progress: a peer that trickles is as good as silent.
        progress_len: u64 = 8 << 10,
        /// Without a byte of an owed answer for this a link is closed: a new attempt against a slow disk's answer.
        stall_timeout: Duration = Duration::from_secs(30),

        /// A block goes to another link where that is faster by this factor …
        take_factor: f64 = 1.5,
        /// … and by this time: an early end against blocks that come twice.
        take_margin: Duration = Duration::from_millis(100),
        /// Times that margin among leechers who serve each other. Neutral at 1.
        swarm_margins: u32 = 4,
        /// Times longer that a link must be stalled before one without any answer yet takes its block.
        unproven_stalls: u32 = 4,
        /// Times that a block goes to a faster link; after that only from stalled ones.
        fast_takes: u32 = 2,
        /// Doublings of the silence that it takes, one for each time that a block was taken.
        take_doublings: u32 = 3,
        /// Between two looks at who has become slow, while nothing is missing.
        endgame_interval: Duration = Duration::from_millis(100),
    }
}
