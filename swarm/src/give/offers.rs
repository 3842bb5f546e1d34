//! Which block a seeder gives to whom, as long as it has blocks that it gave to nobody.
//!
//! A first copy is worth more than any later one: the leechers can make those themselves. So the blocks
//! are offered one after the other, each to one leecher, in the order of the file (the whole-file hash
//! follows them). A leecher that takes what it is offered gets the next; one that does not, or leaves,
//! or is slow, holds up only its own offers, which go to others.

use super::offer_queues::{Candidate, Host, OfferQueues};
use super::subscriber_id::SubscriberId;
use super::tuning::Tuning;
use crate::Time;
use crate::limits::{MAX_HAVE_RUNS, MAX_OFFERS_EACH};
use crate::meter::Meter;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::extension::Run;
use cascade_format::{Block, Have, Layout};
use core::ops::Range;
use core::time::Duration;
use hashbrown::HashMap;

mod crowd;
mod lapse;
mod leap;
mod trips;

use leap::Leapt;
use trips::Trips;

/// Longest time that everything on offer is thought to take: the rate may be next to nothing.
const MAX_OFFERED_TIME: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Offer {
    run: Run,
    leapt: Leapt,
    /// Blocks of it that have not been sent.
    unsent: u32,
    /// The subscriber's count of offered blocks when it has read this one; `None`: not told yet.
    told: Option<u32>,
    /// When it was told, until a block of it is asked for.
    idle_since: Option<Time>,
    /// Not counted in [`Offers::offered`]: see [`Tuning::idle`].
    stale: bool,
    made: Time,
    /// It was made to one that had not taken anything yet.
    newcomer: bool,
}

/// Offers that wait for another subscriber, at most; further ones that are declined count as given.
const MAX_PUT_OFF: usize = 4096;

/// An offer that a subscriber did not want.
#[derive(Debug)]
struct PutOff {
    run: Run,
    leapt: Leapt,
    unwilling: SubscriberId,
    until: Time,
}

impl Offer {
    /// Since when nobody asks for it, whether it was told or could not be.
    fn untaken_since(&self) -> Option<Time> {
        if self.told.is_some() { self.idle_since } else { Some(self.made) }
    }

    fn holds(&self, block: Block) -> bool {
        let first = self.run.first.number();
        (first..first + u64::from(self.run.count)).contains(&block.number())
    }
}

#[derive(Debug, Default)]
struct Account {
    host: Host,
    offers: VecDeque<Offer>,
    /// Offered blocks told so far, modulo 2³².
    told: u32,
    /// In the queue of those that may get another offer.
    waiting: bool,
    /// It has taken a block.
    proven: bool,
    /// When it took a block last.
    took_at: Option<Time>,
    /// It let an offer lapse, had taken nothing for as long before, and has taken no block since that others get from it.
    lazy: bool,
    /// It is offered nothing.
    excluded: bool,
    /// It says that it has nothing of the file.
    has_nothing: bool,
    /// The shortest time from when it was told an offer until it asked for a block of it.
    trip: Option<Duration>,
}

impl Account {
    fn candidate(&self, subscriber: SubscriberId) -> Candidate {
        Candidate { subscriber, host: self.host, newcomer: !self.proven }
    }
}

