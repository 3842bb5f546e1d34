//! The present state of a download, for viewers. No state is kept for this: it is put together when it is asked for.

use super::links::{Link, LinkId};
use super::plan::Plan;
use crate::Time;
use alloc::vec::Vec;
use cascade_format::{Block, Have, Layout, PeerAddr};

/// What is under way on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The connection is being made.
    Connecting,
    /// Blocks have been requested, and are arriving.
    Asking,
    /// Blocks have been requested, but the link has made no progress for [`stall_after`](super::Tuning::stall_after) or
    /// longer. Other peers may be asked for these blocks now.
    Stalled,
    /// A question for news waits at the peer; there is no block to request.
    Waiting,
    /// Nothing has been requested.
    Idle,
}

/// One link.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenLink {
    /// Its name.
    pub id: LinkId,
    /// Where the peer listens.
    pub addr: PeerAddr,
    /// What is under way.
    pub role: Role,
    /// Bytes a second while blocks last arrived; 0 while unknown.
    pub rate: f64,
    /// Bytes of verified blocks that came over it.
    pub bytes: u64,
    /// Blocks that are asked for over it.
    pub in_flight: usize,
    /// Whether the peer has shown that it knows the extension.
    pub extension: bool,
    /// How many blocks the peer has, as it has told; `None` if it does not tell.
    pub blocks_done: Option<u64>,
}

impl Plan {
    /// Every link that is connected or being connected, the oldest first.
    #[must_use]
    pub fn seen_links(&self, now: Time) -> Vec<SeenLink> {
        let known = self.known();
        let layout = known.blocks.layout();
        let blocks = layout.whole().blocks();
        let seen = |(id, link): (LinkId, &Link)| SeenLink {
            id,
            addr: known.peers.get(link.peer).addr(),
            role: role(link, now),
            rate: link.pipeline.rate(),
            bytes: link.given(),
            in_flight: blocks_of(known.blocks.layout(), link.requests.wanted().map(|asked| asked.block))
                .len(),
            extension: link.told.is_some(),
            blocks_done: link
                .told
                .as_ref()
                .map(|told| told.part().map_or(blocks, |have| complete(layout, have))),
        };
        known.links.iter().map(seen).collect()
    }

    /// The numbers of the blocks that are in flight, in order.
    #[must_use]
    pub fn in_flight(&self) -> Vec<u64> {
        blocks_of(self.known().blocks.layout(), self.known().blocks.in_flight())
    }

    /// For each block, the number of linked peers that have it. Counted are the peers that tell what they have and lack
    /// at least one block. Empty until one of them has told of a block.
    #[must_use]
    pub fn holders(&self) -> Vec<u16> {
        let known = self.known();
        let layout = known.blocks.layout();
        if known.rarity.holders().is_empty() {
            return Vec::new();
        }
        // A peer that has the last slice of a block has all of it.
        let last = |block: Block| layout.block(layout.slices_of(block).end.saturating_sub(1));
        layout.whole().iter().map(|block| last(block).map_or(0, |slice| known.rarity.of(slice))).collect()
    }

    /// Linked peers that have told that they have every block.
    #[must_use]
    pub fn linked_seeders(&self) -> usize {
        let is_seeder = |link: &Link| link.told.as_ref().is_some_and(|told| told.part().is_none());
        self.known().links.iter().filter(|(_, link)| is_seeder(link)).count()
    }
}

/// The numbers of the blocks that these slices are a part of, in order.
fn blocks_of(layout: &Layout, slices: impl Iterator<Item = Block>) -> Vec<u64> {
    let mut blocks: Vec<u64> = slices.map(|slice| layout.block_of(slice).number()).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// Number of blocks of which all slices are in `have`.
fn complete(layout: &Layout, have: &Have) -> u64 {
    if layout.slices_a_block() == 1 {
        return have.count();
    }
    let last = |block| layout.block(layout.slices_of(block).end.saturating_sub(1));
    let whole = layout.whole();
    whole.iter().filter(|block| last(*block).is_some_and(|slice| have.has(slice))).count() as u64
}

fn role(link: &Link, now: Time) -> Role {
    if !link.is_connected() {
        Role::Connecting
    } else if link.is_stalled(now) {
        Role::Stalled
    } else if !link.requests.is_empty() {
        Role::Asking
    } else if link.told.as_ref().is_some_and(|told| told.polling) {
        Role::Waiting
    } else {
        Role::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Action, Config, Order, Outcome, Source, Tuning};
    use alloc::boxed::Box;
    use cascade_format::extension::{Item, Run};
    use cascade_format::{Block, Have, Layout};
    use core::net::Ipv4Addr;
    use core::time::Duration;

    /// Everything that a plan wants done: the links that it makes, and the blocks that it asks for.
    fn actions(plan: &mut Plan, now: Time) -> (Vec<LinkId>, Vec<Block>) {
        let (mut links, mut asked) = (Vec::new(), Vec::new());
        while let Some(action) = plan.poll_action(now) {
            match action {
                Action::Connect { link, .. } => links.push(link),
                Action::Request { blocks, .. } => asked.extend(blocks),
                Action::Poll { .. } | Action::Probe { .. } | Action::Revoke { .. } | Action::Close { .. } => {
                }
            }
        }
        (links, asked)
    }

    #[test]
    fn a_download_shows_its_links_what_is_in_flight_and_how_rare_blocks_are() {
        let layout = Layout::new(8 << 20, 1 << 20).unwrap();
        let config = Config { order: Order::Random, max_links: 64, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 7));
        let addrs = [1, 2].map(|host| PeerAddr::new(Ipv4Addr::new(10, 0, 0, host).into(), 1000));
        plan.handle_peers(Time::ZERO, Source::User, &addrs);
        let (links, _) = actions(&mut plan, Time::ZERO);
        assert!(plan.seen_links(Time::ZERO).iter().all(|link| link.role == Role::Connecting));
        assert_eq!((links.len(), plan.holders()), (2, Vec::new()));

        let now = Duration::from_millis(10);
        links.iter().for_each(|link| plan.handle_connected(now, *link));
        let (_, asked) = actions(&mut plan, now);
        let mut numbers: Vec<u64> = asked.iter().map(|block| block.number()).collect();
        numbers.sort_unstable();
        assert_eq!((plan.in_flight(), numbers.is_empty()), (numbers, false));

        // One has everything, the other one the first two blocks.
        let first = layout.block(0).unwrap();
        plan.handle_news(now, links[0], &[Item::Everything], false);
        plan.handle_news(now, links[1], &[Item::Have([Run { first, count: 2 }].into())], false);
        assert_eq!((plan.linked_seeders(), plan.holders()), (1, [1, 1, 0, 0, 0, 0, 0, 0].into()));
        plan.handle_received(now, links[0], 1 << 20, &[Outcome::Verified(asked[0])]);
        let seen = plan.seen_links(now);
        let told: Vec<_> =
            seen.iter().map(|link| (link.addr, link.extension, link.blocks_done, link.bytes)).collect();
        assert_eq!(told, [(addrs[0], true, Some(8), 1 << 20), (addrs[1], true, Some(2), 0)]);
        let silent = now + Duration::from_secs(14);
        assert!(plan.seen_links(silent).iter().any(|link| link.role == Role::Stalled), "{seen:?}");
    }
}
