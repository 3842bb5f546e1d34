//! What is asked of the origin, when, and what a client hears meanwhile. It decides only: no request, file or clock.
//!
//! Blocks that clients ask for come first, in the order in which they were asked for. Then come those that follow what
//! was asked for: a seeder offers blocks in the order of the file, so they are asked for next. Neighbours are fetched
//! together, up to [`FETCH_LEN`].
//!
//! Of a file that may be kept as a whole nothing is fetched in vain. Where less may be kept, what nobody asks for would
//! be dropped and fetched again, so only as much is fetched beyond what was asked for as has been read before it.

use super::cache::{Dropped, Part, Stretches};
use super::pool::Share;
use super::troubles::{Troubles, Wrong};
use crate::limits::{AHEAD_LEN, FETCH_LEN, MAX_FLIGHTS, MAX_WANTED, ORIGIN_PATIENCE};
use cascade_format::{Block, Have, Layout};
use cascade_swarm::Time;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

/// Places in the file from which on it may be read ahead.
const MAX_AHEAD: usize = 16;

/// The state of the blocks of one file.
#[derive(Debug)]
pub struct Plan {
    layout: Layout,
    /// Verified and on the disk.
    here: Have,
    /// Asked of the origin, and come neither right nor wrong yet: no request is for one of them but the one that is
    /// under way.
    flying: Have,
    flights: usize,
    /// Asked for by clients, and by nobody of the origin yet.
    wanted: VecDeque<u64>,
    queued: HashSet<u64>,
    ahead: VecDeque<u64>,
    /// `None`: the whole file may be kept.
    cache: Option<Share>,
    troubles: Troubles,
    /// There was no room for what is wanted; it is looked again then.
    full_until: Option<Time>,
}

/// What a client that asks for a block hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is on the disk.
    Here,
    /// It comes.
    Wait,
    /// It does not come soon.
    No,
}

/// A request to the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The blocks to fetch.
    pub blocks: Range<u64>,
    /// What must be dropped before.
    pub dropped: Vec<Dropped>,
    /// Parts of other files that must be, too.
    pub others: Vec<Part>,
}

impl Plan {
    /// Of a file that holds the blocks of `here`, and of which no more than a share of a pool may be kept, if there is
    /// one. Gives what is there beyond that.
    #[must_use]
    pub fn new(layout: Layout, here: &Have, cache: Option<Share>) -> (Self, Vec<Dropped>) {
        let none = Have::none(&layout);
        let mut plan = Self {
            layout,
            here: none.clone(),
            flying: none,
            flights: 0,
            wanted: VecDeque::new(),
            queued: HashSet::new(),
            ahead: VecDeque::new(),
            cache,
            troubles: Troubles::default(),
            full_until: None,
        };
        let dropped = plan.restart(here);
        (plan, dropped)
    }

