//! What a tracker keeps over its end, however that comes.

use crate::tracker_setup::RunningTracker;
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::tracker_client::{Entry, LIST, Request, SUBSCRIBE, exchange};
use cascade_tests::{clock, wide};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

const HASH: [u8; 32] = [0xab; 32];
const OTHER: [u8; 32] = [0xcd; 32];

fn start(state: &Path, args: &[&str]) -> RunningTracker {
    let launch = Launch::tracker().args(["-l", "127.0.0.1:0", "--state"]).arg(state).args(args);
    RunningTracker::with_args(launch)
}

fn subscribe(tracker: &RunningTracker, hash: [u8; 32], port: u16) {
    let _ = Request::new(SUBSCRIBE, hash, [10, 0, 0, 1], port).ask(tracker.addr).entries();
}

fn list(tracker: &RunningTracker, hash: [u8; 32]) -> Vec<Entry> {
    let mut entries = Request::new(LIST, hash, [10, 9, 9, 9], 9).ask(tracker.addr).entries();
    entries.sort_by_key(|entry| entry.addr);
    entries
}

#[test]
fn a_restart_loses_no_registration_and_makes_none_younger() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let tracker = start(&state, &[]);
    (1..=9).for_each(|port| subscribe(&tracker, HASH, port));
    subscribe(&tracker, OTHER, 7);
    let v6: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
    let _ = exchange(tracker.addr, &wide::request(4, HASH, v6));
    let before = [HASH, OTHER].map(|hash| list(&tracker, hash));
    tracker.process.end_by(Signal::TERM).assert_code(0);
    // A second passes, in which nobody hears of it.
    clock::pause(std::time::Duration::from_millis(1100));
    let tracker = start(&state, &[]);
    let after = [HASH, OTHER].map(|hash| list(&tracker, hash));
    assert_eq!(before.each_ref().map(Vec::len), [9, 1]);
    for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
        assert_eq!(before.addr, after.addr);
        // The clock's seconds begin anew: one more or less is no other time.
        assert!(before.subscribed.abs_diff(after.subscribed) <= 1, "{before:?} {after:?}");
    }
    assert!(wide::list(tracker.addr, HASH).contains(&v6));
    assert!(
        tracker.process.log().contains("11 registrations are back; 0 are over"),
        "{}",
        tracker.process.log()
    );
}

#[test]
fn a_killed_tracker_comes_back_with_what_it_has_written_last() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let tracker = start(&state, &["--state-every", "1"]);
    subscribe(&tracker, HASH, 1);
    let holds = |port: u16| {
        let bytes = fs::read(&state).unwrap_or_default();
        let peer = [&[10, 0, 0, 1][..], &port.to_be_bytes()].concat();
        bytes.windows(6).any(|part| part == peer).then_some(())
    };
    clock::eventually("the state with the peer", || holds(1));
    subscribe(&tracker, HASH, 2);
    clock::eventually("the state with the second peer", || holds(2));
    let _ = tracker.process.end_by(Signal::KILL);
    let tracker = start(&state, &[]);
    assert_eq!(list(&tracker, HASH).len(), 2);
    // Killed while it writes: half of a new file harms nothing, and is not in the way.
    fs::write(folder.path().join("state.new"), b"CASCREGS half").unwrap();
    tracker.process.end_by(Signal::TERM).assert_code(0);
    let tracker = start(&state, &[]);
    assert_eq!(list(&tracker, HASH).len(), 2);
    assert!(!folder.path().join("state.new").exists());
}

#[test]
fn a_damaged_file_is_set_aside_and_what_is_whole_in_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let tracker = start(&state, &[]);
    (1..=5).for_each(|port| subscribe(&tracker, HASH, port));
    tracker.process.end_by(Signal::TERM).assert_code(0);
    let whole = fs::read(&state).unwrap();
    for (n, content, used) in
        [(1, &whole[..whole.len() - 3], 5), (2, &whole[..whole.len() / 2], 0), (3, b"CASCREGS no state", 0)]
    {
        fs::write(&state, content).unwrap();
        let tracker = start(&state, &[]);
        assert_eq!(list(&tracker, HASH).len(), used);
        let aside = folder.path().join(format!("state.damaged-{n}"));
        let log = tracker.process.log();
        let lines = log.lines().filter(|line| line.contains(aside.to_str().unwrap())).count();
        assert_eq!(lines, 1, "{log}");
        assert_eq!(fs::read(&aside).unwrap(), content);
        tracker.process.end_by(Signal::TERM).assert_code(0);
        assert!(fs::read(&state).unwrap().starts_with(b"CASCREGS"));
    }
}

