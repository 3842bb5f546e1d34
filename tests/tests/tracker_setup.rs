use cascade_tests::address::{Reserved, listener};
use cascade_tests::cascade_file::{TestFile, hex};
use cascade_tests::launch::Launch;
use cascade_tests::process::{Process, Signal};
use cascade_tests::tracker_client::{LIST, Request, SUBSCRIBE};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const HASH: [u8; 32] = [0xab; 32];

/// A real tracker, ready to be asked.
pub(crate) struct RunningTracker {
    pub(crate) process: Process,
    /// Where to ask it: an address of 127.0.0.1.
    pub(crate) addr: SocketAddr,
    _folder: TempDir,
}

impl RunningTracker {
    /// One that tracks any hash.
    pub(crate) fn open() -> Self {
        Self::with_args(Launch::tracker().args(["--listen", "127.0.0.1:0"]))
    }

    /// One with this configuration, in which `HASH` stands for the hash that the tests use.
    pub(crate) fn with_config(config: &str) -> Self {
        let (folder, path) = write_config(config);
        let tracker = Self::with_args(Launch::tracker().arg(path));
        Self { _folder: folder, ..tracker }
    }

    pub(crate) fn with_args(launch: Launch) -> Self {
        let mut process = launch.start();
        let mut addr = process.wait_line("the address it listens on", listening_on);
        if addr.ip().is_unspecified() {
            addr.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Self { process, addr, _folder: tempfile::tempdir().unwrap() }
    }
}

/// The address in `listening on ADDR:PORT`.
fn listening_on(line: &str) -> Option<SocketAddr> {
    line.split_once("listening on ")?.1.split_whitespace().next()?.parse().ok()
}

fn write_config(config: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, config.replace("HASH", &hex(&HASH))).unwrap();
    (folder, path)
}

fn status(tracker: &RunningTracker, hash: [u8; 32]) -> u8 {
    Request::new(LIST, hash, [10, 0, 0, 1], 7).ask(tracker.addr).status
}

#[test]
fn the_port_of_the_configuration_is_honoured_and_listen_wins() {
    let reserved = Reserved::new();
    let config = format!(r#"{{"port": {}, "allowedhashes": ["HASH"]}}"#, reserved.addr.port());
    let tracker = RunningTracker::with_config(&config);
    assert_eq!(tracker.addr.port(), reserved.addr.port());
    assert!(tracker.process.log().contains(" (1 file allowed)\n"), "{}", tracker.process.log());
    assert_eq!(status(&tracker, HASH), 0);
    drop(tracker);

    let (_folder, path) = write_config(&config);
    let tracker = RunningTracker::with_args(Launch::tracker().arg(path).args(["-l", "127.0.0.1:0"]));
    assert_ne!(tracker.addr.port(), reserved.addr.port());
    assert_eq!(status(&tracker, HASH), 0);
}

#[test]
fn hashes_are_allowed_by_hash_and_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("allowed.bin", 100, 10);
    let cascade = file.write_cascade(folder.path());
    let launch =
        Launch::tracker().args(["-l", "127.0.0.1:0", "--allow", &hex(&HASH), "--allow"]).arg(cascade);
    let tracker = RunningTracker::with_args(launch);
    assert_eq!(status(&tracker, HASH), 0);
    assert_eq!(status(&tracker, file.hash), 0);
    assert_eq!(status(&tracker, [1; 32]), 1);
}

