use super::*;
use proptest::prelude::*;

const SECOND: Time = Duration::from_secs(1);

const fn part(file: u32, stretch: u64) -> Part {
    Part { file, stretch }
}

#[test]
fn the_part_that_was_used_least_recently_makes_room_whichever_file_it_is_of() {
    let mut cache = Cache::new(3 * STRETCH_LEN);
    for (file, stretch) in [(1, 0), (2, 0), (1, 1)] {
        assert_eq!(cache.take_off(SECOND, part(file, stretch), STRETCH_LEN), Some(vec![]));
        cache.land(part(file, stretch));
    }
    cache.read(part(1, 0));
    assert_eq!(cache.take_off(SECOND, part(1, 2), STRETCH_LEN), Some(vec![part(2, 0)]));
    assert_eq!(cache.used(), cache.bound());
    // What comes, and what nobody has read yet, stays.
    cache.awaited(SECOND, part(1, 2));
    cache.land(part(1, 2));
    assert_eq!(cache.take_off(SECOND, part(1, 3), STRETCH_LEN), Some(vec![part(1, 1)]));
    assert_eq!(cache.take_off(SECOND, part(1, 4), STRETCH_LEN), Some(vec![part(1, 0)]));
    assert_eq!(cache.take_off(SECOND, part(1, 5), STRETCH_LEN), None);
    // What is still on the disk is not fetched again.
    assert_eq!(cache.take_off(SECOND + UNREAD, part(2, 0), STRETCH_LEN), None);
    cache.left(part(2, 0));
    assert_eq!(cache.take_off(SECOND + UNREAD, part(2, 0), STRETCH_LEN), Some(vec![part(1, 2)]));
}

#[test]
fn what_sleeps_gives_more_at_once_and_nothing_while_it_wakes() {
    let mut cache = Cache::new(64 * 100);
    for stretch in 0..60 {
        assert!(cache.restore(part(1, stretch), 50));
    }
    for stretch in 0..34 {
        assert!(cache.restore(part(2, stretch), 100));
    }
    assert!(!cache.restore(part(2, 34), 100), "there is no room for more");
    cache.sleep(1);
    assert_eq!(cache.take_off(SECOND, part(2, 34), 20), Some(vec![part(1, 0), part(1, 1)]));
    assert!(!cache.wake(1), "something of it is being dropped");
    assert_eq!(cache.take_off(SECOND, part(2, 35), 80), Some(vec![]));
    cache.left(part(1, 0));
    cache.left(part(1, 1));
    assert!(cache.wake(1));
    assert_eq!(cache.take_off(SECOND, part(2, 36), 10), Some(vec![part(2, 0)]), "it wakes");
    cache.sleep(1);
    assert_eq!(cache.take_off(SECOND, part(2, 37), 200), Some(vec![part(1, 2), part(1, 3), part(1, 4)]));
    cache.forget(1);
    cache.forget(2);
    assert_eq!(cache.used(), 0);
}

proptest! {
    /// Whatever is asked for, read, dropped, put to sleep and woken: the pages that may be in use are never more than the
    /// bound.
    #[test]
    fn the_bound_holds(
        (length, block, bound) in (1u64..8 << 20, 1u64..700_000, 600_000u64..4 << 20),
        steps in prop::collection::vec((0u8..6, 1u32..4, 0u64..40), 1..200),
    ) {
        let layout = Layout::new(length, block).unwrap();
        let bound = bound.max(block + 2 * PAGE_LEN);
        let (mut cache, stretches) = (Cache::new(bound), Stretches::new(layout, bound));
        let count = length.div_ceil(block).div_ceil(stretches.blocks);
        let (mut flying, mut now): (Vec<Part>, _) = (Vec::new(), SECOND);
        for (step, file, number) in steps {
            let part = Part { file, stretch: number % count };
            now += UNREAD / 4;
            match step {
                0 | 1 => if let Some(dropped) = cache.take_off(now, part, stretches.charge(part.stretch)) {
                    prop_assert!(dropped.iter().all(|other| !flying.contains(other)));
                    dropped.into_iter().for_each(|other| cache.left(other));
                    flying.push(part);
                },
                2 => cache.read(part),
                3 => if let Some(other) = flying.pop() {
                    cache.awaited(now, other);
                    cache.land(other);
                },
                4 => if flying.iter().all(|flying| flying.file != file) {
                    cache.sleep(file);
                },
                _ => if flying.iter().all(|flying| flying.file != file) && cache.wake(file) {
                    cache.forget(file);
                    cache.restore(part, stretches.charge(part.stretch));
                },
            }
            let kept: u64 = cache.kept.values().map(|kept| kept.charge).sum();
            prop_assert_eq!(kept, cache.used());
            prop_assert!(kept <= cache.bound());
            prop_assert_eq!(cache.order.len(), cache.kept.len());
        }
    }
}
