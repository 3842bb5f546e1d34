//! `tracker --store` with real Redis servers.

use crate::tracker_setup::RunningTracker;
use cascade_tests::cascade_file::hex;
use cascade_tests::full_speed;
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::redis::{self, Redis};
use cascade_tests::tracker_client::{LIST, Request, SUBSCRIBE, exchange};
use cascade_tests::{address, clock, http, wide};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const HASH: [u8; 32] = [0xab; 32];

/// The key of a set of [`HASH`].
fn key(set: &str) -> String {
    format!("cascade:{{{}}}:{set}", "ab".repeat(32))
}

fn start(url: &str, args: &[&str]) -> RunningTracker {
    let tracker = start_unconnected(url, args);
    connected(tracker)
}

fn start_unconnected(url: &str, args: &[&str]) -> RunningTracker {
    RunningTracker::with_args(Launch::tracker().args(["-l", "127.0.0.1:0", "--store", url]).args(args))
}

fn connected(mut tracker: RunningTracker) -> RunningTracker {
    tracker.process.wait_line("its store", |line| line.contains(": connected").then_some(()));
    tracker
}

fn subscribe(tracker: &RunningTracker, hash: [u8; 32], port: u16) {
    let reply = Request::new(SUBSCRIBE, hash, [10, 0, 0, 1], port).ask(tracker.addr);
    assert_eq!(reply.status, 0);
}

fn ports(tracker: &RunningTracker, hash: [u8; 32]) -> BTreeSet<u16> {
    let entries = Request::new(LIST, hash, [10, 9, 9, 9], 9).ask(tracker.addr).entries();
    let ports: BTreeSet<u16> = entries.iter().map(|entry| entry.addr.port()).collect();
    assert_eq!(ports.len(), entries.len(), "somebody is listed twice");
    ports
}

/// The servers of a cluster elect a new master among themselves: on a busy machine that takes them 40 s at times.
const FAIL_OVER_WITHIN: Duration = Duration::from_secs(180);

#[allow(clippy::print_stderr, reason = "a test that fails shows what was listed")]
fn eventually_lists(tracker: &RunningTracker, hash: [u8; 32], expected: &[u16]) {
    let expected = BTreeSet::from_iter(expected.iter().copied());
    let (what, mut before) = (format!("{expected:?} listed for {:02x}", hash[0]), BTreeSet::new());
    clock::within(FAIL_OVER_WITHIN, &what, || {
        let listed = ports(tracker, hash);
        if listed != before {
            eprintln!("{:02x}: {listed:?}", hash[0]);
            before.clone_from(&listed);
        }
        (listed == expected).then_some(())
    });
}

fn eventually_has(server: SocketAddr, set: &str, count: u32) {
    clock::eventually("the store has them", || {
        (redis::ask(server, &["ZCARD", &key(set)])?.trim() == count.to_string()).then_some(())
    });
}