    /// Whether less than the whole file may be kept.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.cache.is_some()
    }

    /// The share of a pool, if only so much may be kept.
    #[must_use]
    pub(super) fn share(&self) -> Option<&Share> {
        self.cache.as_ref()
    }

    /// Another file needs the room of `stretch`.
    pub(super) fn evict(&mut self, stretch: u64) -> Vec<Dropped> {
        self.dropped(&[stretch])
    }

    /// The file was checked, and holds the blocks of `here`; no request is under way. Gives what is there beyond the
    /// bound.
    pub fn restart(&mut self, here: &Have) -> Vec<Dropped> {
        self.here = here.clone();
        self.flying = Have::none(&self.layout);
        self.flights = 0;
        let beyond = self.cache.as_ref().map(|cache| cache.restore(here)).unwrap_or_default();
        self.dropped(&beyond)
    }

    /// A client asks for `block`. `next`: what it has asked for behind it.
    pub fn ask(&mut self, now: Time, block: Block, next: Option<Block>) -> Reply {
        let number = block.number();
        if self.here.has(block) {
            if let Some(cache) = &self.cache {
                cache.read(cache.stretches().of(number));
            }
            self.hint(now, next);
            self.look_ahead(number);
            return Reply::Here;
        }
        if self.troubles.is_out(now, number, ORIGIN_PATIENCE) {
            return Reply::No;
        }
        if !self.want(block) {
            return Reply::No;
        }
        self.hint(now, next);
        self.look_ahead(number);
        Reply::Wait
    }

    /// What is to be asked of the origin now, if anything.
    pub fn next(&mut self, now: Time) -> Option<Order> {
        if self.flights >= MAX_FLIGHTS || !self.troubles.may_ask(now) {
            return None;
        }
        if self.full_until.is_some_and(|until| now < until) {
            return None;
        }
        self.full_until = None;
        while let Some(number) = self.wanted.pop_front() {
            self.queued.remove(&number);
            if !self.is_missing(now, number) {
                continue;
            }
            let order = self.order(now, number);
            if order.is_none() {
                // Room comes when something has landed or was read; it is looked again soon in any case.
                self.wanted.push_front(number);
                self.queued.insert(number);
                self.full_until = Some(now + super::cache::UNREAD / 4);
            }
            return order;
        }
        while let Some(number) = self.ahead.pop_front() {
            if self.is_missing(now, number)
                && let Some(order) = self.order(now, number)
            {
                return Some(order);
            }
        }
        None
    }

    /// Whether there is something that is to be asked of the origin.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.wanted.is_empty() || !self.ahead.is_empty()
    }

    /// When to ask again what is next, if nothing happens before.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let times = [self.full_until, self.troubles.next_wakeup()];
        times.into_iter().flatten().filter(|at| self.has_work() && *at > now).max()
    }

    /// `block` has come, is verified and on the disk. `awaited`: a client waits for it.
    pub fn arrived(&mut self, now: Time, block: Block, awaited: bool) {
        self.flying.remove(block);
        self.here.insert(block);
        self.troubles.right(block.number());
        if let Some(cache) = self.cache.as_ref().filter(|_| awaited) {
            cache.awaited(now, cache.stretches().of(block.number()));
        }
    }

    /// `block` has come with a wrong hash. It may be asked of the origin again while the request that brought it goes on:
    /// that one writes only what follows.
    pub fn wrong(&mut self, now: Time, block: Block) -> Wrong {
        self.flying.remove(block);
        self.troubles.wrong(now, block.number())
    }

    /// A request has failed, and is made again after the time that this gives. True: the user should be told.
    pub fn failed(&mut self, now: Time) -> (Duration, bool) {
        self.troubles.failed(now)
    }

    /// The origin has refused a request, which is made again after this time; `None`: it is given up.
    pub fn refused(&mut self, now: Time) -> Option<Duration> {
        self.troubles.refused(now)
    }

    /// Bytes come. True: the user was told that they did not.
    pub fn comes(&mut self) -> bool {
        self.troubles.comes()
    }

    /// A request is over: each of its blocks [has come](Self::arrived) or [came wrong](Self::wrong). Where the disk is in
    /// doubt neither is said, and [`restart`](Self::restart) follows.
    pub fn landed(&mut self, blocks: &Range<u64>) {
        self.flights = self.flights.saturating_sub(1);
        self.full_until = None;
        // All of `flying` stays: a block of these that came wrong may be on its way again, by another request.
        let Some(cache) = &self.cache else { return };
        let stretches = *cache.stretches();
        for stretch in stretches_of(&stretches, blocks) {
            cache.land(stretch);
        }
    }

    /// Asks for a block of which it is likely that a client wants it next.
    fn hint(&mut self, now: Time, next: Option<Block>) {
        if let Some(next) = next.filter(|next| self.is_missing(now, next.number())) {
            self.want(next);
        }
    }

    /// Whether it will be fetched.
    fn want(&mut self, block: Block) -> bool {
        let number = block.number();
        if self.flying.has(block) || self.queued.contains(&number) {
            return true;
        }
        if self.wanted.len() >= MAX_WANTED {
            return false;
        }
        self.wanted.push_back(number);
        self.queued.insert(number)
    }

    fn is_missing(&self, now: Time, number: u64) -> bool {
        let Some(block) = self.layout.block(number) else { return false };
        !self.here.has(block) && !self.flying.has(block) && !self.troubles.is_held(now, number)
    }

    /// The first block from `from` on, before `to`, that is neither here nor on its way.
    fn first_gap(&self, from: u64, to: u64) -> u64 {
        let mut at = from;
        loop {
            let gap = self.here.find(at..to, false).unwrap_or(to);
            let free = self.flying.find(gap..to, false).unwrap_or(to);
            if free == gap {
                return gap.min(to);
            }
            at = free;
        }
    }

    /// Bytes before `number` that are here or on their way, without a gap, up to [`FETCH_LEN`].
    fn behind(&self, number: u64) -> u64 {
        let (mut at, least) = (number, number.saturating_sub(self.blocks_in(FETCH_LEN)));
        while at > least
            && let Some(block) = self.layout.block(at - 1)
            && (self.here.has(block) || self.flying.has(block))
        {
            at -= 1;
        }
        (number - at).saturating_mul(self.layout.block_size())
    }

    /// Looks whether what follows `number` should be fetched before anybody asks for it.
    fn look_ahead(&mut self, number: u64) {
        let most = self.cache.as_ref().map_or(AHEAD_LEN, |cache| AHEAD_LEN.min(cache.bound() / 4));
        let end = number.saturating_add(self.blocks_in(most)).min(self.layout.blocks());
        let gap = self.first_gap(number, end);
        // What was asked for a moment ago is not on its way yet.
        let gap = if gap == number { self.end_of_order(number) } else { gap };
        if gap >= end || self.ahead.contains(&gap) || self.queued.contains(&gap) {
            return;
        }
        if self.drops() {
            let read = self.behind(number) + (gap - number).saturating_mul(self.layout.block_size());
            if read <= super::cache::STRETCH_LEN.max(self.layout.block_size()) {
                return;
            }
        }
        if self.ahead.len() >= MAX_AHEAD {
            self.ahead.pop_front();
        }
        self.ahead.push_back(gap);
    }

    /// As many blocks as these bytes are, at least one.
    fn blocks_in(&self, bytes: u64) -> u64 {
        (bytes / self.layout.block_size().max(1)).max(1)
    }

    /// Where a request ends that begins with `number`.
    fn end_of_order(&self, number: u64) -> u64 {
        let whole = self.blocks_in(FETCH_LEN);
        let end = match &self.cache {
            None => number / whole * whole + whole,
            Some(cache) => {
                let stretches = cache.stretches();
                let more =
                    number + self.behind(number).min(cache.bound() / 4) / self.layout.block_size().max(1);
                stretches.blocks(stretches.of(number.max(more.saturating_sub(1)))).end
            }
        };
        end.min(self.layout.blocks())
    }

    /// The request that begins with `number`.
    fn order(&mut self, now: Time, number: u64) -> Option<Order> {
        let end = self.end_of_order(number);
        let mut stop = number + 1;
        while stop < end && self.is_missing(now, stop) {
            stop += 1;
        }
        let (mut dropped, mut others) = (Vec::new(), Vec::new());
        if let Some(cache) = &self.cache {
            let stretches = *cache.stretches();
            let mut taken = number;
            for stretch in stretches_of(&stretches, &(number..stop)) {
                let Some((own, of_others)) = cache.take_off(now, stretch) else { break };
                dropped.extend(own);
                others.extend(of_others);
                taken = stretches.blocks(stretch).end;
            }
            stop = stop.min(taken);
        }
        let dropped = self.dropped(&dropped);
        if stop <= number {
            return None;
        }
        for block in (number..stop).filter_map(|number| self.layout.block(number)) {
            self.flying.insert(block);
        }
        self.flights += 1;
        Some(Order { blocks: number..stop, dropped, others })
    }

    /// These stretches are kept no longer.
    fn dropped(&mut self, stretches: &[u64]) -> Vec<Dropped> {
        let Some(cache) = &self.cache else { return Vec::new() };
        let parts = stretches.iter().map(|stretch| Dropped {
            blocks: cache.stretches().blocks(*stretch),
            hole: cache.hole(*stretch),
        });
        let parts: Vec<_> = parts.collect();
        for block in
            parts.iter().flat_map(|part| part.blocks.clone()).filter_map(|number| self.layout.block(number))
        {
            self.here.remove(block);
        }
        parts
    }
}

fn stretches_of(stretches: &Stretches, blocks: &Range<u64>) -> Range<u64> {
    stretches.of(blocks.start)..stretches.of(blocks.end.max(blocks.start + 1) - 1) + 1
}

#[cfg(test)]
mod tests;
