use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::Launch;
use cascade_tests::metafile_peer::{METAFILE, Manner, MetafilePeer};
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use cascade_tests::tracker_client::{LIST, SUBSCRIBE};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// A file whose `.cascade` file comes in three parts.
pub(crate) fn three_parts() -> TestFile {
    TestFile::random("parts.bin", 320_000, 16)
}

/// A link to `file`, with `rest` behind its name.
pub(crate) fn link(file: &TestFile, rest: &str) -> String {
    format!("cascade:{}?name={}{rest}", file.hex(), file.name)
}

/// A peer in `folder` that speaks the extension, whatever the others in this run of the tests do.
pub(crate) fn peer(subcommand: &str, folder: &TempDir) -> Launch {
    let launch = Launch::peer(subcommand)
        .cwd(folder.path())
        .env("CASCADE_EXTENSION", "on")
        .without_env("CASCADE_TRACKER");
    // Tests keep to this machine.
    let looks = ["share", "download", "seed"].contains(&subcommand);
    if looks { launch.arg("--no-lan") } else { launch }
}

pub(crate) fn download(folder: &TempDir, link: &str) -> Launch {
    peer("download", folder).args([link, "-l", "127.0.0.1:0"])
}

/// A real seeder of `file`, and where it listens.
pub(crate) fn seeding(file: &TestFile, listen: SocketAddr) -> (Process, SocketAddr, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (cascade, _) = (file.write_cascade(folder.path()), file.write_data(folder.path()));
    let mut seeder = peer("seed", &folder).arg(cascade).args(["-l", &listen.to_string()]).start();
    let addr = listening(&mut seeder);
    (seeder, addr, folder)
}

pub(crate) fn listening(process: &mut Process) -> SocketAddr {
    process.wait_line("an address", |line| {
        line.split_once("listening on ")?.1.split_whitespace().next()?.parse().ok()
    })
}

pub(crate) fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The folder holds the file, its `.cascade` file, and nothing else.
#[track_caller]
pub(crate) fn assert_complete(folder: &Path, file: &TestFile) {
    file.assert_same(&folder.join(&file.name));
    let cascade = format!("{}.cascade", file.name);
    assert!(fs::read(folder.join(&cascade)).unwrap() == file.cascade, "another .cascade file");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, [file.name.as_str(), cascade.as_str()]);
}

#[test]
fn a_link_with_a_tracker_is_all_that_a_receiver_needs() {
    let scene = Scene::new(TestFile::random("film.mkv", 3_000_000, 65_536), &[]);
    let (_seeder, _) = {
        let _ = scene.file.write_data(scene.folder());
        let mut seeder = scene.seed().env("CASCADE_EXTENSION", "on").start();
        let addr = scene.listening(&mut seeder);
        (seeder, addr)
    };
    let made = Launch::peer("link").arg(&scene.cascade).args(["-t", &scene.tracker.addr.to_string()]).run();
    made.assert_success();
    let link = made.stdout.trim();
    assert!(link.starts_with("cascade:") && link.contains("name=film.mkv&length=3000000&tracker="), "{link}");
    let folder = tempfile::tempdir().unwrap();
    let before = scene.tracker.announces().len();
    download(&folder, link).run().assert_success();
    assert_complete(folder.path(), &scene.file);
    // One list for the `.cascade` file, with which the download goes on; then it has something to give.
    let commands: Vec<u32> =
        scene.tracker.announces()[before..].iter().map(|announce| announce.command).collect();
    assert_eq!(commands, [LIST, SUBSCRIBE]);
    // Again: nothing is asked of anybody.
    let again = download(&folder, link).run();
    again.assert_success();
    assert!(again.stdout.contains("complete and verified already"), "{again}");
}

#[test]
fn a_link_with_a_peer_alone_and_several_links_at_once() {
    let (one, other) = (three_parts(), TestFile::random("small.bin", 5, 8));
    let (_a, at, _folder) = seeding(&one, any());
    let (_b, also_at, _other) = seeding(&other, any());
    let folder = tempfile::tempdir().unwrap();
    let links = [link(&one, &format!("&peer={at}")), link(&other, &format!("&peer={also_at}"))];
    fs::create_dir(folder.path().join("in")).unwrap();
    download(&folder, &links[0]).args([&links[1], "-o", "in"]).run().assert_success();
    for file in [&one, &other] {
        file.assert_same(&folder.path().join("in").join(&file.name));
        assert!(
            fs::read(folder.path().join("in").join(format!("{}.cascade", file.name))).unwrap()
                == file.cascade
        );
    }
}