#[test]
fn trackers_of_one_store_list_each_others_peers_of_both_families_and_goodbyes() {
    let Some(program) = redis::program("trackers of one store") else { return };
    let store = Redis::start(&program);
    let [one, two] = [0, 1].map(|_| start(&store.url(), &[]));
    subscribe(&one, HASH, 1);
    let v6: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
    let _ = exchange(one.addr, &wide::request(4, HASH, v6));
    eventually_has(store.addr, "4", 1);
    eventually_has(store.addr, "6", 1);
    // The first question is answered with what the store has, and does not have to be asked again, unless the machine is
    // so busy that the store answers late.
    let mut files = (1..=250_u8).map(|n| [n; 32]).filter(|file| *file != HASH);
    clock::eventually("a first question that is answered so", || {
        let file = files.next().expect("each of them was late");
        subscribe(&one, file, 1);
        let key = format!("cascade:{{{}}}:4", hex(&file));
        clock::eventually("the store has it", || (store.ask(&["ZCARD", &key]).trim() == "1").then_some(()));
        (ports(&two, file) == BTreeSet::from([1])).then_some(())
    });
    eventually_lists(&two, HASH, &[1]);
    assert!(wide::list(two.addr, HASH).contains(&v6));
    subscribe(&two, HASH, 2);
    eventually_lists(&one, HASH, &[1, 2]);
    // Keys end by themselves, and scores are the times of the subscriptions.
    let ttl: i64 = store.ask(&["TTL", &key("4")]).trim().parse().unwrap();
    assert!((1700..=1860).contains(&ttl), "{ttl}");
    let scores = store.ask(&["ZRANGE", &key("4"), "0", "-1", "WITHSCORES"]);
    let times: Vec<u64> = scores.lines().filter_map(|line| line.parse().ok()).collect();
    let now = clock::unix_seconds();
    assert!(times.len() == 2 && times.iter().all(|time| now.abs_diff(*time) < 30), "{scores}");
    // What has lapsed is listed by nobody, and removed; what stands in the store may be anything.
    let old = (now - 1802).to_string();
    let _ = store.ask(&["ZADD", &key("4"), &old, "aaaabbbbcc", "9e15", "aaaabbbbdd", "7", "x"]);
    clock::eventually("what has lapsed is removed", || {
        assert_eq!(ports(&one, HASH), BTreeSet::from([1, 2]));
        (store.ask(&["ZCARD", &key("4")]).trim() == "3").then_some(())
    });
    for tracker in [one, two] {
        tracker.process.end_by(Signal::TERM).assert_code(0);
    }
}

#[test]
fn a_goodbye_to_one_tracker_ends_a_registration_at_all() {
    let Some(program) = redis::program("goodbyes") else { return };
    let store = Redis::start(&program);
    let [one, two] = [0, 1].map(|_| start(&store.url(), &[]));
    let listen: SocketAddr = "10.0.0.1:7".parse().unwrap();
    let _ = exchange(one.addr, &report(listen, false));
    subscribe(&one, HASH, 8);
    eventually_lists(&two, HASH, &[7, 8]);
    // Within a second nobody can say which was first.
    clock::pause(Duration::from_millis(2100));
    let _ = exchange(two.addr, &report(listen, true));
    for tracker in [&one, &two] {
        eventually_lists(tracker, HASH, &[8]);
    }
    eventually_has(store.addr, "4", 1);
}

/// A report (protocol, Who has how much): command 5.
fn report(listen: SocketAddr, goodbye: bool) -> Vec<u8> {
    let mut bytes = wide::request(5, HASH, listen);
    bytes[12..16].copy_from_slice(&96_u32.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 7, u8::from(goodbye)]);
    bytes.extend([0_u64, 10, 0, 0].iter().flat_map(|number| number.to_be_bytes()));
    bytes.extend(b"\x04test");
    bytes
}

