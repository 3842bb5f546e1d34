use super::super::limits::DOWNLOAD_RETRY;
use super::super::scan::DataLook;
use super::super::told::Serving;
use super::*;
use cascade_format::{Have, Layout};

const SECOND: i128 = 1_000_000_000;
/// What the wall clock shows.
const WALL: i128 = 1_000_000 * SECOND;

const fn at(seconds: u64) -> Time {
    Duration::from_secs(seconds)
}

/// A stamp of something that was changed so many seconds ago.
fn stamp(inode: u64, age: i128) -> Stamp {
    let changed_ns = WALL - age * SECOND;
    Stamp { device: 1, inode, length: 10, modified_ns: changed_ns, changed_ns, files: None }
}

fn look(metafile: Stamp, data: Option<(Stamp, bool)>) -> Look {
    Look { metafile, data: data.map(|(stamp, folder)| DataLook { stamp, folder }) }
}

fn scan_of(files: &[(&str, Look)]) -> Scan {
    let found = files.iter().map(|(name, look)| (PathBuf::from(name), look.clone())).collect();
    Scan { found, ..Scan::default() }
}

fn described(hash: u8) -> Described {
    let layout = Layout::new(10, 5).unwrap();
    Described { hash: CascadeHash([hash; 32]), layout, was_complete: false }
}

fn checked(hash: u8, stamp: Stamp, how: How) -> Checked {
    let described = Described { was_complete: true, ..described(hash) };
    Checked { described, have: None, stamp, how }
}

/// With this number of two blocks.
fn partial(hash: u8, stamp: Stamp, count: u64) -> Checked {
    let mut have = Have::none(&described(hash).layout);
    for number in 0..count {
        have.insert(described(hash).layout.block(number).unwrap());
    }
    Checked { described: described(hash), have: Some(Arc::new(have)), stamp, how: How::Checked }
}

fn acts(shelf: &mut Shelf) -> Vec<Act> {
    std::iter::from_fn(|| shelf.poll_act()).collect()
}

/// Gives this outcome to the next job of the thread.
fn inspect(shelf: &mut Shelf, now: Time, slow: bool, outcome: Outcome) -> Depth {
    let Job { id, look, depth, slow, .. } = shelf.poll_job(slow).expect("a job");
    shelf.handle_inspected(now, Inspected { id, look, slow, outcome });
    depth
}

fn published(acts: &[Act]) -> Vec<&Path> {
    acts.iter().filter_map(|act| if let Act::Publish(path, _) = act { Some(&**path) } else { None }).collect()
}

fn told(acts: &[Act]) -> Vec<&Told> {
    acts.iter().filter_map(|act| if let Act::Tell(told) = act { Some(told) } else { None }).collect()
}

const HASH: CascadeHash = CascadeHash([1; 32]);

/// A shelf on which `a` is served.
fn serving() -> (Shelf, Look) {
    let mut shelf = Shelf::new(Missing::Told);
    let there = look(stamp(1, 100), Some((stamp(2, 100), false)));
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there.clone())]));
    inspect(&mut shelf, at(0), false, Outcome::Checked(checked(1, stamp(2, 100), How::Known)));
    acts(&mut shelf);
    (shelf, there)
}

#[test]
fn what_is_known_from_earlier_runs_is_served_at_once() {
    let mut shelf = Shelf::new(Missing::Told);
    let there = look(stamp(1, 100), Some((stamp(2, 100), false)));
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there)]));
    assert!(shelf.is_looking());
    let depth = inspect(&mut shelf, at(0), false, Outcome::Checked(checked(1, stamp(2, 100), How::Known)));
    assert!(depth == Depth::Record && !shelf.is_looking());
    let acts = acts(&mut shelf);
    assert!(
        matches!(acts[..], [Act::Publish(..), Act::Register(_), Act::Tell(Told::Serving(_))]),
        "{acts:?}"
    );
    assert_eq!(shelf.tally(), Tally { files: 1, bytes: 10, unchecked: 0, missing: 0, remote: 0 });
    assert_eq!(shelf.next_wakeup(at(0)), None, "nothing else is to be done");
}

