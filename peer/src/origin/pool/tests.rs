use super::super::cache::STRETCH_LEN;
use super::*;
use std::path::PathBuf;
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

/// Notes what it drops, and for which places it is left.
#[derive(Debug, Default)]
struct Small(Mutex<Vec<Option<usize>>>, PathBuf, Mutex<Vec<PathBuf>>);

impl Small {
    fn at(path: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::default(), PathBuf::from(path), Mutex::default()))
    }
}

impl Shrink for Small {
    fn shrink(&self, parts: Option<&[Dropped]>) -> bool {
        self.0.lock().unwrap().push(parts.map(<[Dropped]>::len));
        parts.is_none()
    }

    fn path(&self) -> &Path {
        &self.1
    }

    fn leave_for(&self, path: &Path) {
        self.2.lock().unwrap().push(path.to_owned());
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

/// Files that are known of a pool.
fn known(pool: &Pool) -> usize {
    let inner = pool.lock();
    assert_eq!(inner.numbers.len(), inner.holders.len());
    inner.holders.len()
}

#[test]
fn a_file_is_forgotten_with_the_last_part_that_is_kept_of_it() {
    let pool = Pool::new(2 * STRETCH_LEN, false);
    let (hash, none) = (|number| CascadeHash([number; 32]), Have::none(&layout()));
    for number in 0..9 {
        pool.adopt(hash(number), layout(), Small::at("x"), (Some(&none), 0));
        let share = pool.open(hash(number), layout(), Small::at("x")).unwrap();
        assert_eq!(known(&pool), 1, "it is awake");
        share.restore(&none);
        share.close();
        assert_eq!(known(&pool), 0, "nothing is kept of it");
    }
    let first = pool.open(hash(1), layout(), Small::at("x")).unwrap();
    first.restore(&none);
    first.take_off(NOW, 0).unwrap();
    first.close();
    assert_eq!(known(&pool), 1, "something is kept of it");
    let second = pool.open(hash(2), layout(), Small::at("y")).unwrap();
    second.restore(&none);
    assert_eq!(second.take_off(NOW, 0).unwrap().1, []);
    let (_, others) = second.take_off(NOW, 1).unwrap();
    assert!(others.len() == 1 && known(&pool) == 2, "it is still on the disk");
    pool.evict(&others);
    assert_eq!(known(&pool), 1);
    // What an earlier run has left of a third one is too much.
    pool.adopt(hash(3), layout(), Small::at("z"), (None, 600));
    assert_eq!(known(&pool), 1);
}

#[test]
fn what_is_kept_where_the_file_was_before_goes_when_it_is_opened_where_it_is_now() {
    let pool = Pool::new(2 * STRETCH_LEN, false);
    let (before, now) = (Small::at("a/x.cache"), Small::at("b/x.cache"));
    let open =
        |file: &Arc<Small>| pool.open(CascadeHash([1; 32]), layout(), Arc::<Small>::clone(file)).unwrap();
    for _ in 0..2 {
        let share = open(&before);
        share.restore(&Have::none(&layout()));
        share.take_off(NOW, 0).unwrap();
        share.close();
    }
    assert!(before.2.lock().unwrap().is_empty(), "it is where it was");
    let share = open(&now);
    assert_eq!(*before.2.lock().unwrap(), [now.path()]);
    assert_eq!(pool.lock().cache.used(), 0);
    share.close();
    assert_eq!(known(&pool), 0);
}

#[test]
fn nothing_is_taken_from_a_file_that_is_open_before_somebody_can_be_asked_for_it() {
    let pool = Pool::new(2 * STRETCH_LEN, false);
    let open = |number| pool.open(CascadeHash([number; 32]), layout(), Small::at("x")).unwrap();
    let (first, second) = (open(1), open(2));
    let mut have = Have::none(&layout());
    for number in [0, 60] {
        have.insert(layout().block(number).unwrap());
    }
    assert!(first.restore(&have).is_empty());
    assert_eq!(second.take_off(NOW, 0), None);
    let giver = Arc::new(Giver::default());
    let holder: Weak<dyn Evict> = Arc::<Giver>::downgrade(&giver);
    first.hold(holder);
    let (_, others) = second.take_off(NOW, 0).unwrap();
    pool.evict(&others);
    assert_eq!(*giver.0.lock().unwrap(), [0]);
    // It is read again.
    assert!(first.wake());
    assert_eq!(second.take_off(NOW, 1), None);
    first.restore(&have);
    assert!(second.take_off(NOW, 1).is_some());
}
