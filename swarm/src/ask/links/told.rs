//! What a link's peer has told of itself through the extension.

use crate::Time;
use crate::ask::tuning::Tuning;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use cascade_format::extension::Run;
use cascade_format::{Block, Have, Layout};
use core::time::Duration;

/// A peer tells every block once, or a few times when its map is told again. One that tells more than
/// this many times what there is does it to keep us busy.
const MAX_TELLINGS: u64 = 4;

/// Telling a few blocks often is nothing special.
const TELLINGS_GRACE: u64 = 65_536;

/// Which blocks a peer has.
#[derive(Debug)]
pub(in crate::ask) enum Has {
    /// Those that it has told.
    Some(Have),
    /// All, and it may be asked for any.
    Everything,
    /// All, and it wants to be asked for what it offers.
    Choosing,
}

/// What one link's peer has told.
#[derive(Debug)]
pub(in crate::ask) struct Told {
    tuning: &'static Tuning,
    pub(in crate::ask) has: Has,
    /// It has told by the name of the slices whether it chooses. It may choose among those that ask for blocks, and not
    /// among those that ask for slices.
    pub(in crate::ask) has_by_slices: bool,
    /// Blocks that it offers and that it was not asked for.
    pub(in crate::ask) offered: VecDeque<Block>,
    /// When offers that still wait for other peers are declined: those may be slow.
    declines_at: Time,
    /// Offered blocks told so far, modulo 2³².
    pub(in crate::ask) offers_seen: u32,
    /// It has enough to do until then.
    pub(in crate::ask) busy_until: Time,
    /// It has told something, and not only others of it.
    pub(in crate::ask) heard: bool,
    /// A question for news is under way.
    pub(in crate::ask) polling: bool,
    /// When the next one may leave: an answer without news must not make them a flood.
    pub(in crate::ask) poll_at: Time,
    /// How far apart the questions are at present, and when the last one left.
    pause: Duration,
    asked_at: Time,
    /// It has told of blocks, or given one, since the last answer to one.
    pub(in crate::ask) useful: bool,
    /// It has said goodbye: it is not asked for news any more.
    pub(in crate::ask) leaves: bool,
    /// Nothing that it has is missing here; so it stays until it tells more or a block is given back.
    pub(in crate::ask) exhausted: bool,
    tellings: u64,
    /// Blocks of which it refused a slice that it has, and until when it is asked for no slice of them.
    not_now: Vec<(Block, Time)>,
    /// The last of them.
    not_before: Time,
    /// It refused the last slice that it was asked for, though it has it.
    refused: bool,
}

impl Told {
    pub(in crate::ask) fn new(tuning: &'static Tuning, layout: &Layout) -> Self {
        Self {
            tuning,
            has: Has::Some(Have::none(layout)),
            has_by_slices: false,
            offered: VecDeque::new(),
            declines_at: Time::ZERO,
            offers_seen: 0,
            busy_until: Time::ZERO,
            heard: false,
            polling: false,
            poll_at: Time::ZERO,
            pause: tuning.poll_interval,
            asked_at: Time::ZERO,
            useful: false,
            leaves: false,
            exhausted: false,
            tellings: 0,
            not_now: Vec::new(),
            not_before: Time::ZERO,
            refused: false,
        }
    }

    /// Whether the peer may be asked for news now. To ask is to decline what it offers.
    pub(in crate::ask) fn may_poll(&self, now: Time) -> bool {
        !self.polling && !self.leaves && now >= self.next_poll()
    }

    /// When the next question for news may leave, if nothing else changes.
    pub(super) fn next_poll(&self) -> Time {
        if self.offered.is_empty() { self.poll_at } else { self.poll_at.max(self.declines_at) }
    }

    /// A question for news leaves.
    pub(in crate::ask) fn poll_begins(&mut self, now: Time) {
        self.polling = true;
        self.offered.clear();
        (self.asked_at, self.poll_at) = (now, now + self.pause);
    }

