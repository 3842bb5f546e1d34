use super::*;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const TEN_SECONDS: Duration = Duration::from_secs(10);

fn rate(bytes: u64) -> Rate {
    Rate::new(bytes).unwrap()
}

/// Somebody who moves bytes as they are promised.
#[derive(Debug, Clone, Copy)]
struct Mover {
    /// How long its timer is late.
    late: Duration,
    /// The most that it can use of a promise.
    most: u64,
    /// What it moves with one promise, at most.
    wanted: u64,
}

const EAGER: Mover = Mover { late: Duration::ZERO, most: u64::MAX, wanted: u64::MAX };

/// What each of `movers` has moved after this time, and the longest that each waited for a promise.
fn moved(pacer: &mut Pacer, movers: &[Mover], from: Time, until: Time) -> Vec<(u64, Duration)> {
    let mut moved = vec![(0, Duration::ZERO); movers.len()];
    let mut waiting: Vec<(Time, Promise)> = movers
        .iter()
        .map(|mover| {
            let promise = pacer.promise(from, mover.wanted);
            (promise.at + mover.late, promise)
        })
        .collect();
    loop {
        let next = waiting.iter().enumerate().min_by_key(|(_, (at, _))| *at).map(|(next, _)| next).unwrap();
        let (now, promise) = waiting[next];
        if now >= until {
            return moved;
        }
        let used = promise.len.min(movers[next].most);
        pacer.used(promise.len, used);
        moved[next].0 += used;
        let promise = pacer.promise(now, movers[next].wanted);
        moved[next].1 = moved[next].1.max(promise.at - now);
        // A timer that is not needed is not late.
        let late = if promise.at > now { movers[next].late } else { Duration::ZERO };
        waiting[next] = (promise.at + late, promise);
    }
}

fn total(moved: &[(u64, Duration)]) -> u64 {
    moved.iter().map(|(bytes, _)| bytes).sum()
}

fn assert_within(what: u64, wanted: u64, percent: u64) {
    assert!(what.abs_diff(wanted) * 100 <= wanted * percent, "{what} instead of {wanted}");
}

proptest! {
    /// Any rate, any number of movers, timers that are late by milliseconds: five per cent over ten seconds.
    #[test]
    fn a_limit_is_kept_over_ten_seconds(
        bytes in (64u64 << 10)..=125_000_000,
        movers in 1usize..20,
        late in 0u64..20,
        from in 0u64..3_600_000,
    ) {
        let from = Duration::from_millis(from);
        let mut pacer = Pacer::new(rate(bytes), Duration::ZERO);
        let mover = Mover { late: Duration::from_millis(late), ..EAGER };
        let moved = moved(&mut pacer, &vec![mover; movers], from, from + TEN_SECONDS);
        let all = total(&moved);
        prop_assert!(all.abs_diff(bytes * 10) * 20 <= bytes * 10, "{all} instead of {}", bytes * 10);
    }

    /// Whatever is used of promises, more than the limit and its credit never goes.
    #[test]
    fn no_more_than_the_limit_goes(
        bytes in MIN_RATE..=MAX_RATE,
        steps in prop::collection::vec((0u64..50_000_000, 0u64..300_000, 0u64..300_000), 1..200),
    ) {
        let mut pacer = Pacer::new(rate(bytes), Duration::ZERO);
        let (mut now, mut sum, mut last) = (Duration::ZERO, 0u64, 0);
        for (pause, wanted, used) in steps {
            now += Duration::from_nanos(pause);
            let promise = pacer.promise(now, wanted);
            now = now.max(promise.at);
            last = used.min(promise.len);
            pacer.used(promise.len, last);
            sum += last;
        }
        let most = rate(bytes).bytes_in(now + CREDIT) + last;
        prop_assert!(sum <= most, "{sum} of {most} after {now:?}");
    }
}

#[test]
fn those_who_wait_get_the_same_and_none_starves() {
    for bytes in [64 << 10, 1 << 20, 125_000_000] {
        let mut pacer = Pacer::new(rate(bytes), Duration::ZERO);
        let moved = moved(&mut pacer, &[EAGER; 7], Duration::ZERO, TEN_SECONDS);
        for (one, _) in &moved {
            assert_within(*one, bytes * 10 / 7, 2);
        }
    }
}

#[test]
fn a_message_waits_for_a_piece_of_each_of_the_others() {
    let bytes = 1 << 20;
    let mut pacer = Pacer::new(rate(bytes), Duration::ZERO);
    let message = Mover { wanted: 60, ..EAGER };
    let moved = moved(&mut pacer, &[EAGER, EAGER, EAGER, message], Duration::ZERO, TEN_SECONDS);
    assert!(moved[3].1 <= PIECE_TIME * 4, "{:?}", moved[3].1);
    assert!(total(&moved[..3]) * 100 >= bytes * 10 * 98, "messages take what others could have");
}

#[test]
fn what_one_cannot_use_others_have() {
    let bytes = 1 << 20;
    let mut pacer = Pacer::new(rate(bytes), Duration::ZERO);
    let slow = Mover { most: 10, ..EAGER };
    let moved = moved(&mut pacer, &[EAGER, slow, slow, slow], Duration::ZERO, TEN_SECONDS);
    assert_within(total(&moved), bytes * 10, 3);
    assert!(moved[0].0 * 100 >= bytes * 10 * 95, "{moved:?}");
}

#[test]
fn a_quiet_time_is_not_saved_up() {
    let mut pacer = Pacer::new(rate(1 << 20), Duration::ZERO);
    let hour = Duration::from_secs(3600);
    let moved = moved(&mut pacer, &[EAGER], hour, hour + Duration::from_secs(1));
    assert!(moved[0].0 <= (1 << 20) * 5 / 4, "{moved:?}");
}

#[test]
fn it_holds_things_up_while_somebody_waits_and_a_moment_longer() {
    let mut pacer = Pacer::new(rate(64 << 10), Duration::ZERO);
    assert!(!pacer.holds_up(Duration::ZERO));
    let first = pacer.promise(Duration::ZERO, u64::MAX);
    assert!(first.at.is_zero() && !pacer.holds_up(Duration::ZERO), "nobody has waited");
    let second = pacer.promise(Duration::ZERO, u64::MAX);
    assert!(second.at > Duration::ZERO && pacer.holds_up(Duration::ZERO));
    assert!(pacer.holds_up(second.at + MEMORY));
    assert!(!pacer.holds_up(second.at + MEMORY * 2), "everybody has gone");
}

#[test]
fn rates_out_of_range_are_none() {
    assert_eq!(Rate::new(0), None);
    assert_eq!(Rate::new(MIN_RATE - 1), None);
    assert_eq!(Rate::new(MAX_RATE + 1), None);
    assert_eq!(Rate::new(MIN_RATE).map(Rate::bytes_a_second), Some(MIN_RATE));
    assert_eq!(Rate::new(MAX_RATE).map(Rate::bytes_a_second), Some(MAX_RATE));
}