#[test]
fn what_is_being_copied_is_left_alone_until_it_is_quiet() {
    let mut shelf = Shelf::new(Missing::Told);
    for second in 0..5 {
        // It grows.
        let there = look(stamp(1, 100), Some((stamp(2, -i128::from(second)), false)));
        shelf.handle_scan(at(second), WALL + i128::from(second) * SECOND, scan_of(&[("a.cascade", there)]));
        assert!(shelf.poll_job(false).is_none() && shelf.is_settling(), "second {second}");
    }
    let there = look(stamp(1, 100), Some((stamp(2, -4), false)));
    // A wall clock that is behind proves nothing.
    shelf.handle_scan(at(5), WALL, scan_of(&[("a.cascade", there.clone())]));
    assert!(shelf.poll_job(false).is_none());
    shelf.handle_scan(at(6), WALL, scan_of(&[("a.cascade", there)]));
    inspect(&mut shelf, at(6), false, Outcome::Unchecked(described(1), stamp(2, -4)));
    assert!(acts(&mut shelf).iter().all(|act| matches!(act, Act::Withdraw { known: true, .. })));
    let depth = inspect(&mut shelf, at(7), true, Outcome::Checked(checked(1, stamp(2, -4), How::Checked)));
    assert_eq!(depth, Depth::Bytes);
    assert_eq!(published(&acts(&mut shelf)), [Path::new("a.cascade")]);
}

#[test]
fn what_changes_while_it_is_looked_at_is_looked_at_again() {
    let mut shelf = Shelf::new(Missing::Told);
    let there = |age| look(stamp(1, 100), Some((stamp(2, age), false)));
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there(100))]));
    let job = shelf.poll_job(false).unwrap();
    shelf.handle_scan(at(1), WALL, scan_of(&[("a.cascade", there(50))]));
    let outcome = Outcome::Checked(checked(1, stamp(2, 100), How::Known));
    let again = shelf.poll_job(false).unwrap();
    shelf.handle_inspected(at(1), Inspected { id: job.id, look: job.look, slow: false, outcome });
    assert!(published(&acts(&mut shelf)).is_empty(), "that was of the file before");
    let outcome = Outcome::Checked(checked(1, stamp(2, 50), How::Known));
    shelf.handle_inspected(at(1), Inspected { id: again.id, look: again.look, slow: false, outcome });
    // The first answer has made it settle anew.
    shelf.handle_scan(at(2), WALL, scan_of(&[("a.cascade", there(50))]));
    inspect(&mut shelf, at(2), false, Outcome::Checked(checked(1, stamp(2, 50), How::Known)));
    assert_eq!(published(&acts(&mut shelf)).len(), 1);
    assert!(!shelf.is_looking());
}

#[test]
fn data_that_is_changed_is_not_served_until_it_is_checked() {
    let (mut shelf, _) = serving();
    let changed = look(stamp(1, 100), Some((stamp(2, 0), false)));
    shelf.handle_scan(at(10), WALL, scan_of(&[("a.cascade", changed.clone())]));
    let done = acts(&mut shelf);
    assert!(done.contains(&Act::Withdraw { hash: HASH, known: true }), "{done:?}");
    assert!(matches!(told(&done)[..], [Told::Changed { .. }]));
    assert!(!done.iter().any(|act| matches!(act, Act::Unregister(_))), "it will be served again");
    shelf.handle_scan(at(12), WALL, scan_of(&[("a.cascade", changed)]));
    inspect(&mut shelf, at(12), false, Outcome::Unchecked(described(1), stamp(2, 0)));
    inspect(&mut shelf, at(13), true, Outcome::Checked(partial(1, stamp(2, 0), 1)));
    let done = acts(&mut shelf);
    assert_eq!(published(&done).len(), 1, "what is right of it");
    assert!(
        matches!(told(&done)[..], [Told::Serving(Serving { blocks_done: 1, blocks: 2, .. })]),
        "{done:?}"
    );
}

