//! Making links: to whom, when, and in place of which.

use super::knowledge::Has;
use super::{Action, Link, LinkId, Plan, Time};
use crate::limits::{MAX_SWARM_LINKS, SWARM_LINKS};
use std::time::Duration;

/// A link over which nothing has come for so long may be closed in favour of another peer.
pub(super) const USELESS_AFTER: Duration = Duration::from_secs(15);

/// So many links are opened as soon as there are peers for them …
const FIRST_LINKS: usize = 16;

/// … and one more after so long each: who comes first knows at first only those who came first, and a swarm
/// whose first members ask each other alone asks the others too little.
const LINK_SPACING: Duration = Duration::from_millis(100);

/// What a link has given is compared with others after so long.
const JUDGED_AFTER: Duration = Duration::from_secs(4);

/// Two such closings are so far apart.
const REPLACE_INTERVAL: Duration = Duration::from_millis(500);

impl Plan {
    /// Opens links to peers that deserve one, in place of one that is of no use where all are taken.
    pub(super) fn connect(&mut self, now: Time) {
        while !self.is_complete() {
            let full = self.links.len() >= self.max_links();
            let enough = self.rarity.partial > 0 && self.links.len() >= SWARM_LINKS;
            let only_mutual = enough && !self.behind;
            if !full && self.links.len() >= FIRST_LINKS && now < self.open_at {
                return;
            }
            let next =
                if full { None } else { self.peers.next_to_connect(now, only_mutual, &mut self.random) };
            if let Some(peer) = next {
                self.open(now, peer);
            } else if !(full || only_mutual) || !self.make_room(now) {
                return;
            }
        }
    }

    fn open(&mut self, now: Time, peer: usize) {
        self.open_at = now + LINK_SPACING;
        let state = self.peers.get_mut(peer);
        state.link_opened();
        let addr = state.addr();
        let link = self.links.open(now, peer);
        self.actions.push_back(Action::Connect { link, addr });
    }

    /// All places are taken, and a peer may wait for one: gives it the place of one that has given nothing
    /// for long, or little, if there is such a link. Addresses cost a liar nothing: those that are of no use must
    /// not keep out those that may be. And everybody knows those who came first, who have no time for so many.
    fn make_room(&mut self, now: Time) -> bool {
        if now < self.replace_at {
            return false;
        }
        self.replace_at = now + REPLACE_INTERVAL;
        let Some(waiting) = self.peers.next_to_connect(now, false, &mut self.random) else { return false };
        if let Some((id, peer)) = self.useless_link(now) {
            self.peers.get_mut(peer).failed(now);
            self.close(id);
        } else if let Some((id, peer)) = self.poor_link(now) {
            self.peers.get_mut(peer).rests(now);
            self.close(id);
        } else {
            return false;
        }
        self.open(now, waiting);
        true
    }

    /// The oldest link over which nothing has ever come, and its peer.
    fn useless_link(&self, now: Time) -> Option<(LinkId, usize)> {
        let useless = |link: &Link| {
            link.is_connected()
                && link.requests() == 0
                && now >= link.opened() + USELESS_AFTER
                && !self.peers.get(link.peer).has_given()
        };
        let links = self.links.iter().filter(|(_, link)| useless(link));
        links.min_by_key(|(_, link)| link.opened()).map(|(id, link)| (id, link.peer))
    }

    /// Of the links to leechers, the one that has given least in its time, if that is less than half of the
    /// mean. Seeders are kept: they give little to each while they choose, and what nobody else has.
    fn poor_link(&self, now: Time) -> Option<(LinkId, usize)> {
        let is_leecher =
            |link: &Link| link.told.as_ref().is_some_and(|told| matches!(told.has, Has::Some(_)));
        let old = |link: &Link| is_leecher(link) && now >= link.opened() + JUDGED_AFTER;
        let links =
            || self.links.iter().filter(|(_, link)| old(link)).map(|(id, link)| (link.yields(now), id, link));
        let mean = links().map(|(yields, ..)| yields).sum::<u64>() / (links().count() as u64).max(1);
        let idle = links().filter(|(yields, _, link)| link.requests() == 0 && *yields < mean / 2);
        idle.min_by_key(|(yields, ..)| *yields).map(|(_, id, link)| (id, link.peer))
    }

