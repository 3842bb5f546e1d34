//! The tracker's log: levels and formats.

use crate::tracker_setup::RunningTracker;
use cascade_tests::clock;
use cascade_tests::launch::{Launch, Sink};
use cascade_tests::process::Signal;
use cascade_tests::tracker_client::{Request, SUBSCRIBE};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

const HASH: [u8; 32] = [0xab; 32];

fn launch() -> Launch {
    Launch::tracker().args(["-l", "127.0.0.1:0", "--allow", &"ab".repeat(32)])
}

/// What the tracker says of a registration and of a refusal.
fn log_of(launch: Launch) -> String {
    let tracker = RunningTracker::with_args(launch);
    assert_eq!(Request::new(SUBSCRIBE, HASH, [10, 0, 0, 1], 7).ask(tracker.addr).status, 0);
    assert_eq!(Request::new(SUBSCRIBE, [1; 32], [10, 0, 0, 1], 7).ask(tracker.addr).status, 1);
    tracker.process.end_by(Signal::TERM).assert_code(0).stderr.clone()
}

#[test]
fn a_level_decides_what_is_said() {
    let registered = format!("tracker: registered 10.0.0.1:7 for {}\n", "ab".repeat(32));
    let refused = format!(
        "tracker: debug: refused a request from 127.0.0.1: this tracker does not track {}\n",
        "01".repeat(32)
    );
    assert_eq!(log_of(launch()), registered);
    assert_eq!(log_of(launch().args(["--log-level", "warn"])), "");
    assert_eq!(log_of(launch().args(["--log-level", "off"])), "");
    assert_eq!(log_of(launch().args(["--log-level", "debug"])), registered.clone() + &refused);
    assert_eq!(
        log_of(launch().args(["--log-level", "warn,cascade_tracker::server=debug"])),
        registered + &refused
    );
    for wrong in [["--log-level", "loud"], ["--log-level", "info,tracker"], ["--log-format", "xml"]] {
        launch().args(wrong).run().assert_code(2);
    }
}

#[test]
fn json_is_an_object_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let json =
        r#"{"port": 0, "allowedhashes": [], "log-level": "debug", "log-format": "json", "state": "kept"}"#;
    fs::write(&config, json).unwrap();
    fs::write(folder.path().join("kept"), "CASCREGS no state").unwrap();
    let log = log_of(launch().arg(&config));
    let objects: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_level = |level: &'static str| objects.iter().filter(move |object| object["level"] == level);
    for object in &objects {
        let time = object["time"].as_str().unwrap();
        assert!(
            time.ends_with('Z') && object["target"].is_string() && object["message"].is_string(),
            "{object}"
        );
    }
    assert!(
        of_level("error").any(|object| object["message"].as_str().unwrap().contains("kept.damaged-1")),
        "{log}"
    );
    assert!(
        of_level("info").any(|object| object["peer"] == "10.0.0.1:7" && object["file"] == "ab".repeat(32))
    );
    assert!(of_level("debug").any(|object| object["from"] == "127.0.0.1"), "{log}");
}

#[test]
fn lines_for_the_journal_have_their_priority() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = File::create(&path).unwrap();
    let metadata = journal.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let known = launch().env("JOURNAL_STREAM", &stream).stderr(Sink::File(journal));
    let tracker = RunningTracker::with_args(known);
    let _ = Request::new(SUBSCRIBE, HASH, [10, 0, 0, 1], 7).ask(tracker.addr);
    let said = || fs::read_to_string(&path).unwrap();
    clock::eventually("a line", || {
        said().starts_with("<6>tracker: registered 10.0.0.1:7 for ").then_some(())
    });
    // Another file is no journal.
    assert!(log_of(launch().env("JOURNAL_STREAM", &stream)).starts_with("tracker: registered "));
    assert!(log_of(launch().args(["--log-format", "journal"])).starts_with("<6>tracker: registered "));
}