    /// The answer to a question for news has ended; it was `hurried` if a request stands behind it. What comes at
    /// once and brings nothing makes the next question later.
    pub(in crate::ask) fn poll_ended(&mut self, now: Time, hurried: bool) {
        self.polling = false;
        if core::mem::take(&mut self.useful) {
            self.pause = self.tuning.poll_interval;
            self.poll_at = self.asked_at + self.pause;
        } else if !hurried {
            self.pause = (self.pause * 2).min(self.tuning.pause);
            self.poll_at = self.poll_at.max(now + self.pause / 2);
        }
    }

    /// The blocks that it has, if it has only some.
    pub(in crate::ask) fn part(&self) -> Option<&Have> {
        match &self.has {
            Has::Some(have) => Some(have),
            Has::Everything | Has::Choosing => None,
        }
    }

    /// Whether there is nothing to ask for until it tells more.
    pub(in crate::ask) fn only_waits(&self) -> bool {
        self.exhausted && self.polling && self.offered.is_empty()
    }

    /// The peer refused a slice of `block`, which it has: it gives slices of this block to enough others, who pass them on.
    /// Whether it is the second refusal in a row: then it has enough to do.
    pub(super) fn refuses_slice(&mut self, now: Time, block: Block) -> bool {
        self.not_now.retain(|(_, until)| *until > now);
        if !self.gives_slices_of(now, block) {
            // The slices of one run are refused together.
            return false;
        }
        self.not_before = now + self.tuning.busy_pause;
        self.not_now.push((block, self.not_before));
        core::mem::replace(&mut self.refused, true)
    }

    /// The peer gave something.
    pub(super) fn gave(&mut self) {
        (self.useful, self.refused) = (true, false);
    }

    /// Whether the peer may be asked for slices of `block` now.
    pub(in crate::ask) fn gives_slices_of(&self, now: Time, block: Block) -> bool {
        self.not_before <= now || self.not_now.iter().all(|(other, until)| *other != block || *until <= now)
    }

    /// When it may be asked for slices again that it refused.
    pub(in crate::ask) fn slices_at(&self, now: Time) -> Option<Time> {
        // Most links are asked this, and few peers refuse anything.
        if self.not_before <= now {
            return None;
        }
        self.not_now.iter().map(|(_, until)| *until).filter(|until| *until > now).min()
    }

    /// Whether it makes sense to ask the peer for `block`, which it does not offer.
    pub(in crate::ask) fn may_give(&self, block: Block) -> bool {
        match &self.has {
            Has::Some(have) => have.has(block),
            Has::Everything => true,
            Has::Choosing => false,
        }
    }

    /// Whether it offers a slice of the block that `slice` is a part of; never where blocks are not divided.
    pub(in crate::ask) fn offers(&self, layout: &Layout, slice: Block) -> bool {
        let whole = layout.block_of(slice);
        layout.slices_a_block() > 1 && self.offered.iter().any(|other| layout.block_of(*other) == whole)
    }

    /// Whether it has told that it has `block`.
    pub(in crate::ask) fn has_block(&self, block: Block) -> bool {
        matches!(self.has, Has::Choosing) || self.may_give(block)
    }

    /// The peer has the blocks of `run`; tells which of them are news through `new`. False: it has told
    /// more than any honest peer tells.
    pub(in crate::ask) fn has_run(&mut self, layout: &Layout, run: Run, new: &mut dyn FnMut(Block)) -> bool {
        self.tellings += u64::from(run.count);
        if self.tellings > layout.blocks() * MAX_TELLINGS + TELLINGS_GRACE {
            return false;
        }
        if let Has::Some(have) = &mut self.has {
            let before = have.count();
            run.blocks(layout).filter(|block| have.insert(*block)).for_each(new);
            self.useful |= have.count() > before;
        }
        true
    }

    /// What was offered was offered by another name; offers are counted anew.
    pub(super) fn forget_offers(&mut self) {
        self.offered.clear();
        self.offers_seen = 0;
    }

