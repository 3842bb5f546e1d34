use super::super::cache::STRETCH_LEN;
use super::*;
use proptest::prelude::*;

const SECOND: Time = Duration::from_secs(1);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn plan(length: u64, block: u64, bound: Option<u64>) -> Plan {
    let layout = Layout::new(length, block).unwrap();
    let share = bound.map(|bound| Share::alone(layout, bound));
    let (plan, dropped) = Plan::new(layout, &Have::none(&layout), share);
    assert!(dropped.is_empty());
    plan
}

fn block(plan: &Plan, number: u64) -> Block {
    plan.layout.block(number).unwrap()
}

fn ask(plan: &mut Plan, number: u64) -> Reply {
    plan.ask(SECOND, block(plan, number), None)
}

/// All requests that are due, and their blocks.
fn orders(plan: &mut Plan) -> Vec<Range<u64>> {
    std::iter::from_fn(|| plan.next(SECOND)).map(|order| order.blocks).collect()
}

fn bring(plan: &mut Plan, blocks: Range<u64>) {
    for number in blocks.clone() {
        plan.arrived(SECOND, block(plan, number), false);
    }
    plan.landed(&blocks);
}

#[test]
fn a_block_is_fetched_with_those_that_follow_it_and_once() {
    let mut plan = plan(64 * MIB, 64 * KIB, None);
    assert!(orders(&mut plan).is_empty(), "nobody has asked");
    assert_eq!(ask(&mut plan, 3), Reply::Wait);
    assert_eq!(ask(&mut plan, 3), Reply::Wait);
    assert_eq!(orders(&mut plan), [3..64, 64..128], "up to 4 MiB, and what is asked for next");
    assert_eq!(ask(&mut plan, 70), Reply::Wait);
    assert_eq!(orders(&mut plan).first(), Some(&(128..192)), "always a bit further");
    bring(&mut plan, 3..64);
    assert_eq!(ask(&mut plan, 3), Reply::Here);
    assert_eq!(ask(&mut plan, 2), Reply::Wait);
    assert_eq!(orders(&mut plan)[0], 2..3, "no further than what is there");
}

#[test]
fn large_blocks_are_fetched_one_by_one_and_the_next_is_begun() {
    let mut plan = plan(100 * MIB, 10 * MIB, None);
    let (first, second) = (block(&plan, 4), block(&plan, 8));
    assert_eq!(plan.ask(SECOND, first, Some(second)), Reply::Wait);
    assert_eq!(orders(&mut plan), [4..5, 8..9]);
}

#[test]
fn requests_at_a_time_are_bounded() {
    let mut plan = plan(1 << 40, MIB, None);
    for number in 0..20 {
        assert_eq!(ask(&mut plan, number * 1000), Reply::Wait);
    }
    let orders = orders(&mut plan);
    assert_eq!(orders.len(), MAX_FLIGHTS);
    assert!(orders.iter().zip(0..).all(|(order, number)| order.start == number * 1000), "{orders:?}");
    for number in 0.. {
        if ask(&mut plan, 100_000 + number * 10) == Reply::No {
            assert_eq!(plan.wanted.len(), MAX_WANTED);
            break;
        }
    }
}

#[test]
fn what_would_be_dropped_is_not_fetched_in_vain() {
    let mut plan = plan(1 << 30, 16 * KIB, Some(64 * MIB));
    // At random places no more than is asked for, and what a request costs in any case.
    for number in [5000, 40_000, 9000] {
        assert_eq!(ask(&mut plan, number), Reply::Wait);
    }
    let first = orders(&mut plan);
    assert_eq!(first, [5000..5008, 40_000..40_016, 9000..9008]);
    first.into_iter().for_each(|blocks| bring(&mut plan, blocks));
    // One after the other, twice as much each time.
    let (mut at, mut lengths) = (0, Vec::new());
    while lengths.last() != Some(&256) {
        assert_eq!(ask(&mut plan, at), Reply::Wait);
        plan.ahead.clear();
        let order = orders(&mut plan).into_iter().next().unwrap();
        lengths.push(order.end - order.start);
        at = order.end;
        bring(&mut plan, order);
    }
    assert_eq!(lengths, [16, 16, 32, 64, 128, 256]);
}