#[test]
fn what_a_client_finds_wrong_is_read_again_whatever_its_record_says() {
    let (mut shelf, there) = serving();
    shelf.handle_trouble(at(10), HASH, true);
    assert!(acts(&mut shelf).contains(&Act::Withdraw { hash: HASH, known: true }));
    shelf.handle_scan(at(12), WALL, scan_of(&[("a.cascade", there)]));
    assert!(shelf.poll_job(false).is_none());
    let depth = inspect(&mut shelf, at(12), true, Outcome::Checked(checked(1, stamp(2, 100), How::Checked)));
    assert_eq!(depth, Depth::BytesAlone);
    assert_eq!(published(&acts(&mut shelf)).len(), 1);
}

#[test]
fn what_is_removed_is_served_no_longer_and_trackers_hear_it() {
    for data_alone in [true, false] {
        let (mut shelf, there) = serving();
        let left =
            if data_alone { scan_of(&[("a.cascade", Look { data: None, ..there })]) } else { scan_of(&[]) };
        shelf.handle_scan(at(10), WALL, left);
        let done = acts(&mut shelf);
        assert!(done.contains(&Act::Withdraw { hash: HASH, known: false }), "{done:?}");
        assert!(done.contains(&Act::Unregister(HASH)));
        assert!(matches!(told(&done)[..], [Told::Removed { .. }]), "{done:?}");
        assert_eq!(shelf.tally().files, 0);
    }
}

#[test]
fn a_folder_that_cannot_be_read_for_a_moment_changes_nothing() {
    let mut shelf = Shelf::new(Missing::Told);
    let there = look(stamp(1, 100), Some((stamp(2, 100), false)));
    shelf.handle_scan(at(0), WALL, scan_of(&[("d/a.cascade", there)]));
    inspect(&mut shelf, at(0), false, Outcome::Checked(checked(1, stamp(2, 100), How::Known)));
    acts(&mut shelf);
    let problems = vec!["cannot read d".to_owned()];
    for time in [10, 20] {
        let scan = Scan { unreadable: vec!["d".into()], problems: problems.clone(), ..Scan::default() };
        shelf.handle_scan(at(time), WALL, scan);
        let done = acts(&mut shelf);
        assert_eq!(done.len(), usize::from(time == 10), "it is told once: {done:?}");
    }
    shelf.handle_scan(at(30), WALL, scan_of(&[]));
    assert!(acts(&mut shelf).contains(&Act::Unregister(HASH)));
}

#[test]
fn another_cascade_file_of_the_same_name_is_another_file() {
    let (mut shelf, there) = serving();
    let other = Look { metafile: stamp(7, 50), ..there };
    shelf.handle_scan(at(10), WALL, scan_of(&[("a.cascade", other)]));
    assert!(acts(&mut shelf).contains(&Act::Unregister(HASH)));
    inspect(&mut shelf, at(10), false, Outcome::Checked(checked(2, stamp(2, 100), How::Known)));
    assert!(acts(&mut shelf).contains(&Act::Register(CascadeHash([2; 32]))));
}

#[test]
fn of_two_with_the_same_hash_one_is_served_and_the_other_takes_its_place() {
    let mut shelf = Shelf::new(Missing::Told);
    let there = |inode| look(stamp(inode, 100), Some((stamp(inode + 1, 100), false)));
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there(1)), ("b.cascade", there(11))]));
    inspect(&mut shelf, at(0), false, Outcome::Checked(partial(1, stamp(2, 100), 1)));
    inspect(&mut shelf, at(0), false, Outcome::Checked(checked(1, stamp(12, 100), How::Known)));
    let done = acts(&mut shelf);
    assert_eq!(published(&done), [Path::new("a.cascade"), Path::new("b.cascade")], "the better one");
    assert_eq!(done.iter().filter(|act| matches!(act, Act::Register(_))).count(), 1);
    shelf.handle_scan(at(1), WALL, scan_of(&[("a.cascade", there(1))]));
    let done = acts(&mut shelf);
    assert_eq!(published(&done), [Path::new("a.cascade")]);
    assert!(!done.iter().any(|act| matches!(act, Act::Unregister(_) | Act::Withdraw { .. })));
    shelf.handle_scan(at(2), WALL, scan_of(&[]));
    assert!(acts(&mut shelf).contains(&Act::Unregister(HASH)));
}