    /// Links that are worth having.
    pub(super) fn max_links(&self) -> usize {
        let enough = if self.rarity.partial > 0 { MAX_SWARM_LINKS } else { usize::MAX };
        self.options.max_links.min(enough)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Order, Source};
    use super::*;
    use cascade_format::extension::{Item, Run};
    use cascade_format::{Have, Layout};
    use std::net::{Ipv4Addr, SocketAddrV4};

    const MOMENT: Duration = Duration::from_millis(1);

    fn plan(peers: u8) -> Plan {
        let layout = Layout::new(100 << 20, 1 << 20).unwrap();
        let options = Options { order: Order::Random, max_links: 128 };
        let mut plan = Plan::new(layout, &Have::none(&layout), options, Box::new(|| 0));
        let addrs: Vec<_> =
            (1..=peers).map(|host| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 7001)).collect();
        plan.handle_peers(Time::ZERO, Source::Tracker, &addrs);
        plan
    }

    /// What the plan opens and closes now.
    fn links(plan: &mut Plan, now: Time) -> (Vec<LinkId>, Vec<LinkId>) {
        let (mut opened, mut closed) = (Vec::new(), Vec::new());
        while let Some(action) = plan.poll_action(now) {
            match action {
                Action::Connect { link, .. } => opened.push(link),
                Action::Close { link } => closed.push(link),
                Action::Request { .. } | Action::Poll { .. } | Action::Revoke { .. } => {}
            }
        }
        (opened, closed)
    }

    #[test]
    fn the_first_links_are_opened_at_once_and_the_others_one_after_the_other() {
        let (mut plan, mut now) = (plan(40), MOMENT);
        assert_eq!(links(&mut plan, now).0.len(), FIRST_LINKS);
        for _ in 0..3 {
            assert_eq!(plan.next_wakeup(now), Some(now + LINK_SPACING));
            assert_eq!(links(&mut plan, now + LINK_SPACING - MOMENT).0.len(), 0);
            now += LINK_SPACING;
            assert_eq!(links(&mut plan, now).0.len(), 1);
        }
    }

    #[test]
    fn the_leecher_that_gives_least_makes_room_and_a_seeder_stays() {
        let (mut plan, mut now) = (plan(40), MOMENT);
        let mut all = Vec::new();
        while all.len() < SWARM_LINKS {
            let (opened, _) = links(&mut plan, now);
            for link in opened {
                plan.handle_connected(now, link);
                let news = if all.is_empty() { vec![Item::Choosing] } else { vec![Item::Load(1)] };
                plan.handle_news(now, link, &news);
                all.push(link);
            }
            now += LINK_SPACING;
        }
        let (seeder, poor) = (all[0], all[7]);
        for link in all.iter().filter(|link| **link != poor && **link != seeder) {
            plan.links.get_mut(*link).unwrap().gave(1 << 20);
        }
        plan.links.get_mut(poor).unwrap().gave(1 << 18);
        plan.scan = true;
        assert_eq!(links(&mut plan, now).1, [], "it is too early to judge");
        now += JUDGED_AFTER + REPLACE_INTERVAL;
        plan.scan = true;
        let (opened, closed) = links(&mut plan, now);
        assert_eq!((opened.len(), closed), (1, vec![poor]));
        plan.scan = true;
        assert_eq!(links(&mut plan, now + REPLACE_INTERVAL).1, [], "the others give alike");
    }

    #[test]
    fn who_is_behind_the_others_asks_more_of_them() {
        for (blocks, most) in [(0, SWARM_LINKS), (2, SWARM_LINKS + 1)] {
            let (mut plan, mut now, mut count) = (plan(40), MOMENT, 0);
            for _ in 0..SWARM_LINKS + 5 {
                let (opened, _) = links(&mut plan, now);
                count += opened.len();
                for link in opened {
                    plan.handle_connected(now, link);
                    let have = Run { first: plan.blocks.layout().block(0).unwrap(), count: blocks };
                    plan.handle_news(now, link, &[Item::Have(vec![have])]);
                }
                now += LINK_SPACING;
            }
            assert!(count >= most, "{count} links where others have {blocks}");
            assert!(blocks > 0 || count == most, "{count} links where others have nothing either");
            assert_eq!(plan.behind, blocks > 0);
        }
    }
}
