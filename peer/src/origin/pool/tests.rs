use super::super::cache::STRETCH_LEN;
use super::*;
use std::time::Duration;

const NOW: Time = Duration::from_secs(1);

/// Notes what it gives back.
#[derive(Debug, Default)]
struct Giver(Mutex<Vec<u64>>);

impl Evict for Giver {
    fn evict(&self, stretch: u64) {
        self.0.lock().unwrap().push(stretch);
    }
}

fn layout() -> Layout {
    Layout::new(4 << 20, 64 << 10).unwrap()
}

/// Notes what it drops.
#[derive(Debug, Default)]
struct Small(Mutex<Vec<Option<usize>>>);

impl Shrink for Small {
    fn shrink(&self, parts: Option<&[Dropped]>) -> bool {
        self.0.lock().unwrap().push(parts.map(<[Dropped]>::len));
        parts.is_none()
    }
}

#[test]
fn what_is_dropped_for_a_file_is_asked_of_the_one_that_has_it() {
    let pool = Pool::new(2 * STRETCH_LEN, false);
    let small = Arc::new(Small::default());
    let open = |number| pool.open(CascadeHash([number; 32]), layout(), Arc::<Small>::clone(&small));
    let (first, second) = (open(1).unwrap(), open(2).unwrap());
    for share in [&first, &second] {
        assert!(share.restore(&Have::none(&layout())).is_empty());
    }
    let giver = Arc::new(Giver::default());
    let holder: Weak<dyn Evict> = Arc::<Giver>::downgrade(&giver);
    first.hold(holder);
    for stretch in [4, 7] {
        assert_eq!(first.take_off(NOW, stretch), Some((vec![], vec![])));
        first.land(stretch);
    }
    let (own, others) = second.take_off(NOW, 0).unwrap();
    assert!(own.is_empty() && others.len() == 1);
    assert_eq!(first.take_off(NOW, 4), None, "its bytes are still on the disk");
    pool.evict(&others);
    assert_eq!(*giver.0.lock().unwrap(), [4]);
    // Asleep, it is the file that is changed.
    first.close();
    let (_, others) = second.take_off(NOW, 1).unwrap();
    assert!(open(1).is_none(), "it is being dropped");
    pool.evict(&others);
    assert!(*small.0.lock().unwrap() == [Some(1)] && open(1).is_some());
}

#[test]
fn what_is_there_beyond_the_bound_is_told() {
    let share = Share::alone(layout(), 2 * STRETCH_LEN);
    let mut have = Have::none(&layout());
    for number in [1, 9, 40, 63] {
        have.insert(layout().block(number).unwrap());
    }
    assert_eq!(share.restore(&have), [10, 15]);
    assert!(share.restore(&Have::none(&layout())).is_empty());
}

#[test]
fn what_an_earlier_run_has_left_is_dropped_if_it_is_too_much() {
    let pool = Pool::new(STRETCH_LEN + 1000, false);
    let small = Arc::new(Small::default());
    let adopt = |number, have: Option<&Have>| {
        pool.adopt(CascadeHash([number; 32]), layout(), Arc::<Small>::clone(&small), (have, 600));
    };
    adopt(1, None);
    adopt(1, None);
    assert!(small.0.lock().unwrap().is_empty(), "it is counted once");
    adopt(2, Some(&Have::all(&layout())));
    assert_eq!(*small.0.lock().unwrap(), [Some(15)]);
    adopt(3, None);
    assert_eq!(*small.0.lock().unwrap(), [Some(15), None]);
    assert!(pool.bounds(1) && !Pool::new(1000, true).bounds(1000));
}