#[test]
fn whoever_has_the_cascade_file_gives_it_on_while_it_downloads() {
    let file = three_parts();
    // Half of the blocks: the first leecher never ends.
    let half = ForeignPeer::start(&file, Script::default().holding(0..10_000));
    let first = tempfile::tempdir().unwrap();
    let cascade = file.write_cascade(first.path());
    let half_at = half.addr.to_string();
    let mut leecher =
        peer("download", &first).arg(cascade).args(["-l", "127.0.0.1:0", "--peer", &half_at]).start();
    let at = listening(&mut leecher);
    let second = tempfile::tempdir().unwrap();
    let mut next = download(&second, &link(&file, &format!("&peer={at}"))).start();
    next.wait_line("the .cascade file", |line| line.contains("bytes verified").then_some(()));
    assert!(fs::read(second.path().join("parts.bin.cascade")).unwrap() == file.cascade);
}

#[test]
fn version_1_gives_the_blocks_when_another_gives_the_cascade_file() {
    let file = three_parts();
    for script in [
        Script::default(),
        Script::default().closing(),
        Script::default().fragile(),
        Script::default().zeros_only(),
    ] {
        let seeder = ForeignPeer::start(&file, script);
        let other = MetafilePeer::start(&file, Manner::Parts(100_000));
        let folder = tempfile::tempdir().unwrap();
        let link = link(&file, &format!("&peer={}&peer={}", seeder.addr, other.addr()));
        download(&folder, &link).run().assert_success();
        assert_complete(folder.path(), &file);
        let asked = seeder.journal().asked().iter().filter(|block| **block == METAFILE).count();
        assert!(asked <= 1, "version 1 was asked {asked} times for what it does not know");
    }
}

#[test]
fn receivers_may_start_before_the_one_who_shares() {
    let file = three_parts();
    let reserved = Reserved::new();
    let folder = tempfile::tempdir().unwrap();
    let link = link(&file, &format!("&peer={}", reserved.addr));
    let mut early = download(&folder, &link).start();
    early.wait_line("that it waits", |line| line.contains("waiting for the .cascade file").then_some(()));
    let (_seeder, ..) = seeding(&file, reserved.addr);
    early.wait_exit().assert_success();
    assert_complete(folder.path(), &file);
}