    /// The peer offers the blocks of `run`, which it counts as `counted` blocks. False: it offers more than any honest peer
    /// offers.
    pub(in crate::ask) fn offers_run(&mut self, now: Time, layout: &Layout, run: Run, counted: u32) -> bool {
        self.declines_at = now + self.tuning.pause;
        self.tellings += u64::from(run.count);
        self.offers_seen = self.offers_seen.wrapping_add(counted);
        // What it refused a moment ago it may offer now.
        let first = run.first.number();
        let offered = first..first.saturating_add(run.count.into());
        self.not_now.retain(|(block, _)| {
            let slices = layout.slices_of(*block);
            slices.end <= offered.start || offered.end <= slices.start
        });
        self.useful = true;
        self.offered.extend(run.blocks(layout).take(MAX_OFFERED.saturating_sub(self.offered.len())));
        self.tellings <= layout.blocks() * MAX_TELLINGS + TELLINGS_GRACE
    }
}

/// Offered blocks that are remembered for one link.
pub(in crate::ask) const MAX_OFFERED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> (Layout, Told) {
        let layout = Layout::new(1000, 1).unwrap();
        (layout, Told::new(&Tuning::DEFAULT, &layout))
    }

    /// Asks whenever that is allowed, for ten seconds, and is answered at once; tells how often.
    fn questions(told: &mut Told, mut news: impl FnMut(&mut Told)) -> usize {
        let (mut now, mut count) = (Time::ZERO, 0);
        while now < Duration::from_secs(10) {
            told.poll_begins(now);
            count += 1;
            news(told);
            told.poll_ended(now, false);
            now = told.poll_at.max(now);
        }
        count
    }

    #[test]
    fn slices_that_were_requested_together_are_refused_once() {
        let layout = Layout::new(10 << 20, 1 << 20).unwrap().sliced().unwrap();
        let (mut told, now) = (Told::new(&Tuning::DEFAULT, &layout), Time::from_secs(1));
        let [first, second] = [0, 1].map(|number| layout.whole().block(number).unwrap());
        assert!(!told.refuses_slice(now, first) && !told.refuses_slice(now, first));
        assert!(!told.gives_slices_of(now, first) && told.gives_slices_of(now, second));
        assert!(told.refuses_slice(now, second), "it has enough to do");
        let run = Run { first: layout.first_slice(second), count: 16 };
        assert!(told.offers_run(Time::ZERO, &layout, run, 16));
        assert!(told.gives_slices_of(now, second) && !told.gives_slices_of(now, first));
        let later = now + Tuning::DEFAULT.busy_pause;
        told.gave();
        assert!(told.gives_slices_of(later, first) && !told.refuses_slice(later, first));
    }

    #[test]
    fn who_answers_at_once_and_tells_nothing_is_asked_less_and_less_often() {
        let (_, mut told) = told();
        let count = questions(&mut told, |_| {});
        assert!(count <= 18, "{count} questions in ten seconds");
    }

    #[test]
    fn who_tells_the_same_again_and_again_is_asked_less_often_too() {
        let (layout, mut told) = told();
        let run = Run { first: layout.block(7).unwrap(), count: 3 };
        let count = questions(&mut told, |told| {
            told.has_run(&layout, run, &mut |_| {});
        });
        assert!(count <= 18, "{count} questions in ten seconds");
    }

    #[test]
    fn who_tells_of_blocks_is_asked_as_often_as_before_at_once() {
        let (layout, mut told) = told();
        questions(&mut told, |_| {});
        let now = Duration::from_secs(100);
        told.poll_begins(now);
        assert!(told.has_run(&layout, Run { first: layout.block(0).unwrap(), count: 1 }, &mut |_| {}));
        told.poll_ended(now + Tuning::DEFAULT.poll_interval, false);
        assert_eq!(told.poll_at, now + Tuning::DEFAULT.poll_interval);
    }

    #[test]
    fn an_answer_that_a_request_has_hurried_says_nothing_of_the_peer() {
        let (_, mut told) = told();
        for _ in 0..100 {
            told.poll_begins(Time::ZERO);
            told.poll_ended(Time::ZERO, true);
        }
        assert_eq!(told.pause, Tuning::DEFAULT.poll_interval);
    }
}
