use super::*;
use crate::ask::{Config, Ended, Order, Outcome, Plan, Source, Tuning};
use alloc::boxed::Box;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::peer_wire::Status;
use cascade_format::{Have, Layout};
use core::net::IpAddr;

const MOMENT: Duration = Duration::from_millis(1);

fn addr(host: u8) -> PeerAddr {
    PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)
}

fn plan(blocks: u64, hosts: &[u8]) -> Plan {
    let layout = Layout::new(blocks, 1).unwrap();
    let config = Config { order: Order::Sequential, max_links: 8, tuning: &Tuning::DEFAULT };
    let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
    let addrs: Vec<_> = hosts.iter().map(|host| addr(*host)).collect();
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &addrs);
    plan
}

fn actions(plan: &mut Plan, now: Time) -> Vec<Action> {
    core::iter::from_fn(|| plan.poll_action(now)).collect()
}

/// The blocks that are asked for, and on which link.
fn requests(actions: &[Action]) -> Vec<(LinkId, Block)> {
    let of = |action: &Action| match action {
        Action::Request { link, blocks, .. } => Some((*link, blocks[0])),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

/// The link that `actions` open to the peer, and what is asked on it.
fn opened(actions: &[Action], host: u8) -> Option<(LinkId, Vec<Block>, bool)> {
    let (link, marked) = actions.iter().find_map(|action| match action {
        Action::Connect { link, addr: to, marked } if *to == addr(host) => Some((*link, *marked)),
        _ => None,
    })?;
    let asked = actions.iter().find_map(|action| match action {
        Action::Request { link: on, blocks, .. } if *on == link => Some(blocks.clone()),
        _ => None,
    });
    Some((link, asked.unwrap_or_default(), marked))
}

#[test]
fn a_link_to_a_peer_that_closes_is_opened_with_its_request_and_only_while_something_is_missing() {
    let (mut plan, mut now) = (plan(4, &[1]), MOMENT);
    let (link, asked, _) = opened(&actions(&mut plan, now), 1).unwrap();
    assert_eq!(asked, [], "it is not known yet that it closes");
    plan.handle_connected(now, link);
    let asked = requests(&actions(&mut plan, now));
    plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0].1)]);
    plan.handle_closed(now, link, Ended::Between);
    now += MOMENT;
    // Three links at once, each with a block of its own.
    let next = actions(&mut plan, now);
    let connects = next.iter().filter(|action| matches!(action, Action::Connect { .. })).count();
    let requests = requests(&next);
    assert_eq!((connects, requests.len()), (3, 3));
    for (link, block) in requests {
        plan.handle_connected(now, link);
        assert_eq!(actions(&mut plan, now), [], "nothing more is to be asked for");
        plan.handle_received(now, link, 1, &[Outcome::Verified(block)]);
        plan.handle_closed(now, link, Ended::Between);
    }
    assert!(plan.is_complete());
    assert_eq!(actions(&mut plan, now), []);
}

#[test]
fn a_connection_that_is_known_to_end_is_not_asked_again_but_one_that_goes_on_is() {
    let (mut plan, mut now) = (plan(100, &[1]), MOMENT);
    let (link, ..) = opened(&actions(&mut plan, now), 1).unwrap();
    plan.handle_connected(now, link);
    let asked = requests(&actions(&mut plan, now));
    plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0].1)]);
    plan.handle_closed(now, link, Ended::Between);
    let asked = requests(&actions(&mut plan, now));
    let (link, block) = asked[0];
    plan.handle_connected(now, link);
    plan.handle_received(now, link, 1, &[Outcome::Verified(block)]);
    assert_eq!(requests(&actions(&mut plan, now)), []);
    now += Duration::from_secs(1);
    let again = requests(&actions(&mut plan, now));
    assert_eq!(again.len(), 1, "it has not closed: {again:?}");
    plan.handle_received(now, link, 1, &[Outcome::Verified(again[0].1)]);
    let more = requests(&actions(&mut plan, now));
    assert!(more.iter().any(|(on, _)| *on == link), "it keeps its connections open");
}

/// Three links whose peers give what they owe at odd times, or fall silent: in no moment is there more to do than a
/// few actions for each block.
#[test]
fn links_do_not_take_a_block_from_each_other_without_end() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut plan, mut now) = (plan(12, &[1, 2, 3]), MOMENT);
        let mut owed: Vec<(LinkId, Block)> = Vec::new();
        let mut left = 12;
        for _ in 0..200 {
            let mut acted = 0;
            while let Some(action) = plan.poll_action(now) {
                acted += 1;
                assert!(acted < 200, "seed {seed}: no end at {now:?}");
                match action {
                    Action::Connect { link, .. } => plan.handle_connected(now, link),
                    Action::Request { link, blocks, .. } => {
                        owed.extend(blocks.iter().map(|block| (link, *block)));
                    }
                    Action::Revoke { link, block, .. } => {
                        owed.retain(|other| *other != (link, block));
                        plan.handle_revoked(now, link, block, true);
                    }
                    _ => {}
                }
            }
            now += Duration::from_millis(random.u64(1..400));
            if left > 1 && !owed.is_empty() && random.u8(..) < 100 {
                // The first that a random link owes.
                let (link, _) = owed[random.usize(..owed.len())];
                let at = owed.iter().position(|(other, _)| *other == link).unwrap();
                let (_, block) = owed.remove(at);
                plan.handle_received(now, link, 1, &[Outcome::Verified(block)]);
                left -= 1;
            }
        }
    }
}