#[test]
fn who_waits_in_vain_is_told_at_once() {
    let mut plan = plan(MIB, 64 * KIB, None);
    assert_eq!(ask(&mut plan, 3), Reply::Wait);
    orders(&mut plan);
    let wrong = block(&plan, 3);
    assert_eq!(plan.wrong(SECOND, wrong), Wrong::Again);
    plan.landed(&(3..16));
    assert_eq!(ask(&mut plan, 3), Reply::No, "it came wrong");
    assert_eq!(plan.ask(SECOND * 10, wrong, None), Reply::Wait, "and is tried again");
    let mut now = SECOND * 10;
    loop {
        let (pause, _) = plan.failed(now);
        if pause > ORIGIN_PATIENCE {
            break;
        }
        assert_eq!(plan.ask(now, block(&plan, 5), None), Reply::Wait, "it may be well again soon");
        assert!(plan.next(now).is_none() && plan.next_wakeup(now) == Some(now + pause));
        now += pause;
    }
    assert_eq!(plan.ask(now, block(&plan, 5), None), Reply::No);
    plan.comes();
    assert_eq!(plan.ask(now, block(&plan, 5), None), Reply::Wait);
}

proptest! {
    /// Whatever clients ask for and whatever comes of it: no block is on its way twice, what is asked for comes unless it
    /// comes wrong, and what is here is within the bound.
    #[test]
    fn what_is_asked_for_comes(
        (length, block_size) in (1u64..6 * MIB, 1u64..400 * KIB),
        bound in prop::option::of(900 * KIB..4 * MIB),
        steps in prop::collection::vec((0u8..4, 0u64..1 << 40), 1..150),
    ) {
        // A byte a block would take minutes.
        let block_size = block_size.max(length / 2000 + 1);
        let mut plan = plan(length, block_size, bound);
        let layout = plan.layout;
        let (mut flying, mut now): (Vec<Range<u64>>, _) = (Vec::new(), SECOND);
        for (step, number) in steps {
            now += Duration::from_millis(700);
            let asked = layout.block(number % layout.blocks()).unwrap();
            match step {
                0 | 1 => {
                    let reply = plan.ask(now, asked, None);
                    prop_assert_eq!(reply == Reply::Here, plan.here.has(asked));
                }
                2 => while let Some(order) = plan.next(now) {
                    let fresh = |other: &Range<u64>| other.end <= order.blocks.start || order.blocks.end <= other.start;
                    prop_assert!(!order.blocks.is_empty() && flying.iter().all(fresh));
                    for part in &order.dropped {
                        prop_assert!(part.hole.start <= part.hole.end);
                        let kept = part.blocks.clone().any(|number| flying.iter().any(|other| other.contains(&number)));
                        prop_assert!(!kept, "dropped on its way");
                    }
                    flying.push(order.blocks);
                    prop_assert!(flying.len() <= MAX_FLIGHTS);
                },
                _ => if !flying.is_empty() {
                    let blocks = flying.swap_remove(usize::try_from(number).unwrap() % flying.len());
                    for number in blocks.clone() {
                        plan.arrived(now, layout.block(number).unwrap(), true);
                    }
                    plan.landed(&blocks);
                },
            }
            if let Some(bound) = bound.filter(|bound| *bound < length) {
                prop_assert!(plan.here.count().saturating_sub(1) * block_size <= bound);
            }
        }
        // In the end it is all there that was asked for last.
        let last = layout.block(layout.blocks() / 2).unwrap();
        for _ in 0..1000 {
            now += SECOND;
            if plan.ask(now, last, None) == Reply::Here {
                return Ok(());
            }
            while let Some(order) = plan.next(now) {
                flying.push(order.blocks);
            }
            for blocks in flying.drain(..) {
                for number in blocks.clone() {
                    plan.arrived(now, layout.block(number).unwrap(), false);
                }
                plan.landed(&blocks);
            }
        }
        prop_assert!(bound.is_some_and(|bound| bound < STRETCH_LEN.max(block_size) + 8192), "it never comes");
    }
}
