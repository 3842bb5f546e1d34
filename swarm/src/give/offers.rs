//! Which block a seeder gives to whom, as long as it has blocks that it gave to nobody.
//!
//! A first copy is worth more than any later one: the leechers can make those themselves. So the blocks
//! are offered one after the other, each to one leecher, in the order of the file (the whole-file hash
//! follows them). A leecher that takes what it is offered gets the next; one that does not, or leaves,
//! or is slow, holds up only its own offers, which go to others.

use super::lines::{Host, Lines, Standing};
use super::reader::ReaderId;
use crate::Time;
use crate::limits::{MIN_OFFERED_BLOCKS, MIN_OFFERED_UNITS, OFFERS_A_READER};
use crate::meter::Meter;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::extension::Run;
use cascade_format::{Block, Have, Layout};
use core::time::Duration;
use hashbrown::HashMap;

mod lapse;

/// Small blocks are offered in runs of so many bytes.
const RUN_BYTES: u64 = 256 << 10;

/// What is offered and not sent yet should last so long at the present rate: an offer takes two round
/// trips to become a block on its way.
const AHEAD: Duration = Duration::from_millis(150);

/// An offer that nobody asks for is taken back after so long, and the time that everything offered takes; one that
/// is asked for after this and twice that time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest time that everything offered is thought to take.
const MAX_TIME_FOR_OFFERS: Duration = Duration::from_secs(60);

/// Readers that have not taken anything yet get one offer in so many, if others stand in line …
const NEWCOMERS_TURN: u32 = 4;

/// … and one part in so many of what may be on offer. A reader costs its peer nothing: those who take
/// what they are offered must not wait for those who do not.
const NEWCOMERS_PART: u64 = 2;

/// An offer that was told so long ago, and not asked for, is no longer counted: whoever takes nothing must not
/// keep what is on offer from those who do.
const STALE: Duration = Duration::from_secs(1);

/// A seeder that sends faster than this (bytes a second) does not choose: the uplink is not what is
/// scarce, and blocks in the order of the file cost the leechers less.
pub(super) const FAST: f64 = 150e6;

#[derive(Debug)]
struct Offer {
    run: Run,
    /// Blocks of it that have not been sent.
    unsent: u32,
    /// The reader's count of offered blocks when it has read this one; `None`: not told yet.
    told: Option<u32>,
    /// When it was told, until a block of it is asked for.
    idle_since: Option<Time>,
    /// Not counted in [`Offers::offered`]: see [`STALE`].
    stale: bool,
    made: Time,
    /// It was made to one that had not taken anything yet.
    newcomer: bool,
    deadline: Time,
}

/// An offer that a reader did not want.
#[derive(Debug)]
struct PutOff {
    run: Run,
    unwilling: ReaderId,
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
    /// In the line of those who may get another offer.
    waiting: bool,
    /// It has taken a block.
    proven: bool,
    /// It let an offer lapse, and has taken no block since that others get from it.
    lazy: bool,
}

impl Account {
    fn standing(&self, reader: ReaderId) -> Standing {
        Standing { reader, host: self.host, newcomer: !self.proven }
    }
}

/// The offers of one seeder.
#[derive(Debug)]
pub struct Offers {
    layout: Layout,
    /// Blocks that somebody got or is offered.
    given: Have,
    /// Blocks that somebody did not want.
    unwanted: Have,
    /// Offers that a reader did not want, for others, for some time.
    put_off: VecDeque<PutOff>,
    /// No block before this number is to be given.
    next: u64,
    accounts: HashMap<ReaderId, Account>,
    /// Readers that may get another offer.
    lines: Lines,
    /// When it is the turn of newcomers.
    turn: u32,
    /// Bytes that are offered to newcomers, but for stale offers.
    offered_to_newcomers: u64,
    /// Readers that have taken a block.
    proven: usize,
    /// Bytes that are offered and not sent, but for stale offers.
    offered: u64,
    sent: Meter,
    fast: bool,
    /// There is nothing left to offer; then everybody may ask for anything.
    opens: Option<Time>,
    check_at: Time,
    /// The same when nothing is left to offer.
    last_check_at: Time,
}

