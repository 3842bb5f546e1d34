//! Takes in what peers tell of themselves.

use super::knowledge::{Has, Told};
use super::{LinkId, Plan, Time, address};
use alloc::vec::Vec;
use cascade_format::extension::{Item, Run};
use cascade_format::{Block, Layout};
use core::net::{Ipv4Addr, SocketAddrV4};

impl Plan {
    /// The peer of the link has shown that it knows the extension, and tells `items`. Call this before
    /// [`Plan::handle_received`] with the outcomes of the same answer.
    pub fn handle_news(&mut self, now: Time, link: LinkId, items: &[Item]) {
        let layout = *self.blocks.layout();
        let Some(state) = self.links.get_mut(link) else { return };
        let peer = state.peer;
        if state.told.is_none() {
            self.rarity.partial += 1;
        }
        let told = state.told.get_or_insert_with(|| Told::new(self.tuning, &layout));
        (told.exhausted, told.heard) = (false, true);
        self.scan |= self.peers.spoke(peer);
        self.peers.get_mut(peer).set_extended(true);
        let honest = items.iter().all(|item| self.handle_item(now, link, peer, item, &layout));
        if honest {
            self.touch(link);
        } else {
            self.peers.get_mut(peer).banned();
            self.close(link);
        }
    }

    /// A link to a peer that is said to know the extension begins with a question for news.
    pub(super) fn expect_news(&mut self, link: LinkId) {
        let layout = *self.blocks.layout();
        if let Some(state) = self.links.get_mut(link)
            && self.peers.get(state.peer).may_tell()
        {
            self.rarity.partial += 1;
            state.told = Some(Told::new(self.tuning, &layout));
        }
    }

    /// Offered blocks that the link's peer has told of so far, modulo 2³²; its next requests say so.
    #[must_use]
    pub fn offers_seen(&self, link: LinkId) -> u32 {
        self.links.get(link).and_then(|state| state.told.as_ref()).map_or(0, |told| told.offers_seen)
    }

    /// The answer to a question for news has ended.
    pub(super) fn handle_told(&mut self, now: Time, link: LinkId) {
        let Some(state) = self.links.get_mut(link) else { return };
        let hurried = state.requests() > 0;
        let Some(told) = &mut state.told else { return };
        told.poll_ended(now, hurried);
        if !told.heard {
            // Somebody said that the peer knows the extension; it does not.
            state.told = None;
            self.peers.get_mut(state.peer).set_extended(false);
            self.rarity.partial = self.rarity.partial.saturating_sub(1);
        }
        self.touch(link);
    }

    /// Takes in one item; tells whether an honest peer can have told it.
    fn handle_item(&mut self, now: Time, link: LinkId, peer: usize, item: &Item, layout: &Layout) -> bool {
        let Some(told) = self.links.get_mut(link).and_then(|state| state.told.as_mut()) else { return true };
        match item {
            Item::Everything => {
                // What it refused before it refused for other reasons.
                self.peers.get_mut(peer).lacks_nothing();
                self.has_all(link, Has::Everything);
            }
            Item::Choosing => self.has_all(link, Has::Choosing),
            Item::Offer(runs) => return runs.iter().all(|run| told.offers_run(layout, *run)),
            Item::Have(runs) => return runs.iter().all(|run| self.has_run(link, peer, *run)),
            Item::Map { first, bits } => {
                return map_runs(layout, *first, bits).into_iter().all(|run| self.has_run(link, peer, run));
            }
            Item::Peers(addrs) => self.learn_hearsay(now, peer, addrs, true),
            Item::PlainPeers(addrs) => self.learn_hearsay(now, peer, addrs, false),
            Item::Load(clients) => {
                told.load = *clients;
                if *clients == 0 {
                    told.busy_until = now;
                }
            }
            Item::Goodbye => {
                told.leaves = true;
                self.peers.get_mut(peer).left(now);
            }
        }
        true
    }

