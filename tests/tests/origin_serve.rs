//! A folder whose files have no data beside them: an origin has it.

use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_client::{ForeignClient, fetch};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::Launch;
use cascade_tests::object_server::{Object, ObjectServer};
use cascade_tests::process::{Process, Signal};
use cascade_tests::tree::{self, FolderScene};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

struct Setup {
    folder: TempDir,
    state: TempDir,
    tracker: ForeignTracker,
    server: ObjectServer,
}

impl Setup {
    fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        let (tracker, server) = (ForeignTracker::listing(&[]), ObjectServer::empty());
        Self { folder: folder(), state: folder(), tracker, server }
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Describes a file that the origin has.
    fn add(&self, name: &str, length: usize, block: usize) -> TestFile {
        let file = TestFile::random(name, length, block);
        let _ = file.write_cascade(self.dir());
        self.server.put(&format!("/films/{name}"), Object::Bytes(Arc::clone(&file.data)));
        file
    }

    fn launch(&self, url: &str) -> Launch {
        let launch = Launch::peer("serve").env("XDG_STATE_HOME", self.state.path()).arg(self.dir());
        let tracker = self.tracker.addr.to_string();
        launch.args(["-l", "127.0.0.1:0", "-t", &tracker, "--origin", url])
    }

    fn start(&self, more: &[&str]) -> (Process, SocketAddr) {
        let url = format!("http://{}/films/", self.server.addr());
        let mut process = self.launch(&url).args(more).start();
        let addr = process.wait_line("where it listens", |line| {
            line.strip_prefix("peer: listening on ")?.trim().parse().ok()
        });
        clock::eventually("the files that the origin has", || {
            let names = fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().path());
            let names = names.filter(|path| path.extension().is_some_and(|end| end == "cascade"));
            let missing = names.filter(|path| !path.with_extension("").exists()).count();
            let log = process.log();
            let known = log.lines().find_map(|line| {
                line.split("; ").find(|part| part.contains("from the origin") && !part.contains(':'))
            });
            let known = known.and_then(|part| part.split(' ').next()?.parse().ok()).unwrap_or(0);
            (log.matches(": seeding from the origin").count() + known >= missing).then_some(())
        });
        (process, addr)
    }

    /// What is kept of all files, in bytes.
    fn kept(&self) -> u64 {
        let files = fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|end| end == "cache"))
            .map(|path| allocated(&path))
            .sum()
    }

    /// What was asked for of this object.
    fn asked(&self, path: &str) -> usize {
        self.server.asked().iter().filter(|asked| asked.path == path).count()
    }
}

fn allocated(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |there| there.blocks() * 512)
}

fn take_all(addr: SocketAddr, file: &TestFile) {
    let mut client = ForeignClient::connect(addr);
    for block in 0..file.blocks() {
        client.ask(&file.hash, block).unwrap().assert_block(file, block);
    }
}

#[test]
fn what_sleeps_costs_nothing_and_what_is_asked_for_comes_once() {
    let setup = Setup::new();
    let (one, two) = (setup.add("one.bin", 300_000, 10_000), setup.add("two.bin", 300_000, 10_000));
    let here = TestFile::random("here.bin", 300_000, 10_000);
    let _ = here.write_cascade(setup.dir());
    let _ = here.write_data(setup.dir());
    let (mut server, addr) = setup.start(&[]);
    for file in [&one, &two, &here] {
        server.wait_until("a registration", || setup.tracker.first_subscriber(&file.hash));
    }
    server.wait_until("the file that is here", || (fetch(addr, &here, 0).status == 0).then_some(()));
    assert!(setup.server.asked().is_empty(), "{:?}", setup.server.asked());

    take_all(addr, &one);
    take_all(addr, &one);
    assert!(setup.server.sent() <= 300_001 && setup.asked("/films/two.bin") == 0);
    server.assert_running();
    server.end_by(Signal::TERM).assert_success();
    // What came is kept.
    let before = setup.server.sent();
    let (server, addr) = setup.start(&[]);
    assert!(server.has_printed("2 files from the origin"), "{}", server.log());
    take_all(addr, &one);
    assert!(setup.server.sent() <= before + 1, "one byte is asked for when it wakes");
    fetch(addr, &two, 7).assert_block(&two, 7);
    drop(server);
}

#[test]
fn an_object_that_is_missing_is_one_line_and_the_others_are_served() {
    let setup = Setup::new();
    let one = setup.add("one.bin", 300_000, 10_000);
    let gone = TestFile::random("gone.bin", 300_000, 10_000);
    let other = setup.add("other.bin", 300_000, 10_000);
    let _ = gone.write_cascade(setup.dir());
    setup.server.put("/films/other.bin", Object::Bytes(vec![0; 5].into()));
    let (mut server, addr) = setup.start(&[]);
    for (file, why) in [(&gone, "there is no such object"), (&other, "has 5 bytes")] {
        server.wait_until("a refusal", || (fetch(addr, file, 0).status == 1).then_some(()));
        server.wait_line("what is wrong", |line| {
            (line.contains(why) && line.contains(&format!("{}.cascade", file.name))).then_some(())
        });
    }
    take_all(addr, &one);
    assert_eq!(setup.asked("/films/gone.bin"), 1, "it is left out for a time");
    assert_eq!(server.log().matches("there is no such object").count(), 1, "{}", server.log());
    server.assert_running();
}

