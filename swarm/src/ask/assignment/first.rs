//! Blocks that are wanted before all others: those that tell what the rest is.

use crate::Time;
use crate::ask::known::Known;
use crate::ask::links::LinkId;
use crate::ask::links::told::Has;
use cascade_format::Block;
use core::ops::Range;

/// Such blocks.
#[derive(Debug, Default)]
pub(super) struct First(Range<u64>);

impl First {
    pub(super) fn of(blocks: Range<u64>) -> Self {
        Self(blocks)
    }

    /// The first of them that is missing and that the link may be asked for.
    pub(super) fn next_for(&self, known: &Known, now: Time, link: LinkId) -> Option<Block> {
        if self.0.is_empty() {
            return None;
        }
        let state = known.links.get(link)?;
        let peer = known.peers.get(state.peer);
        let have = match state.told.as_ref().map(|told| &told.has) {
            Some(Has::Some(have)) => Some(have),
            Some(Has::Everything | Has::Choosing) | None => None,
        };
        let may_ask = |block: &Block| peer.may_have(now, *block) && !state.requests.owes_unwanted(*block);
        known.blocks.find_missing(have, self.0.clone()).find(may_ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Action, Config, Order, Plan, Source, Tuning};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use cascade_format::PeerAddr;
    use cascade_format::{Have, Layout};
    use core::net::IpAddr;
    use core::time::Duration;

    /// The first blocks that two peers are asked for.
    fn asked(first: Range<u64>) -> Vec<u64> {
        let layout = Layout::new(100 << 20, 1 << 20).unwrap();
        let config = Config { order: Order::Random, max_links: 8, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 50));
        plan.want_first(first);
        let addrs = [1, 2].map(|host| PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001));
        plan.handle_peers(Time::ZERO, Source::Tracker(0), &addrs);
        let (now, mut asked) = (Duration::from_millis(1), Vec::new());
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

    #[test]
    fn what_is_wanted_first_is_asked_for_first() {
        let [one, two] = asked(0..2)[..] else { panic!("two peers are asked") };
        assert_eq!([one, two], [0, 1]);
        let [one, two] = asked(7..8)[..] else { panic!("two peers are asked") };
        assert!(one == 7 && two != 7);
        assert!(!asked(0..0).contains(&0));
    }
}
