//! As what a block may be requested on a link: as it is, as a slice, or as a whole block that is divided into slices.
//!
//! Slices can be passed on as soon as each has arrived, so they are what leechers want of each other. A whole block takes
//! fewer requests and no work of its server. So where every link leads to a seeder, or more than
//! [`fast_rate`](crate::ask::Tuning::fast_rate) arrives, whole blocks are requested; and of a peer that does not give slices,
//! always.

use crate::Time;
use crate::ask::blocks::Blocks;
use crate::ask::known::Known;
use crate::ask::links::{Asked, Link, LinkId};
use crate::ask::peers::Peer;
use cascade_format::{Block, Have};

/// As what a block is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As a slice; or as a block, where blocks are not divided.
    Each,
    /// As a whole block, of which nothing is there or in flight.
    Untouched,
    /// As a whole block, of which nothing is in flight. What is there of it comes again.
    Rest,
}

impl Way {
    /// The ways in which the link may be asked, the best one first.
    pub(super) fn of(known: &Known, link: &Link) -> &'static [Self] {
        if !known.blocks.are_sliced() {
            return &[Self::Each];
        }
        let pays = known.has_telling_leechers() && known.flow.received.rate() < known.tuning.fast_rate;
        match link.gives_slices() {
            true if pays => &[Self::Each],
            true => &[Self::Untouched, Self::Each],
            false => &[Self::Untouched, Self::Rest],
        }
    }

    /// What is asked for to get `block` in this way.
    pub(super) fn asked(self, known: &Known, block: Block) -> Asked {
        known.asked(block, self == Self::Each)
    }
}

/// Whether a link may be asked for a block in some way.
pub(super) struct MayAsk<'a> {
    pub(super) way: Way,
    pub(super) now: Time,
    pub(super) id: LinkId,
    pub(super) link: &'a Link,
    pub(super) peer: &'a Peer,
}

impl MayAsk<'_> {
    /// Whether `block`, which is missing, may be asked for; `have`: what the peer has, if it does not have everything.
    pub(super) fn allows(&self, blocks: &Blocks, have: Option<&Have>, block: Block) -> bool {
        let name = if self.way == Way::Each { block } else { blocks.name_of_whole(block) };
        let fits = match self.way {
            Way::Each => {
                let told = self.link.told.as_ref();
                let now =
                    told.is_none_or(|told| told.gives_slices_of(self.now, blocks.layout().block_of(block)));
                now && blocks.can_be_verified(block, Some(self.id))
            }
            Way::Untouched => blocks.is_untouched(block) && blocks.is_all_in(have, block),
            Way::Rest => blocks.is_at_rest(block) && blocks.is_all_in(have, block),
        };
        let noted = blocks.noted_as(block, self.way != Way::Each);
        fits && self.peer.may_have(self.now, noted) && !self.link.requests.owes_unwanted(name)
    }
}

#[cfg(test)]
mod tests {
    use crate::Time;
    use crate::ask::{Action, Config, LinkId, Order, Outcome, Plan, Source, Tuning};
    use alloc::boxed::Box;
    use alloc::vec;
    use alloc::vec::Vec;
    use cascade_format::extension::{Item, Run};
    use cascade_format::peer_wire::Status;
    use cascade_format::{Block, Have, Layout, PeerAddr};
    use core::net::IpAddr;
    use core::time::Duration;

    const START: Time = Time::from_millis(1);

    /// Two blocks of four slices each.
    fn layout() -> Layout {
        Layout::new(512 << 10, 256 << 10).unwrap().sliced().unwrap()
    }

    fn slice(number: u64) -> Block {
        layout().block(number).unwrap()
    }

    fn have(numbers: core::ops::Range<u64>) -> Item {
        Item::Have(numbers.map(|number| Run::of(slice(number))).collect())
    }