/// The offers of one seeder.
#[derive(Debug)]
pub struct Offers {
    tuning: Tuning,
    layout: Layout,
    /// Blocks that somebody got or is offered.
    given: Have,
    /// Blocks that somebody did not want.
    unwanted: Have,
    /// Offers that a subscriber did not want, for others, for some time.
    put_off: VecDeque<PutOff>,
    /// Offers that two subscribers did not want, since something of an offer was requested.
    declined_in_a_row: u64,
    /// No block before this number is to be given.
    next: u64,
    accounts: HashMap<SubscriberId, Account>,
    /// There were subscribers, and all have left.
    deserted: bool,
    /// A second host has come since the first subscriber did.
    several_hosts: bool,
    /// Subscribers that may get another offer.
    queues: OfferQueues,
    /// Bytes that are offered to newcomers, but for stale offers.
    offered_to_newcomers: u64,
    /// Subscribers that have taken a block.
    proven: usize,
    /// Bytes that are offered and not sent, but for stale offers.
    offered: u64,
    /// The same with stale offers.
    on_offer: u64,
    /// The subscribers' trips.
    trips: Trips,
    sent: Meter,
    /// The highest rate of late: what the uplink carries. Where subscribers take less, they are what is slow.
    uplink_rate: f64,
    /// There is nothing left to offer; then all may ask for anything.
    opens: Option<Time>,
    check_at: Time,
    /// The same when nothing is left to offer.
    last_check_at: Time,
}

impl Offers {
    /// The offers of a seeder that has given nothing yet.
    #[must_use]
    pub fn new(layout: Layout, tuning: Tuning) -> Self {
        Self {
            tuning,
            layout,
            given: Have::none(&layout),
            unwanted: Have::none(&layout),
            put_off: VecDeque::new(),
            declined_in_a_row: 0,
            next: 0,
            accounts: HashMap::new(),
            deserted: false,
            several_hosts: false,
            queues: OfferQueues::default(),
            offered_to_newcomers: 0,
            proven: 0,
            offered: 0,
            on_offer: 0,
            trips: Trips::default(),
            sent: Meter::default(),
            uplink_rate: 0.0,
            opens: None,
            check_at: Time::ZERO,
            last_check_at: Time::ZERO,
        }
    }

    /// Whether this seeder chooses: its subscribers should request only what they are offered. It does not where none of them
    /// passes anything on.
    #[must_use]
    pub fn is_choosing(&self, now: Time) -> bool {
        !self.is_open(now) && self.accounts.len() > 1 && self.queues.has_listening_host()
    }

    /// Whether everything was given or offered once, and all may ask for anything since.
    fn is_open(&self, now: Time) -> bool {
        self.opens.is_some_and(|opens| now >= opens)
    }

    /// Whether `subscriber` is offered `block`.
    #[must_use]
    pub fn is_offered(&self, subscriber: SubscriberId, block: Block) -> bool {
        let account = self.accounts.get(&subscriber);
        account.is_some_and(|account| account.offers.iter().any(|offer| offer.holds(block)))
    }

    /// Whether to refuse `block` to `subscriber`, which may not know yet that this seeder chooses. A block that is
    /// offered to it is never refused. Any other block is refused if another subscriber was given it or is offered it,
    /// and with large blocks in any case: otherwise all subscribers that come at once would get their first block late.
    #[must_use]
    pub fn is_premature(&self, subscriber: SubscriberId, block: Block) -> bool {
        !self.is_offered(subscriber, block) && (self.has_large_blocks() || self.given.has(block))
    }

    /// A subscriber has come.
    pub fn open(&mut self, now: Time, subscriber: SubscriberId, host: Host) {
        self.accounts.insert(subscriber, Account { host, ..Account::default() });
        self.deserted = false;
        if self.queues.open(host) {
            self.take_back_untaken(now);
        }
        self.join_queue(subscriber);
    }

    /// A subscriber has gone. Other subscribers get its offers.
    pub fn close(&mut self, subscriber: SubscriberId) {
        let Some(mut account) = self.accounts.remove(&subscriber) else { return };
        self.trips.forget(&mut account.trip);
        self.deserted = self.accounts.is_empty();
        self.several_hosts &= !self.deserted;
        let room = self.room_for_each();
        if account.waiting {
            self.queues.leave(account.candidate(subscriber), room);
        }
        self.proven -= usize::from(account.proven);
        account.offers.iter().for_each(|offer| self.take_back(account.host, offer));
        self.queues.close(account.host, account.has_nothing);
    }