#[test]
fn a_store_that_dies_stops_nobody_and_gets_everything_when_it_is_back() {
    let Some(program) = redis::program("a store that dies") else { return };
    let mut store = Redis::start(&program);
    let mut one = start(&store.url(), &["--web=127.0.0.1:0"]);
    let page = one.process.log();
    let page: SocketAddr = page
        .split_once("http://")
        .and_then(|(_, rest)| rest.split(['/', ' ', '\n']).next()?.parse().ok())
        .unwrap();
    let mut two = start(&store.url(), &[]);
    subscribe(&one, HASH, 1);
    subscribe(&two, HASH, 2);
    eventually_lists(&one, HASH, &[1, 2]);
    eventually_lists(&two, HASH, &[1, 2]);
    store.kill();
    one.process
        .wait_line("the trouble", |line| line.contains("lists have what this tracker knows").then_some(()));
    // What was known is listed on, and new ones are registered, at the usual speed.
    let begin = clock::now();
    for port in 3..=100 {
        subscribe(&one, HASH, port);
    }
    assert!(full_speed::since(begin) < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(ports(&one, HASH).len(), 20);
    assert!(ports(&two, HASH).contains(&1));
    clock::eventually("the metrics", || {
        http::get(page, "/metrics").body.contains("\ncascade_store_well 0\n").then_some(())
    });
    store.restart();
    for tracker in [&mut one, &mut two] {
        tracker.process.wait_line("the end of it", |line| line.contains(": back after").then_some(()));
    }
    eventually_has(store.addr, "4", 100);
    assert_eq!(one.process.log().matches("lists have").count(), 1, "{}", one.process.log());
    // Lost without a broken connection: noticed with the next look.
    let _ = store.ask(&["FLUSHALL"]);
    eventually_has(store.addr, "4", 100);
}

#[test]
fn a_store_that_hangs_or_is_full_or_away_at_the_start_stops_nobody() {
    let Some(program) = redis::program("a store that hangs") else { return };
    let mut store = Redis::with_options(&program, &["--maxmemory-policy", "noeviction"]);
    store.kill();
    let url = store.url();
    let mut tracker = start_unconnected(&url, &[]);
    subscribe(&tracker, HASH, 1);
    tracker.process.wait_line("the trouble", |line| line.contains("lists have what").then_some(()));
    store.restart();
    tracker.process.wait_line("the end of it", |line| line.contains(": back after").then_some(()));
    eventually_has(store.addr, "4", 1);
    store.freeze(true);
    let mut slowest = Duration::ZERO;
    for n in 0..200_u16 {
        let begin = clock::now();
        let mut hash = HASH;
        hash[0] = u8::try_from(n % 200).unwrap();
        subscribe(&tracker, hash, 2);
        slowest = slowest.max(begin.elapsed());
    }
    // Generous, because other tests run at the same time.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    store.freeze(false);
    subscribe(&tracker, HASH, 2);
    eventually_has(store.addr, "4", 2);
    let _ = store.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    subscribe(&tracker, HASH, 3);
    tracker
        .process
        .wait_line("that it is full", |line| line.contains("takes no registrations: OOM").then_some(()));
    let _ = store.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    eventually_has(store.addr, "4", 3);
    tracker.process.end_by(Signal::TERM).assert_code(0);
}

#[test]
fn lists_are_those_of_a_model_under_random_operations() {
    let Some(program) = redis::program("lists against a model") else { return };
    let store = Redis::start(&program);
    let trackers = [0, 1, 2].map(|_| start(&store.url(), &[]));
    for seed in 0..3 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let file = |n: usize| [[0x10, 0x20, 0x30, 0x40][n % 4] + u8::try_from(seed).unwrap(); 32];
        let mut model: [BTreeSet<u16>; 4] = Default::default();
        for _ in 0..150 {
            let (at, port) = (rng.usize(..4), rng.u16(1..40));
            let tracker = &trackers[rng.usize(..3)];
            let listed = Request::new(SUBSCRIBE, file(at), [10, 0, 0, 1], port).ask(tracker.addr).entries();
            model[at].insert(port);
            // At any moment: nobody who does not exist, nobody twice, not the asker, at most 20.
            let listed: Vec<u16> = listed.iter().map(|entry| entry.addr.port()).collect();
            assert!(listed.len() <= 20 && !listed.contains(&port), "{listed:?}");
            assert!(
                BTreeSet::from_iter(listed.iter().copied()).is_subset(&model[at]),
                "{listed:?} {model:?}"
            );
        }
        for tracker in &trackers {
            for (at, all) in model.iter().enumerate() {
                let mut union = BTreeSet::new();
                // In the end: as many as fit, and over several lists everybody.
                clock::eventually("everybody is listed", || {
                    let listed = ports(tracker, file(at));
                    union.extend(listed.iter().copied());
                    (listed.len() == all.len().min(20) && union == *all).then_some(())
                });
            }
        }
    }
}

/// A cluster of three masters with a replica each.
fn cluster(program: &Path) -> Option<Vec<Redis>> {
    let options = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1500",
        "--cluster-replica-validity-factor",
        "0",
    ];
    let nodes: Vec<Redis> = (0..6).map(|_| Redis::with_options(program, &options)).collect();
    let mut create = std::process::Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(nodes.iter().map(|node| node.addr.to_string()));
    let created = create.args(["--cluster-replicas", "1", "--cluster-yes"]).output().ok()?;
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
    clock::eventually("the cluster is whole", || {
        let ok = |node: &Redis| node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        let whole = nodes[0].ask(&["CLUSTER", "NODES"]).matches("slave").count() == 3;
        (whole && nodes.iter().all(ok)).then_some(())
    });
    Some(nodes)
}