#[test]
fn after_a_restart_a_peer_is_asked_again_when_its_refusals_are_believed_no_more() {
    let (mut plan, mut now) = (plan(2, &[1]), MOMENT);
    let (link, ..) = opened(&actions(&mut plan, now), 1).unwrap();
    plan.handle_connected(now, link);
    for _ in 0..2 {
        let asked = requests(&actions(&mut plan, now));
        now += MOMENT;
        let outcomes = asked.iter().map(|(_, block)| Outcome::Refused(*block, Status::MissingBlock));
        plan.handle_received(now, link, 40, &outcomes.collect::<Vec<_>>());
    }
    // The disk is looked at for three seconds, in which nothing arrives.
    now += Duration::from_secs(3);
    let layout = Layout::new(2, 1).unwrap();
    plan.restart(&Have::none(&layout));
    while requests(&actions(&mut plan, now)).is_empty() {
        now = plan.next_wakeup(now).expect("it sleeps until a tracker answers").max(now + MOMENT);
        assert!(now < Duration::from_secs(7), "{now:?}");
    }
}

/// Of two large blocks the second is under way on a slow link, of which `arrived` bytes have come: whether it is taken
/// for the fast link.
fn is_taken(arrived: u64) -> bool {
    const BLOCK: u64 = 1 << 20;
    let layout = Layout::new(2 * BLOCK, BLOCK).unwrap();
    let config = Config { order: Order::Sequential, max_links: 8, tuning: &Tuning::DEFAULT };
    let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
    plan.handle_peers(Time::ZERO, Source::Tracker(0), &[addr(1), addr(2)]);
    let mut now = MOMENT;
    let first = actions(&mut plan, now);
    let (slow, fast) = (opened(&first, 1).unwrap().0, opened(&first, 2).unwrap().0);
    plan.handle_connected(now, slow);
    plan.handle_connected(now, fast);
    let asked = requests(&actions(&mut plan, now));
    let of = |link| asked.iter().find(|(on, _)| *on == link).unwrap().1;
    now += Duration::from_millis(100);
    plan.handle_received(now, fast, BLOCK, &[Outcome::Verified(of(fast))]);
    // A quarter of a megabyte a second, in pieces.
    for _ in 0..arrived / (16 << 10) {
        now += Duration::from_millis(64);
        plan.handle_received(now, slow, 16 << 10, &[]);
    }
    let revoked = |action: &Action| matches!(action, Action::Revoke { link, .. } if *link == slow);
    actions(&mut plan, now).iter().any(revoked)
}

#[test]
fn a_block_that_has_nearly_arrived_is_left_where_it_is() {
    assert!(is_taken(128 << 10));
    assert!(!is_taken(1000 << 10));
}

#[test]
fn a_peer_that_closes_takes_the_block_of_a_silent_one_after_the_usual_patience() {
    let (mut plan, mut now) = (plan(2, &[1, 2]), MOMENT);
    let first = actions(&mut plan, now);
    let (silent, closing) = (opened(&first, 1).unwrap().0, opened(&first, 2).unwrap().0);
    plan.handle_connected(now, silent);
    plan.handle_connected(now, closing);
    let asked = actions(&mut plan, now);
    let of = |link: LinkId| {
        asked.iter().find_map(|action| match action {
            Action::Request { link: on, blocks, .. } if *on == link => Some(blocks[0]),
            _ => None,
        })
    };
    let (held, given) = (of(silent).unwrap(), of(closing).unwrap());
    now += MOMENT;
    plan.handle_received(now, closing, 1, &[Outcome::Verified(given)]);
    plan.handle_closed(now, closing, Ended::Between);
    loop {
        for action in actions(&mut plan, now) {
            match action {
                Action::Revoke { link, block, .. } => {
                    assert_eq!((link, block), (silent, held));
                    plan.handle_revoked(now, link, block, true);
                }
                Action::Connect { addr: to, .. } => assert_eq!(to, addr(2)),
                Action::Request { blocks, .. } => {
                    assert_eq!(blocks, [held]);
                    assert!(now < Duration::from_millis(2200), "{now:?}");
                    return;
                }
                Action::Close { .. } | Action::Poll { .. } | Action::Probe { .. } => {}
            }
        }
        now = plan.next_wakeup(now).unwrap().max(now + MOMENT);
        assert!(now < Duration::from_secs(9), "the block is left to the silent one");
    }
}

#[test]
fn status_4_to_a_marked_request_is_followed_by_zeros_and_pipelining_is_another_matter() {
    let (mut plan, now) = (plan(100, &[1]), MOMENT);
    let (link, _, marked) = opened(&actions(&mut plan, now), 1).unwrap();
    assert!(marked);
    plan.handle_connected(now, link);
    let bad = |block| Outcome::Refused(block, Status::BadRequest);
    let request = |actions: &[Action]| match actions.first() {
        Some(Action::Request { blocks, .. }) => blocks.clone(),
        other => panic!("{other:?}"),
    };
    let asked = request(&actions(&mut plan, now));
    plan.handle_received(now, link, 20, &[bad(asked[0])]);
    let (link, _, marked) = opened(&actions(&mut plan, now), 1).expect("at once");
    assert!(!marked);
    plan.handle_connected(now, link);
    let asked = request(&actions(&mut plan, now));
    plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0])]);
    let asked = request(&actions(&mut plan, now));
    assert!(asked.len() > 1, "it is not known to take one at a time");
    plan.handle_received(now, link, 20, &[bad(asked[0])]);
    let (link, _, marked) = opened(&actions(&mut plan, now), 1).expect("without blame");
    assert!(!marked, "both are true of it");
    plan.handle_connected(now, link);
    let asked = request(&actions(&mut plan, now));
    plan.handle_received(now, link, 1, &[Outcome::Verified(asked[0])]);
    assert_eq!(request(&actions(&mut plan, now)).len(), 1, "one at a time");
}
