use crate::links::{assert_complete, peer};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::http::{self, Events};
use cascade_tests::launch::Launch;
use cascade_tests::process::{Process, Signal};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The page's address in the line that says it, as it stands there.
pub(crate) fn page_url(process: &mut Process) -> String {
    process
        .wait_line("the page's address", |line| Some(line.split_once("web page: ")?.1.trim_end().to_owned()))
}

/// Where a page listens.
pub(crate) fn page_at(url: &str) -> SocketAddr {
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    host.parse().unwrap()
}

/// A `peer share` of `file` with a page, and the link of the file.
pub(crate) fn sharing(file: &TestFile, folder: &TempDir, more: &[&str]) -> (Process, String) {
    let _ = file.write_data(folder.path());
    let share = peer("share", folder).args([file.name.as_str(), "-l", "127.0.0.1:0"]).args(more);
    let mut sharer = share.env("CASCADE_STATE_DIR", folder.path().join("state")).start();
    let link = sharer.wait_line("the line to paste", |line| {
        Some(line.trim_end().split_once("peer download '")?.1.strip_suffix('\'')?.to_owned())
    });
    (sharer, link)
}

fn film() -> TestFile {
    TestFile::random("film.mkv", 3_000_000, 65_536)
}

const PAGE: &str = "--web=127.0.0.1:0";

#[test]
fn the_interface_for_programs_says_what_a_download_does() {
    let (file, folders) = (film(), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    let (mut sharer, link) = sharing(&file, &folders[0], &[PAGE, "--max-up", "1MiB/s"]);
    let download = peer("download", &folders[1]).args([&link, "-l", "127.0.0.1:0", PAGE, "--seed"]);
    let mut leecher = download.start();
    let at = page_at(&page_url(&mut leecher));
    let mut seen = Vec::new();
    let hash = file.hex();
    leecher.wait_until("the end of the download", || {
        let state = http::get(at, "/api/v1/state").json();
        let shown = state["files"][&hash].clone();
        seen.extend(shown["blocks_done"].as_u64());
        (shown["state"] == "seeding" && shown["map"] == format!("{}H", file.blocks())).then_some(())
    });
    assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]), "{seen:?}");
    assert!(seen.iter().any(|have| (1..file.blocks()).contains(have)), "no look in the middle: {seen:?}");
    let one = http::get(at, &format!("/api/v1/files/{hash}")).json();
    assert_eq!((&one["file"], &one["length"]), (&"film.mkv".into(), &3_000_000.into()));
    let state = http::get(at, "/api/v1/state").json();
    assert!(state["down"]["bytes"].as_u64().unwrap() >= 3_000_000, "{state}");
    assert_eq!((&state["api"], &state["program"]), (&1.into(), &"peer".into()));
    // The sharer has seen which receivers have come.
    let sharers = page_at(&page_url(&mut sharer));
    sharer.wait_until("the receiver, complete", || {
        let swarm = http::get(sharers, &format!("/api/v1/swarms/{hash}")).json();
        (swarm["complete"] == 1).then_some(())
    });
    assert_complete(folders[1].path(), &file);
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let (file, folder) = (film(), tempfile::tempdir().unwrap());
    let (mut sharer, _) = sharing(&file, &folder, &[PAGE]);
    let at = page_at(&page_url(&mut sharer));
    sharer.wait_line("that it seeds", |line| line.contains("seeding, all").then_some(()));
    let metrics = http::get(at, "/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    let had = format!(
        "cascade_file_blocks_done{{cascade_hash=\"{}\",file=\"film.mkv\"}} {}",
        file.hex(),
        file.blocks()
    );
    assert!(metrics.body.lines().any(|line| line == had), "{}", metrics.body);
    let tracker = Launch::tracker().args(["-l", "127.0.0.1:0", PAGE]);
    let mut tracker = tracker.start();
    let of_tracker = http::get(page_at(&page_url(&mut tracker)), "/metrics").body;
    assert!(of_tracker.contains("\ncascade_tracker_registrations 0\n"), "{of_tracker}");
    for text in [metrics.body, of_tracker] {
        let Some(complaints) = promtool(&text) else {
            eprintln!("skipped without promtool, of Debian's package prometheus");
            return;
        };
        assert_eq!(complaints, "", "{text}");
    }
}

/// What Prometheus's own parser and rules say of metrics; `None`: it is not installed.
fn promtool(metrics: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    let piped = command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().ok()?;
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    Some(if done.status.success() { said } else { format!("{said}({})", done.status) })
}