    /// A plan that has linked this number of peers.
    fn plan(peers: u8) -> (Plan, Vec<LinkId>) {
        let config = Config { order: Order::Sequential, max_links: 8, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout(), &Have::none(&layout()), config, Box::new(|| 0));
        let addrs: Vec<_> =
            (1..=peers).map(|host| PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)).collect();
        // Others have told that these know the extension: they are asked for news first.
        plan.handle_peers(START, Source::User, &addrs);
        let mut links = Vec::new();
        while let Some(action) = plan.poll_action(START) {
            if let Action::Connect { link, .. } = action {
                links.push(link);
            }
        }
        (plan, links)
    }

    /// What the plan asks for: the link, the number, and whether it is a slice.
    fn asked(plan: &mut Plan, now: Time) -> Vec<(LinkId, u64, bool)> {
        let mut asked = Vec::new();
        while let Some(action) = plan.poll_action(now) {
            if let Action::Request { link, blocks, sliced } = action {
                asked.extend(blocks.iter().map(|block| (link, block.number(), sliced)));
            }
        }
        asked
    }

    /// A link whose peer gives slices, tells these items, and has refused the whole block that it was asked for first.
    fn link(plan: &mut Plan, now: Time, link: LinkId, items: &[Item]) {
        plan.handle_connected(now, link);
        let whole = asked(plan, now);
        plan.handle_news(now, link, &[Item::Slices], false);
        plan.handle_news(now, link, items, true);
        for (link, number, sliced) in whole {
            assert!(!sliced, "it has not told that it gives slices");
            plan.handle_received(now, link, 20, &[Outcome::Refused(slice(number), Status::MissingBlock)]);
        }
    }

    /// When a peer that has refused something is asked again.
    const LATER: Time = Time::from_secs(1);

    #[test]
    fn a_slice_that_a_busy_peer_refused_is_asked_for_again_when_the_pause_is_over() {
        let (mut plan, links) = plan(1);
        link(&mut plan, START, links[0], &[have(0..1)]);
        let mut now = LATER;
        assert_eq!(asked(&mut plan, now), vec![(links[0], 0, true)]);
        let refused = now + Duration::from_millis(1);
        plan.handle_received(refused, links[0], 20, &[Outcome::Refused(slice(0), Status::MissingBlock)]);
        assert_eq!(asked(&mut plan, refused), [], "it gives slices of this block to others");
        let mut again = Vec::new();
        // A question for news waits at the peer meanwhile.
        while again.is_empty() {
            now = plan.next_wakeup(now).unwrap().max(now + Duration::from_millis(1));
            assert!(now < refused + Tuning::DEFAULT.busy_pause * 2, "it is forgotten");
            again = asked(&mut plan, now);
        }
        assert_eq!(again, [(links[0], 0, true)]);
    }

    #[test]
    fn a_slice_that_was_refused_and_is_offered_then_is_asked_for_at_once() {
        let (mut plan, links) = plan(1);
        link(&mut plan, START, links[0], &[have(0..1)]);
        let now = LATER;
        assert_eq!(asked(&mut plan, now), [(links[0], 0, true)]);
        plan.handle_received(now, links[0], 20, &[Outcome::Refused(slice(0), Status::MissingBlock)]);
        assert_eq!(asked(&mut plan, now), []);
        plan.handle_news(now, links[0], &[Item::Offer([Run::of(slice(0))].into())], true);
        assert_eq!(asked(&mut plan, now), [(links[0], 0, true)]);
    }

    #[test]
    fn what_a_peer_lacked_and_offers_then_is_asked_for_at_once() {
        let (mut plan, links) = plan(1);
        link(&mut plan, START, links[0], &[]);
        let offer = Item::Offer([Run { first: slice(0), count: 4 }].into());
        plan.handle_news(START, links[0], &[Item::Choosing, offer], true);
        let asked = asked(&mut plan, START);
        assert!(asked.starts_with(&[(links[0], 0, true)]), "{asked:?}");
    }

    #[test]
    fn a_link_that_waits_for_the_slice_behind_its_own_is_asked_when_another_has_brought_that() {
        let (mut plan, links) = plan(2);
        link(&mut plan, START, links[0], &[have(0..1)]);
        assert_eq!(asked(&mut plan, LATER), [(links[0], 0, true)]);
        link(&mut plan, LATER, links[1], &[have(0..4)]);
        let now = LATER * 2;
        assert_eq!(asked(&mut plan, now), []);
        plan.handle_received(now, links[0], 64 << 10, &[Outcome::Verified(slice(0))]);
        let asked = asked(&mut plan, now);
        assert!(asked.starts_with(&[(links[1], 1, true)]), "{asked:?}");
    }

    #[test]
    fn of_a_block_with_verified_slices_a_link_that_gives_none_is_asked_for_all() {
        let (mut plan, links) = plan(2);
        link(&mut plan, START, links[0], &[have(0..2)]);
        let now = LATER;
        let first = asked(&mut plan, now);
        assert!(first.iter().all(|asked| asked.0 == links[0] && asked.2), "{first:?}");
        // While a slice is in flight, the block is left alone.
        plan.handle_connected(now, links[1]);
        assert_eq!(asked(&mut plan, now), [(links[1], 4, false)]);
        for (_, number, _) in first {
            plan.handle_received(now, links[0], 64 << 10, &[Outcome::Verified(slice(number))]);
        }
        plan.handle_received(now, links[1], 256 << 10, &[Outcome::VerifiedWhole(slice(4))]);
        let mut rest = asked(&mut plan, now);
        if rest == [(links[0], 1, true)] {
            plan.handle_received(now, links[0], 64 << 10, &[Outcome::Verified(slice(1))]);
            rest = asked(&mut plan, now);
        }
        assert_eq!(rest, [(links[1], 0, false)]);
        plan.handle_received(now, links[1], 256 << 10, &[Outcome::VerifiedWhole(slice(0))]);
        assert!(plan.is_complete());
        assert_eq!(plan.totals().bytes, 512 << 10);
        assert_eq!(plan.totals().bytes_duplicate, 128 << 10);
    }

    #[test]
    fn an_offer_waits_until_the_slice_behind_it_is_asked_for() {
        let (mut plan, links) = plan(1);
        link(&mut plan, START, links[0], &[Item::Choosing]);
        let offer = |first, count| Item::Offer([Run { first: slice(first), count }].into());
        plan.handle_news(LATER, links[0], &[offer(1, 2)], true);
        assert_eq!(asked(&mut plan, LATER), [], "the slice behind them is asked of nobody");
        plan.handle_news(LATER, links[0], &[offer(0, 2)], true);
        let all = [0, 1, 2].map(|number| (links[0], number, true));
        assert_eq!(asked(&mut plan, LATER), all);
    }

    #[test]
    fn an_offer_waits_while_the_slice_behind_it_is_on_its_way() {
        let (mut plan, links) = plan(2);
        link(&mut plan, START, links[0], &[have(0..1)]);
        assert_eq!(asked(&mut plan, LATER), [(links[0], 0, true)]);
        link(&mut plan, LATER, links[1], &[Item::Choosing]);
        let offer = Item::Offer([Run { first: slice(0), count: 3 }].into());
        plan.handle_news(LATER, links[1], &[offer], true);
        assert_eq!(asked(&mut plan, LATER), []);
        plan.handle_received(LATER, links[0], 64 << 10, &[Outcome::Verified(slice(0))]);
        assert_eq!(asked(&mut plan, LATER), [(links[1], 1, true), (links[1], 2, true)]);
    }

    #[test]
    fn offers_that_wait_for_a_slow_peer_are_declined() {
        let (mut plan, links) = plan(2);
        link(&mut plan, START, links[0], &[have(0..1)]);
        assert_eq!(asked(&mut plan, LATER), [(links[0], 0, true)]);
        link(&mut plan, LATER, links[1], &[Item::Choosing]);
        let offer = Item::Offer([Run { first: slice(0), count: 3 }].into());
        plan.handle_news(LATER, links[1], &[offer], true);
        plan.handle_received(LATER, links[1], 20, &[Outcome::Told]);
        assert_eq!(asked(&mut plan, LATER), []);
        let mut now = LATER;
        loop {
            now = plan.next_wakeup(now).unwrap().max(now);
            assert!(now <= LATER + Tuning::DEFAULT.pause, "it waits for another peer");
            let mut actions = core::iter::from_fn(|| plan.poll_action(now));
            if actions.any(|action| action == Action::Poll { link: links[1], sliced: true }) {
                break;
            }
        }
        assert_eq!(now, LATER + Tuning::DEFAULT.pause);
        assert_eq!(plan.offers_seen(links[1]), 3, "the seeder knows by this what is declined");
    }

    #[test]
    fn the_rest_of_a_block_that_comes_slowly_is_asked_of_a_fast_peer_when_nothing_else_is_left() {
        let (mut plan, links) = plan(2);
        link(&mut plan, START, links[0], &[have(0..1)]);
        assert_eq!(asked(&mut plan, LATER), [(links[0], 0, true)]);
        link(&mut plan, LATER, links[1], &[Item::Everything]);
        let mut now = LATER + Duration::from_millis(10);
        for number in 4..8 {
            asked(&mut plan, now);
            plan.handle_received(now, links[1], 64 << 10, &[Outcome::Verified(slice(number))]);
            now += Duration::from_millis(10);
        }
        // A slice in four seconds, and it never stalls.
        let mut revoked = false;
        while !revoked {
            now += Duration::from_millis(100);
            assert!(now < LATER + Duration::from_secs(4), "all of the block comes from the slow peer");
            plan.handle_received(now, links[0], 1638, &[]);
            while let Some(action) = plan.poll_action(now) {
                revoked |= action == Action::Revoke { link: links[0], block: slice(0), sliced: true };
            }
        }
        plan.handle_revoked(now, links[0], slice(0), true);
        assert_eq!(asked(&mut plan, now).first(), Some(&(links[1], 0, true)));
    }

    #[test]
    fn offers_of_what_is_there_keep_nobody_from_asking_for_news() {
        let (mut plan, links) = plan(1);
        let offer = Item::Offer([Run { first: slice(0), count: 3 }].into());
        link(&mut plan, START, links[0], &[Item::Choosing]);
        plan.handle_news(LATER, links[0], core::slice::from_ref(&offer), true);
        assert_eq!(asked(&mut plan, LATER).len(), 3);
        let verified = [0, 1, 2].map(|number| Outcome::Verified(slice(number)));
        plan.handle_received(LATER, links[0], 192 << 10, &verified);
        let later = LATER * 2;
        asked(&mut plan, later);
        plan.handle_news(later, links[0], &[offer], true);
        plan.handle_received(later, links[0], 20, &[Outcome::Told]);
        let now = later + Tuning::DEFAULT.pause;
        let mut actions = core::iter::from_fn(|| plan.poll_action(now));
        assert!(actions.any(|action| action == Action::Poll { link: links[0], sliced: true }));
    }

    #[test]
    fn a_block_that_came_wrong_is_asked_of_its_only_giver_again_though_others_have_slices_of_it() {
        let (mut plan, links) = plan(2);
        link(&mut plan, START, links[0], &[have(0..1)]);
        assert_eq!(asked(&mut plan, LATER), [(links[0], 0, true)]);
        plan.handle_received(LATER, links[0], 64 << 10, &[Outcome::Verified(slice(0))]);
        plan.handle_connected(LATER, links[1]);
        let (mut now, mut wrong) = (LATER, 0);
        while !plan.is_complete() {
            assert!(now < LATER + Duration::from_secs(60), "{wrong} times wrong, and never asked for again");
            let mut answers = Vec::new();
            while let Some(action) = plan.poll_action(now) {
                match action {
                    Action::Connect { link, .. } => plan.handle_connected(now, link),
                    Action::Request { link, blocks, sliced: false } => answers.push((link, blocks)),
                    Action::Request { .. } => panic!("a slice that nobody has is asked for"),
                    Action::Poll { .. }
                    | Action::Probe { .. }
                    | Action::Revoke { .. }
                    | Action::Close { .. } => {}
                }
            }
            for (link, block) in answers
                .into_iter()
                .flat_map(|(link, blocks)| blocks.into_iter().map(move |block| (link, block)))
            {
                let flips = block.number() == 0 && wrong == 0;
                wrong += u32::from(flips);
                let outcome = if flips { Outcome::Corrupt(block) } else { Outcome::VerifiedWhole(block) };
                plan.handle_received(now, link, 256 << 10, &[outcome]);
            }
            now = plan.next_wakeup(now).unwrap_or(now).max(now + Duration::from_millis(10));
        }
        assert_eq!(wrong, 1);
    }
}
