use super::super::cache::STRETCH_LEN;
use super::*;
use crate::limits::MAX_WRONG_FETCHES;
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
    bring(&mut plan, 4..16);
    assert_eq!(ask(&mut plan, 3), Reply::No, "it came wrong");
    assert_eq!(plan.ask(SECOND * 10, wrong, None), Reply::Wait, "and is tried again");
    let mut now = SECOND * 10;
    loop {
        let (pause, _) = plan.failed(now);
        if pause > ORIGIN_PATIENCE {
            break;
        }
        assert_eq!(plan.ask(now, block(&plan, 2), None), Reply::Wait, "it may be well again soon");
        assert!(plan.next(now).is_none() && plan.next_wakeup(now) == Some(now + pause));
        now += pause;
    }
    assert_eq!(plan.ask(now, block(&plan, 2), None), Reply::No);
    plan.comes();
    assert_eq!(plan.ask(now, block(&plan, 2), None), Reply::Wait);
}

#[test]
fn a_block_that_came_wrong_is_on_its_way_once() {
    let mut plan = plan(MIB, 64 * KIB, None);
    let wrong = block(&plan, 3);
    assert_eq!(ask(&mut plan, 3), Reply::Wait);
    assert_eq!(plan.next(SECOND).unwrap().blocks, 3..16);
    assert_eq!(plan.wrong(SECOND, wrong), Wrong::Again);
    let later = SECOND * 4;
    assert_eq!(plan.ask(later, wrong, None), Reply::Wait);
    assert_eq!(plan.next(later).unwrap().blocks, 3..4, "the request that brought it goes on meanwhile");
    // The first request lands; the second one is still under way.
    for number in 4..16 {
        plan.arrived(later, block(&plan, number), false);
    }
    plan.landed(&(3..16));
    assert_eq!(plan.ask(later, wrong, None), Reply::Wait);
    assert_eq!(plan.next(later), None, "it comes already");
    bring(&mut plan, 3..4);
    assert_eq!(plan.ask(later, wrong, None), Reply::Here);
}

/// Requests that are under way, and what has not come yet of each.
struct Sky {
    plan: Plan,
    now: Time,
    flights: Vec<(Range<u64>, Range<u64>)>,
    /// Blocks that came wrong.
    wrong: Vec<u64>,
}

impl Sky {
    /// Begins all requests that are due.
    fn begin(&mut self) -> Result<(), TestCaseError> {
        while let Some(order) = self.plan.next(self.now) {
            let (blocks, plan) = (order.blocks, &self.plan);
            prop_assert!(!blocks.is_empty());
            for number in blocks.clone() {
                let twice = self.flights.iter().any(|(_, left)| left.contains(&number));
                prop_assert!(!twice, "{} is on its way twice", number);
                prop_assert!(!plan.here.has(block(plan, number)), "{} is here", number);
            }
            for part in &order.dropped {
                prop_assert!(part.hole.start <= part.hole.end);
                let mut kept = part
                    .blocks
                    .clone()
                    .filter(|number| self.flights.iter().any(|(all, _)| all.contains(number)));
                prop_assert_eq!(kept.next(), None, "dropped on its way");
            }
            self.flights.push((blocks.clone(), blocks));
            prop_assert!(self.flights.len() <= MAX_FLIGHTS);
        }
        Ok(())
    }

    /// A block of a request comes wrong, unless the origin would be given up.
    fn wrong(&mut self, chosen: usize) {
        let flights = self.flights.len().max(1);
        let Some((_, left)) = self.flights.get_mut(chosen % flights) else { return };
        if self.wrong.len() + 1 < MAX_WRONG_FETCHES as usize
            && let Some(number) = left.next()
        {
            let block = block(&self.plan, number);
            assert_eq!(self.plan.wrong(self.now, block), Wrong::Again);
            self.wrong.push(number);
        }
    }

    /// The rest of a request comes, and it is over.
    fn land(&mut self, chosen: usize, awaited: bool) {
        if self.flights.is_empty() {
            return;
        }
        let (all, left) = self.flights.swap_remove(chosen % self.flights.len());
        for number in left {
            self.plan.arrived(self.now, block(&self.plan, number), awaited);
        }
        self.plan.landed(&all);
    }
}

proptest! {
    /// Whatever clients ask for and whatever comes of it: no block is on its way twice, what is asked for comes unless it
    /// comes wrong, and what is here is within the bound.
    #[test]
    fn what_is_asked_for_comes(
        (length, block_size) in (1u64..6 * MIB, 1u64..400 * KIB),
        bound in prop::option::of(900 * KIB..4 * MIB),
        steps in prop::collection::vec((0u8..7, 0u64..1 << 40), 1..150),
    ) {
        // A byte a block would take minutes.
        let block_size = block_size.max(length / 2000 + 1);
        let plan = plan(length, block_size, bound);
        let layout = plan.layout;
        let mut sky = Sky { plan, now: SECOND, flights: Vec::new(), wrong: Vec::new() };
        for (step, number) in steps {
            sky.now += Duration::from_millis(700);
            let chosen = usize::try_from(number).unwrap();
            match step {
                0..=2 => {
                    // What came wrong is asked for again sooner or later.
                    let number = sky.wrong.last().filter(|_| step == 2).copied().unwrap_or(number);
                    let asked = block(&sky.plan, number % layout.blocks());
                    let reply = sky.plan.ask(sky.now, asked, None);
                    prop_assert_eq!(reply == Reply::Here, sky.plan.here.has(asked));
                }
                3 | 4 => sky.begin()?,
                5 => sky.wrong(chosen),
                _ => sky.land(chosen, true),
            }
            if let Some(bound) = bound.filter(|bound| *bound < length) {
                prop_assert!(sky.plan.here.count().saturating_sub(1) * block_size <= bound);
            }
        }
        // In the end it is all there that was asked for last.
        let last = layout.block(layout.blocks() / 2).unwrap();
        for _ in 0..1000 {
            sky.now += SECOND;
            if sky.plan.ask(sky.now, last, None) == Reply::Here {
                return Ok(());
            }
            sky.begin()?;
            while !sky.flights.is_empty() {
                sky.land(0, false);
            }
        }
        prop_assert!(bound.is_some_and(|bound| bound < STRETCH_LEN.max(block_size) + 8192), "it never comes");
    }
}