    /// The subscriber is offered nothing any more. Other subscribers get its offers.
    pub fn offer_no_more(&mut self, subscriber: SubscriberId) {
        let room = self.room_for_each();
        let Some(account) = self.accounts.get_mut(&subscriber) else { return };
        account.excluded = true;
        self.trips.forget(&mut account.trip);
        let (candidate, offers) = (account.candidate(subscriber), core::mem::take(&mut account.offers));
        self.proven -= usize::from(core::mem::take(&mut account.proven));
        if core::mem::take(&mut account.waiting) {
            self.queues.leave(candidate, room);
        }
        offers.iter().for_each(|offer| self.take_back(candidate.host, offer));
    }

    /// The subscriber has requested `block`.
    pub fn asked(&mut self, now: Time, subscriber: SubscriberId, block: Block) {
        if self.is_passed_on(subscriber, block) {
            self.given.insert(block);
        }
        let Some(account) = self.accounts.get_mut(&subscriber) else { return };
        let Some(offer) = account.offers.iter_mut().find(|offer| offer.holds(block)) else { return };
        let leapt = core::mem::take(&mut offer.leapt);
        if let Some(told_at) = offer.idle_since.take() {
            let trip = now.saturating_sub(told_at).min(self.tuning.idle / 2);
            self.trips.took(&mut account.trip, trip);
        }
        self.declined_in_a_row = 0;
        self.leap_back(&leapt);
    }

    /// The subscriber asks for news, after it has read `seen` offered blocks. So it does not want the blocks that it
    /// was told and has not requested: perhaps it has got them from other peers, perhaps it only expects to. Each of
    /// them is offered to one more subscriber. If that one declines it, too, the block counts as given.
    pub fn declined(&mut self, now: Time, subscriber: SubscriberId, seen: u32) {
        let Some(account) = self.accounts.get_mut(&subscriber) else { return };
        let host = account.host;
        let read = |told: u32| seen.wrapping_sub(told) < u32::MAX / 2;
        let mut declined = Vec::new();
        while account.offers.front().is_some_and(|offer| offer.told.is_some_and(read)) {
            declined.extend(account.offers.pop_front());
        }
        for offer in declined {
            self.uncount(host, &offer);
            // Some of a run was wanted: the rest is had.
            let untouched = offer.unsent == offer.run.count;
            let room = self.put_off.len() < MAX_PUT_OFF;
            if untouched && room && self.unwanted.insert(offer.run.first) {
                let (run, leapt, until) = (offer.run, offer.leapt, now + self.tuning.idle);
                self.put_off.push_back(PutOff { run, leapt, unwilling: subscriber, until });
            } else if untouched {
                self.declined_in_a_row = self.declined_in_a_row.saturating_add(1);
            }
        }
        self.join_queue(subscriber);
    }

    /// The subscriber has been sent `block`.
    pub fn sent(&mut self, now: Time, subscriber: SubscriberId, block: Block) {
        self.sent.add(now, self.layout.len_of(block));
        self.uplink_rate = self.uplink_rate.max(self.sent.rate());
        let passed_on = self.is_passed_on(subscriber, block);
        if passed_on {
            self.given.insert(block);
        }
        let room = self.room_for_each();
        let Some(account) = self.accounts.get_mut(&subscriber) else { return };
        account.lazy &= !passed_on;
        account.took_at = Some(now);
        let (host, candidate) = (account.host, account.candidate(subscriber));
        if !account.excluded && !core::mem::replace(&mut account.proven, true) {
            self.proven += 1;
            if core::mem::take(&mut account.waiting) {
                self.queues.leave(candidate, room);
            }
        }
        if let Some(at) = account.offers.iter().position(|offer| offer.holds(block))
            && let Some(offer) = account.offers.get_mut(at)
        {
            offer.unsent = offer.unsent.saturating_sub(1);
            if offer.unsent == 0
                && let Some(offer) = account.offers.remove(at)
            {
                self.uncount(host, &offer);
            }
        }
        self.join_queue(subscriber);
    }