    fn learn_hearsay(&mut self, now: Time, teller: usize, addrs: &[SocketAddrV4], extended: bool) {
        self.scan = true;
        let teller = self.peers.get(teller).addr();
        let near = |addr: &&SocketAddrV4| nearness(*addr.ip()) <= nearness(*teller.ip());
        let own = self.own.map(|own| *own.ip());
        let somewhere = |addr: &&SocketAddrV4| address::is_somewhere(**addr, own);
        for addr in addrs.iter().filter(near).filter(somewhere) {
            if !self.is_own(*addr) {
                self.peers.learn_hearsay(now, *addr, extended);
            }
        }
    }

    fn has_all(&mut self, link: LinkId, has: Has) {
        self.scan = true;
        let Some(told) = self.links.get_mut(link).and_then(|state| state.told.as_mut()) else { return };
        if let Has::Some(have) = core::mem::replace(&mut told.has, has) {
            self.rarity.fewer(self.blocks.layout(), &have);
            self.rarity.partial = self.rarity.partial.saturating_sub(1);
        }
    }

    fn has_run(&mut self, link: LinkId, peer: usize, run: Run) -> bool {
        let layout = *self.blocks.layout();
        let Some(told) = self.links.get_mut(link).and_then(|state| state.told.as_mut()) else { return true };
        let (rarity, peer) = (&mut self.rarity, self.peers.get_mut(peer));
        told.has_run(&layout, run, &mut |block| {
            rarity.more(&layout, block);
            peer.gained(block);
        })
    }
}

/// 0 for the world, 1 for a private network, 2 for one machine. Nobody knows addresses nearer than its own:
/// what a stranger tells of this machine, or of this network, is a way to make us knock there.
fn nearness(ip: Ipv4Addr) -> u8 {
    if ip.is_loopback() { 2 } else { u8::from(ip.is_private() || ip.is_link_local()) }
}

/// The blocks of a map part, as runs.
fn map_runs(layout: &Layout, first: u64, bits: &[u8]) -> Vec<Run> {
    let numbers = bits.iter().zip(0u64..).flat_map(|(byte, at)| {
        (0..8u64).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| first + at * 8 + bit)
    });
    let mut runs: Vec<Run> = Vec::new();
    for block in numbers.filter_map(|number| -> Option<Block> { layout.block(number) }) {
        if !runs.last_mut().is_some_and(|run| run.extend(block)) {
            runs.push(Run::of(block));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Config, Order, Outcome, Source, Tuning};
    use super::*;
    use alloc::boxed::Box;
    use cascade_format::Have;
    use cascade_format::peer_wire::Status;

    fn requested(plan: &mut Plan, now: Time) -> Vec<Block> {
        let mut asked = Vec::new();
        while let Some(action) = plan.poll_action(now) {
            if let Action::Request { blocks, .. } = action {
                asked.extend(blocks);
            }
        }
        asked
    }

    #[test]
    fn a_seeder_that_chooses_no_more_is_asked_for_what_it_refused() {
        let layout = Layout::new(1 << 20, 1 << 20).unwrap();
        let config = Config { order: Order::Random, max_links: 4, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
        let now = Time::from_millis(1);
        plan.handle_peers(now, Source::User, &[SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7001)]);
        let Some(Action::Connect { link, .. }) = plan.poll_action(now) else { panic!("no link") };
        plan.handle_connected(now, link);
        let asked = requested(&mut plan, now);
        assert_eq!(asked.len(), 1);
        plan.handle_news(now, link, &[Item::Choosing]);
        plan.handle_received(now, link, 1, &[Outcome::Refused(asked[0], Status::MissingBlock)]);
        assert_eq!(requested(&mut plan, now), [], "it offers nothing");
        plan.handle_news(now, link, &[Item::Everything]);
        plan.handle_received(now, link, 1, &[Outcome::Told]);
        assert_eq!(requested(&mut plan, now), asked);
    }
}
