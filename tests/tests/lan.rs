use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::full_speed;
use cascade_tests::lan::{self, Lan};
use cascade_tests::launch::Launch;
use cascade_tests::process::{Process, Signal};
use cascade_tests::scene::Scene;
use std::time::Duration;

/// Two machines, if that is possible here.
fn network() -> Option<Lan> {
    if lan::can_make() {
        return Some(Lan::new());
    }
    skip();
    None
}

#[allow(clippy::print_stderr, reason = "shown with the test's own output")]
fn skip() {
    eprintln!("skipped: this system permits no network namespaces");
}

fn file() -> TestFile {
    TestFile::random("nearby.bin", 5_000_000, 100_000)
}

fn peer(subcommand: &str, scene: &Scene) -> Launch {
    // A link's `.cascade` file is given by the extension.
    Launch::peer(subcommand)
        .env("XDG_STATE_HOME", scene.state())
        .env("CASCADE_EXTENSION", "on")
        .arg(&scene.cascade)
}

/// `peer seed` on machine 1, found there or not.
fn seeding(network: &Lan, scene: &Scene, option: &str) -> Process {
    let _ = scene.file.write_data(scene.folder());
    let mut seeder = network.on(1, peer("seed", scene).arg(option)).start();
    seeder.wait_line("its address", |line| line.contains("listening on 0.0.0.0:").then_some(()));
    seeder
}

#[test]
fn a_download_on_another_machine_finds_its_seeder_without_a_tracker() {
    let Some(network) = network() else { return };
    let (there, here) = (Scene::new(file(), &[]), Scene::new(file(), &[]));
    let _seeder = seeding(&network, &there, "--lan");
    let outcome = network.on(2, peer("download", &here).args(["--lan", "--json"])).run();
    let lines = outcome.assert_success().json_lines();
    here.assert_complete();
    let from = lines.iter().find(|line| line["event"] == "peer").unwrap();
    assert!(from["address"].as_str().unwrap().starts_with("10.9.0.1:"), "{from}");
    assert!(lines.iter().any(|line| line["event"] == "lan" && line["peers"] == 1), "{}", outcome.both());
}

#[test]
fn a_seeder_that_comes_later_is_found_at_once() {
    let Some(network) = network() else { return };
    let (there, here) = (Scene::new(file(), &[]), Scene::new(file(), &[]));
    let mut download = network.on(2, peer("download", &here).arg("--lan")).start();
    download.wait_line("the tracker's silence", |line| line.contains("tracker").then_some(()));
    let _seeder = seeding(&network, &there, "--lan");
    let start = clock::now();
    let outcome = download.wait_exit();
    outcome.assert_success();
    here.assert_complete();
    assert!(full_speed::since(start) < Duration::from_secs(5), "found after {:?}", start.elapsed());
}

#[test]
fn peers_on_one_machine_find_each_other_by_its_address() {
    let Some(network) = network() else { return };
    let (there, here) = (Scene::new(file(), &[]), Scene::new(file(), &[]));
    let _seeder = seeding(&network, &there, "--lan");
    network.on(1, peer("download", &here).arg("--lan")).run().assert_success();
    here.assert_complete();
}

#[test]
fn without_the_option_nobody_is_found() {
    let Some(network) = network() else { return };
    let (there, here) = (Scene::new(file(), &[]), Scene::new(file(), &[]));
    let hidden = seeding(&network, &there, "--no-lan");
    let download = |option: &str| network.on(2, peer("download", &here).args([option, "--no-wait"])).run();
    download("--lan").assert_error_mentions(&["nobody on the local network"]);
    hidden.end_by(Signal::TERM).assert_success();
    let _seeder = seeding(&network, &there, "--lan");
    let outcome = download("--no-lan");
    outcome.assert_code(1);
    assert!(!outcome.stderr.contains("local network"), "{}", outcome.stderr);
}

#[test]
fn who_leaves_says_goodbye_and_ends_soon() {
    let Some(network) = network() else { return };
    let scene = Scene::new(file(), &[]);
    let seeder = seeding(&network, &scene, "--lan");
    let start = clock::now();
    let _ = seeder.end_by(Signal::INT);
    assert!(full_speed::since(start) < Duration::from_secs(3), "it took {:?}", start.elapsed());
}

#[test]
fn without_any_network_the_option_does_no_harm() {
    let scene = Scene::new(file(), &[]);
    let _ = scene.file.write_data(scene.folder());
    let mut seeder = peer("seed", &scene).args(["--lan", "--listen", "127.0.0.1:0"]).start();
    let addr =
        seeder.wait_line("its address", |line| Some(line.split_once("listening on ")?.1.trim().to_owned()));
    let here = Scene::new(file(), &[]);
    peer("download", &here)
        .args(["--lan", "--listen", "127.0.0.1:0", "--peer", &addr])
        .run()
        .assert_success();
    here.assert_complete();
}

#[test]
fn a_link_without_a_tracker_that_answers_works_on_the_local_network() {
    let Some(network) = network() else { return };
    let (there, folder) = (Scene::new(file(), &[]), tempfile::tempdir().unwrap());
    let _seeder = seeding(&network, &there, "--lan");
    let link = format!("cascade:{}?name={}&tracker=127.0.0.1%3A1", there.file.hex(), there.file.name);
    let download = Launch::peer("download").env("XDG_STATE_HOME", there.state()).arg(link).cwd(folder.path());
    // The `.cascade` file of a link comes by the extension.
    let download = download.env("CASCADE_EXTENSION", "on");
    network.on(2, download).run().assert_success();
    there.file.assert_same(&folder.path().join(&there.file.name));
}

#[test]
fn a_share_and_a_link_look_around_unless_they_are_told_not_to() {
    let Some(network) = network() else { return };
    let (there, folder) = (Scene::new(file(), &[]), tempfile::tempdir().unwrap());
    let data = there.file.write_data(there.folder());
    let share = Launch::peer("share").env("XDG_STATE_HOME", there.state()).arg(data);
    let share = share.env("CASCADE_EXTENSION", "on");
    let mut sharer = network.on(1, share).start();
    sharer.wait_line("its address", |line| line.contains("listening on 0.0.0.0:").then_some(()));
    let link = sharer.wait_line("its link", |line| {
        Some(line.split_once("peer download '")?.1.split_once('&')?.0.to_owned())
    });
    let download = |option: &str| {
        let launch = Launch::peer("download").env("XDG_STATE_HOME", there.state()).cwd(folder.path());
        let launch = launch.env("CASCADE_EXTENSION", "on");
        network.on(2, launch.args([link.as_str(), "--no-wait"]).args(option.split_whitespace())).run()
    };
    download("--no-lan").assert_code(1);
    download("").assert_success();
    there.file.assert_same(&folder.path().join(&there.file.name));
}

#[test]
fn who_only_looks_at_a_link_asks_the_local_network_too() {
    let Some(network) = network() else { return };
    let there = Scene::new(file(), &[]);
    let _seeder = seeding(&network, &there, "--lan");
    let data = there.folder().join(&there.file.name);
    // Nothing beside it describes it.
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join(&there.file.name);
    std::fs::copy(data, copy).unwrap();
    let link = format!("cascade:{}?name={}&tracker=127.0.0.1%3A1", there.file.hex(), there.file.name);
    for command in ["info", "verify"] {
        let launch = |option: &[&str]| {
            let launch = Launch::peer(command).env("XDG_STATE_HOME", there.state()).arg(&link);
            network.on(2, launch.args(option).cwd(elsewhere.path())).run()
        };
        launch(&[]).assert_success();
        launch(&["--no-lan"]).assert_code(1);
    }
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing is kept");
}