impl Offers {
    /// Nothing of the file is given yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            given: Have::none(&layout),
            unwanted: Have::none(&layout),
            put_off: VecDeque::new(),
            next: 0,
            accounts: HashMap::new(),
            lines: Lines::default(),
            turn: 0,
            offered_to_newcomers: 0,
            proven: 0,
            offered: 0,
            sent: Meter::default(),
            fast: false,
            opens: None,
            check_at: Time::ZERO,
            last_check_at: Time::ZERO,
        }
    }

    /// Whether readers should ask for what they are offered, and for nothing else.
    #[must_use]
    pub fn is_choosing(&self, now: Time) -> bool {
        let over = self.opens.is_some_and(|opens| now >= opens);
        !self.fast && !over && self.accounts.len() > 1
    }

    /// Whether `reader` is offered `block`.
    #[must_use]
    pub fn is_offered(&self, reader: ReaderId, block: Block) -> bool {
        let account = self.accounts.get(&reader);
        account.is_some_and(|account| account.offers.iter().any(|offer| offer.holds(block)))
    }

    /// Whether another than `reader` got `block` or is offered it.
    #[must_use]
    pub fn is_another_s(&self, reader: ReaderId, block: Block) -> bool {
        !self.is_offered(reader, block) && self.given.has(block)
    }

    /// A reader has come.
    pub fn open(&mut self, reader: ReaderId, host: Host) {
        self.accounts.insert(reader, Account { host, ..Account::default() });
        if self.lines.open(host) {
            self.take_back_untaken();
        }
        self.stand_in_line(reader);
    }

    /// A reader has gone; what it was offered goes to others.
    pub fn close(&mut self, reader: ReaderId) {
        let Some(account) = self.accounts.remove(&reader) else { return };
        let room = self.room_for_each();
        if account.waiting {
            self.lines.leave(account.standing(reader), room);
        }
        self.proven -= usize::from(account.proven);
        account.offers.iter().for_each(|offer| self.take_back(account.host, offer));
        self.lines.close(account.host);
    }

    /// The reader asks for `block`.
    pub fn asked(&mut self, reader: ReaderId, block: Block) {
        if self.is_passed_on(reader, block) {
            self.given.insert(block);
        }
        let offers = self.accounts.get_mut(&reader).map(|account| account.offers.iter_mut());
        if let Some(offer) = offers.and_then(|mut offers| offers.find(|offer| offer.holds(block))) {
            offer.idle_since = None;
        }
    }

    /// The reader asks for news, having read `seen` offered blocks: what it was told and did not ask
    /// for, it does not want. Perhaps others have it; perhaps the reader only thought so. So a block goes
    /// to another reader once, and when that one does not want it either, it counts as given.
    pub fn declined(&mut self, now: Time, reader: ReaderId, seen: u32) {
        let Some(account) = self.accounts.get_mut(&reader) else { return };
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
            if untouched && self.unwanted.insert(offer.run.first) {
                self.put_off.push_back(PutOff { run: offer.run, unwilling: reader, until: now + STALE });
            }
        }
        self.stand_in_line(reader);
    }

    /// `block` has gone to the reader.
    pub fn sent(&mut self, now: Time, reader: ReaderId, block: Block) {
        self.sent.add(now, self.layout.len_of(block));
        self.fast = if self.fast { self.sent.rate() > FAST / 2.0 } else { self.sent.rate() > FAST };
        let passed_on = self.is_passed_on(reader, block);
        if passed_on {
            self.given.insert(block);
        }
        let room = self.room_for_each();
        let Some(account) = self.accounts.get_mut(&reader) else { return };
        account.lazy &= !passed_on;
        let (host, standing) = (account.host, account.standing(reader));
        if !core::mem::replace(&mut account.proven, true) {
            self.proven += 1;
            if core::mem::take(&mut account.waiting) {
                self.lines.leave(standing, room);
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
        self.stand_in_line(reader);
    }

    /// Makes offers as long as there should be more; gives the readers that have some to be told.
    pub fn offer(&mut self, now: Time) -> Vec<ReaderId> {
        let mut readers = Vec::new();
        if !self.is_choosing(now) {
            return readers;
        }
        while self.offered < self.budget()
            && let Some(standing) = self.next_in_line()
        {
            let Standing { reader, host, newcomer } = standing;
            let Some(run) = self.next_put_off(reader).or_else(|| self.next_run()) else { break };
            self.turn = self.turn.wrapping_add(1);
            let bytes = bytes(&self.layout, run);
            for block in run.blocks(&self.layout) {
                self.given.insert(block);
            }
            self.offered += bytes;
            self.offered_to_newcomers += if newcomer { bytes } else { 0 };
            self.lines.add(host, bytes);
            self.lines.leave(standing, self.room_for_each());
            let deadline = now + self.patience();
            if let Some(account) = self.accounts.get_mut(&reader) {
                account.waiting = false;
                account.offers.push_back(Offer {
                    run,
                    unsent: run.count,
                    told: None,
                    idle_since: None,
                    stale: false,
                    made: now,
                    newcomer,
                    deadline,
                });
            }
            self.stand_in_line(reader);
            readers.push(reader);
        }
        readers
    }

    /// Whether the reader has offers that it was not told.
    #[must_use]
    pub fn has_untold(&self, reader: ReaderId) -> bool {
        let account = self.accounts.get(&reader);
        account.is_some_and(|account| account.offers.back().is_some_and(|offer| offer.told.is_none()))
    }

    /// What the reader is to be told now.
    pub fn tell(&mut self, now: Time, reader: ReaderId) -> Vec<Run> {
        let Some(account) = self.accounts.get_mut(&reader) else { return Vec::new() };
        let mut runs = Vec::new();
        for offer in account.offers.iter_mut().filter(|offer| offer.told.is_none()) {
            account.told = account.told.wrapping_add(offer.run.count);
            (offer.told, offer.idle_since) = (Some(account.told), Some(now));
            runs.push(offer.run);
        }
        runs
    }

    /// The offer is over.
    fn uncount(&mut self, host: Host, offer: &Offer) {
        self.lines.remove(host, bytes(&self.layout, offer.run), self.room_for_each());
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
    }

    /// Lets a reader stand in line that has room for another offer.
    fn stand_in_line(&mut self, reader: ReaderId) {
        let room = self.room_for_each();
        let Some(account) = self.accounts.get_mut(&reader) else { return };
        let offered: u64 = account.offers.iter().map(|offer| bytes(&self.layout, offer.run)).sum();
        let own = if account.proven { room } else { 1 };
        if !account.waiting && !account.lazy && offered < own {
            account.waiting = true;
            let standing = account.standing(reader);
            self.lines.stand(standing, room);
        }
    }

    /// Whether `block` is thought to reach others when the reader has it. Readers of one host that ask for what
    /// they were not offered have it for themselves, as far as others can tell.
    fn is_passed_on(&self, reader: ReaderId, block: Block) -> bool {
        let crowd = self.accounts.get(&reader).is_some_and(|account| self.lines.is_crowd(account.host));
        !crowd || self.is_offered(reader, block)
    }

    /// Who gets the next offer.
    fn next_in_line(&self) -> Option<Standing> {
        let proven = self.lines.first(false);
        let room = self.proven == 0 || self.offered_to_newcomers < self.budget() / NEWCOMERS_PART;
        let newcomer = self.lines.first(true).filter(|_| room);
        if self.turn.is_multiple_of(NEWCOMERS_TURN) { newcomer.or(proven) } else { proven.or(newcomer) }
    }

    /// The next offer that another than `reader` did not want.
    fn next_put_off(&mut self, reader: ReaderId) -> Option<Run> {
        self.put_off.pop_front_if(|put_off| put_off.unwilling != reader).map(|put_off| put_off.run)
    }

    /// The next blocks that nobody got or is offered; at most [`RUN_BYTES`] of them, at least one.
    fn next_run(&mut self) -> Option<Run> {
        let first = self.layout.block(self.given.find(self.next..self.layout.blocks(), false)?)?;
        self.next = first.number();
        let most = (RUN_BYTES / self.layout.block_size()).max(1);
        let end = first.number() + most - first.number() % most;
        let end = self.given.find(first.number()..end, true).unwrap_or(end).min(self.layout.blocks());
        u32::try_from(end - first.number()).ok().map(|count| Run { first, count })
    }

    /// Bytes of one offer.
    fn unit(&self) -> u64 {
        self.layout.block_size().max(RUN_BYTES)
    }

    /// Bytes that may be on offer.
    fn budget(&self) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
        let ahead = (self.sent.rate() * AHEAD.as_secs_f64()) as u64;
        ahead.max((MIN_OFFERED_UNITS * RUN_BYTES).max(MIN_OFFERED_BLOCKS * self.layout.block_size()))
    }

    fn room_for_each(&self) -> u64 {
        (self.budget() / self.accounts.len().max(1) as u64).max(OFFERS_A_READER * self.unit())
    }

    fn patience(&self) -> Duration {
        PATIENCE + self.time_for_offers() * 2
    }

    /// How long everything on offer takes at the present rate; nothing while that is unknown.
    fn time_for_offers(&self) -> Duration {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = self.offered as f64 / self.sent.rate();
        Duration::try_from_secs_f64(seconds).unwrap_or_default().min(MAX_TIME_FOR_OFFERS)
    }
}

/// Bytes of the blocks of `run`.
fn bytes(layout: &Layout, run: Run) -> u64 {
    let last = run.first.number() + u64::from(run.count) - 1;
    let end = layout.block(last).map_or(layout.length(), |last| layout.range(last).end);
    end - layout.start(run.first)
}