#[test]
fn a_second_equal_one_is_told_of_once() {
    let (mut shelf, there) = serving();
    let twin = look(stamp(11, 100), Some((stamp(12, 100), false)));
    shelf.handle_scan(at(1), WALL, scan_of(&[("a.cascade", there), ("b.cascade", twin)]));
    inspect(&mut shelf, at(1), false, Outcome::Checked(checked(1, stamp(12, 100), How::Known)));
    let done = acts(&mut shelf);
    assert!(published(&done).is_empty());
    let [Told::Problem { message, .. }] = told(&done)[..] else { panic!("{done:?}") };
    assert!(message.contains("b.cascade describes the same file as a.cascade"), "{message}");
}

#[test]
fn a_bad_one_is_told_of_once_and_tried_again_only_if_that_may_pass() {
    for passing in [false, true] {
        let mut shelf = Shelf::new(Missing::Told);
        let there = look(stamp(1, 100), None);
        shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there)]));
        for round in 0..2 {
            inspect(&mut shelf, at(0), false, Outcome::Bad { message: "no".into(), passing });
            assert_eq!(told(&acts(&mut shelf)).len(), usize::from(round == 0));
            assert_eq!(shelf.next_wakeup(at(0)), passing.then_some(RETRY_INTERVAL));
            shelf.handle_time(RETRY_INTERVAL);
            if !passing {
                break;
            }
        }
    }
}

#[test]
fn a_folder_is_walked_through_twice_before_it_is_read() {
    let mut shelf = Shelf::new(Missing::Told);
    let there = look(stamp(1, 100), Some((stamp(2, 100), true)));
    let tree = |number: u8| Stamp { files: Some([number; 32].into()), ..stamp(2, 100) };
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there)]));
    assert!(shelf.poll_job(false).is_none(), "the thread that is quick walks through no folder");
    inspect(&mut shelf, at(0), true, Outcome::Unchecked(described(1), tree(1)));
    for (now, number, expected) in [(2, 2, Depth::Record), (4, 2, Depth::Record), (6, 2, Depth::Bytes)] {
        shelf.handle_time(at(now));
        let outcome = if expected == Depth::Bytes {
            Outcome::Checked(partial(1, tree(2), 1))
        } else {
            Outcome::Unchecked(described(1), tree(number))
        };
        assert_eq!(inspect(&mut shelf, at(now), true, outcome), expected, "at {now}");
    }
    assert_eq!(published(&acts(&mut shelf)).len(), 1);
    // An unfinished one is looked at from time to time; nothing in it has changed.
    let again = shelf.next_wakeup(at(6)).unwrap();
    assert_eq!(again, at(6) + RETRY_INTERVAL);
    shelf.handle_time(again);
    inspect(&mut shelf, again, true, Outcome::Unchecked(described(1), tree(2)));
    assert!(acts(&mut shelf).is_empty() && shelf.poll_job(true).is_none());
    // More of it has come.
    shelf.handle_time(again + RETRY_INTERVAL);
    inspect(&mut shelf, again, true, Outcome::Unchecked(described(1), tree(3)));
    assert!(shelf.next_wakeup(again).is_some_and(|at| at == again + SETTLE));
}

fn missing() -> (Shelf, Look) {
    let mut shelf = Shelf::new(Missing::Downloaded);
    let there = look(stamp(1, 100), None);
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there.clone())]));
    inspect(&mut shelf, at(0), false, Outcome::NoData(described(1)));
    acts(&mut shelf);
    (shelf, there)
}

#[test]
fn what_is_missing_is_downloaded_and_then_served() {
    let (mut shelf, there) = missing();
    assert!(shelf.has_download(at(0)));
    let order = shelf.poll_download(at(0)).unwrap();
    assert_eq!((order.hash, shelf.poll_download(at(0))), (HASH, None));
    let done = stamp(2, 0);
    shelf.handle_downloaded(at(5), order.id, &Ended::Done(Some(done)));
    let what = acts(&mut shelf);
    assert_eq!(published(&what).len(), 1, "{what:?}");
    assert!(
        what.iter().any(|act| matches!(act, Act::Tell(Told::Serving(Serving { how: How::Downloaded, .. }))))
    );
    // The next scan sees the file that this program has made.
    shelf.handle_scan(
        at(6),
        WALL,
        scan_of(&[("a.cascade", Look { data: look(done, Some((done, false))).data, ..there })]),
    );
    assert!(acts(&mut shelf).is_empty() && shelf.poll_job(false).is_none());
}