#[test]
fn allowed_hashes_add_to_those_of_the_configuration() {
    let (_folder, path) = write_config(r#"{"port": 0, "allowedhashes": ["HASH"]}"#);
    let launch = Launch::tracker().arg(path).args(["--allow", &hex(&[2; 32])]);
    let tracker = RunningTracker::with_args(launch);
    assert_eq!([HASH, [2; 32], [3; 32]].map(|hash| status(&tracker, hash)), [0, 0, 1]);
}

#[test]
fn a_configuration_with_an_empty_list_tracks_nothing() {
    let tracker = RunningTracker::with_config(r#"{"port": 0, "allowedhashes": []}"#);
    assert_eq!(status(&tracker, HASH), 1);
}

#[test]
fn errors_in_the_configuration_name_the_field() {
    let cases = [
        (r#"{"port": 70000, "allowedhashes": ["HASH"]}"#, "port"),
        (r#"{"port": "many", "allowedhashes": ["HASH"]}"#, "port"),
        (r#"{"port": 0, "allowedhashes": ["abcd"]}"#, "allowedhashes[0]: a hash has 64 hex digits"),
        (r#"{"port": 0, "allowedhashes": ["HASH", "zzHASH"]}"#, "allowedhashes"),
        (r#"{"port": 0, "allowedhashes": 7}"#, "allowedhashes"),
        (r#"{"port": 0, "allowedhashes": ["HASH"], "ban-private": "maybe"}"#, "ban-private"),
        (r#"{"port": 0, "allowedhashes": ["HASH"], "good-ips": ["localhost"]}"#, "good-ips"),
        (r#"{"port": 0, "allowedhashes": ["HASH"], "goodips": []}"#, "goodips"),
        (r#"{"port": 0, "allowedhashes": ["HASH"#, "config.json"),
        ("", "config.json"),
    ];
    for (config, field) in cases {
        let (_folder, path) = write_config(config);
        let done = Launch::tracker().arg(path).run();
        done.assert_one_line_error(&[field, "config.json"]);
    }
}

#[test]
fn a_missing_configuration_is_one_line() {
    Launch::tracker()
        .arg("/nonexistent/config.json")
        .run()
        .assert_one_line_error(&["/nonexistent/config.json"]);
}

#[test]
fn a_wrong_allow_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.cascade");
    fs::write(&damaged, b"CASCADE1").unwrap();
    for wrong in [damaged.to_str().unwrap(), "/nonexistent/x.cascade", "abcdef"] {
        let done = Launch::tracker().args(["-l", "127.0.0.1:0", "--allow", wrong]).run();
        assert!(matches!(done.code, Some(1 | 2)), "{done}");
        assert!(done.stderr.contains(wrong), "{done}");
    }
}

/// What is no regular file, or too long: where a reader might wait, or read, for ever.
fn unreadable(folder: &Path) -> Vec<PathBuf> {
    let (fifo, link, hole) = (folder.join("fifo"), folder.join("link"), folder.join("hole"));
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    std::os::unix::fs::symlink(&fifo, &link).unwrap();
    let mut paths = vec![fifo, link, folder.to_owned(), "/dev/zero".into(), "/dev/stdin".into()];
    let sparse = File::create(&hole).unwrap();
    // A header that says the same as the length: 3,125,000,000 blocks of one byte.
    let header = [&b"CASCADE1\0\0\0\0\0\0\0\0"[..], &3_125_000_000u64.to_be_bytes(), &1u64.to_be_bytes()];
    (&sparse).write_all(&header.concat()).unwrap();
    if sparse.set_len(64 + 32 * 3_125_000_000).is_ok() {
        paths.push(hole);
    }
    paths
}

#[test]
fn what_is_no_file_of_bounded_length_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let paths = unreadable(folder.path());
    if paths.len() < 6 {
        eprintln!("skipped in part: no file system for a hole of 100 GB here");
    }
    for path in paths {
        let name = path.to_str().unwrap();
        Launch::tracker().arg(name).run().assert_one_line_error(&[name]);
        Launch::tracker().args(["-l", "127.0.0.1:0", "--allow", name]).run().assert_one_line_error(&[name]);
    }
}

#[test]
fn own_addresses_only_by_option_or_configuration() {
    let option = Launch::tracker().args(["-l", "127.0.0.1:0", "--own-address-only"]);
    let config = r#"{"port": 0, "allowedhashes": ["HASH"], "own-address-only": true}"#;
    for tracker in [RunningTracker::with_args(option), RunningTracker::with_config(config)] {
        let subscribe = |ip| Request::new(SUBSCRIBE, HASH, ip, 7).ask(tracker.addr);
        let refusal = subscribe([127, 0, 0, 2]).assert_refused_with_a_line();
        assert!(refusal.contains("127.0.0.1") && refusal.contains("127.0.0.2"), "{refusal:?}");
        assert_eq!(subscribe([127, 0, 0, 1]).status, 0);
        assert_eq!(Request::new(LIST, HASH, [10, 0, 0, 1], 7).ask(tracker.addr).entries().len(), 1);
    }
}

#[test]
fn help_that_is_lost_is_an_error_and_help_that_nobody_reads_is_none() {
    for flag in ["--help", "--version"] {
        let lost = Launch::tracker().arg(flag).after_shell("exec >/dev/full").run();
        lost.assert_one_line_error(&["cannot write to stdout", "no space"]);
        let unread = Launch::tracker().arg(flag).stdout(cascade_tests::launch::Sink::BrokenPipe).run();
        assert_eq!(unread.assert_code(0).stderr, "", "{unread}");
    }
    // Wrong usage is wrong usage, even where the message is lost.
    Launch::tracker().arg("--nonsense").after_shell("exec 2>/dev/full").run().assert_code(2);
    Launch::tracker().arg("/nonexistent").after_shell("exec 2>&-").run().assert_code(1);
}

#[test]
fn it_serves_on_when_its_log_cannot_be_written() {
    for setup in ["exec 2>/dev/full", "exec 2>&-", "exec 2>/dev/null"] {
        let tracker =
            RunningTracker::with_args(Launch::tracker().args(["-l", "127.0.0.1:0"]).after_shell(setup));
        for port in 1..=100 {
            let reply = Request::new(SUBSCRIBE, HASH, [10, 0, 0, 1], port).ask(tracker.addr);
            assert_eq!(reply.status, 0, "{setup}");
        }
        let done = tracker.process.end_by(Signal::INT);
        done.assert_code(0);
    }
}

#[test]
fn it_serves_on_when_it_cannot_say_where() {
    // The line that could not be written to stdout is said on stderr.
    let launch = Launch::tracker().args(["-l", "127.0.0.1:0"]).after_shell("exec >/dev/full");
    let tracker = RunningTracker::with_args(launch);
    assert_eq!(status(&tracker, HASH), 0);
    assert!(tracker.process.log().contains("cannot write to stdout"), "{}", tracker.process.log());
    tracker.process.end_by(Signal::TERM).assert_code(0);
}

#[test]
fn wrong_usage_exits_with_2() {
    for wrong in [
        &["--nonsense"][..],
        &["-l", "nowhere"],
        &["a.json", "b.json"],
        &["check"],
        &["--state-every", "0"],
        &["--state", "x", "--state-every", "-1"],
        &["--state", "x", "--state-every", "x"],
        &["--web=host"],
        &["--log-level", "loud"],
    ] {
        let done = Launch::tracker().args(wrong).run();
        let lines: Vec<_> = done.assert_code(2).stderr.lines().collect();
        let [fault, "", "For more information, try '--help'."] = lines[..] else { panic!("{lines:?}") };
        assert!(fault.starts_with("error: ") && !fault.contains("information"), "{fault}");
        assert!(!fault.contains("\\u{a}"), "a new line of the parser's own: {fault}");
    }
}

#[test]
fn an_option_without_the_one_that_it_needs_and_a_wrong_hash_are_wrong_usage() {
    for (wrong, says) in [
        (&["--store-ca", "x"][..], "--store-ca needs --store ADDRESS"),
        (&["--store-password-file", "x"], "--store-password-file needs --store ADDRESS"),
        (&["--state-every", "5"], "--state-every needs --state FILE"),
        (&["--allow", "xyz"], "--allow xyz: it is not 64 hex digits"),
        (&["--allow", ""], "--allow '': it is not 64 hex digits"),
    ] {
        let done = Launch::tracker().args(wrong).run();
        assert_eq!(done.assert_code(2).stderr.lines().count(), 1, "{done}");
        done.assert_error_mentions(&[says]);
    }
    // What it needs may be in the configuration.
    let (_folder, path) = write_config(r#"{"port": 0, "allowedhashes": ["HASH"]}"#);
    let done = Launch::tracker().arg(&path).args(["--state-every", "5"]).run();
    done.assert_code(2).assert_error_mentions(&["--state-every needs --state FILE"]);
    let (_folder, path) = write_config(r#"{"port": 0, "allowedhashes": ["HASH"], "state": "state"}"#);
    let _serves = RunningTracker::with_args(Launch::tracker().arg(&path).args(["--state-every", "5"]));
}

#[test]
fn a_port_in_use_is_one_line_that_names_it() {
    let taken = listener();
    let addr = taken.local_addr().unwrap().to_string();
    Launch::tracker().args(["--listen", &addr]).run().assert_one_line_error(&[
        &addr,
        "in use",
        "choose a port with --listen",
    ]);
}

#[test]
fn help_and_version_go_to_stdout() {
    for flag in ["--help", "--version"] {
        let done = Launch::tracker().arg(flag).run();
        assert!(!done.assert_success().stdout.is_empty(), "{done}");
    }
}
