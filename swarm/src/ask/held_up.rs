//! What is different while a limit of this peer's own holds up what comes.
//!
//! Then nobody else is slow. What a link brings says how often it had its turn, and in bursts: a block that is taken
//! from one link for another comes no sooner, and what had come of it is lost. So no block is taken, nothing counts as
//! a drought, and only a link over which no byte comes for long is given up.

use super::known::Flow;
use crate::Time;
use core::time::Duration;

/// For this time after the driver has told of it, the limit still counts.
const HELD_UP: Duration = Duration::from_secs(1);

impl Flow {
    /// The limit holds up what comes.
    pub(super) fn held_up(&mut self, now: Time) {
        (self.held_up_until, self.last_progress) = (now + HELD_UP, now);
    }

    /// Whether a limit of this peer's own holds up what comes.
    pub(super) fn is_held_up(&self, now: Time) -> bool {
        now < self.held_up_until
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Config, LinkId, Order, Outcome, Plan, Source, Tuning};
    use super::*;
    use alloc::boxed::Box;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use cascade_format::PeerAddr;
    use cascade_format::{Block, Have, Layout};
    use core::net::IpAddr;

    /// Bytes that may come in a second, and with one turn.
    const RATE: u64 = 64 << 10;
    const PIECE: u64 = 1448;

    const BLOCK: u64 = 16 << 20;

    /// A link to a peer that has everything, and gives as fast as it is read; or gives nothing.
    struct Open {
        link: LinkId,
        gives: bool,
        asked: VecDeque<Block>,
        /// Bytes that have come of the first.
        came: u64,
    }

    /// Downloads a file of this number of blocks from 10 peers, one of which may give nothing; the time, and the plan.
    fn download(blocks: u64, dumb: Option<usize>, limited: bool) -> (Time, Plan) {
        let layout = Layout::new(BLOCK * blocks, BLOCK).unwrap();
        let config = Config { order: Order::Random, max_links: 64, tuning: &Tuning::DEFAULT };
        let mut random = fastrand::Rng::with_seed(7);
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(move || random.u64(..)));
        let addrs: Vec<_> =
            (1..=10).map(|host| PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)).collect();
        plan.handle_peers(Time::ZERO, Source::User, &addrs);
        let (mut now, mut open, mut turn) = (Time::ZERO, Vec::<Open>::new(), 0);
        while !plan.is_complete() {
            assert!(now < Duration::from_secs(100_000), "{} of {blocks} blocks", plan.totals().bytes / BLOCK);
            while let Some(action) = plan.poll_action(now) {
                match action {
                    Action::Connect { link, addr, .. } => {
                        let gives = dumb != addrs.iter().position(|known| *known == addr);
                        open.push(Open { link, gives, asked: VecDeque::new(), came: 0 });
                        plan.handle_connected(now, link);
                    }
                    Action::Request { link, blocks, .. } => {
                        open.iter_mut()
                            .filter(|open| open.link == link)
                            .for_each(|open| open.asked.extend(&blocks));
                    }
                    Action::Revoke { link, block, .. } => {
                        plan.handle_revoked(now, link, block, true);
                        // The bytes come all the same.
                    }
                    Action::Close { link } => open.retain(|open| open.link != link),
                    Action::Poll { .. } | Action::Probe { .. } => {}
                }
            }
            // The next link in turn has a piece, four at once: the link reads in bursts.
            now += Duration::from_nanos(PIECE * 4 * 1_000_000_000 / RATE);
            let able = |open: &Open| open.gives && !open.asked.is_empty();
            let Some(next) = (turn..).take(open.len()).map(|at| at % open.len()).find(|at| able(&open[*at]))
            else {
                continue;
            };
            turn = next + 1;
            if limited {
                plan.handle_held_up(now);
            }
            let from = &mut open[next];
            from.came += PIECE * 4;
            let mut outcomes = Vec::new();
            if from.came >= BLOCK {
                from.came -= BLOCK;
                outcomes.extend(from.asked.pop_front().map(Outcome::Verified));
            }
            let link = from.link;
            plan.handle_received(now, link, PIECE * 4, &outcomes);
        }
        (now, plan)
    }

    #[test]
    fn many_links_that_share_a_low_limit_bring_every_block_once() {
        let (took, plan) = download(24, None, true);
        assert_eq!(plan.totals().bytes_duplicate, 0);
        let ideal = Duration::from_secs(24 * BLOCK / RATE);
        assert!(took < ideal.mul_f64(1.01), "{took:?} instead of {ideal:?}");
    }

    #[test]
    fn a_dumb_peer_is_given_up_all_the_same() {
        let (took, plan) = download(12, Some(3), true);
        assert_eq!(plan.totals().bytes_duplicate, 0);
        let ideal = Duration::from_secs(12 * BLOCK / RATE);
        assert!(took < ideal.mul_f64(1.05), "{took:?} instead of {ideal:?}");
    }
}
