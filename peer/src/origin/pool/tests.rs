use super::super::cache::STRETCH_LEN;
use super::*;
use std::fs;
use std::path::Path;
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

fn kept(number: u8, path: &Path) -> KeptFile {
    let records = Records::in_folder(&path.with_extension("state"));
    KeptFile { hash: CascadeHash([number; 32]), path: path.to_owned(), layout: layout(), records }
}

#[test]
fn what_is_dropped_for_a_file_is_asked_of_the_one_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let pool = Pool::new(2 * STRETCH_LEN, false);
    let open = |number, name| pool.open(kept(number, &path(name)));
    let (first, second) = (open(1, "a.cache").unwrap(), open(2, "b.cache").unwrap());
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
    // Asleep, it is the file that is changed; where nobody knows what is in it, it goes.
    fs::write(path("a.cache"), b"x").unwrap();
    first.close();
    let (_, others) = second.take_off(NOW, 1).unwrap();
    assert!(open(1, "a.cache").is_none(), "it is being dropped");
    pool.evict(&others);
    assert!(!path("a.cache").exists() && open(1, "a.cache").is_some());
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
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::new(1000, false);
    for (number, name) in [(1, "a"), (2, "b")] {
        let path = folder.path().join(name);
        fs::write(&path, b"x").unwrap();
        pool.adopt(kept(number, &path), None, 600);
        pool.adopt(kept(number, &path), None, 600);
    }
    assert!(folder.path().join("a").exists() && !folder.path().join("b").exists());
    assert!(pool.bounds(1) && !Pool::new(1000, true).bounds(1000));
}
