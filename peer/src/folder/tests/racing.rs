//! Readers of a folder while it is completed: what we ourselves change is no change of somebody else's.

use super::*;
use crate::folder::kept::Kept;
use crate::folder::{finish, update};
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// Times that a file is changed while it is read. Without what is tested, one of five is taken for another program's.
const ROUNDS: u64 = 300;

/// Reads `tree` at `offset` again and again while `change` runs.
fn read_during<T>(tree: &Tree, offset: u64, change: impl FnOnce() -> T) -> T {
    let (begin, stop) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            begin.wait();
            while !stop.load(Ordering::Relaxed) {
                tree.fill(&mut [0; 7], offset)?;
            }
            Ok::<_, std::io::Error>(())
        });
        begin.wait();
        let result = change();
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap().expect("nobody has written but we");
        result
    })
}

fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_file_that_gets_its_time_at_the_end_has_not_changed_for_its_readers() {
    let dir = sample();
    let (source, copy) = (walk(dir.path()).unwrap(), sample());
    let tree = Tree::part(source.archive().clone(), copy.path(), None).unwrap();
    let at = place(&tree, "a/file");
    for round in 1..=ROUNDS {
        set_time(&copy.path().join("a/file"), round);
        tree.look().unwrap();
        read_during(&tree, at, || finish::complete(&tree, &NEVER)).unwrap();
        assert_eq!(tree.first_changed(), None, "round {round}");
    }
    assert!(walk(copy.path()).unwrap().archive() == source.archive());
}

#[test]
fn a_file_that_stays_where_it_is_and_gets_its_time_has_not_changed_for_its_readers() {
    let (dir, made) = (sample(), tempfile::tempdir().unwrap());
    let (source, outdated) = (walk(dir.path()).unwrap(), sample());
    let tree = Tree::part(source.archive().clone(), made.path(), Some(outdated.path())).unwrap();
    let at = place(&tree, "a/file");
    let mut kept = Kept::new(outdated.path(), Written::default());
    for round in 1..=ROUNDS {
        set_time(&outdated.path().join("a/file"), round);
        tree.look().unwrap();
        let base = tree.base.as_ref().unwrap();
        let merged = read_during(&tree, at, || update::merge(&tree, base, &mut kept));
        assert!(merged.unwrap());
        assert_eq!(tree.first_changed(), None, "round {round}");
    }
    assert_eq!(kept.found(), None);
}
