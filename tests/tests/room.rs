use crate::links::{assert_complete, download, peer};
use crate::serve::ServedFolder;
use crate::tracker_setup::RunningTracker;
use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_tracker::{ForeignTracker, Unknown};
use cascade_tests::launch::Launch;
use cascade_tests::outcome::Outcome;
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use cascade_tests::tracker_client::{LIST, Request, SUBSCRIBE};
use rustix::process::Signal;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

fn film() -> TestFile {
    TestFile::random("film.mkv", 5_000_000, 65_536)
}

/// A folder with the data, `peer share` of it with these arguments, and the link that it prints.
fn sharing(file: &TestFile, args: &[&str]) -> (TempDir, Process, String) {
    let folder = tempfile::tempdir().unwrap();
    let _ = file.write_data(folder.path());
    let state = folder.path().join("state");
    let launch =
        peer("share", &folder).env("CASCADE_STATE_DIR", state).args([&file.name, "-l", "127.0.0.1:0"]);
    let mut sharer = launch.args(args).start();
    let link = sharer.wait_line("the line to paste", |line| {
        Some(line.trim_end().split_once("peer download '")?.1.strip_suffix('\'')?.to_owned())
    });
    (folder, sharer, link)
}

fn wait(link: &str, args: &[&str]) -> Launch {
    Launch::peer("wait").without_env("CASCADE_TRACKER").arg(link).args(args)
}

fn status(link: &str) -> Outcome {
    Launch::peer("status").without_env("CASCADE_TRACKER").arg(link).arg("--json").start().wait_exit()
}

/// The objects of one kind in the output.
fn events(outcome: &Outcome, event: &str) -> Vec<Value> {
    outcome.json_lines().into_iter().filter(|object| object["event"] == event).collect()
}

#[test]
fn a_sharer_ends_by_itself_when_so_many_have_it() {
    let file = film();
    let (_home, sharer, link) = sharing(&file, &["--until", "3"]);
    let waiting = wait(&link, &["--complete", "3", "--json", "--timeout", "2min"]).start();
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    // One of them goes on serving; the others leave when they have it.
    let mut seeding = download(&folders[0], &link).arg("--seed").start();
    seeding.wait_line("its end", |line| line.contains("seeding, all").then_some(()));
    for folder in &folders[1..] {
        download(folder, &link).start().wait_exit().assert_success();
    }
    let ended = sharer.wait_exit();
    ended.assert_code(0);
    assert!(ended.stdout.contains("sharing until 3 receivers have it"), "{ended}");
    assert!(ended.stdout.contains("3 receivers have everything: ending"), "{ended}");
    folders.iter().for_each(|folder| assert_complete(folder.path(), &file));
    waiting.wait_exit().assert_code(0);
    seeding.end_by(Signal::INT).assert_code(0);
}

/// A script may run the same download again on machines that have the file.
#[test]
fn who_has_the_file_already_is_counted() {
    let file = film();
    let (_home, sharer, link) = sharing(&file, &["--until", "2"]);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    folders.iter().for_each(|folder| drop(file.write_data(folder.path())));
    let mut seeding = download(&folders[0], &link).arg("--seed").start();
    seeding.wait_line("its end", |line| line.contains("seeding, all").then_some(()));
    let again = download(&folders[1], &link).start().wait_exit();
    again.assert_success();
    assert!(again.stdout.contains("complete and verified already"), "{again}");
    let ended = sharer.wait_exit();
    ended.assert_code(0);
    assert!(ended.stdout.contains("2 receivers have everything: ending"), "{ended}");
    seeding.end_by(Signal::INT).assert_code(0);
}

#[test]
fn waiting_ends_when_all_have_it_and_counts_those_who_have_left() {
    let file = film();
    let (_home, sharer, link) = sharing(&file, &[]);
    let folder = tempfile::tempdir().unwrap();
    download(&folder, &link).start().wait_exit().assert_success();
    for wanted in ["1", "all"] {
        let waited = wait(&link, &["--complete", wanted, "--json"]).start().wait_exit();
        waited.assert_code(0);
        let reached = &events(&waited, "reached")[0];
        assert_eq!(reached["complete"].as_u64(), Some(1), "{waited}");
        if wanted == "all" {
            assert_eq!(
                (reached["seeders"].as_u64(), reached["unknown"].as_u64()),
                (Some(1), Some(0)),
                "{waited}"
            );
        }
    }
    let plain = wait(&link, &["--complete", "1"]).start().wait_exit();
    assert!(plain.stdout.contains("film.mkv: done waiting, 1 has it, 0 do not yet"), "{plain}");
    sharer.end_by(Signal::INT).assert_code(0);
}