#[test]
fn a_download_that_fails_is_tried_again_later_and_one_that_is_put_off_soon() {
    for (ended, after) in [(Ended::Failed, DOWNLOAD_RETRY), (Ended::PutOff, Time::ZERO)] {
        let (mut shelf, there) = missing();
        let order = shelf.poll_download(at(0)).unwrap();
        shelf.handle_downloaded(at(1), order.id, &ended);
        assert_eq!(shelf.poll_download(at(1)), None, "it is looked at first");
        shelf.handle_scan(at(2), WALL, scan_of(&[("a.cascade", there)]));
        inspect(&mut shelf, at(2), false, Outcome::NoData(described(1)));
        assert_eq!(shelf.poll_download(at(3)).is_some(), after.is_zero());
        assert_eq!(shelf.poll_download(at(1) + after).is_some(), !after.is_zero());
    }
}

#[test]
fn what_is_kept_is_told_and_served_as_far_as_it_is_right_and_looked_at_when_it_changes() {
    let mut shelf = Shelf::new(Missing::Downloaded);
    let there = look(stamp(1, 100), Some((stamp(2, 100), false)));
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there)]));
    inspect(&mut shelf, at(0), false, Outcome::Checked(partial(1, stamp(2, 100), 1)));
    let order = shelf.poll_download(at(0)).unwrap();
    acts(&mut shelf);
    shelf.handle_downloaded(at(1), order.id, &Ended::Kept("it is somebody's work".into()));
    let what = acts(&mut shelf);
    assert_eq!(published(&what).len(), 1, "{what:?}");
    assert!(matches!(told(&what)[..], [Told::Problem { .. }]), "{what:?}");
    assert!(!shelf.has_download(at(10_000)) && shelf.next_wakeup(at(1)).is_none());
    // Its owner moves it away.
    shelf.handle_scan(at(20), WALL, scan_of(&[("a.cascade", look(stamp(1, 100), None))]));
    shelf.handle_scan(at(23), WALL, scan_of(&[("a.cascade", look(stamp(1, 100), None))]));
    inspect(&mut shelf, at(23), false, Outcome::NoData(described(1)));
    assert!(shelf.has_download(at(23)));
}

#[test]
fn a_download_ends_with_its_cascade_file() {
    let (mut shelf, _) = missing();
    let order = shelf.poll_download(at(0)).unwrap();
    acts(&mut shelf);
    shelf.handle_scan(at(1), WALL, scan_of(&[]));
    assert!(acts(&mut shelf).contains(&Act::EndDownload(order.id)));
    shelf.handle_downloaded(at(2), order.id, &Ended::PutOff);
    assert!(!shelf.has_download(at(100)));
}

#[test]
fn what_somebody_has_changed_is_not_overwritten_by_a_download() {
    let mut shelf = Shelf::new(Missing::Downloaded);
    let there = look(stamp(1, 100), Some((stamp(2, 100), false)));
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there.clone()), ("b.cascade", there)]));
    let mut work = partial(1, stamp(2, 100), 1);
    work.described.was_complete = true;
    inspect(&mut shelf, at(0), false, Outcome::Checked(work));
    assert!(!shelf.has_download(at(0)), "it was complete once");
    inspect(&mut shelf, at(0), false, Outcome::Checked(partial(2, stamp(2, 100), 1)));
    assert_eq!(shelf.poll_download(at(0)).unwrap().hash, CascadeHash([2; 32]));
}

/// A shelf on which `a` is served from an origin.
fn remote() -> (Shelf, Look) {
    let mut shelf = Shelf::new(Missing::Remote);
    let there = look(stamp(1, 100), None);
    shelf.handle_scan(at(0), WALL, scan_of(&[("a.cascade", there.clone())]));
    inspect(&mut shelf, at(0), false, Outcome::NoData(described(1)));
    let acts = acts(&mut shelf);
    let [Act::PublishRemote(path, what), Act::Register(HASH), Act::Tell(Told::Serving(serving))] = &acts[..]
    else {
        panic!("{acts:?}")
    };
    assert!(&**path == Path::new("a.cascade") && *what == described(1));
    assert!(serving.how == How::Origin && serving.blocks_done == 0 && serving.blocks == 2);
    assert_eq!(shelf.tally(), Tally { files: 1, bytes: 10, remote: 1, ..Tally::default() });
    (shelf, there)
}