#[test]
fn a_viewer_is_told_everything_then_changes_then_the_end() {
    let (file, folder) = (film(), tempfile::tempdir().unwrap());
    let (mut sharer, _) = sharing(&file, &folder, &[PAGE]);
    let at = page_at(&page_url(&mut sharer));
    // The page is there a moment before the file is.
    sharer.wait_until("the file on the page", || {
        http::get(at, "/api/v1/state").json()["files"].get(file.hex()).is_some().then_some(())
    });
    let mut events = Events::open(at, "/api/v1/events");
    let (name, state) = events.next_event();
    assert_eq!((name.as_str(), &state["files"][&file.hex()]["file"]), ("state", &"film.mkv".into()));
    loop {
        let (name, change) = events.next_event();
        if name == "state" {
            // Who reads late, as on a busy machine, is told everything again.
            continue;
        }
        assert_eq!(name, "change");
        assert!(change.get("program").is_none(), "what stays is not told again: {change}");
        if change.get("uptime_seconds").is_some() {
            break;
        }
    }
    sharer.signal(Signal::INT);
    while events.next_event().0 != "end" {}
    sharer.wait_exit().assert_code(0);
}

#[test]
fn a_page_that_others_reach_needs_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sharer, _) = sharing(&film(), &folder, &["--web=0.0.0.0:0"]);
    let url = page_url(&mut sharer);
    let (_, token) = url.split_once("/?token=").unwrap();
    assert_eq!(token.len(), 32);
    let at = SocketAddr::from(([127, 0, 0, 1], page_at(&url).port()));
    for path in [
        "/",
        "/api/v1/state",
        "/api/v1/events",
        "/metrics",
        "/app.js",
        "/?token=0123456789abcdef0123456789abcdef",
    ] {
        let refused = http::get(at, path);
        assert_eq!(refused.status, 401, "{path}");
        assert!(!refused.body.contains("film"), "{refused:?}");
    }
    assert_eq!(http::get(at, "/healthz").body, "ok\n");
    let entered = http::get(at, &format!("/?token={token}"));
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let host = at.to_string();
    let with = |name: &str, value: &str| {
        http::request(at, "GET", "/api/v1/state", &[("Host", &host), (name, value)])
    };
    assert_eq!(with("Cookie", cookie).status, 200);
    assert_eq!(with("Authorization", &format!("Bearer {token}")).status, 200);
    assert_eq!(with("Authorization", "Bearer no").status, 401);
    // A name that an attacker has made lead here is refused, also with the token.
    let evil = http::request(at, "GET", "/", &[("Host", "evil.example"), ("Cookie", cookie)]);
    assert_eq!(evil.status, 421);
}

#[test]
fn nothing_can_be_changed_and_nothing_else_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sharer, _) = sharing(&film(), &folder, &[PAGE]);
    let url = page_url(&mut sharer);
    assert!(!url.contains("token"), "only this machine reaches it: {url}");
    let at = page_at(&url);
    let host = at.to_string();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let refused =
            http::request(at, method, "/api/v1/state", &[("Host", &host), ("Origin", "http://evil.example")]);
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    let head = http::request(at, "HEAD", "/", &[("Host", &host)]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for path in ["/film.mkv", "/..%2f..%2fetc/passwd", "//etc/passwd", "/api/v1/files/../state"] {
        assert_eq!(http::get(at, path).status, 404, "{path}");
    }
    assert_eq!(http::request(at, "GET", "/", &[]).status, 400, "no Host");
    let body = http::request(at, "GET", "/", &[("Host", &host), ("Content-Length", "1000000")]);
    assert_eq!(body.status, 400);
    let long = "x".repeat(20_000);
    assert!(
        [400, 414, 431].contains(&http::request(at, "GET", "/", &[("Host", &host), ("X", &long)]).status)
    );
}