#[test]
fn those_who_serve_folders_report_too() {
    let file = film();
    let tracker = RunningTracker::with_args(Launch::tracker().args(["-l", "127.0.0.1:0"]));
    let [giving, getting] = [(); 2].map(|()| ServedFolder::new());
    giving.put(&file);
    let _ = file.write_cascade(getting.dir());
    let serve = |scene: &ServedFolder, more: &[&str]| {
        let launch = Launch::peer("serve").env("XDG_STATE_HOME", scene.state.path()).arg(scene.dir());
        launch.args(["-l", "127.0.0.1:0", "-t", &tracker.addr.to_string()]).args(more).start()
    };
    let mut seeder = serve(&giving, &[]);
    seeder
        .wait_line("that the tracker knows it", |line| line.contains("1 of 1 file registered").then_some(()));
    let receiver = serve(&getting, &["--download"]);
    let link = format!("cascade:{}?tracker={}", file.hex(), tracker.addr);
    wait(&link, &["--complete", "all", "--timeout", "1min"]).start().wait_exit().assert_code(0);
    let room = status(&link);
    let room = &events(&room, "room")[0];
    let figures = ["complete", "incomplete", "unknown", "seeders"].map(|figure| room[figure].as_u64());
    assert_eq!(figures, [Some(1), Some(0), Some(0), Some(1)], "{room}");
    receiver.end_by(Signal::INT).assert_code(0);
    seeder.end_by(Signal::INT).assert_code(0);
}

#[test]
fn waiting_ends_with_three_when_the_time_is_over_and_otherwise_as_documented() {
    let file = film();
    let (_home, sharer, link) = sharing(&file, &[]);
    let late = wait(&link, &["--complete", "1", "--timeout", "2"]).start().wait_exit();
    late.assert_code(3);
    assert!(
        late.stdout.contains("the time is over, 0 have it") && late.took >= Duration::from_secs(2),
        "{late}"
    );
    let mut interrupted = wait(&link, &["--complete", "all", "--json"]).start();
    interrupted.wait_line("the room", |line| line.contains("\"room\"").then_some(()));
    interrupted.end_by(Signal::INT).assert_code(130);
    for wrong in
        [&["--complete", "0"][..], &["--complete", "some"], &[], &["--complete", "1", "--timeout", "soon"]]
    {
        wait(&link, wrong).start().wait_exit().assert_code(2);
    }
    sharer.end_by(Signal::INT).assert_code(0);
}

