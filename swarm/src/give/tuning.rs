//! The tuned constants of the giving side.

use crate::tuning::tuning;
use core::time::Duration;

tuning! {
    /// What the giving side trades. Bounds on what strangers may use, and what the protocol names, are in
    /// [`crate::limits`].
    pub struct Tuning {
        /// Other clients that may wait for a block when one more with the extension asks: more keep the uplink busy
        /// while one of them is slow, and make each wait longer for a block that another peer could give.
        max_waiting: u64 = 12,
        /// The same at a peer without blocks: a first block that goes to three at once is with each of them sooner
        /// than one that goes to eight, and each of them passes it on. For the same reason at most three clients get
        /// slices of one block from one peer at a time.
        min_waiting: u64 = 3,
        /// Blocks with which a peer lets one more client wait, from `min_waiting` up to `max_waiting`.
        blocks_for_another: u64 = 8,

        /// Time after which a client that moves nothing no longer counts against others: an offer that it was told and
        /// has not asked for, and a block that it asked for and does not read. Shorter than round trips it would count
        /// nobody; longer, clients that take nothing hold up those that do.
        idle: Duration = Duration::from_secs(1),
        /// Time after which it is decided otherwise: an offer that nobody asks for goes to another client, and a client
        /// that was refused is served, for this time.
        lapse: Duration = Duration::from_secs(10),

        /// Of version 1: bytes that clients with the extension get for each byte of those without. Leechers with the
        /// extension pass blocks on at once and choose the rarest; version 1 clients must not starve.
        version1_part: u64 = 10,
        /// Longest time that a version 1 client waits for its share: programs of the field close after some seconds.
        version1_max_wait: Duration = Duration::from_secs(3),

        /// Bytes of an offer of small blocks: fewer messages against offers that lie longer with slow clients.
        offer_bytes: u64 = 256 << 10,
        /// Everything on offer should last at the present rate for this number of rounds, each the time from when a client is
        /// told an offer until it asks, and `news_interval`. An offer takes two rounds to become a block on its way; more
        /// let the rate grow where the uplink carries more, against blocks that cannot go to another client meanwhile.
        offered_rounds: u32 = 4,
        /// Offers of `offer_bytes` that are open in any case, if there are clients to take them, …
        min_offers: u64 = 12,
        /// … or blocks, where these are more: no client waits for an offer, against the time until one of them has a large
        /// block that it can pass on.
        min_offered_blocks: u64 = 4,
        /// Offers that one client may have open, if more would go to few: fewer of them lie with clients that take
        /// nothing, against a client that waits for the next.
        offers_each: u64 = 2,
        /// Of what may be on offer, one part in this many is for clients that have taken no block yet: they are let in
        /// soon, and a stranger may come with many connections that take nothing.
        newcomers_part: u64 = 4,

        /// Clients that are told when the uplink is free: one of them asks soon, the others ask in vain.
        invitations: usize = 3,
        /// Time between two answers with news on one connection: knowledge against bytes and processor time.
        news_interval: Duration = Duration::from_millis(20),
        /// Time until new blocks are told, for each client with the extension: what comes in this time is told
        /// together.
        news_spacing: Duration = Duration::from_millis(5),
    }
}