#[test]
fn nobody_gives_it_and_it_is_not_waited_for() {
    let (file, folder, reserved) = (three_parts(), tempfile::tempdir().unwrap(), Reserved::new());
    let without = |link: &str| download(&folder, link).arg("--no-wait");
    let done = without(&link(&file, &format!("&peer={}", reserved.addr))).run();
    done.assert_one_line_error(&["nobody gives the .cascade file", &reserved.addr.to_string(), "refused"]);
    let tracker = ForeignTracker::listing(&[]);
    let done = without(&link(&file, &format!("&tracker={}", tracker.addr))).run();
    done.assert_one_line_error(&["nobody gives the .cascade file", "knows 0 peers"]);
    let plain = ForeignPeer::honest(&file);
    let done = without(&link(&file, &format!("&peer={}", plain.addr))).run();
    done.assert_one_line_error(&["nobody gives the .cascade file", "status 3"]);
    let done = without(&link(&file, &format!("&peer={}", plain.addr))).args(["--extension", "off"]).run();
    done.assert_one_line_error(&["swarm extension", "--extension off"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_place_that_cannot_be_meant_is_refused() {
    let file = TestFile::random("film.mkv", 300_000, 65_536);
    let peer = ForeignPeer::honest(&file);
    let scene = Scene::new(file.clone(), &[peer.addr]);
    let itself = scene.folder().join("film.mkv.cascade");
    let before = fs::read(&itself).unwrap();
    let refused = scene.download().arg("-o").arg(&itself).run();
    refused.assert_code(1);
    refused.assert_one_line_error(&["the .cascade file itself", "-o"]);
    assert_eq!(fs::read(&itself).unwrap(), before);
    let folder = tempfile::tempdir().unwrap();
    let link = format!("cascade:{}?peer={}", file.hex(), peer.addr);
    let refused = Launch::peer("download").arg(link).arg("-o").arg(folder.path().join("none/film.mkv")).run();
    refused.assert_code(1);
    refused.assert_one_line_error(&["none does not exist", "-o"]);
}

#[test]
fn files_of_the_user_s_are_left_alone() {
    let file = TestFile::random("film.mkv", 3000, 100);
    let (_seeder, at, _folder) = seeding(&file, any());
    let link = link(&file, &format!("&peer={at}"));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);

    fs::write(at("film.mkv.cascade"), "precious").unwrap();
    download(&folder, &link).run().assert_one_line_error(&["film.mkv.cascade is there already"]);
    assert_eq!(fs::read(at("film.mkv.cascade")).unwrap(), b"precious");
    fs::remove_file(at("film.mkv.cascade")).unwrap();

    for precious in [vec![1; 3000], vec![1; 10]] {
        fs::write(at("film.mkv"), &precious).unwrap();
        download(&folder, &link).run().assert_one_line_error(&["film.mkv is there already", "-o film.mkv"]);
        assert!(fs::read(at("film.mkv")).unwrap() == precious);
        assert!(!at("film.mkv.cascade").exists(), "it describes nothing that is here");
    }
    // The user says that it may be replaced.
    download(&folder, &link).args(["-o", "film.mkv"]).run().assert_success();
    assert_complete(folder.path(), &file);
}

#[test]
fn a_name_from_a_link_leads_nowhere_else() {
    let file = TestFile::random("film.mkv", 3000, 100);
    let (_seeder, at, _folder) = seeding(&file, any());
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    for (name, safe) in [
        ("../up", "_._up"),
        ("%2Fetc%2Fx", "_etc_x"),
        (".hidden", "_hidden"),
        ("%E2%80%AEgpj.exe", "_gpj.exe"),
        ("-rf", "_rf"),
    ] {
        let link = format!("cascade:{}?name={name}&peer={at}", file.hex());
        download(&folder, &link).cwd(&inner).run().assert_success();
        file.assert_same(&inner.join(safe));
    }
    let link = format!("cascade:{}?peer={at}", file.hex());
    download(&folder, &link).cwd(&inner).run().assert_success();
    file.assert_same(&inner.join(format!("cascade-{}", &file.hex()[..16])));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn info_verify_and_seed_take_links() {
    let file = three_parts();
    let (seeder, at, _folder) = seeding(&file, any());
    let link = link(&file, &format!("&length=7&peer={at}"));
    let folder = tempfile::tempdir().unwrap();
    let info = peer("info", &folder).arg(&link).run();
    info.assert_success();
    for part in ["length        7 B", "320000 bytes", "blocks        20000", &file.hex(), &at.to_string()] {
        assert!(info.stdout.contains(part), "{part}: {info}");
    }
    let json = peer("info", &folder).args([&link, "--json"]).run();
    assert!(json.stdout.contains(r#""event":"link""#) && json.stdout.contains(r#""event":"info""#), "{json}");
    let data = file.write_data(folder.path());
    peer("verify", &folder).arg(&link).run().assert_success();
    fs::rename(&data, folder.path().join("other")).unwrap();
    peer("verify", &folder).args([&link, "other"]).run().assert_success();
    fs::write(folder.path().join("wrong"), file.data_with(|block| block == 7)).unwrap();
    peer("verify", &folder).args([&link, "wrong"]).run().assert_error_mentions(&[
        "wrong is not what the link describes",
        "'cascade:",
        "-o wrong",
    ]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");

    // A second seeder gets its .cascade file from the first, and gives it on when that is gone.
    let mut second = peer("seed", &folder).args([&link, "--data", "other", "-l", "127.0.0.1:0"]).start();
    second.wait_line("that it seeds", |line| line.contains("seeding, all 20000 blocks").then_some(()));
    let second_at = listening(&mut second);
    drop(seeder);
    assert!(folder.path().join("other.cascade").exists());
    let last = tempfile::tempdir().unwrap();
    download(&last, &super::links::link(&file, &format!("&peer={second_at}"))).run().assert_success();
    assert_complete(last.path(), &file);
}

#[test]
fn a_cascade_file_that_is_replaced_is_given_as_it_was() {
    let file = three_parts();
    let (_seeder, at, folder) = seeding(&file, any());
    let cascade = folder.path().join("parts.bin.cascade");
    fs::remove_file(&cascade).unwrap();
    fs::write(&cascade, vec![0; file.cascade.len()]).unwrap();
    let receiver = tempfile::tempdir().unwrap();
    download(&receiver, &link(&file, &format!("&peer={at}"))).run().assert_success();
    assert_complete(receiver.path(), &file);
}

#[test]
fn damaged_links_are_refused_in_one_line() {
    let (file, folder) = (three_parts(), tempfile::tempdir().unwrap());
    let hash = file.hex();
    let long = format!("cascade:{hash}?name={}", "x".repeat(9000));
    for (link, part) in [
        ("cascade:7f86", "64 hex digits"),
        (&format!("cascade:{hash}?name=a b"), "space"),
        (&format!("cascade:{hash}?name=%F"), "two hex digits"),
        (&format!("cascade:{hash}?name=%FF"), "UTF-8"),
        (&format!("cascade:{hash}?name=a&name=b"), "more than one name"),
        (&format!("cascade:{hash}?peer=here"), "port"),
        (&format!("cascade:{hash}?tracker=:1"), "host"),
        (&format!("cascade:{hash}?length=-1"), "length"),
        (&format!("cascade:{hash}\u{1b}[2J"), "invisible"),
        (&long, "bytes"),
    ] {
        for subcommand in ["download", "seed", "info", "verify"] {
            let done = peer(subcommand, &folder).arg(link).run();
            done.assert_code(2).assert_error_mentions(&[part]);
            assert_eq!(done.stderr.lines().count(), 1, "{done}");
            assert!(!done.stderr.contains('\u{1b}'), "{done}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn links_are_made_of_cascade_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("my film.mkv", 3000, 100);
    let cascade = file.write_cascade(folder.path());
    let make = |args: &[&str]| peer("link", &folder).arg(&cascade).args(args).run();
    let done = make(&["-t", "Box.local:1", "-t", "192.0.2.1:8888", "--peer", "192.0.2.1:8889"]);
    done.assert_success();
    let hash = file.hex();
    assert_eq!(
        done.stdout.trim(),
        format!(
            "cascade:{hash}?name=my%20film.mkv&length=3000&tracker=box.local%3A1&tracker=192.0.2.1%3A8888&\
             peer=192.0.2.1%3A8889"
        )
    );
    let done = make(&["--name", "../x"]);
    assert_eq!(done.stdout.trim(), format!("cascade:{hash}?name=_._x&length=3000"));
    done.assert_error_mentions(&["names nobody to ask", "--tracker"]);
    make(&["--name", &"x".repeat(241)]).assert_code(1).assert_error_mentions(&["241 bytes", "--name"]);
    make(&["-t", "a b:1"]).assert_code(2);
    let created =
        peer("create", &folder).arg(file.write_data(folder.path())).args(["-b", "100", "-t", "a:1"]).run();
    created.assert_success();
    for line in [
        "to download   peer download 'my film.mkv.cascade' --tracker a:1".to_owned(),
        format!("by its link   peer download 'cascade:{hash}?name=my%20film.mkv&length=3000&tracker=a%3A1'"),
    ] {
        assert!(created.stdout.lines().any(|said| said == line), "{line}\n{created}");
    }
}

#[test]
fn the_usual_ports_are_taken_in_turn() {
    let file = TestFile::random("film.mkv", 3000, 100);
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        let (cascade, _) = (file.write_cascade(folder.path()), file.write_data(folder.path()));
        let mut seeder = peer("seed", &folder).arg(cascade).start();
        let addr = listening(&mut seeder);
        (seeder, addr.port(), folder)
    };
    // Other tests may have some of them.
    let running: Vec<_> = (0..3).map(|_| start()).collect();
    let ports: Vec<_> = running.iter().map(|(_, port, _)| *port).collect();
    assert!(ports.iter().all(|port| (8889..=8899).contains(port)), "{ports:?}");
    assert!(ports.is_sorted_by(|one, next| one != next), "{ports:?}");
}
