//! Blocks that are wanted before all others: those that tell what the rest is.

use super::way::{MayAsk, Way};
use crate::Time;
use crate::ask::known::Known;
use crate::ask::links::told::Has;
use crate::ask::links::{Asked, LinkId};
use cascade_format::Block;
use core::ops::Range;

/// Such blocks.
#[derive(Debug, Default)]
pub(super) struct First {
    blocks: Range<u64>,
    at_once: bool,
}

impl First {
    /// `at_once`: others may turn out not to be needed when these are there, so nothing else is asked for before.
    pub(super) fn of(blocks: Range<u64>, at_once: bool) -> Self {
        Self { blocks, at_once }
    }

    /// The first of them that is missing and that the link may be asked for. Whether its peer is a seeder that chooses,
    /// which gives it to one leecher, is known when it has answered.
    pub(super) fn next_for(&self, known: &Known, now: Time, id: LinkId, way: Way) -> Option<Asked> {
        if self.blocks.is_empty() {
            return None;
        }
        let link = known.links.get(id)?;
        let peer = known.peers.get(link.peer);
        let have = match link.told.as_ref().map(|told| &told.has) {
            Some(Has::Some(have)) => Some(have),
            None if !self.at_once && link.answers() == 0 => return None,
            Some(Has::Everything | Has::Choosing) | None => None,
        };
        let may_ask = MayAsk { way, now, id, link, peer };
        let allows = |block: &Block| may_ask.allows(&known.blocks, have, *block);
        let first = known.blocks.find_missing(have, self.blocks.clone()).find(allows)?;
        Some(way.asked(known, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Action, Config, Order, Outcome, Plan, Source, Tuning};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use cascade_format::extension::Item;
    use cascade_format::{Have, Layout, PeerAddr};
    use core::net::IpAddr;
    use core::time::Duration;

    fn requested(plan: &mut Plan, now: Time) -> Vec<u64> {
        let mut asked = Vec::new();
        while let Some(action) = plan.poll_action(now) {
            match action {
                Action::Connect { link, .. } => plan.handle_connected(now, link),
                Action::Request { blocks, .. } => asked.extend(blocks.iter().map(|block| block.number())),
                Action::Close { .. } | Action::Poll { .. } | Action::Probe { .. } | Action::Revoke { .. } => {
                }
            }
        }
        asked
    }

    /// The block that a peer is asked for first, and those behind it when it has told `items`.
    fn asked(first: Range<u64>, at_once: bool, items: &[Item]) -> (u64, Vec<u64>) {
        let layout = Layout::new(100 << 20, 1 << 20).unwrap();
        let config = Config { order: Order::Random, max_links: 8, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 50));
        plan.want_first(first, at_once);
        let now = Duration::from_millis(1);
        plan.handle_peers(now, Source::Tracker(0), &[PeerAddr::new(IpAddr::from([10, 0, 0, 1]), 7001)]);
        let Some(Action::Connect { link, .. }) = plan.poll_action(now) else { panic!("no link") };
        plan.handle_connected(now, link);
        let [opened] = requested(&mut plan, now)[..] else { panic!("one block is asked for") };
        if !items.is_empty() {
            plan.handle_news(now, link, items, false);
        }
        let outcome = Outcome::Verified(layout.block(opened).unwrap());
        plan.handle_received(now, link, 1 << 20, &[outcome]);
        (opened, requested(&mut plan, now))
    }

    #[test]
    fn what_is_wanted_first_is_asked_for_first_when_a_peer_has_answered() {
        let (opened, next) = asked(0..2, false, &[]);
        assert!(opened > 1 && next.starts_with(&[0, 1]), "{opened}, {next:?}");
        let (opened, next) = asked(7..8, false, &[Item::Everything]);
        assert!(opened != 7 && next.starts_with(&[7]) && next.len() > 1, "{opened}, {next:?}");
        assert!(!asked(0..0, false, &[]).1.contains(&0));
    }

    #[test]
    fn what_is_wanted_at_once_is_asked_for_before_a_peer_has_answered() {
        for items in [&[][..], &[Item::Everything]] {
            let (opened, next) = asked(0..2, true, items);
            assert!(opened == 0 && next.starts_with(&[1]), "{opened}, {next:?}");
        }
    }

    #[test]
    fn a_seeder_that_chooses_gives_it_to_whom_it_likes() {
        assert_eq!(asked(0..2, false, &[Item::Choosing]).1, []);
    }
}