#[test]
fn a_cluster_loses_a_master_in_mid_load_and_nobody_notices() {
    let Some(program) = redis::program("a cluster") else { return };
    let Some(mut nodes) = cluster(&program) else { return eprintln!("skipped: there is no redis-cli here") };
    let hosts: Vec<String> = nodes.iter().map(|node| node.addr.to_string()).collect();
    let url = format!("redis-cluster://{}", hosts.join(","));
    let [one, two] = [0, 1].map(|_| start(&url, &[]));
    let files: Vec<[u8; 32]> = (0..30).map(|n| [n; 32]).collect();
    files.iter().for_each(|file| subscribe(&one, *file, 1));
    files.iter().for_each(|file| eventually_lists(&two, *file, &[1]));
    nodes[0].kill();
    for port in 2..=5 {
        for file in &files {
            subscribe(&two, *file, port);
        }
    }
    files.iter().for_each(|file| eventually_lists(&one, *file, &[1, 2, 3, 4, 5]));
    // One more after the replica has taken over, for all.
    files.iter().for_each(|file| subscribe(&one, *file, 6));
    files.iter().for_each(|file| eventually_lists(&two, *file, &[1, 2, 3, 4, 5, 6]));
    for tracker in [one, two] {
        tracker.process.end_by(Signal::TERM).assert_code(0);
    }
}

#[test]
fn a_sentinel_tells_who_is_the_master_after_a_failure() {
    let Some(program) = redis::program("a sentinel") else { return };
    let mut master = Redis::start(&program);
    let port = master.addr.port().to_string();
    let replica = Redis::with_options(
        &program,
        &["--replicaof", &format!("127.0.0.1 {port}"), "--repl-diskless-sync-delay", "0"],
    );
    clock::eventually("the replica follows", || {
        replica.ask(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
    });
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sentinel.conf");
    let text = format!(
        "sentinel monitor cascade 127.0.0.1 {port} 1\nsentinel down-after-milliseconds cascade 1000\n\
         sentinel failover-timeout cascade 3000\n"
    );
    std::fs::write(&config, text).unwrap();
    let sentinel = Redis::with_options(&program, &[config.to_str().unwrap(), "--sentinel"]);
    clock::eventually("the sentinel knows the replica", || {
        sentinel
            .ask(&["SENTINEL", "replicas", "cascade"])
            .contains(&replica.addr.port().to_string())
            .then_some(())
    });
    let tracker = start(&format!("redis-sentinel://{}/cascade", sentinel.addr), &[]);
    subscribe(&tracker, HASH, 1);
    eventually_has(master.addr, "4", 1);
    master.kill();
    subscribe(&tracker, HASH, 2);
    eventually_has(replica.addr, "4", 2);
    tracker.process.end_by(Signal::TERM).assert_code(0);
}

#[test]
fn a_store_with_tls_and_a_password() {
    let Some(program) = redis::program("TLS") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=store",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", &at("key.pem"), "-out", &at("cert.pem")])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return eprintln!("skipped: TLS: openssl makes no certificate here");
    }
    let (cert, private) = (at("cert.pem"), at("key.pem"));
    let plain = Redis::with_options(&program, &["--requirepass", "secret"]);
    let reserved = address::Reserved::new();
    let port = reserved.addr.port();
    let options = [
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &private,
        "--requirepass",
        "secret",
    ];
    let secure = Redis::with_options(&program, &options);
    let password = at("password");
    std::fs::write(&password, "secret\n").unwrap();
    let url = format!("rediss://127.0.0.1:{port}");
    let one = start(&url, &["--store-password-file", &password, "--store-ca", &cert]);
    let two = start(&url, &["--store-password-file", &password, "--store-ca", &cert]);
    subscribe(&one, HASH, 1);
    eventually_lists(&two, HASH, &[1]);
    assert!(secure.ask(&["PING"]).contains("NOAUTH"));
    // A certificate that nobody vouches for, and a wrong password.
    let mut distrustful = start_unconnected(&url, &["--store-password-file", &password]);
    distrustful.process.wait_line("the trouble", |line| line.contains("certificate").then_some(()));
    let mut without = start_unconnected(&plain.url(), &[]);
    without.process.wait_line("the trouble", |line| line.contains("NOAUTH").then_some(()));
    assert!(!without.process.log().contains("secret"));
}

