//! The rules of a running tracker: its folder of `.cascade` files, and its configuration, which change.

use crate::tracker_setup::RunningTracker;
use cascade_tests::cascade_file::{TestFile, hex};
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::tracker_client::{LIST, Request, SUBSCRIBE};
use cascade_tests::{clock, http};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

const HASH: [u8; 32] = [0xab; 32];

fn status(tracker: SocketAddr, hash: [u8; 32]) -> u8 {
    Request::new(LIST, hash, [10, 9, 9, 9], 7).ask(tracker).status
}

fn listed(tracker: SocketAddr, hash: [u8; 32]) -> usize {
    Request::new(LIST, hash, [10, 9, 9, 9], 7).ask(tracker).entries().len()
}

fn subscribe(tracker: SocketAddr, hash: [u8; 32], port: u16) {
    let _ = Request::new(SUBSCRIBE, hash, [10, 0, 0, 1], port).ask(tracker).entries();
}

fn write_config(path: &Path, hashes: &[[u8; 32]], rest: &str) {
    let hashes: Vec<String> = hashes.iter().map(|hash| format!("{:?}", hex(hash))).collect();
    // As editors do it: a new file in the place of the old one.
    let new = path.with_extension("new");
    fs::write(&new, format!(r#"{{"port": 0, "allowedhashes": [{}]{rest}}}"#, hashes.join(","))).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn files_of_a_folder_are_tracked_as_they_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["first.bin", "second.bin"].map(|name| TestFile::random(name, 100, 10));
    let _ = files[0].write_cascade(folder.path());
    fs::write(folder.path().join("half.cascade"), b"CASCADE1 and no more").unwrap();
    let launch = Launch::tracker().args(["-l", "127.0.0.1:0", "--web=127.0.0.1:0", "--allow-dir"]);
    let mut tracker = RunningTracker::with_args(launch.arg(folder.path()));
    let at = tracker.addr;
    assert!(tracker.process.log().contains(" (1 file allowed)\n"), "{}", tracker.process.log());
    assert_eq!(files.each_ref().map(|file| status(at, file.hash)), [0, 1]);
    subscribe(at, files[0].hash, 1);
    let _ = files[1].write_cascade(folder.path());
    clock::eventually("the second file is tracked", || (status(at, files[1].hash) == 0).then_some(()));
    subscribe(at, files[1].hash, 2);
    assert_eq!(files.each_ref().map(|file| listed(at, file.hash)), [1, 1]);
    // The page has the names.
    let page = tracker.process.wait_line("its page", |line| {
        line.split_once("http://")?.1.split(['/', ' ']).next()?.parse::<SocketAddr>().ok()
    });
    clock::eventually("the name on the page", || {
        let swarm = http::get(page, &format!("/api/v1/swarms/{}", files[1].hex())).json();
        (swarm["file"] == "second.bin").then_some(())
    });
    fs::remove_file(folder.path().join("first.bin.cascade")).unwrap();
    clock::eventually("the first file is not tracked", || (status(at, files[0].hash) == 1).then_some(()));
    assert_eq!(listed(at, files[1].hash), 1);
    // Its registration has ended: it is not there again when the file is.
    clock::eventually("one registration", || {
        http::get(page, "/metrics").body.contains("\ncascade_tracker_registrations 1\n").then_some(())
    });
    let _ = files[0].write_cascade(folder.path());
    clock::eventually("the first file is tracked again", || (status(at, files[0].hash) == 0).then_some(()));
    assert_eq!(listed(at, files[0].hash), 0);
    assert_eq!(tracker.process.log().matches("half.cascade").count(), 1, "{}", tracker.process.log());
}

#[test]
fn a_configuration_is_read_again_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    write_config(&config, &[HASH, [1; 32]], "");
    let mut tracker = RunningTracker::with_args(Launch::tracker().arg(&config));
    let at = tracker.addr;
    subscribe(at, HASH, 1);
    subscribe(at, [1; 32], 2);
    write_config(&config, &[HASH, [2; 32]], "");
    // By its change alone.
    clock::eventually("the new rules", || (status(at, [2; 32]) == 0).then_some(()));
    assert_eq!((status(at, [1; 32]), listed(at, HASH)), (1, 1));
    fs::write(&config, "{\"port\": 0, \"allowedhashes\": [\"ab\"]}").unwrap();
    tracker.process.signal(Signal::HUP);
    tracker.process.wait_line("what is wrong", |line| {
        (line.contains("allowedhashes[0]") && line.contains("the rules of before stay")).then_some(())
    });
    assert_eq!((status(at, [2; 32]), listed(at, HASH)), (0, 1));
    write_config(&config, &[HASH], r#", "listen": "127.0.0.1:1""#);
    tracker.process.signal(Signal::HUP);
    tracker.process.wait_line("the rules", |line| line.contains("1 file allowed").then_some(()));
    tracker.process.wait_line("that the address stays", |line| line.contains("restart").then_some(()));
    clock::eventually("the new rules", || (status(at, [2; 32]) == 1).then_some(()));
    assert_eq!(listed(at, HASH), 1);
    tracker.process.end_by(Signal::TERM).assert_code(0);
}

#[test]
fn a_new_folder_that_cannot_be_read_leaves_the_rules_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let file = TestFile::random("kept.bin", 100, 10);
    fs::create_dir(folder.path().join("files")).unwrap();
    let _ = file.write_cascade(&folder.path().join("files"));
    write_config(&config, &[], r#", "listen": "127.0.0.1:0", "allow-dir": "files""#);
    let mut tracker = RunningTracker::with_args(Launch::tracker().arg(&config));
    subscribe(tracker.addr, file.hash, 1);
    write_config(&config, &[HASH], r#", "listen": "127.0.0.1:0", "allow-dir": "flies""#);
    tracker.process.signal(Signal::HUP);
    tracker.process.wait_line("what is wrong", |line| {
        (line.contains("flies: cannot read the folder") && line.contains("the rules of before stay"))
            .then_some(())
    });
    assert_eq!((listed(tracker.addr, file.hash), status(tracker.addr, HASH)), (1, 1));
    write_config(&config, &[HASH], r#", "listen": "127.0.0.1:0", "allow-dir": "files""#);
    clock::eventually("the new rules", || (status(tracker.addr, HASH) == 0).then_some(()));
    assert_eq!(listed(tracker.addr, file.hash), 1);
}

#[test]
fn a_tracker_that_has_nothing_to_be_read_again_serves_on() {
    let mut tracker = RunningTracker::open();
    subscribe(tracker.addr, HASH, 1);
    for _ in 0..20 {
        tracker.process.signal(Signal::HUP);
    }
    tracker
        .process
        .wait_line("that it was heard", |line| line.contains("nothing to read again").then_some(()));
    assert_eq!(listed(tracker.addr, HASH), 1);
    tracker.process.end_by(Signal::TERM).assert_code(0);
}

#[test]
fn every_option_can_stand_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("named.bin", 100, 10);
    let other = TestFile::random("in-folder.bin", 100, 10);
    let _ = file.write_cascade(folder.path());
    fs::create_dir(folder.path().join("files")).unwrap();
    let _ = other.write_cascade(&folder.path().join("files"));
    let config = folder.path().join("config.json");
    // Paths are those beside it.
    let rest = r#", "listen": "127.0.0.1:0", "allow": ["named.bin.cascade"], "allow-dir": "files", "state": "kept",
        "state-every": 1, "web": "127.0.0.1:0""#;
    write_config(&config, &[HASH], rest);
    let checked = Launch::tracker().arg("check").arg(&config).run();
    assert!(
        checked.assert_success().stdout.contains("right: listens on 127.0.0.1:0 (3 files allowed)"),
        "{checked}"
    );
    assert!(!folder.path().join("kept").exists());
    let tracker = RunningTracker::with_args(Launch::tracker().arg(&config));
    assert!(tracker.process.log().contains("web page: http://127.0.0.1:"), "{}", tracker.process.log());
    assert_eq!([HASH, file.hash, other.hash, [9; 32]].map(|hash| status(tracker.addr, hash)), [0, 0, 0, 1]);
    clock::eventually("the state", || folder.path().join("kept").exists().then_some(()));
}

#[test]
fn check_says_what_is_wrong_and_a_configuration_may_be_named_check() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("check");
    for (rest, wrong) in [
        (r#", "listen": "nowhere""#, "\"listen\""),
        (r#", "listen": 8888"#, "\"listen\""),
        (r#", "allow": ["no-such.cascade"]"#, "no-such.cascade"),
        (r#", "allow-dir": "no-such-dir""#, "no-such-dir"),
        (r#", "state": "no/such/state""#, "state"),
        (r#", "state": 7"#, "\"state\""),
        (r#", "state": ".""#, "state: "),
        (r#", "state-every": 0"#, "\"state-every\""),
        (r#", "web": "here""#, "\"web\""),
        (r#", "wbe": true"#, "\"wbe\""),
    ] {
        write_config(&config, &[HASH], rest);
        Launch::tracker().arg("check").arg(&config).run().assert_one_line_error(&[wrong]);
    }
    // Every fault is a line.
    let rest = r#", "listen": 8888, "allow": ["no-such.cascade", "nor-this.cascade"], "allow-dir": "no-such-dir",
        "state": "no/such/state", "good_ips": ["x"], "networks": [["10.1.2.3/16"]]"#;
    write_config(&config, &[HASH], rest);
    let checked = Launch::tracker().arg("check").arg(&config).run().assert_code(1).stderr.clone();
    let wrong = [
        "is \"good-ips\" meant?",
        "\"listen\"",
        "write 10.1.0.0/16",
        "no-such.cascade",
        "nor-this.cascade",
        "no-such-dir",
        "no/such",
    ];
    assert_eq!(checked.lines().count(), wrong.len(), "{checked}");
    for wrong in wrong {
        assert_eq!(checked.matches(wrong).count(), 1, "{wrong}: {checked}");
    }
    assert!(checked.lines().all(|line| line.starts_with("tracker: ")), "{checked}");
    // Who starts hears of the first one, and how many there are.
    Launch::tracker()
        .arg(&config)
        .run()
        .assert_one_line_error(&["is \"good-ips\" meant?; and 4 more faults"]);
    Launch::tracker().arg("check").arg("/nonexistent").run().assert_one_line_error(&["/nonexistent"]);
    Launch::tracker().arg("check").run().assert_code(2);
    write_config(&config, &[HASH], "");
    let tracker = RunningTracker::with_args(Launch::tracker().cwd(folder.path()).arg("./check"));
    assert_eq!(status(tracker.addr, HASH), 0);
}
