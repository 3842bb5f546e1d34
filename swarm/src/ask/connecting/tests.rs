//! Places, against peers that only connect.

use super::super::links::LinkId;
use super::super::{Config, Ended, Order, Plan, Source};
use super::*;
use crate::Listening;
use crate::limits::CONNECT_TIMEOUT;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::extension::{Item, Run};
use cascade_format::{Have, Layout};
use core::net::IpAddr;
use core::time::Duration;

const MOMENT: Duration = Duration::from_millis(1);

fn plan(peers: u8) -> Plan {
    let layout = Layout::new(100 << 20, 1 << 20).unwrap();
    let config = Config { order: Order::Random, max_links: 128, tuning: &Tuning::DEFAULT };
    let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
    let addrs: Vec<_> = (1..=peers).map(|host| PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)).collect();
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &addrs);
    plan
}

/// What the plan opens and closes now.
fn links(plan: &mut Plan, now: Time) -> (Vec<LinkId>, Vec<LinkId>) {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    while let Some(action) = plan.poll_action(now) {
        match action {
            Action::Connect { link, .. } => opened.push(link),
            Action::Close { link } => closed.push(link),
            Action::Request { .. } | Action::Poll { .. } | Action::Probe { .. } | Action::Revoke { .. } => {}
        }
    }
    (opened, closed)
}

#[test]
fn the_first_links_are_opened_at_once_and_the_others_one_after_the_other() {
    let (mut plan, mut now) = (plan(40), MOMENT);
    assert_eq!(links(&mut plan, now).0.len(), Tuning::DEFAULT.first_links as usize);
    for _ in 0..3 {
        assert_eq!(plan.next_wakeup(now), Some(now + Tuning::DEFAULT.link_spacing));
        assert_eq!(links(&mut plan, now + Tuning::DEFAULT.link_spacing - MOMENT).0.len(), 0);
        now += Tuning::DEFAULT.link_spacing;
        assert_eq!(links(&mut plan, now).0.len(), 1);
    }
}

#[test]
fn addresses_out_of_reach_take_no_turns_and_are_not_tried_again_soon() {
    let (mut plan, now) = (plan(0), MOMENT);
    // One in a network, of which each may be tried at once.
    let v6 = |network| PeerAddr::new(IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, 1]), 7001);
    let v6: Vec<_> = (1..=100).map(v6).collect();
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &v6);
    let mut tried = 0;
    loop {
        let (opened, _) = links(&mut plan, now);
        tried += opened.len();
        if opened.is_empty() {
            break;
        }
        opened.into_iter().for_each(|link| plan.handle_closed(now, link, Ended::NoWay));
    }
    assert_eq!(tried, v6.len());
    let now = now + Tuning::DEFAULT.max_pause - MOMENT;
    assert!(links(&mut plan, now).0.is_empty(), "they are tried again too soon");
    plan.handle_peers(now, Source::Tracker(0), &crowd(1, 20));
    assert_eq!(links(&mut plan, now).0.len(), Tuning::DEFAULT.first_links as usize);
}

/// Three peers that have answered before, and of which each try fails in this way for ten minutes and a half; and when that is.
fn after_an_outage(ended: Ended) -> (Plan, Time) {
    let (mut plan, mut now) = (plan(3), MOMENT);
    assert!((0..3).all(|peer| plan.parts().0.peers.spoke(peer)));
    while now < Duration::from_secs(630) {
        let (opened, _) = links(&mut plan, now);
        // Not all at one time.
        for link in opened {
            plan.handle_closed(now, link, ended);
            now += Duration::from_secs(1);
        }
        now = plan.next_wakeup(now).unwrap().max(now + MOMENT);
    }
    (plan, now)
}

#[test]
fn a_machine_that_has_lost_its_network_finds_its_peers_soon_when_it_is_back() {
    let (mut plan, mut now) = after_an_outage(Ended::NoWay);
    let mut failed = 0;
    while failed < 3 {
        now = plan.next_wakeup(now).unwrap().max(now + MOMENT);
        for link in links(&mut plan, now).0 {
            plan.handle_closed(now, link, Ended::NoWay);
            failed += 1;
        }
    }
    // Now it has its network again.
    assert_eq!(links(&mut plan, now + CONNECT_TIMEOUT).0.len(), 3);
}