#[test]
fn what_is_wrong_with_a_store_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let empty = empty.to_str().unwrap();
    for (url, wrong) in [("http://a", "redis-cluster://"), ("redis://:secret@a", "--store-password-file")] {
        let done = Launch::tracker().args(["-l", "127.0.0.1:0", "--store", url]).run();
        done.assert_code(2).assert_error_mentions(&["--store: ", wrong]);
        assert!(!done.stderr.contains("secret") && done.stderr.lines().count() == 1, "{done}");
    }
    for (url, more, wrong) in [
        ("redis://a", &["--store-password-file", empty], "only line"),
        ("redis://a", &["--store-password-file", "/nonexistent"], "/nonexistent"),
        ("redis://a", &["--store-ca", empty], "rediss://"),
    ] {
        let done = Launch::tracker().args(["-l", "127.0.0.1:0", "--store", url]).args(more).run();
        done.assert_one_line_error(&[wrong]);
        assert!(!done.stderr.contains("secret"), "{done}");
    }
    let useless = Launch::tracker().args(["--store-ca", empty]).run();
    useless.assert_code(2).assert_error_mentions(&["--store"]);
}

#[test]
fn a_tracker_with_a_state_and_a_store_brings_in_what_it_had() {
    let Some(program) = redis::program("a state and a store") else { return };
    let mut store = Redis::start(&program);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let args = ["--state", state.to_str().unwrap()];
    let tracker = start(&store.url(), &args);
    subscribe(&tracker, HASH, 1);
    // A tracker that ends before it is connected writes nothing to the store.
    eventually_has(store.addr, "4", 1);
    tracker.process.end_by(Signal::TERM).assert_code(0);
    store.restart();
    let tracker = start(&store.url(), &args);
    eventually_has(store.addr, "4", 1);
    let other = start(&store.url(), &[]);
    assert_eq!(ports(&other, HASH), BTreeSet::from([1]));
    drop(tracker);
}

/// Reads one command of a client.
fn command(from: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let number = |from: &mut dyn BufRead| {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        line.get(1..)?.trim().parse::<usize>().ok()
    };
    let mut words = Vec::new();
    for _ in 0..number(from)? {
        let mut word = vec![0; number(from)? + 2];
        from.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Some(words)
}

#[test]
fn a_time_that_no_clock_shows_does_not_end_the_sharing() {
    const TIMES: [&str; 2] = ["18446744073709551615", "1800000000"];
    let store = address::listener();
    store.set_nonblocking(true).unwrap();
    let url = format!("redis://{}", store.local_addr().unwrap());
    let tracker = start_unconnected(&url, &[]);
    subscribe(&tracker, HASH, 7);
    // The first connection ends after its time was told.
    for time in TIMES {
        let (stream, _) = clock::eventually("a connection", || store.accept().ok());
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut told, mut written) = (false, false);
        while let Some(words) = command(&mut reader) {
            let answer = match words[0].as_slice() {
                b"TIME" => format!("*2\r\n${}\r\n{time}\r\n${0}\r\n{time}\r\n", time.len()),
                b"SET" => "$-1\r\n".to_owned(),
                b"ZADD" | b"ZREM" | b"EXPIRE" => ":1\r\n".to_owned(),
                _ => "+OK\r\n".to_owned(),
            };
            told |= words[0] == b"SET";
            written |= words[0] == b"ZADD";
            (&stream).write_all(answer.as_bytes()).unwrap();
            if written || (told && time == TIMES[0]) {
                break;
            }
        }
        assert_eq!((told, written), (true, time == TIMES[1]), "{}", tracker.process.log());
    }
    assert_eq!(ports(&tracker, HASH), [7].into());
}
