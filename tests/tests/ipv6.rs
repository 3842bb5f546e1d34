use crate::links::{assert_complete, link, listening, peer, seeding};
use crate::tracker_setup::RunningTracker;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_tracker::{ForeignTracker, Manner, Unknown};
use cascade_tests::lan::{self, Families, Lan};
use cascade_tests::launch::Launch;
use cascade_tests::process::{Process, Signal};
use cascade_tests::tracker_client::{LIST, Request};
use cascade_tests::wide;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use tempfile::TempDir;

/// Whether this machine has IPv6.
fn has_v6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        skip("this machine has no IPv6");
    }
    has
}

#[allow(clippy::print_stderr, reason = "shown with the test's own output")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

fn network(families: Families) -> Option<Lan> {
    if lan::can_make() {
        return Some(Lan::of(families));
    }
    skip("this system permits no network namespaces");
    None
}

fn file() -> TestFile {
    TestFile::random("six.bin", 3_000_000, 60_000)
}

fn v6() -> SocketAddr {
    (Ipv6Addr::LOCALHOST, 0).into()
}

fn v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// `peer download` of the file in a folder of its own, with the `.cascade` file.
fn download(file: &TestFile, listen: &str) -> (Launch, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let cascade = file.write_cascade(folder.path());
    (peer("download", &folder).arg(cascade).args(["-l", listen, "--json"]), folder)
}

