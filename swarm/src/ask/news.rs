//! Takes in what peers tell of themselves.

use super::action::Action;
use super::address::nearness;
use super::known::Known;
use super::links::LinkId;
use super::links::told::{Has, MAX_OFFERED, Told};
use crate::Time;
use alloc::vec::Vec;
use cascade_format::extension::{Item, Run};
use cascade_format::{Block, Layout, PeerAddr};
use core::net::SocketAddrV4;

/// A link to a peer that is said to know the extension begins with a question for news.
pub(super) fn expect(known: &mut Known, link: LinkId) {
    if let Some(state) = known.links.get_mut(link)
        && known.peers.get(state.peer).may_tell()
    {
        known.rarity.partial += 1;
        state.told = Some(Told::new(known.tuning, known.blocks.layout()));
    }
}

/// The peer of the link has shown that it knows the extension, and tells `items`.
pub(super) fn take_in(
    known: &mut Known,
    now: Time,
    link: LinkId,
    items: &[Item],
    sliced: bool,
) -> Option<Action> {
    let state = known.links.get_mut(link)?;
    let peer = state.peer;
    if state.told.is_none() {
        known.rarity.partial += 1;
    }
    let told = state.told.get_or_insert_with(|| Told::new(known.tuning, known.blocks.layout()));
    (told.exhausted, told.heard) = (false, true);
    known.changed |= known.peers.spoke(peer);
    known.peers.get_mut(peer).set_extended(true);
    if known.blocks.are_sliced()
        && items.contains(&Item::Slices)
        && let Some(state) = known.links.get_mut(link)
    {
        state.begins_slices();
    }
    if items.iter().all(|item| take_in_item(known, now, (link, peer), item, sliced)) {
        known.links.wake(link);
        return None;
    }
    known.peers.get_mut(peer).banned();
    known.close(link)
}

/// The answer to a question for news has ended.
pub(super) fn end_answer(known: &mut Known, now: Time, link: LinkId) {
    let Some(state) = known.links.get_mut(link) else { return };
    let hurried = !state.requests.is_empty();
    let Some(told) = &mut state.told else { return };
    told.poll_ended(now, hurried);
    if !told.heard {
        // Somebody said that the peer knows the extension; it does not.
        state.told = None;
        known.peers.get_mut(state.peer).set_extended(false);
        known.rarity.partial = known.rarity.partial.saturating_sub(1);
    }
    known.links.wake(link);
}

/// Takes in one item; tells whether an honest peer can have told it.
fn take_in_item(
    known: &mut Known,
    now: Time,
    (link, peer): (LinkId, usize),
    item: &Item,
    sliced: bool,
) -> bool {
    let layout = *known.blocks.layout();
    // What is told of blocks holds for their slices.
    let told_of = if sliced { layout } else { layout.whole() };
    let of_slices = |run: Run| if sliced { run } else { slices_of(&layout, run) };
    let Some(state) = known.links.get_mut(link) else { return true };
    let by_slices = state.gives_slices();
    let Some(told) = state.told.as_mut() else { return true };
    match item {
        Item::Everything | Item::Choosing if told.has_by_slices && !sliced => {}
        Item::Everything => {
            // What it refused before it refused for other reasons.
            known.peers.get_mut(peer).refusals.lacks_nothing();
            has_all(known, link, Has::Everything, sliced);
        }
        Item::Choosing => has_all(known, link, Has::Choosing, sliced),
        // Of a peer that gives slices, these are what counts.
        Item::Offer(_) if by_slices != sliced => {}
        Item::Offer(runs) => {
            // It has what it offers, whatever it refused before.
            let refusals = &mut known.peers.get_mut(peer).refusals;
            let offered = runs.iter().flat_map(|run| of_slices(*run).blocks(&layout));
            offered.take(MAX_OFFERED).for_each(|block| refusals.gained(block));
            return runs.iter().all(|run| told.offers_run(now, &layout, of_slices(*run), run.count));
        }
        Item::Have(runs) => return runs.iter().all(|run| has_run(known, link, peer, of_slices(*run))),
        Item::Map { first, bits } => {
            let runs = map_runs(&told_of, *first, bits);
            return runs.into_iter().all(|run| has_run(known, link, peer, of_slices(run)));
        }
        Item::Peers(addrs) => learn_hearsay(known, now, peer, &plain(addrs), true),
        Item::PlainPeers(addrs) => learn_hearsay(known, now, peer, &plain(addrs), false),
        Item::WidePeers(addrs) => learn_hearsay(known, now, peer, addrs, true),
        Item::WidePlainPeers(addrs) => learn_hearsay(known, now, peer, addrs, false),
        // It may be asked again at once if no client waits.
        Item::Load(0) => told.busy_until = now,
        Item::Load(_) | Item::Slices | Item::State(_) => {}
        Item::Goodbye => {
            told.leaves = true;
            known.peers.get_mut(peer).left(now);
        }
    }
    true
}