#[test]
fn the_room_shows_everybody_and_names_are_theirs_to_choose() {
    let file = TestFile::random("film.mkv", 20_000_000, 65_536);
    let (_home, sharer, link) = sharing(&file, &["--name", "teacher"]);
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let slow = download(&folders[0], &link).args(["--name", "slow one", "--max-down", "1MiB/s"]).start();
    let anonymous = download(&folders[1], &link).args(["--no-name", "--seed"]).start();
    let usual = download(&folders[2], &link).arg("--seed").start();
    // A peer of version 1.
    let tracker = link.split_once("tracker=").unwrap().1.split('&').next().unwrap();
    let tracker: SocketAddr = tracker.replace("%3A", ":").parse().unwrap();
    let _ = Request::new(SUBSCRIBE, file.hash, [127, 0, 0, 9], 9999).ask(tracker);
    wait(&link, &["--complete", "2", "--timeout", "1min"]).start().wait_exit().assert_code(0);
    let shown = status(&link);
    shown.assert_success();
    let members = events(&shown, "member");
    let states: Vec<_> = members.iter().map(|member| member["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["incomplete", "unknown", "seeder", "complete", "complete"], "{shown}");
    assert_eq!(
        (members[0]["name"].as_str(), members[2]["name"].as_str()),
        (Some("slow one"), Some("teacher")),
        "{shown}"
    );
    assert_eq!(members[1]["address"].as_str(), Some("127.0.0.9:9999"), "{shown}");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let names: Vec<_> = members[3..].iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"") && names.contains(&host.as_str()), "{shown}");
    let (blocks, given) = (file.blocks(), &members[2]["bytes_given"]);
    assert!(members[3]["blocks_done"].as_u64() == Some(blocks) && given.as_u64().is_some(), "{shown}");
    let room = &events(&shown, "room")[0];
    let number = |name: &str| room[name].as_u64().unwrap();
    assert_eq!(
        [number("complete"), number("incomplete"), number("seeders"), number("unknown")],
        [2, 1, 1, 1],
        "{shown}"
    );
    // With the slow one and the one of version 1 not all have it.
    wait(&link, &["--complete", "all", "--timeout", "1"]).start().wait_exit().assert_code(3);
    let table = Launch::peer("status").without_env("CASCADE_TRACKER").arg(&link).start().wait_exit();
    let lines: Vec<_> = table.stdout.lines().collect();
    assert!(
        lines[0].starts_with("film.mkv: 2 have it, 1 does not yet, 1 tells nothing of it; 1 seeder"),
        "{table}"
    );
    assert!(
        lines[1].starts_with("name ") && lines[2].starts_with("slow one ") && lines[3].contains("version 1"),
        "{table}"
    );
    for process in [slow, anonymous, usual, sharer] {
        let _ = process.end_by(Signal::INT);
    }
}

#[test]
fn goodbye_unregisters_and_who_leaves_without_everything_is_gone() {
    let file = film();
    let tracker = RunningTracker::open();
    let scene = Scene::new(file, &[]);
    let at = ["--tracker".to_owned(), tracker.addr.to_string()];
    let _ = scene.file.write_data(scene.folder());
    let seed = Launch::peer("seed").env("CASCADE_EXTENSION", "on").arg(&scene.cascade);
    let mut seeder = seed.args(["-l", "127.0.0.1:0"]).args(&at).start();
    let listed = || Request::new(LIST, scene.file.hash, [10, 0, 0, 1], 1).ask(tracker.addr).entries().len();
    seeder.wait_until("a registration", || (listed() == 1).then_some(()));
    let folder = tempfile::tempdir().unwrap();
    let link = format!("cascade:{}?name=film.mkv&tracker={}", scene.file.hex(), tracker.addr);
    let mut slow = download(&folder, &link).args(["--max-down", "100KiB/s"]).start();
    slow.wait_until("another", || (listed() == 2).then_some(()));
    slow.wait_until("its report", || {
        let room = status(&link);
        (events(&room, "room")[0]["incomplete"].as_u64() == Some(1)).then_some(())
    });
    let interrupted = slow.end_by(Signal::INT);
    assert!(interrupted.assert_code(130).stderr.contains("the same command goes on"), "{interrupted}");
    assert_eq!(listed(), 1);
    let room = status(&link);
    assert_eq!(events(&room, "member").len(), 1, "{room}");
    seeder.end_by(Signal::INT).assert_code(0);
    assert_eq!(listed(), 0);
}