/// The addresses of the peers to which a link was made.
fn connected(lines: &[Value]) -> Vec<SocketAddr> {
    let events = lines.iter().filter(|line| line["event"] == "peer" && line["state"] == "connected");
    events.map(|event| event["address"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_link_with_an_ipv6_peer_is_all_that_a_download_needs() {
    if !has_v6() {
        return;
    }
    let (_seeder, at, _folder) = seeding(&file(), v6());
    assert_eq!(at.ip(), Ipv6Addr::LOCALHOST);
    let target = tempfile::tempdir().unwrap();
    let link = link(&file(), &format!("&peer={at}"));
    let outcome = peer("download", &target).args([link.as_str(), "-l", "[::1]:0", "--json"]).run();
    let lines = outcome.assert_success().json_lines();
    assert_complete(target.path(), &file());
    assert_eq!(connected(&lines), [at]);
}

#[test]
fn a_peer_is_reached_in_both_families_on_one_port() {
    let folder = tempfile::tempdir().unwrap();
    let (cascade, _) = (file().write_cascade(folder.path()), file().write_data(folder.path()));
    let mut seeder = peer("seed", &folder).arg(cascade).args(["-l", "0"]).start();
    let port = listening(&mut seeder).port();
    let mut hosts = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    hosts.extend(has_v6().then_some(IpAddr::from(Ipv6Addr::LOCALHOST)));
    for host in hosts {
        let at = SocketAddr::new(host, port);
        let (launch, _target) = download(&file(), "0");
        let lines = launch.args(["--peer", &at.to_string()]).run().assert_success().json_lines();
        assert_eq!(connected(&lines), [at]);
    }
}

#[test]
fn an_address_of_one_family_is_listened_on_alone() {
    if !has_v6() {
        return;
    }
    let (_seeder, at, _folder) = seeding(&file(), v6());
    let (launch, _target) = download(&file(), "127.0.0.1:0");
    let other = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), at.port());
    launch.args(["--peer", &other.to_string(), "--no-wait"]).run().assert_code(1);
    let folder = tempfile::tempdir().unwrap();
    let wrong = peer("download", &folder).args(["x.cascade", "-l", "[fe80::1]:8889"]).run();
    wrong.assert_code(2);
    assert!(wrong.stderr.contains("link-local"), "{}", wrong.stderr);
}

#[test]
fn peers_of_both_families_find_each_other_at_a_tracker() {
    if !has_v6() {
        return;
    }
    let mut tracker = RunningTracker::with_args(Launch::tracker().args(["--listen", "[::]:0"]));
    let port = tracker.addr.port();
    let six = format!("[::1]:{port}");
    for (seeds, downloads) in [(v6(), v4()), (v4(), v6()), (v6(), v6())] {
        let file =
            TestFile::random(&format!("{}-{}.bin", seeds.ip().is_ipv6(), downloads.ip()), 500_000, 50_000);
        let folder = tempfile::tempdir().unwrap();
        let (cascade, _) = (file.write_cascade(folder.path()), file.write_data(folder.path()));
        let seed = peer("seed", &folder).arg(cascade).args(["-l", &seeds.to_string(), "-t", &six]);
        let mut seeder = seed.start();
        let at = listening(&mut seeder);
        tracker.process.wait_line("the registration", |line| {
            line.contains(&format!("registered {at} for {}", file.hex())).then_some(())
        });
        let (launch, _target) = download(&file, &downloads.to_string());
        let lines = launch.args(["-t", &six, "--no-wait"]).run().assert_success().json_lines();
        assert_eq!(connected(&lines), [at]);
        let listed = wide::list(([127, 0, 0, 1], port).into(), file.hash);
        assert!(listed.contains(&at), "{listed:?}");
        // Version 1 lists those of IPv4, whichever way they came.
        let plain = Request::new(LIST, file.hash, [10, 0, 0, 1], 1).ask(([127, 0, 0, 1], port).into());
        assert_eq!(plain.addresses().iter().any(|addr| SocketAddr::V4(*addr) == at), at.is_ipv4());
    }
}

#[test]
fn a_tracker_of_version_1_is_asked_as_such_whatever_it_does_with_the_other_command() {
    if !has_v6() {
        return;
    }
    for unknown in [Unknown::Refuse, Unknown::Close, Unknown::Silence] {
        let (_seeder, at, _folder) = seeding(&file(), v4());
        let tracker = ForeignTracker::not_knowing(unknown, &[at]);
        let (launch, target) = download(&file(), "[::1]:0");
        let outcome = launch.args(["-t", &tracker.addr.to_string(), "--no-wait"]).run();
        outcome.assert_success();
        assert!(!outcome.both().contains("tracker_failed"), "{}", outcome.both());
        file().assert_same(&target.path().join(&file().name));
        let announces = tracker.announces();
        // Those that it does not know: a report and, if it does not let everybody wait, the one for both families.
        let beyond: &[u8] = if unknown == Unknown::Silence { &[5] } else { &[5, 4] };
        assert_eq!((tracker.commands_beyond().as_slice(), announces.len()), (beyond, 1), "{unknown:?}");
        assert_eq!(tracker.malformed(), 0, "{unknown:?}");
        // It listens on no IPv4 address that could be registered.
        assert_eq!((announces[0].command, announces[0].listen.port()), (LIST, 0), "{unknown:?}");
    }
}

#[test]
fn a_tracker_of_version_1_is_told_the_ipv4_address_of_a_peer_that_reaches_it_by_ipv6() {
    if !has_v6() {
        return;
    }
    // Two listeners on one port are the addresses of one name.
    let four = ForeignTracker::listing(&[]);
    let six = ForeignTracker::start_at(Manner::Proper, (Ipv6Addr::LOCALHOST, four.addr.port()).into());
    let folder = tempfile::tempdir().unwrap();
    let (cascade, _) = (file().write_cascade(folder.path()), file().write_data(folder.path()));
    let tracker = format!("localhost:{}", four.addr.port());
    let mut seeder = peer("seed", &folder).arg(cascade).args(["-l", "0", "-t", &tracker]).start();
    let port = listening(&mut seeder).port();
    let subscriber = seeder.wait_until("a subscription", || four.first_subscriber(&file().hash));
    assert_eq!(subscriber, SocketAddr::from(([127, 0, 0, 1], port)));
    let asked = (six.announces(), six.commands_beyond());
    assert!(asked.0.is_empty() && six.malformed() == 0 && asked.1.len() <= 2, "{asked:?}");
}

#[test]
fn peers_tell_each_other_of_ipv6_peers() {
    if !has_v6() {
        return;
    }
    let file = TestFile::random("told.bin", 6_000_000, 60_000);
    let folder = tempfile::tempdir().unwrap();
    let (cascade, _) = (file.write_cascade(folder.path()), file.write_data(folder.path()));
    let seed = peer("seed", &folder).arg(cascade).args(["-l", "[::1]:0", "--max-up", "1MiB/s"]);
    let mut seeder = seed.start();
    let seeder_at = listening(&mut seeder).to_string();
    let listens = |process: &mut Process| {
        process.wait_line("an address", |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let is = event["event"] == "listening";
            is.then(|| event["address"].as_str().unwrap().to_owned())
        })
    };
    // Each of the two knows the seeder alone.
    let (first, first_folder) = download(&file, "[::1]:0");
    let (second, second_folder) = download(&file, "[::1]:0");
    let mut first = first.args(["--peer", &seeder_at, "--seed"]).start();
    let mut second = second.args(["--peer", &seeder_at, "--seed"]).start();
    for (process, other) in [(0, 1), (1, 0)] {
        let both = [&mut first, &mut second];
        let other = listens(both[other]);
        both[process].wait_line("a link to the other", |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["event"] == "peer" && event["address"] == other.as_str()).then_some(())
        });
    }
    for process in [&mut first, &mut second] {
        process.wait_line("the end", |line| line.contains(r#""event":"done""#).then_some(()));
    }
    for folder in [first_folder, second_folder] {
        file.assert_same(&folder.path().join(&file.name));
    }
}

/// `peer share` on machine 1, and the line that it prints.
fn sharing(network: &Lan, folder: &TempDir, options: &[&str]) -> (Process, String) {
    let _ = file().write_data(folder.path());
    let share = Launch::peer("share").env("XDG_STATE_HOME", folder.path()).env("CASCADE_EXTENSION", "on");
    let share = share.without_env("CASCADE_TRACKER").cwd(folder.path()).arg(&file().name).args(options);
    let mut sharer = network.on(1, share).start();
    let link = sharer.wait_line("its link", |line| {
        Some(line.split_once("peer download '")?.1.split_once('\'')?.0.to_owned())
    });
    sharer.wait_line("its address", |line| line.contains("listening on").then_some(()));
    (sharer, link)
}

/// `peer download` of it on machine 2.
fn receive(network: &Lan, link: &str, options: &[&str]) -> (Vec<Value>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch::peer("download").env("XDG_STATE_HOME", folder.path()).cwd(folder.path());
    let launch = launch.env("CASCADE_EXTENSION", "on").without_env("CASCADE_TRACKER");
    let launch = launch.args([link, "--json", "--no-wait"]).args(options);
    let lines = network.on(2, launch).run().assert_success().json_lines();
    file().assert_same(&folder.path().join(&file().name));
    (lines, folder)
}

#[test]
fn a_share_is_received_where_there_is_no_ipv4() {
    let Some(network) = network(Families::V6) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (sharer, link) = sharing(&network, &folder, &["--no-lan"]);
    assert!(link.contains("peer=%5Bfd00%3A9%3A%3A1%5D%3A8889"), "{link}");
    assert!(link.contains("tracker=%5Bfd00%3A9%3A%3A1%5D%3A8889"), "{link}");
    assert!(!link.contains("127.0.0.1") && !link.contains("fe80"), "{link}");
    let (lines, _received) = receive(&network, &link, &["--no-lan"]);
    assert!(connected(&lines).iter().all(SocketAddr::is_ipv6), "{lines:?}");
    // By the tracker in the sharer alone, on the same port.
    let (by_tracker, _) = link.split_once("&peer=").unwrap();
    let (lines, _received) = receive(&network, by_tracker, &["--no-lan"]);
    let listed = lines.iter().find(|line| line["event"] == "tracker").unwrap();
    assert!(listed["peers"].as_u64() >= Some(1), "{listed}");
    drop(sharer);
    // And by the local network, without any address.
    let bare = link.split_once('&').unwrap().0.to_owned();
    let (_sharer, _) = sharing(&network, &folder, &["--lan"]);
    let (lines, _received) = receive(&network, &bare, &["--lan"]);
    let expected: IpAddr = "fd00:9::1".parse().unwrap();
    assert!(connected(&lines).iter().all(|at| at.ip() == expected), "{lines:?}");
}

#[test]
fn a_share_names_addresses_of_both_families() {
    let Some(network) = network(Families::Both) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (sharer, link) = sharing(&network, &folder, &["--no-lan"]);
    for peer in ["peer=10.9.0.1%3A8889", "peer=%5Bfd00%3A9%3A%3A1%5D%3A8889"] {
        assert!(link.contains(peer), "{link}");
    }
    assert_eq!(link.matches("peer=").count(), 2, "{link}");
    let _ = receive(&network, &link, &["--no-lan"]);
    let outcome = sharer.end_by(Signal::INT);
    assert!(outcome.stdout.contains("to 1 receiver,"), "{}", outcome.stdout);
}

#[test]
fn a_peer_with_both_families_registers_both_addresses() {
    let Some(network) = network(Families::Both) else { return };
    let mut tracker = network.on(2, Launch::tracker().args(["--listen", "[::]:8888"])).start();
    tracker.wait_line("its address", |line| line.contains("listening on").then_some(()));
    for (number, at) in ["10.9.0.2:8888", "[fd00:9::2]:8888"].into_iter().enumerate() {
        let file = TestFile::random(&format!("{number}.bin"), 50_000, 5000);
        let folder = tempfile::tempdir().unwrap();
        let (cascade, _) = (file.write_cascade(folder.path()), file.write_data(folder.path()));
        let _seeder =
            network.on(1, peer("seed", &folder).arg(cascade).args(["-l", "7001", "-t", at])).start();
        for own in ["10.9.0.1:7001", "[fd00:9::1]:7001"] {
            let registered = format!("registered {own} for {}", file.hex());
            tracker.wait_line(&registered, |line| line.contains(&registered).then_some(()));
        }
    }
}