fn learn_hearsay(known: &mut Known, now: Time, teller: usize, addrs: &[PeerAddr], extended: bool) {
    known.changed = true;
    let teller = known.peers.get(teller).addr();
    let near = addrs.iter().copied().filter(|addr| nearness(addr.ip()) <= nearness(teller.ip()));
    known.peers.learn_hearsay(now, near, extended);
}

fn plain(addrs: &[SocketAddrV4]) -> Vec<PeerAddr> {
    addrs.iter().copied().map(PeerAddr::from).collect()
}

fn has_all(known: &mut Known, link: LinkId, has: Has, sliced: bool) {
    known.changed = true;
    let Some(told) = known.links.get_mut(link).and_then(|state| state.told.as_mut()) else { return };
    // It was not too busy for what it refused: it chose.
    told.busy_until = Time::ZERO;
    told.has_by_slices |= sliced;
    if let Has::Some(have) = core::mem::replace(&mut told.has, has) {
        known.rarity.leaves(known.blocks.layout(), &have);
    }
}

fn has_run(known: &mut Known, link: LinkId, peer: usize, run: Run) -> bool {
    let layout = *known.blocks.layout();
    let Some(told) = known.links.get_mut(link).and_then(|state| state.told.as_mut()) else { return true };
    let (rarity, peer) = (&mut known.rarity, known.peers.get_mut(peer));
    told.has_run(&layout, run, &mut |block| {
        rarity.more(&layout, block);
        peer.refusals.gained(block);
    })
}