/// A receiver that cannot even begin is in nobody's way: waiting for all does not wait for it.
#[test]
fn who_fails_before_the_first_block_is_not_in_the_room() {
    let file = film();
    let (_home, sharer, link) = sharing(&file, &[]);
    let (done, failed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    download(&done, &link).start().wait_exit().assert_success();
    // It gets the .cascade file, and may not replace what has the name of the data.
    std::fs::write(failed.path().join("film.mkv"), "a file of the user's").unwrap();
    let refused = download(&failed, &link).start().wait_exit();
    assert!(refused.assert_code(1).stderr.contains("film.mkv"), "{refused}");
    let waited = wait(&link, &["--complete", "all", "--json", "--timeout", "2min"]).start().wait_exit();
    let reached = &events(waited.assert_code(0), "reached")[0];
    assert_eq!((reached["complete"].as_u64(), reached["unknown"].as_u64()), (Some(1), Some(0)), "{waited}");
    sharer.end_by(Signal::INT).assert_code(0);
}

/// What a tracker of version 1 sees: one request that it does not know, then those of version 1, byte for byte.
#[test]
fn a_tracker_of_version_1_refuses_once_and_is_asked_as_ever() {
    for unknown in [Unknown::Refuse, Unknown::Close, Unknown::Silence] {
        let file = film();
        let tracker = ForeignTracker::not_knowing(unknown, &[]);
        let folder = tempfile::tempdir().unwrap();
        let (cascade, _) = (file.write_cascade(folder.path()), file.write_data(folder.path()));
        let other = TestFile::random("other.bin", 100_000, 65_536);
        let (second, _) = (other.write_cascade(folder.path()), other.write_data(folder.path()));
        let reserved = Reserved::new();
        let launch = Launch::peer("seed").args([&cascade, &second]).args(["-t", &tracker.addr.to_string()]);
        let mut seeder = launch.args(["-l", &reserved.addr.to_string()]).start();
        seeder.wait_until("both subscriptions", || (tracker.announces().len() >= 2).then_some(()));
        let beyond = tracker.beyond();
        // Both files may have asked before the first refusal was there.
        assert!((1..=2).contains(&beyond.len()), "{unknown:?}: {} requests", beyond.len());
        assert!(
            beyond.iter().all(|bytes| bytes.starts_with(b"CASC\0\0\0\x01\0\0\0\x05\0\0\0")),
            "{unknown:?}"
        );
        let announces = tracker.announces();
        assert!(
            announces
                .iter()
                .all(|announce| announce.command == SUBSCRIBE
                    && announce.listen.port() == reserved.addr.port())
        );
        assert_eq!(
            (announces.len(), tracker.malformed(), tracker.connections()),
            (2, 0, 2 + beyond.len()),
            "{unknown:?}"
        );
        // Nobody says goodbye to it.
        seeder.end_by(Signal::INT).assert_code(0);
        assert_eq!(tracker.connections(), 2 + beyond.len(), "{unknown:?}");
        let link = format!("cascade:{}?tracker={}", file.hex(), tracker.addr);
        if unknown == Unknown::Refuse {
            let refused = wait(&link, &["--complete", "1"]).start().wait_exit();
            refused.assert_code(1).assert_error_mentions(&["tells nothing of who has how much"]);
        }
    }
}

/// A receiver registers when it has the `.cascade` file: with a tracker of version 1 by the command of version 1.
#[test]
fn who_receives_a_link_registers_with_a_tracker_of_version_1() {
    let scene = Scene::new(film(), &[]);
    let (_seeder, at) = scene.seeding();
    let tracker = ForeignTracker::not_knowing(Unknown::Refuse, &[at]);
    let (folder, reserved) = (tempfile::tempdir().unwrap(), Reserved::new());
    let link = format!("cascade:{}?name=film.mkv&tracker={}", scene.file.hex(), tracker.addr);
    let mut receiver =
        peer("download", &folder).args([&link, "--seed", "-l", &reserved.addr.to_string()]).start();
    receiver.wait_until("its subscription", || {
        let announces = tracker.announces();
        let registers =
            |port| announces.iter().any(|one| one.command == SUBSCRIBE && one.listen.port() == port);
        registers(reserved.addr.port()).then_some(())
    });
    receiver.wait_line("its end", |line| line.contains("seeding, all").then_some(()));
    receiver.end_by(Signal::INT).assert_code(0);
}

/// A download from a swarm whose tracker knows nothing of rooms is what it was.
#[test]
fn a_download_with_a_tracker_of_version_1_sends_it_what_version_1_has() {
    let scene = Scene::new(film(), &[]);
    let (seeder, _) = scene.seeding();
    std::fs::remove_file(scene.target()).unwrap();
    scene.download().start().wait_exit().assert_success();
    let commands: Vec<u32> = scene.tracker.announces().iter().map(|announce| announce.command).collect();
    assert_eq!(commands, [SUBSCRIBE, SUBSCRIBE]);
    assert_eq!((scene.tracker.beyond().len(), scene.tracker.malformed()), (2, 0));
    drop(seeder);
}