#[test]
fn a_name_of_the_file_is_text_in_every_answer() {
    let name = "</script><img src=x onerror=alert(1)>\u{202e}.mkv".replace('/', "\u{2215}");
    let (file, folder) = (TestFile::random(&name, 1000, 65_536), tempfile::tempdir().unwrap());
    let (mut sharer, _) = sharing(&file, &folder, &[PAGE]);
    let at = page_at(&page_url(&mut sharer));
    // The page is there a moment before the file is seen.
    let state = clock::eventually("the file in the state", || {
        let state = http::get(at, "/api/v1/state");
        state.json()["files"].get(file.hex()).is_some().then_some(state)
    });
    assert_eq!(state.header("content-type"), Some("application/json"));
    assert_eq!(state.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(state.json()["files"][&file.hex()]["file"], name);
    assert!(!http::get(at, "/").body.contains("onerror"));
}

#[test]
fn a_port_that_is_taken_is_an_error_only_if_it_was_asked_for() {
    let (taken, folder) = (TcpListener::bind("127.0.0.1:0").unwrap(), tempfile::tempdir().unwrap());
    let at = taken.local_addr().unwrap().to_string();
    let _ = film().write_data(folder.path());
    let share = || peer("share", &folder).args(["film.mkv", "-l", "127.0.0.1:0", "--web", &at]);
    let refused = share().run();
    refused.assert_code(1);
    refused.assert_one_line_error(&[&at, "in use", "--web"]);
    let tracker = Launch::tracker().args(["-l", "127.0.0.1:0", "--web", &at]).run();
    tracker.assert_code(1);
    tracker.assert_one_line_error(&[&at, "in use", "--web"]);
    // Without an address two have a page each, and a file may follow.
    let state = |name: &str| folder.path().join(name);
    let usual = |name: &str| {
        let share = peer("share", &folder).args(["--web", "film.mkv", "-l", "127.0.0.1:0"]);
        share.env("CASCADE_STATE_DIR", state(name)).start()
    };
    let mut both = [usual("a"), usual("b")];
    let urls = both.each_mut().map(page_url);
    assert_ne!(urls[0], urls[1]);
    for url in urls {
        assert_eq!(http::get(page_at(&url), "/healthz").status, 200);
    }
}

/// Processor time of the page's thread so far.
fn page_cpu_time(process: &Process) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.pid())).unwrap().flatten();
    let is_page = |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "web");
    let page = tasks.map(|task| task.path()).find(|task| is_page(task)).expect("a thread of the page");
    let stat = fs::read_to_string(page.join("schedstat")).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn hostile_viewers_cost_a_transfer_nothing() {
    let file = TestFile::random("film.mkv", 12_000_000, 65_536);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut sharer, link) = sharing(&file, &folders[0], &[PAGE, "--max-up", "2MiB/s"]);
    let at = page_at(&page_url(&mut sharer));
    // Heads that never end, viewers that never read, requests without a pause, connections without a request.
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = http::connect(at);
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    let deaf: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = http::connect(at);
            stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let flood = std::thread::spawn(move || {
        let begun = clock::now();
        let mut answered = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            let request = "GET /api/v1/state HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
            let mut stream = http::connect(at);
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let _ = stream.write_all(request.as_bytes());
            let mut bytes = vec![0; 65_536];
            while begun.elapsed() < Duration::from_secs(5)
                && stream.read(&mut bytes).is_ok_and(|read| read > 0)
            {
                answered += 1;
            }
        }
        answered
    });
    let (before, begun) = (page_cpu_time(&sharer), clock::now());
    let done = peer("download", &folders[1]).args([&link, "-l", "127.0.0.1:0"]).run();
    done.assert_success();
    let (used, took) = (page_cpu_time(&sharer) - before, begun.elapsed());
    assert_complete(folders[1].path(), &file);
    assert!(flood.join().unwrap() > 0);
    // This build is not optimised, and the flood is answered 200 times a second.
    assert!(used < took / 4, "the page used {used:?} of {took:?}");
    // An honest viewer is served in the middle of it.
    assert_eq!(http::get(at, "/healthz").status, 200);
    drop((slow, deaf));
}

#[test]
fn heads_that_do_not_end_are_given_up_and_too_many_connections_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sharer, _) = sharing(&film(), &folder, &[PAGE]);
    let at = page_at(&page_url(&mut sharer));
    let mut slow: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = http::connect(at);
            stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    let mut one_more = http::connect(at);
    assert!(matches!(one_more.read(&mut [0; 16]), Ok(0) | Err(_)), "it is closed at once");
    let begun = clock::now();
    for stream in &mut slow {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    let took = begun.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(30)).contains(&took), "{took:?}");
    assert_eq!(http::get(at, "/healthz").status, 200);
}

#[test]
fn a_trackers_page_shows_its_swarms() {
    let file = film();
    let mut tracker = Launch::tracker().args(["-l", "127.0.0.1:0", PAGE]).start();
    let at = page_at(&page_url(&mut tracker));
    let listens: SocketAddr = tracker
        .wait_line("its address", |line| line.split_once("listening on ")?.1.split(' ').next()?.parse().ok());
    let folder = tempfile::tempdir().unwrap();
    let (_sharer, _) = sharing(&file, &folder, &["-t", &listens.to_string()]);
    let swarm = tracker.wait_until("the swarm", || {
        let swarm = http::get(at, &format!("/api/v1/swarms/{}", file.hex()));
        (swarm.status == 200).then(|| swarm.json())
    });
    assert_eq!(swarm["members"].as_object().unwrap().len(), 1, "{swarm}");
    // One look is made for all that ask within a moment.
    tracker.wait_until("its number of registrations", || {
        let state = http::get(at, "/api/v1/state").json();
        assert_eq!(state["program"], "tracker");
        (state["tracker"]["registrations"] == 1).then_some(())
    });
}
