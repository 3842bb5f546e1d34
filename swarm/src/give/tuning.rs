//! The tuned constants of the giving side.

use crate::tuning::tuning;
use core::time::Duration;

tuning! {
    /// What the giving side trades. Bounds on what strangers may use, and what the protocol names, are in
    /// [`crate::limits`].
    pub struct Tuning {
        /// Other clients that may wait for a block when one more with the extension asks: more keep the uplink busy
        /// while one of them is slow, and make each wait longer for a block that another peer could give.
        max_waiting: u64 = 8,
        /// The same at a peer without blocks: a first block that goes to three at once is with each of them sooner
        /// than one that goes to eight, and each of them passes it on.
        min_waiting: u64 = 3,
        /// Blocks with which a peer lets one more client wait, from `min_waiting` up to `max_waiting`.
        blocks_for_another: u64 = 8,
        /// Bytes of a block up to which twice as many clients may wait: such a block takes half as long.
        small_block: u64 = 128 << 10,
        /// Bytes of a block from which on `max_waiting` counts bytes, so that fewer clients wait: eight that share an uplink
        /// of 20 Mbit/s wait three seconds for a block of 1 MiB, and until then none of them can pass it on.
        large_block: u64 = 256 << 10,
        /// Clients that may wait for a large block in any case, if the blocks of this peer allow it: as above.
        large_waiting: u64 = 5,
        /// Of small blocks, one part in this many more clients may wait if they were refused before: nobody falls
        /// behind because every peer refuses it, against a longer queue for everybody.
        refused_part: u64 = 4,
        /// Time until a client is served that was refused while no block went out: those that wait may never read
        /// what they asked for.
        max_refused_idle: Duration = Duration::from_secs(2),
        /// Time until a client is served that was refused, whatever went out meanwhile.
        max_refused: Duration = Duration::from_secs(10),
        /// Time for which such a client is served.
        admitted: Duration = Duration::from_secs(10),
        /// Refusals that are nearer to each other than this count once: an honest client asks again no sooner, and
        /// one that asks without pause is not let in before others.
        refusals_apart: Duration = Duration::from_millis(100),

        /// Of version 1: bytes that clients with the extension get for each byte of those without. Leechers with the
        /// extension pass blocks on at once and choose the rarest; version 1 clients must not starve.
        version1_part: u64 = 10,
        /// Bytes that version 1 clients save up while they ask for nothing.
        version1_credit: u64 = 1 << 20,
        /// Time after a block for which clients with the extension still count as waiting: the uplink stays free
        /// for them, or goes to version 1 meanwhile.
        waits_after_block: Duration = Duration::from_millis(500),
        /// The same in blocks, at the rate of those clients, for large blocks …
        waits_after_blocks: f64 = 4.0,
        /// … and at most this.
        max_waits_after_block: Duration = Duration::from_secs(5),
        /// Part of the most that the uplink has carried that clients with the extension must get to count as
        /// filling it: a client that takes little must not keep version 1 from the rest.
        fills: f64 = 0.25,
        /// Time after which the most that the uplink has carried counts half.
        fade: Duration = Duration::from_secs(10),
        /// Pause until a version 1 client's share is looked at again: idle uplink against processor time.
        version1_pause: Duration = Duration::from_millis(20),
        /// Longest time that a version 1 client waits for its share: programs of the field close after some seconds.
        version1_max_wait: Duration = Duration::from_secs(3),

        /// Bytes of an offer of small blocks: fewer messages against offers that lie longer with slow clients.
        offer_bytes: u64 = 256 << 10,
        /// Time that everything on offer should last at the present rate: an offer takes two round trips to become a
        /// block on its way; what is on offer to one client cannot go to another.
        offered_ahead: Duration = Duration::from_millis(150),
        /// Offers of `offer_bytes` that are open in any case, if there are clients to take them, …
        min_offers: u64 = 12,
        /// … or blocks, where these are more: no client waits for an offer, against the time until one of them has a large
        /// block that it can pass on.
        min_offered_blocks: u64 = 6,
        /// Offers that one client may have open, if more would go to few.
        offers_each: u64 = 2,
        /// Time until an offer that nobody asks for goes to another client, besides the time that everything on
        /// offer takes.
        offer_lapses: Duration = Duration::from_secs(10),
        /// Longest time that everything on offer is thought to take.
        max_offered_time: Duration = Duration::from_secs(60),
        /// Of this many offers, one goes to a client that has taken no block yet …
        newcomers_turn: u32 = 4,
        /// … and one part in this many of what may be on offer: a stranger may come with many connections that take
        /// nothing.
        newcomers_part: u64 = 2,
        /// Time until an offer that was told and not asked for is no longer counted as open.
        offer_stale: Duration = Duration::from_secs(1),
        /// Interval of looks for offers that nobody asked for when nothing else is left to offer.
        last_checks: Duration = Duration::from_millis(100),
        /// Least time from the last offer until every client may ask for anything: by then the leechers have told
        /// each other of the last first copies …
        settle: Duration = Duration::from_millis(500),
        /// … and this many times the time that everything on offer takes.
        settle_times: f64 = 1.5,
        /// Rate in bytes a second above which a seeder does not choose, and nobody is refused: the uplink is not
        /// what is scarce.
        fast: f64 = 150e6,

        /// Clients that are told when the uplink is free: one of them asks soon, the others ask in vain.
        invitations: usize = 3,
        /// Time between two answers with news on one connection: knowledge against bytes and processor time.
        news_interval: Duration = Duration::from_millis(20),
        /// Time until new blocks are told, for each client with the extension: what comes in this time is told
        /// together …
        news_spacing: Duration = Duration::from_millis(5),
        /// … with this many clients at most.
        news_spacing_clients: u32 = 100,
        /// Interval at which clients are called that wait for the budget of news: one at a time would cost more
        /// than the answers.
        news_batch: Duration = Duration::from_millis(10),

        /// Time over which one sample of a rate is taken.
        rate_window: Duration = Duration::from_millis(200),
    }
}