    /// Makes the offers that are due. Returns the subscribers that have new ones to be told.
    pub fn offer(&mut self, now: Time) -> Vec<SubscriberId> {
        let mut subscribers = Vec::new();
        if !self.is_choosing(now) {
            return subscribers;
        }
        while self.offered < self.budget()
            && let Some(candidate) = self.next_candidate()
        {
            let subscriber = candidate.subscriber;
            let put_off = self.next_put_off(subscriber);
            let Some((run, leapt)) = put_off.or_else(|| self.next_run_after_leap()) else { break };
            self.make_offer(now, candidate, run, leapt);
            subscribers.push(subscriber);
        }
        subscribers
    }

    /// Offers `run` to a subscriber that waits for an offer.
    fn make_offer(&mut self, now: Time, candidate: Candidate, run: Run, leapt: Leapt) {
        let Candidate { subscriber, host, newcomer } = candidate;
        let bytes = bytes(&self.layout, run);
        for block in run.blocks(&self.layout) {
            self.given.insert(block);
        }
        self.offered += bytes;
        self.on_offer += bytes;
        self.offered_to_newcomers += if newcomer { bytes } else { 0 };
        self.queues.add(host, bytes);
        self.queues.leave(candidate, self.room_for_each());
        if let Some(account) = self.accounts.get_mut(&subscriber) {
            account.waiting = false;
            account.offers.push_back(Offer {
                run,
                leapt,
                unsent: run.count,
                told: None,
                idle_since: None,
                stale: false,
                made: now,
                newcomer,
            });
        }
        self.join_queue(subscriber);
    }

    /// Whether the subscriber has offers of which it has not been told.
    #[must_use]
    pub fn has_untold(&self, subscriber: SubscriberId) -> bool {
        let account = self.accounts.get(&subscriber);
        account.is_some_and(|account| account.offers.back().is_some_and(|offer| offer.told.is_none()))
    }

    /// The offers to tell the subscriber now.
    pub fn tell(&mut self, now: Time, subscriber: SubscriberId) -> Vec<Run> {
        let Some(account) = self.accounts.get_mut(&subscriber) else { return Vec::new() };
        let mut runs = Vec::new();
        for offer in account.offers.iter_mut().filter(|offer| offer.told.is_none()).take(MAX_HAVE_RUNS) {
            account.told = account.told.wrapping_add(offer.run.count);
            (offer.told, offer.idle_since) = (Some(account.told), Some(now));
            runs.push(offer.run);
        }
        runs
    }

    /// The offer is over.
    fn uncount(&mut self, host: Host, offer: &Offer) {
        let bytes = bytes(&self.layout, offer.run);
        self.on_offer = self.on_offer.saturating_sub(bytes);
        self.queues.remove(host, bytes, self.room_for_each());
        if !offer.stale {
            self.count_less(offer.run, offer.newcomer);
        }
    }

    fn count_less(&mut self, run: Run, newcomer: bool) {
        let bytes = bytes(&self.layout, run);
        self.offered = self.offered.saturating_sub(bytes);
        self.offered_to_newcomers =
            self.offered_to_newcomers.saturating_sub(if newcomer { bytes } else { 0 });
    }

    fn take_back(&mut self, host: Host, offer: &Offer) {
        self.uncount(host, offer);
        for block in offer.run.blocks(&self.layout) {
            self.given.remove(block);
        }
        self.next = self.next.min(offer.run.first.number());
        self.leap_back(&offer.leapt);
    }

    /// Puts a subscriber into its queue that has room for another offer.
    fn join_queue(&mut self, subscriber: SubscriberId) {
        let room = self.room_for_each();
        let Some(account) = self.accounts.get_mut(&subscriber) else { return };
        let offered: u64 = account.offers.iter().map(|offer| bytes(&self.layout, offer.run)).sum();
        let own = if account.proven { room } else { 1 };
        let has_room = offered < own && account.offers.len() < MAX_OFFERS_EACH;
        if !account.waiting && !account.lazy && !account.excluded && has_room {
            account.waiting = true;
            let candidate = account.candidate(subscriber);
            self.queues.stand(candidate, room);
        }
    }