#[test]
fn what_has_no_data_is_served_from_the_origin_until_it_has() {
    let (mut shelf, _) = remote();
    let data = look(stamp(1, 100), Some((stamp(2, 0), false)));
    shelf.handle_scan(at(5), WALL, scan_of(&[("a.cascade", data.clone())]));
    let withdrawn = acts(&mut shelf);
    assert!(matches!(withdrawn[..], [Act::Withdraw { hash: HASH, known: true }]), "{withdrawn:?}");
    shelf.handle_scan(at(8), WALL, scan_of(&[("a.cascade", data)]));
    inspect(&mut shelf, at(8), false, Outcome::Checked(checked(1, stamp(2, 0), How::Known)));
    let served = acts(&mut shelf);
    assert!(matches!(served[..], [Act::Publish(..), Act::Tell(Told::Serving(_))]), "{served:?}");
    // And when the data goes, the origin still has it.
    shelf.handle_scan(at(20), WALL, scan_of(&[("a.cascade", look(stamp(1, 100), None))]));
    inspect(&mut shelf, at(20), false, Outcome::NoData(described(1)));
    let acts = acts(&mut shelf);
    assert!(acts.iter().any(|act| matches!(act, Act::PublishRemote(..))), "{acts:?}");
}

#[test]
fn an_origin_that_does_not_have_a_file_is_told_once_and_tried_again_later_and_later() {
    let (mut shelf, _) = remote();
    let mut now = at(10);
    for pause in [60, 120, 240] {
        shelf.handle_remote_failed(now, HASH, "no such object");
        let left_out = acts(&mut shelf);
        let expected: &[_] = &[Act::Withdraw { hash: HASH, known: false }, Act::Unregister(HASH)];
        assert_eq!(&left_out[..2], expected);
        assert_eq!(told(&left_out).len(), usize::from(pause == 60), "{left_out:?}");
        assert_eq!(shelf.next_wakeup(now), Some(now + at(pause)));
        now += at(pause);
        shelf.handle_time(now);
        inspect(&mut shelf, now, false, Outcome::NoData(described(1)));
        let again = acts(&mut shelf);
        assert!(matches!(again[..], [Act::PublishRemote(..), Act::Register(HASH)]), "{again:?}");
    }
    shelf.handle_woken(HASH);
    assert!(matches!(acts(&mut shelf)[..], [Act::Tell(Told::Serving(_))]), "it is there at last");
    shelf.handle_woken(HASH);
    assert!(acts(&mut shelf).is_empty());
    shelf.handle_remote_failed(now, HASH, "no such object");
    assert_eq!(told(&acts(&mut shelf)).len(), 1);
    assert_eq!(shelf.next_wakeup(now), Some(now + at(60)), "from the start");
}

#[test]
fn a_file_that_is_here_is_better_than_one_that_must_be_fetched_and_part_of_one_is_not() {
    let (mut shelf, there) = remote();
    let here = look(stamp(3, 100), Some((stamp(4, 100), false)));
    let both = [("a.cascade", there), ("b.cascade", here)];
    shelf.handle_scan(at(1), WALL, scan_of(&both));
    inspect(&mut shelf, at(1), false, Outcome::Checked(partial(1, stamp(4, 100), 1)));
    assert!(published(&acts(&mut shelf)).is_empty());
    let (mut shelf, there) = remote();
    let here = look(stamp(3, 100), Some((stamp(4, 100), false)));
    shelf.handle_scan(at(1), WALL, scan_of(&[("a.cascade", there), ("b.cascade", here)]));
    inspect(&mut shelf, at(1), false, Outcome::Checked(checked(1, stamp(4, 100), How::Known)));
    assert_eq!(published(&acts(&mut shelf)), [Path::new("b.cascade")]);
}