#[test]
fn when_one_peer_is_reached_again_the_others_are_tried_too() {
    let (mut plan, mut now) = after_an_outage(Ended::Unreachable);
    let opened = loop {
        let (opened, _) = links(&mut plan, now);
        if !opened.is_empty() {
            break opened;
        }
        now = plan.next_wakeup(now).unwrap().max(now + MOMENT);
    };
    assert_eq!(opened.len(), 1, "the other pauses end later");
    opened.into_iter().for_each(|link| plan.handle_connected(now, link));
    assert_eq!(links(&mut plan, now + Tuning::DEFAULT.pause).0.len(), 2);
}

#[test]
fn the_leecher_that_gives_least_makes_room_and_a_seeder_stays() {
    let (mut plan, mut now) = (plan(40), MOMENT);
    let mut all = Vec::new();
    while all.len() < Tuning::DEFAULT.swarm_links {
        let (opened, _) = links(&mut plan, now);
        for link in opened {
            plan.handle_connected(now, link);
            let news = if all.is_empty() { vec![Item::Choosing] } else { vec![Item::Load(1)] };
            plan.handle_news(now, link, &news, false);
            all.push(link);
        }
        now += Tuning::DEFAULT.link_spacing;
    }
    let (seeder, poor) = (all[0], all[7]);
    for link in all.iter().filter(|link| **link != poor && **link != seeder) {
        plan.parts().0.links.get_mut(*link).unwrap().gave(1 << 20);
    }
    plan.parts().0.links.get_mut(poor).unwrap().gave(1 << 18);
    plan.parts().0.changed = true;
    assert_eq!(links(&mut plan, now).1, [], "it is too early to judge");
    now += Tuning::DEFAULT.judged_after() + Tuning::DEFAULT.review_interval;
    plan.parts().0.changed = true;
    let (opened, closed) = links(&mut plan, now);
    assert_eq!((opened.len(), closed), (1, vec![poor]));
    plan.parts().0.changed = true;
    assert_eq!(links(&mut plan, now + Tuning::DEFAULT.review_interval).1, [], "the others give alike");
}

#[test]
fn who_is_behind_the_others_asks_more_of_them() {
    for (blocks, most) in [(0, Tuning::DEFAULT.swarm_links), (2, Tuning::DEFAULT.swarm_links + 1)] {
        let (mut plan, mut now, mut count) = (plan(40), MOMENT, 0);
        for _ in 0..Tuning::DEFAULT.swarm_links + 5 {
            let (opened, _) = links(&mut plan, now);
            count += opened.len();
            for link in opened {
                plan.handle_connected(now, link);
                let have = Run { first: plan.parts().0.blocks.layout().block(0).unwrap(), count: blocks };
                plan.handle_news(now, link, &[Item::Have(vec![have])], false);
            }
            now += Tuning::DEFAULT.link_spacing;
        }
        assert!(count >= most, "{count} links where others have {blocks}");
        assert!(blocks > 0 || count == most, "{count} links where others have nothing either");
        assert_eq!(plan.parts().1.is_behind(), blocks > 0);
    }
}

/// The addresses that the plan connects to now, in order.
fn addrs(plan: &mut Plan, now: Time) -> Vec<PeerAddr> {
    let mut addrs = Vec::new();
    while let Some(action) = plan.poll_action(now) {
        if let Action::Connect { addr, .. } = action {
            addrs.push(addr);
        }
    }
    addrs
}

fn crowd(second: u8, count: u16) -> Vec<PeerAddr> {
    let host = |number: u16| {
        let [high, low] = number.to_be_bytes();
        IpAddr::from([10, second, high, low])
    };
    (1..=count).map(|number| PeerAddr::new(host(number), 7001)).collect()
}