#[test]
fn a_file_of_the_user_s_is_refused_and_stays_and_an_empty_one_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (film, config) = (folder.path().join("film.mkv"), folder.path().join("config.json"));
    fs::write(&film, b"a film").unwrap();
    fs::write(&config, r#"{"port": 0, "allowedhashes": [], "state": "film.mkv"}"#).unwrap();
    let refused = ["film.mkv", "no state of a tracker"];
    let launch = || Launch::tracker().args(["-l", "127.0.0.1:0"]);
    launch()
        .arg("--state")
        .arg(&film)
        .run()
        .assert_one_line_error(&[&refused[..], &["--state FILE"]].concat());
    launch().arg(&config).run().assert_one_line_error(&refused);
    Launch::tracker().arg("check").arg(&config).run().assert_one_line_error(&refused);
    assert_eq!(fs::read(&film).unwrap(), b"a film");
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 2, "something else was written");

    fs::write(&film, b"").unwrap();
    let tracker = start(&film, &[]);
    subscribe(&tracker, HASH, 1);
    assert!(!tracker.process.log().contains("damaged"), "{}", tracker.process.log());
    tracker.process.end_by(Signal::TERM).assert_code(0);
    assert!(fs::read(&film).unwrap().starts_with(b"CASCREGS"));
}

#[test]
fn a_file_that_is_no_longer_allowed_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let tracker = start(&state, &[]);
    subscribe(&tracker, HASH, 1);
    subscribe(&tracker, OTHER, 2);
    tracker.process.end_by(Signal::TERM).assert_code(0);
    let tracker = start(&state, &["--allow", &cascade_tests::cascade_file::hex(&HASH)]);
    assert_eq!(list(&tracker, HASH).len(), 1);
    assert!(tracker.process.log().contains("1 registrations are back; 1 are over"));
    tracker.process.end_by(Signal::TERM).assert_code(0);
    let tracker = start(&state, &[]);
    assert_eq!((list(&tracker, HASH).len(), list(&tracker, OTHER).len()), (1, 0));
}

#[test]
fn two_trackers_do_not_share_a_state_and_a_wrong_place_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let _first = start(&state, &[]);
    let second = |state: &Path| {
        let done = Launch::tracker().args(["-l", "127.0.0.1:0", "--state"]).arg(state).run();
        done.assert_one_line_error(&[state.to_str().unwrap(), "--state FILE"]);
    };
    second(&state);
    second(&folder.path().join("no/such/folder/state"));
    Launch::tracker()
        .args(["-l", "127.0.0.1:0", "--state"])
        .arg(folder.path())
        .run()
        .assert_one_line_error(&["a folder, not a regular file"]);
}

#[test]
fn a_state_that_cannot_be_written_stops_nothing_and_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut tracker = start(&state, &["--state-every", "1"]);
    subscribe(&tracker, HASH, 1);
    clock::eventually("the first state", || state.exists().then_some(()));
    let whole = fs::read(&state).unwrap();
    // Nothing takes the place of a folder that is not empty.
    fs::create_dir_all(folder.path().join("state.new/in the way")).unwrap();
    let process = &mut tracker.process;
    process.wait_line("that it cannot write", |line| line.contains("cannot write it").then_some(()));
    clock::pause(std::time::Duration::from_millis(2500));
    assert_eq!(process.log().matches("cannot write it").count(), 1, "{}", process.log());
    assert_eq!(list(&tracker, HASH).len(), 1);
    assert!(fs::read(&state).unwrap().len() >= whole.len());
    fs::remove_dir_all(folder.path().join("state.new")).unwrap();
    tracker.process.wait_line("that it writes", |line| line.contains("written again").then_some(()));
}
