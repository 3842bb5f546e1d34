use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_client::fetch;
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::Launch;
use cascade_tests::process::{Process, Signal, has_open};
use cascade_tests::tree;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A folder that is served, and what goes with it.
pub(crate) struct ServedFolder {
    pub(crate) folder: TempDir,
    pub(crate) state: TempDir,
    pub(crate) tracker: ForeignTracker,
}

impl ServedFolder {
    pub(crate) fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Self { folder: folder(), state: folder(), tracker: ForeignTracker::listing(&[]) }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file there, with its `.cascade` file.
    pub(crate) fn put(&self, file: &TestFile) -> PathBuf {
        let _ = file.write_cascade(self.dir());
        file.write_data(self.dir())
    }

    pub(crate) fn launch(&self) -> Launch {
        let launch = Launch::peer("serve").env("XDG_STATE_HOME", self.state.path()).arg(self.dir());
        launch.args(["-l", "127.0.0.1:0", "-t"]).arg(self.tracker.addr.to_string())
    }

    pub(crate) fn start(&self) -> (Process, SocketAddr) {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, more: &[&str]) -> (Process, SocketAddr) {
        let mut process = self.launch().args(more).start();
        let addr = listening(&mut process);
        (process, addr)
    }
}

pub(crate) fn listening(process: &mut Process) -> SocketAddr {
    process.wait_line("where it listens", |line| {
        let text = line.split_once("listening on ").map(|(_, addr)| addr.trim());
        let json = || line.split_once("\"address\":\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0));
        text.or_else(json)?.parse().ok()
    })
}

pub(crate) fn file(name: &str) -> TestFile {
    TestFile::random(name, 300_000, 10_240)
}

/// Waits until the first block of the file is given.
pub(crate) fn wait_served(process: &mut Process, addr: SocketAddr, file: &TestFile) {
    process.wait_until("a block", || (fetch(addr, file, 0).status == 0).then_some(()));
    for block in [0, file.blocks() / 2, file.blocks() - 1] {
        fetch(addr, file, block).assert_block(file, block);
    }
}

fn wait_gone(process: &mut Process, addr: SocketAddr, file: &TestFile) {
    process.wait_until("the file to be gone", || (fetch(addr, file, 0).status == 1).then_some(()));
}

#[test]
fn what_comes_and_goes_is_served_and_not() {
    let (scene, one, two) = (ServedFolder::new(), file("one.bin"), file("two.bin"));
    let old = scene.put(&one);
    let (mut server, addr) = scene.start();
    wait_served(&mut server, addr, &one);
    server
        .wait_until("a registration", || scene.tracker.first_subscriber(&one.hash).filter(|at| *at == addr));

    fs::create_dir(scene.dir().join("films")).unwrap();
    let _ = two.write_data(&scene.dir().join("films"));
    let _ = two.write_cascade(&scene.dir().join("films"));
    wait_served(&mut server, addr, &two);
    server.wait_until("a registration", || scene.tracker.first_subscriber(&two.hash));

    assert!(has_open(server.pid(), &old.canonicalize().unwrap()));
    fs::remove_file(&old).unwrap();
    wait_gone(&mut server, addr, &one);
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().flatten();
    let open: Vec<_> = open.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    assert!(!open.iter().any(|path| path.to_string_lossy().contains("one.bin")), "its descriptor is let go");
    fetch(addr, &two, 3).assert_block(&two, 3);
    fs::remove_file(scene.dir().join("films/two.bin.cascade")).unwrap();
    wait_gone(&mut server, addr, &two);
    server.wait_line("that it is gone", |line| {
        line.contains("films/two.bin is not there any more").then_some(())
    });
    server.end_by(Signal::INT).assert_code(0);
}

#[test]
fn a_restart_hashes_nothing() {
    let (scene, file) = (ServedFolder::new(), file("film.bin"));
    let data = scene.put(&file);
    let (mut server, addr) = scene.start_with(&["--json"]);
    wait_served(&mut server, addr, &file);
    assert!(server.has_printed("\"how\":\"checked\""), "{}", server.log());
    drop(server.end_by(Signal::INT));
    let (mut server, addr) = scene.start_with(&["--json"]);
    fetch(addr, &file, 0).assert_block(&file, 0);
    server.wait_line("that it serves", |line| line.contains("\"event\":\"serving\"").then_some(()));
    assert!(
        server.has_printed("\"how\":\"known\"") && !server.has_printed("\"how\":\"checked\""),
        "{}",
        server.log()
    );
    drop(server.end_by(Signal::INT));

    // What was changed meanwhile is found out.
    fs::write(&data, file.data_with(|block| block == 5)).unwrap();
    let (mut server, addr) = scene.start();
    server.wait_until("a block", || (fetch(addr, &file, 4).status == 0).then_some(()));
    fetch(addr, &file, 5).assert_message(2);
}

#[test]
fn a_file_that_is_being_copied_is_left_alone_until_it_is_quiet() {
    use std::io::Write;
    let (scene, file) = (ServedFolder::new(), file("copied.bin"));
    let (mut server, addr) = scene.start_with(&["--json"]);
    let _ = file.write_cascade(scene.dir());
    let mut copy = fs::File::create(scene.dir().join(&file.name)).unwrap();
    for piece in file.data.chunks(file.data.len() / 8 + 1) {
        copy.write_all(piece).unwrap();
        // The habit itself: a slow copy.
        clock::pause(Duration::from_millis(700));
        assert_ne!(fetch(addr, &file, 0).status, 0, "it is not taken before it is quiet");
    }
    drop(copy);
    wait_served(&mut server, addr, &file);
    assert!(!server.has_printed("\"event\":\"error\""), "{}", server.log());
}

#[test]
fn a_bad_cascade_file_is_one_line_and_the_others_are_served() {
    let (scene, good, bad) = (ServedFolder::new(), file("good.bin"), file("bad.bin"));
    scene.put(&good);
    scene.put(&bad);
    fs::write(scene.dir().join("bad.bin.cascade"), &bad.cascade[..100]).unwrap();
    fs::write(scene.dir().join("lonely.cascade"), &file("lonely").cascade).unwrap();
    let (mut server, addr) = scene.start();
    wait_served(&mut server, addr, &good);
    server.wait_line("what is wrong", |line| line.contains("bad.bin.cascade").then_some(()));
    server.wait_line("what is missing", |line| line.contains("lonely").then_some(()));
    let count = |text: &str| server.log().matches(text).count();
    assert_eq!(count("bad.bin.cascade"), 1, "{}", server.log());
    // It is mended.
    let _ = bad.write_cascade(scene.dir());
    wait_served(&mut server, addr, &bad);
}

#[test]
fn of_two_cascade_files_of_the_same_hash_one_is_served_and_then_the_other() {
    let (scene, file) = (ServedFolder::new(), file("same.bin"));
    let first = scene.put(&file);
    fs::create_dir(scene.dir().join("copy")).unwrap();
    let _ = file.write_cascade(&scene.dir().join("copy"));
    let _ = file.write_data(&scene.dir().join("copy"));
    let (mut server, addr) = scene.start();
    wait_served(&mut server, addr, &file);
    server.wait_line("that there are two", |line| line.contains("describes the same file as").then_some(()));
    fs::remove_file(first).unwrap();
    fs::remove_file(scene.dir().join("same.bin.cascade")).unwrap();
    wait_served(&mut server, addr, &file);
}

#[test]
fn data_that_is_changed_while_it_is_served_is_checked_again() {
    let (scene, file) = (ServedFolder::new(), file("changed.bin"));
    let data = scene.put(&file);
    let (mut server, addr) = scene.start();
    wait_served(&mut server, addr, &file);
    fs::write(&data, file.data_with(|block| block == 3)).unwrap();
    fetch(addr, &file, 3).assert_message(2);
    server.wait_line("the change", |line| line.contains("changed.bin was changed").then_some(()));
    server.wait_until("the right blocks", || (fetch(addr, &file, 4).status == 0).then_some(()));
    fetch(addr, &file, 3).assert_message(2);
    fs::write(&data, &file.data).unwrap();
    server.wait_until("all blocks", || (fetch(addr, &file, 3).status == 0).then_some(()));
}

#[test]
fn links_lead_to_files_and_not_to_folders_full_of_them() {
    let (scene, elsewhere, file) = (ServedFolder::new(), tempfile::tempdir().unwrap(), file("linked.bin"));
    let data = file.write_data(elsewhere.path());
    symlink(data, scene.dir().join(&file.name)).unwrap();
    let cascade = file.write_cascade(elsewhere.path());
    symlink(cascade, scene.dir().join("linked.bin.cascade")).unwrap();
    let other = self::file("beyond.bin");
    let _ = (other.write_data(elsewhere.path()), other.write_cascade(elsewhere.path()));
    symlink(elsewhere.path(), scene.dir().join("more")).unwrap();
    let (mut server, addr) = scene.start();
    wait_served(&mut server, addr, &file);
    fetch(addr, &other, 0).assert_message(1);
}

#[test]
fn data_that_is_missing_is_told_by_its_name_also_where_that_is_not_utf_8() {
    let scene = ServedFolder::new();
    let cascade = file("data").write_cascade(scene.dir());
    fs::rename(cascade, scene.dir().join(OsStr::from_bytes(b"b\xffd.cascade"))).unwrap();
    let mut server = scene.launch().start();
    let told = |line: &str| line.contains("there is no ").then(|| line.to_owned());
    let told = server.wait_line("that there is no data", told);
    assert!(told.contains("/b\\xffd; put it there"), "{told}");
}

#[test]
fn a_shared_folder_is_served_as_its_archive() {
    let made = tree::FolderScene::new("photos", "64KiB", tree::make);
    let scene = ServedFolder { folder: tempfile::tempdir().unwrap(), ..ServedFolder::new() };
    let launch = Launch::peer("serve").env("XDG_STATE_HOME", scene.state.path()).arg(made.dir());
    let mut server = launch.args(["-l", "127.0.0.1:0", "-t"]).arg(made.tracker.addr.to_string()).start();
    let addr = listening(&mut server);
    server.wait_until("a registration", || made.tracker.first_subscriber(&made.hash()));
    let archive = made.fetch(addr);
    // A change deep inside is found when its bytes are asked for.
    fs::write(made.source.join("large"), b"another file").unwrap();
    server.wait_until("a refusal", || {
        (0..archive.blocks()).any(|block| fetch(addr, &archive, block).status != 0).then_some(())
    });
}

#[test]
fn a_folder_that_is_none_is_an_error() {
    let scene = ServedFolder::new();
    let nowhere = scene.dir().join("nowhere");
    let outcome = Launch::peer("serve").arg(&nowhere).run();
    outcome.assert_code(1);
    assert!(
        outcome.stderr.contains("cannot serve") && outcome.stderr.lines().count() == 1,
        "{}",
        outcome.stderr
    );
}