#[test]
fn a_long_list_takes_no_more_places_than_other_ways() {
    let mut plan = plan(0);
    let (hostile, other) = (crowd(1, 2000), crowd(2, 3));
    let (named, met) = (crowd(3, 1), crowd(4, 1));
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &hostile);
    plan.handle_peers(Time::ZERO, Source::Tracker(1), &other);
    plan.handle_peers(Time::ZERO, Source::User, &named);
    plan.handle_peers(Time::ZERO, Source::Swarm, &met);
    let first = addrs(&mut plan, MOMENT);
    for addr in other.iter().chain(&named).chain(&met) {
        assert!(first.contains(addr), "{addr} is not among the first: {first:?}");
    }
}

#[test]
fn silent_links_make_room_for_all_of_a_crowd_while_nothing_flows() {
    let mut plan = plan(0);
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &crowd(1, 500));
    let (mut now, mut called) = (MOMENT, hashbrown::HashSet::new());
    while called.len() < 500 {
        // 36 in the first two seconds, then fifty a second.
        assert!(now < Duration::from_secs(13), "{} addresses after {now:?}", called.len());
        let before = called.len();
        let actions: Vec<_> = core::iter::from_fn(|| plan.poll_action(now)).collect();
        for action in actions {
            match action {
                Action::Connect { link, addr, .. } => {
                    called.insert(addr);
                    plan.handle_connected(now, link);
                }
                Action::Revoke { link, block, .. } => plan.handle_revoked(now, link, block, true),
                Action::Close { .. }
                | Action::Request { .. }
                | Action::Poll { .. }
                | Action::Probe { .. } => {}
            }
        }
        assert!(called.len() - before <= Tuning::DEFAULT.first_links as usize, "a burst at {now:?}");
        now = plan.next_wakeup(now).unwrap().max(now + MOMENT);
    }
}

#[test]
fn a_silent_link_stays_where_others_give() {
    let mut plan = plan(0);
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &crowd(1, 2000));
    let mut now = MOMENT;
    let (opened, _) = links(&mut plan, now);
    opened.iter().for_each(|link| plan.handle_connected(now, *link));
    while now < Duration::from_secs(10) {
        // Something to speak of comes over the first link.
        plan.handle_received(now, opened[0], 16 << 10, &[]);
        let (more, closed) = links(&mut plan, now);
        assert_eq!(closed, [], "at {now:?}");
        more.iter().for_each(|link| plan.handle_connected(now, *link));
        now += Tuning::DEFAULT.link_spacing;
    }
}

#[test]
fn there_are_no_more_links_than_blocks_to_ask_for() {
    let layout = Layout::new(3 << 20, 1 << 20).unwrap();
    let config = Config { order: Order::Random, max_links: 128, tuning: &Tuning::DEFAULT };
    let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &crowd(1, 20));
    assert_eq!(addrs(&mut plan, MOMENT).len(), 3);
}

#[test]
fn addresses_of_nobody_and_its_own_are_never_tried_unless_the_user_says_so() {
    let mut plan = plan(0);
    plan.set_listening(Listening::everywhere(7001));
    plan.set_own_address(PeerAddr::new(IpAddr::from([10, 0, 0, 1]), 7001));
    let bad = ["10.0.0.9:0", "0.1.2.3:5", "224.0.0.1:5", "255.255.255.255:5", "169.254.1.1:5", "[fe80::1]:5"];
    plan.set_own_address("[2001:db8::1]:7001".parse().unwrap());
    let own = ["10.0.0.1:7001", "127.0.0.1:7001", "[2001:db8::1]:7001", "[::1]:7001"];
    let parse = |all: &[&str]| all.iter().map(|addr| addr.parse().unwrap()).collect::<Vec<_>>();
    for source in [Source::Tracker(0), Source::Swarm] {
        plan.handle_peers(Time::ZERO, source, &parse(&bad));
        plan.handle_peers(Time::ZERO, source, &parse(&own));
    }
    assert_eq!(plan.known_peers(), 0);
    plan.handle_peers(Time::ZERO, Source::User, &parse(&bad));
    plan.handle_peers(Time::ZERO, Source::User, &parse(&own));
    assert_eq!(plan.known_peers(), bad.len());
}