#[test]
fn all_files_have_one_bound_and_what_is_within_it_is_kept() {
    /// With what some file systems count for the table of a file's parts.
    const BOUND: u64 = (1 << 20) + 3 * 4096;
    const SMALL: u64 = (400 << 10) + 3 * 4096;
    let setup = Setup::new();
    let names = ["one.bin", "two.bin", "three.bin"];
    let files = names.map(|name| setup.add(name, 2 << 20, 64 << 10));
    let (mut server, addr) = setup.start(&["--cache", "1MiB"]);
    let mut most = 0;
    for _ in 0..2 {
        let mut clients = files.each_ref().map(|_| ForeignClient::connect(addr));
        for block in 0..files[0].blocks() {
            for (client, file) in clients.iter_mut().zip(&files) {
                client.ask(&file.hash, block).unwrap().assert_block(file, block);
                most = most.max(setup.kept());
            }
        }
    }
    assert!(most > BOUND / 2 && most <= BOUND, "{most} bytes are kept");
    server.assert_running();
    server.end_by(Signal::TERM).assert_success();
    let left = setup.kept();
    assert!(left > BOUND / 2 && left <= BOUND, "{left} bytes are left");
    // The rest of an earlier run counts, too, and what is too much of it goes.
    let (server, addr) = setup.start(&["--cache", "400KiB"]);
    clock::eventually("room", || (setup.kept() <= SMALL).then_some(()));
    take_all(addr, &files[2]);
    assert!(setup.kept() <= SMALL);
    drop(server);
    // A block does not fit: its file is left out, with one line.
    let (mut server, addr) = setup.start(&["--cache", "50KiB"]);
    server.wait_until("a refusal", || (fetch(addr, &files[0], 0).status == 1).then_some(()));
    server.wait_line("why", |line| line.contains("holds no block").then_some(()));
}

#[test]
fn data_that_comes_is_given_in_place_of_the_origins() {
    let setup = Setup::new();
    let file = setup.add("one.bin", 300_000, 10_000);
    let (mut server, addr) = setup.start(&[]);
    fetch(addr, &file, 3).assert_block(&file, 3);
    let data = file.write_data(setup.dir());
    server.wait_line("that it is checked", |line| line.contains("all 30 blocks verified").then_some(()));
    let before = setup.server.asked().len();
    take_all(addr, &file);
    assert_eq!(setup.server.asked().len(), before);
    // And back.
    fs::remove_file(data).unwrap();
    server.wait_until("a block from there", || {
        (fetch(addr, &file, 29).status == 0 && setup.server.asked().len() > before).then_some(())
    });
}

#[test]
fn a_folder_comes_from_its_archive() {
    let scene = FolderScene::new("photos", "16KiB", tree::make);
    let (seeder, addr) = scene.seeding();
    let archive = scene.fetch(addr);
    drop(seeder);
    let setup = Setup::new();
    fs::copy(&scene.cascade, setup.dir().join("photos.cascade")).unwrap();
    // As a web server answers that has the folder, too, and tells what is in it.
    setup.server.put("/films/photos", Object::Bytes(b"a list of files".as_slice().into()));
    setup.server.put("/films/photos.tar", Object::Bytes(Arc::clone(&archive.data)));
    let (server, addr) = setup.start(&[]);
    let elsewhere = scene.elsewhere();
    elsewhere.download(addr).run().assert_success();
    tree::assert_same(&scene.source, &elsewhere.target);
    drop(server);
    assert_eq!(setup.asked("/films/photos"), 0);

    // `seed` finds it in the same way, and a file of such a length under its own name.
    let file = TestFile::random("file.bin", 20_480, 1024);
    let cascade = file.write_cascade(scene.dir());
    setup.server.put("/films/file.bin", Object::Bytes(Arc::clone(&file.data)));
    let url = format!("http://{}/films/", setup.server.addr());
    let seed = scene.seed().arg(cascade).args(["--origin", &url, "--data"]).arg(setup.dir());
    let mut seeder = seed.start();
    let addr: SocketAddr = seeder
        .wait_line("where it listens", |line| line.strip_prefix("peer: listening on ")?.trim().parse().ok());
    fetch(addr, &file, 19).assert_block(&file, 19);
    let hash = scene.hash();
    let response = ForeignClient::connect(addr).ask(&hash, 0).unwrap();
    assert!(response.status == 0 && response.body == archive.data[..16 << 10]);
}

#[test]
fn what_does_not_go_together_is_wrong_usage() {
    let setup = Setup::new();
    let outcome = setup.launch("https://example.org/films/").arg("--download").run();
    outcome.assert_code(2);
    assert!(
        outcome.stderr.contains("'--origin <URL>' cannot be used with '--download'"),
        "{}",
        outcome.stderr
    );
    let outcome = setup.launch("https://example.org/films").run();
    outcome.assert_code(2).assert_error_mentions(&["several files", "with / at the end"]);
    let outcome = setup.launch("https://example.org/films/").args(["--endpoint", "http://127.0.0.1:1"]).run();
    outcome.assert_code(2).assert_error_mentions(&["--endpoint"]);
}