/// The slices of the blocks of `run`.
fn slices_of(layout: &Layout, run: Run) -> Run {
    let end = run.first.number().saturating_add(run.count.into()).saturating_mul(layout.slices_a_block());
    let first = layout.first_slice(run.first);
    let count = end.min(layout.blocks()).saturating_sub(first.number());
    Run { first, count: u32::try_from(count).unwrap_or(u32::MAX) }
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
    use super::super::{Config, Order, Outcome, Plan, Source, Tuning};
    use super::*;
    use alloc::boxed::Box;
    use cascade_format::Have;
    use cascade_format::peer_wire::Status;
    use core::net::IpAddr;

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
        plan.handle_peers(now, Source::User, &[PeerAddr::new(IpAddr::from([127, 0, 0, 1]), 7001)]);
        let Some(Action::Connect { link, .. }) = plan.poll_action(now) else { panic!("no link") };
        plan.handle_connected(now, link);
        let asked = requested(&mut plan, now);
        assert_eq!(asked.len(), 1);
        plan.handle_news(now, link, &[Item::Choosing], false);
        plan.handle_received(now, link, 1, &[Outcome::Refused(asked[0], Status::MissingBlock)]);
        assert_eq!(requested(&mut plan, now), [], "it offers nothing");
        plan.handle_news(now, link, &[Item::Everything], false);
        plan.handle_received(now, link, 1, &[Outcome::Told]);
        assert_eq!(requested(&mut plan, now), asked);
    }

    #[test]
    fn a_seeder_that_chooses_is_asked_for_what_it_offers_and_for_no_head_of_the_file() {
        let layout = Layout::new(8 << 20, 1 << 20).unwrap();
        let config = Config { order: Order::Random, max_links: 4, tuning: &Tuning::DEFAULT };
        let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
        plan.want_first(0..2, false);
        let now = Time::from_millis(1);
        plan.handle_peers(now, Source::User, &[PeerAddr::new(IpAddr::from([127, 0, 0, 1]), 7001)]);
        let Some(Action::Connect { link, .. }) = plan.poll_action(now) else { panic!("no link") };
        plan.handle_connected(now, link);
        let asked = requested(&mut plan, now);
        assert_eq!(asked, [layout.block(0).unwrap()]);
        plan.handle_news(now, link, &[Item::Choosing], false);
        plan.handle_received(now, link, 1, &[Outcome::Refused(asked[0], Status::MissingBlock)]);
        let later = now + Tuning::DEFAULT.busy_pause * 2;
        assert_eq!(requested(&mut plan, later), [], "it offers nothing");
        // What it refused it may offer next.
        plan.handle_news(later, link, &[Item::Offer([Run::of(asked[0])].into())], false);
        plan.handle_received(later, link, 1, &[Outcome::Told]);
        assert_eq!(requested(&mut plan, later), asked);
        plan.handle_received(later, link, 1 << 20, &[Outcome::Verified(asked[0])]);
        assert_eq!(requested(&mut plan, later), [], "the rest of the head is others'");
        let starving = later + Tuning::DEFAULT.max_stall * 2;
        assert_eq!(requested(&mut plan, starving), [layout.block(1).unwrap()], "nothing comes");
    }

    #[test]
    fn peers_of_both_families_are_taken_as_far_as_the_teller_can_know_them() {
        let layout = Layout::new(1 << 20, 1 << 20).unwrap();
        let config = Config { order: Order::Random, max_links: 4, tuning: &Tuning::DEFAULT };
        let known = |teller: &str, told: &[&str]| {
            let mut plan = Plan::new(layout, &Have::none(&layout), config, Box::new(|| 0));
            let (now, at) = (Time::from_millis(1), |text: &str| text.parse::<PeerAddr>().unwrap());
            plan.handle_peers(now, Source::User, &[at(teller)]);
            let Some(Action::Connect { link, .. }) = plan.poll_action(now) else { panic!("no link") };
            plan.handle_connected(now, link);
            let told = told.iter().map(|text| at(text)).collect();
            plan.handle_news(now, link, &[Item::WidePeers(told)], false);
            plan.known_peers() - 1
        };
        let world = ["[2001:db8::9]:1", "192.0.2.9:1"];
        let near = ["[fd00::9]:1", "10.0.0.9:1"];
        let here = ["[::1]:1", "127.0.0.9:1", "[64:ff9b::7f00:1]:1"];
        let nowhere = ["[fe80::1]:1", "[ff02::1]:1", "[::]:1", "[2001:db8::9]:0"];
        for (teller, counts) in
            [("[2001:db8::5]:1", [2, 0, 0, 0]), ("[fd00::5]:1", [2, 2, 0, 0]), ("[::1]:2", [2, 2, 3, 0])]
        {
            assert_eq!(
                [&world[..], &near, &here, &nowhere].map(|told| known(teller, told)),
                counts,
                "{teller}"
            );
        }
        let crowd: Vec<_> = (1..=100).map(|port| alloc::format!("[2001:db8:7::9]:{port}")).collect();
        let crowd: Vec<_> = crowd.iter().map(alloc::string::String::as_str).collect();
        assert_eq!(known("[2001:db8::5]:1", &crowd), 8, "ports of one host");
    }
}