    /// Whether `block` is thought to reach others when the subscriber has it. Subscribers of one host that ask for what
    /// they were not offered have it for themselves, as far as others can tell.
    fn is_passed_on(&self, subscriber: SubscriberId, block: Block) -> bool {
        let crowd = self.accounts.get(&subscriber).is_some_and(|account| self.queues.is_crowd(account.host));
        !crowd || self.is_offered(subscriber, block)
    }

    /// The subscriber that gets the next offer.
    fn next_candidate(&self) -> Option<Candidate> {
        let (proven, newcomer) = (self.queues.first(false), self.queues.first(true));
        // One part is kept for those that have taken nothing yet, and no more: a stranger may come with many
        // connections that take nothing. Where blocks are large, the first one of a leecher counts more than the second
        // one of another.
        let part = if self.has_large_blocks() { 1 } else { self.tuning.newcomers_part };
        let room = self.offered_to_newcomers < self.budget() / part;
        if room { newcomer.or(proven) } else { proven.or(newcomer.filter(|_| self.proven == 0)) }
    }

    /// The next offer that another than `subscriber` did not want.
    fn next_put_off(&mut self, subscriber: SubscriberId) -> Option<(Run, Leapt)> {
        let put_off = self.put_off.pop_front_if(|put_off| put_off.unwilling != subscriber)?;
        Some((put_off.run, put_off.leapt))
    }

    /// The blocks with these numbers went to somebody who passes them on.
    pub(super) fn gave(&mut self, numbers: Range<u64>) {
        // Somebody has come, by the file's other name.
        if core::mem::take(&mut self.deserted) {
            self.begin_again();
        }
        for block in numbers.filter_map(|number| self.layout.block(number)) {
            self.given.insert(block);
        }
    }

    /// Bytes of a block, whether it is divided into slices or not.
    fn whole_len(&self) -> u64 {
        self.layout.block_size().saturating_mul(self.layout.slices_a_block())
    }

    /// Bytes of one offer.
    fn unit(&self) -> u64 {
        self.whole_len().max(self.tuning.offer_bytes)
    }

    /// Bytes that may be on offer.
    fn budget(&self) -> u64 {
        let round = self.trips.mean() + self.tuning.news_interval;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
        let ahead = (self.sent.rate() * (round * self.tuning.offered_rounds).as_secs_f64()) as u64;
        let unit = if self.layout.slices_a_block() > 1 { self.unit() } else { self.tuning.offer_bytes };
        let least = self.tuning.min_offers * unit;
        ahead.max(least).max(self.tuning.min_offered_blocks.saturating_mul(self.layout.block_size()))
    }

    fn room_for_each(&self) -> u64 {
        // A large block takes longer than an offer needs to arrive: a second one would only share the uplink with it.
        let each = if self.has_large_blocks() { 1 } else { self.tuning.offers_each };
        (self.budget() / self.accounts.len().max(1) as u64).max(each * self.unit())
    }

    /// Whether one block is more than an offer of small ones.
    fn has_large_blocks(&self) -> bool {
        self.layout.block_size() > self.tuning.offer_bytes
    }

    /// How long everything on offer takes the uplink; nothing while its rate is unknown.
    fn time_for_offers(&self) -> Duration {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = self.on_offer as f64 / self.uplink_rate;
        Duration::try_from_secs_f64(seconds).unwrap_or_default().min(MAX_OFFERED_TIME)
    }
}

/// Bytes of the blocks of `run`.
fn bytes(layout: &Layout, run: Run) -> u64 {
    if layout.slices_a_block() > 1 {
        return run.blocks(layout).map(|slice| layout.len_of(slice)).sum();
    }
    let last = run.first.number() + u64::from(run.count) - 1;
    let end = layout.block(last).map_or(layout.length(), |last| layout.range(last).end);
    end - layout.start(run.first)
}
