use cascade_tests::address::{self, Reserved};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::extension::Item;
use cascade_tests::foreign_client::{ForeignClient, fetch};
use cascade_tests::foreign_tracker::{ForeignTracker, Manner};
use cascade_tests::http;
use cascade_tests::launch::Launch;
use cascade_tests::process::{Process, Signal, has_open};
use cascade_tests::scene::Scene;
use cascade_tests::tracker_client::{LIST, Request};
use cascade_tests::tree;
use std::fs;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// A folder that is served, and what goes with it.
struct Box {
    folder: TempDir,
    state: TempDir,
    tracker: ForeignTracker,
}

impl Box {
    fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Self { folder: folder(), state: folder(), tracker: ForeignTracker::listing(&[]) }
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file there, with its `.cascade` file.
    fn put(&self, file: &TestFile) -> PathBuf {
        let _ = file.write_cascade(self.dir());
        file.write_data(self.dir())
    }

    fn launch(&self) -> Launch {
        let launch = Launch::peer("serve").env("XDG_STATE_HOME", self.state.path()).arg(self.dir());
        launch.args(["-l", "127.0.0.1:0", "-t"]).arg(self.tracker.addr.to_string())
    }

    fn start(&self) -> (Process, SocketAddr) {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[&str]) -> (Process, SocketAddr) {
        let mut process = self.launch().args(more).start();
        let addr = listening(&mut process);
        (process, addr)
    }
}

fn listening(process: &mut Process) -> SocketAddr {
    process.wait_line("where it listens", |line| {
        let text = line.split_once("listening on ").map(|(_, addr)| addr.trim());
        let json = || line.split_once("\"address\":\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0));
        text.or_else(json)?.parse().ok()
    })
}

fn file(name: &str) -> TestFile {
    TestFile::random(name, 300_000, 10_240)
}

/// Waits until the first block of the file is given.
fn wait_served(process: &mut Process, addr: SocketAddr, file: &TestFile) {
    process.wait_until("a block", || (fetch(addr, file, 0).status == 0).then_some(()));
    for block in [0, 7, file.blocks() - 1] {
        fetch(addr, file, block).assert_block(file, block);
    }
}

fn wait_gone(process: &mut Process, addr: SocketAddr, file: &TestFile) {
    process.wait_until("the file to be gone", || (fetch(addr, file, 0).status == 1).then_some(()));
}

#[test]
fn what_comes_and_goes_is_served_and_not() {
    let (scene, one, two) = (Box::new(), file("one.bin"), file("two.bin"));
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
    let (scene, file) = (Box::new(), file("film.bin"));
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
    let (scene, file) = (Box::new(), file("copied.bin"));
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
    let (scene, good, bad) = (Box::new(), file("good.bin"), file("bad.bin"));
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
    let (scene, file) = (Box::new(), file("same.bin"));
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
    let (scene, file) = (Box::new(), file("changed.bin"));
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
    let (scene, elsewhere, file) = (Box::new(), tempfile::tempdir().unwrap(), file("linked.bin"));
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
fn a_shared_folder_is_served_as_its_archive() {
    let made = tree::FolderScene::new("photos", "64KiB", tree::make);
    let scene = Box { folder: tempfile::tempdir().unwrap(), ..Box::new() };
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
fn what_is_missing_is_downloaded_and_served_and_a_command_is_run() {
    let file = TestFile::random("it's $(a) \"film\".bin", 900_000, 10_240);
    let seeder = Scene::new(file.clone(), &[]);
    let (_seeder, at) = seeder.seeding();
    let scene = Box { tracker: ForeignTracker::listing(&[at]), ..Box::new() };
    let log = scene.state.path().join("ran");
    let command = format!(
        "echo \"got $CASCADE_FILE\"; echo oops >&2; printf '%s|%s|%s|%s' \"$CASCADE_FILE\" \"$CASCADE_HASH\" \
         \"$CASCADE_LENGTH\" \"$CASCADE_HOW\" >'{}'",
        log.display()
    );
    let mut server = scene.launch().args(["--download", "--exec", &command]).start();
    let addr = listening(&mut server);
    let _ = file.write_cascade(scene.dir());
    let data = scene.dir().join(&file.name);
    server.wait_line("its output", |line| line.contains("exec: got ").then_some(()));
    server.wait_line("its errors", |line| line.contains("exec: oops").then_some(()));
    file.assert_same(&data);
    let ran =
        server.wait_until("the command", || fs::read_to_string(&log).ok().filter(|ran| !ran.is_empty()));
    assert_eq!(ran, format!("{}|{}|900000|downloaded", data.display(), file.hex()));
    wait_served(&mut server, addr, &file);
    assert!(!has_open(server.pid(), &scene.dir().join("film.part")));
    drop(server.end_by(Signal::INT));

    // It is not new any more.
    fs::remove_file(&log).unwrap();
    let mut server = scene.launch().args(["--download", "--exec", &command]).start();
    let addr = listening(&mut server);
    wait_served(&mut server, addr, &file);
    assert!(!log.exists());
}

#[test]
fn a_file_of_the_users_is_not_replaced_by_a_download() {
    let files = ["notes", "edited", "cut"].map(file);
    let seeders = files.each_ref().map(|file| Scene::new(file.clone(), &[]));
    let seeding = seeders.each_ref().map(Scene::seeding);
    let peers: Vec<_> = seeding.iter().map(|(_, at)| *at).collect();
    let scene = Box { tracker: ForeignTracker::listing(&peers), ..Box::new() };
    let [notes, edited, cut] = &files;
    let own = [
        (notes, b"not what the .cascade file describes".to_vec()),
        (edited, edited.data_with(|block| block == 3)),
        (cut, cut.data[..cut.data.len() / 2].to_vec()),
    ];
    for (file, bytes) in &own {
        let _ = file.write_cascade(scene.dir());
        fs::write(scene.dir().join(&file.name), bytes).unwrap();
    }
    let (mut server, addr) = scene.start_with(&["--download"]);
    for file in [notes, edited] {
        let text = format!("{} has bytes that", scene.dir().join(&file.name).display());
        server.wait_line("that it is left alone", |line| line.contains(&text).then_some(()));
    }
    server.wait_until("what was cut", || {
        (fs::read(scene.dir().join(&cut.name)).ok()? == *cut.data).then_some(())
    });
    for (file, bytes) in &own[..2] {
        assert!(fs::read(scene.dir().join(&file.name)).unwrap() == *bytes, "{}", file.name);
    }
    // What of it is right is served.
    server.wait_until("a block", || (fetch(addr, edited, 0).status == 0).then_some(()));
    assert_ne!(fetch(addr, edited, 3).status, 0);
    // Its owner has moved it away.
    fs::rename(scene.dir().join(&notes.name), scene.dir().join("mine")).unwrap();
    server.wait_until("the download", || {
        (fs::read(scene.dir().join(&notes.name)).ok()? == *notes.data).then_some(())
    });
}

#[test]
fn a_command_that_fails_is_told_and_runs_once_for_each_new_file() {
    let scene = Box::new();
    let mut server = scene.launch().args(["--exec", "exit 3"]).start();
    let addr = listening(&mut server);
    let files = ["a", "b", "c"].map(file);
    files.iter().for_each(|file| drop(scene.put(file)));
    for file in &files {
        let text = format!("{}: the command of --exec has failed: exit status: 3", file.name);
        server.wait_line("the failure", |line| line.contains(&text).then_some(()));
    }
    wait_served(&mut server, addr, &files[0]);
    assert_eq!(server.log().matches("has failed").count(), 3, "{}", server.log());
}

#[test]
fn a_command_that_runs_for_ever_ends_with_the_peer() {
    let scene = Box::new();
    let pid = scene.state.path().join("pid");
    let command = format!("sleep 1000 & echo $! >'{}'; wait", pid.display());
    let mut server = scene.launch().args(["--exec", &command]).start();
    let _ = listening(&mut server);
    scene.put(&file("a"));
    let pid = server.wait_until("the command", || fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok());
    drop(server.end_by(Signal::TERM));
    clock::eventually("its end", || (!is_alive(pid)).then_some(()));
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn hundreds_of_files_take_few_descriptors() {
    let scene = Box::new();
    let files: Vec<_> =
        (0..600).map(|number| TestFile::random(&format!("{number:03}"), 20_000, 10_000)).collect();
    files.iter().for_each(|file| drop(scene.put(file)));
    let mut server = scene.launch().after_shell("ulimit -n 256").start();
    let addr = listening(&mut server);
    let mut clients: Vec<_> = (0..20).map(|_| ForeignClient::connect(addr)).collect();
    let mut most = 0;
    for (number, file) in files.iter().enumerate() {
        let client = &mut clients[number % 20];
        server.wait_until("the file", || {
            let status = client.ask(&file.hash, 0).map_or(1, |response| response.status);
            if status == 1 {
                *client = ForeignClient::connect(addr);
            }
            (status == 0).then_some(())
        });
        client.ask(&file.hash, 1).unwrap().assert_block(file, 1);
        most = most.max(server.descriptors());
    }
    assert!(most < 250, "{most} descriptors");
    server.wait_until("all registrations", || {
        files.iter().all(|file| scene.tracker.first_subscriber(&file.hash).is_some()).then_some(())
    });
    // Not all at once.
    let times: Vec<_> = scene.tracker.announces().iter().map(|announce| announce.at).collect();
    let took = times.iter().max().unwrap().duration_since(*times.iter().min().unwrap());
    assert!(took > Duration::from_secs(5), "600 files within {took:?}");
}

#[test]
fn the_page_counts_what_nobody_asks_for() {
    let (scene, one, two) = (Box::new(), file("one"), file("two"));
    scene.put(&one);
    scene.put(&two);
    let (mut server, addr) = scene.start_with(&["--web=127.0.0.1:0"]);
    let page = crate::web::page_at(&crate::web::page_url(&mut server));
    wait_served(&mut server, addr, &one);
    let state = server.wait_until("both", || {
        let state = http::get(page, "/api/v1/state").json();
        (state["files"].as_object()?.len() == 1 && state["left_out"]["files"] == 1).then_some(state)
    });
    assert_eq!(state["files"][&one.hex()]["file"], "one", "{state}");
}

#[test]
fn who_waits_for_news_hears_a_goodbye() {
    let scene = Box::new();
    let files = ["removed.bin", "left.bin"].map(file);
    let paths = files.each_ref().map(|file| scene.put(file));
    let (mut server, addr) = scene.start();
    let listener = Reserved::new();
    let mut clients = files.each_ref().map(|file| {
        wait_served(&mut server, addr, file);
        let mut client = ExtendedClient::connect(addr, file, listener.addr.port());
        client.ask(0).1.assert_block(file, 0);
        client
    });
    let goodbye = |client: &mut ExtendedClient, what: &str| {
        clock::eventually(what, || {
            let news = client.news_within(Duration::from_millis(200))?;
            news.iter().any(|item| matches!(item, Item::Goodbye)).then_some(())
        });
    };
    fs::remove_file(&paths[0]).unwrap();
    let [removed, left] = &mut clients;
    goodbye(removed, "the goodbye of a removed file");
    server.signal(Signal::INT);
    goodbye(left, "the goodbye at the end");
}

#[test]
fn a_tracker_that_is_away_is_told_later() {
    let (scene, file, port) = (Box::new(), file("late.bin"), Reserved::new());
    scene.put(&file);
    let launch = Launch::peer("serve").env("XDG_STATE_HOME", scene.state.path()).arg(scene.dir());
    let mut server = launch.args(["-l", "127.0.0.1:0", "-t"]).arg(port.addr.to_string()).start();
    let addr = listening(&mut server);
    server.wait_line("that it is away", |line| {
        line.contains("0 of 1 file registered; cannot reach it").then_some(())
    });
    let at = port.addr;
    drop(port);
    let tracker = ForeignTracker::start_at(Manner::Proper, at);
    let registered = server.wait_until("a registration", || tracker.first_subscriber(&file.hash));
    assert_eq!(registered, addr);
}

/// Passes connections on to a tracker, each after a pause while `slow`.
#[derive(Default)]
struct Relay {
    slow: AtomicBool,
    taken: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Relay {
    fn start(tracker: SocketAddr) -> (Arc<Self>, SocketAddr) {
        let (relay, listener) = (Arc::<Self>::default(), address::listener());
        let (shared, addr) = (Arc::clone(&relay), listener.local_addr().unwrap());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let relay = Arc::clone(&shared);
                thread::spawn(move || relay.pass(&client, tracker));
            }
        });
        (relay, addr)
    }

    fn pass(&self, client: &TcpStream, tracker: SocketAddr) {
        if self.slow.load(Ordering::SeqCst) {
            self.taken.fetch_add(1, Ordering::SeqCst);
            let open = 1 + self.open.fetch_add(1, Ordering::SeqCst);
            self.most.fetch_max(open, Ordering::SeqCst);
            clock::pause(Duration::from_millis(300));
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
        let Ok(server) = TcpStream::connect(tracker) else { return };
        let ends = [(client, &server), (&server, client)];
        thread::scope(|scope| {
            for (mut from, mut to) in ends {
                scope.spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        });
    }
}

#[test]
fn of_many_files_that_go_at_once_a_few_goodbyes_are_said_at_a_time() {
    const FILES: usize = 150;
    let scene = Box::new();
    let tracker = crate::tracker_setup::RunningTracker::open();
    let (relay, addr) = Relay::start(tracker.addr);
    let files: Vec<_> =
        (0..FILES).map(|number| TestFile::random(&format!("{number:03}"), 2_000, 1_000)).collect();
    let paths: Vec<_> = files.iter().map(|file| scene.put(file)).collect();
    let launch = Launch::peer("serve").env("XDG_STATE_HOME", scene.state.path()).arg(scene.dir());
    let mut server = launch.args(["-l", "127.0.0.1:0", "-t"]).arg(addr.to_string()).start();
    let listed =
        |file: &TestFile| Request::new(LIST, file.hash, [127, 0, 0, 9], 9).ask(tracker.addr).entries().len();
    server.wait_until("all registrations", || files.iter().all(|file| listed(file) == 1).then_some(()));
    relay.slow.store(true, Ordering::SeqCst);
    paths.iter().for_each(|path| fs::remove_file(path.with_added_extension("cascade")).unwrap());
    server.wait_until("all goodbyes", || (relay.taken.load(Ordering::SeqCst) >= FILES).then_some(()));
    let most = relay.most.load(Ordering::SeqCst);
    // As many questions may be under way.
    assert!(most <= 64, "{most} connections at the same time");
}

#[test]
fn a_folder_that_is_none_is_an_error() {
    let scene = Box::new();
    let nowhere = scene.dir().join("nowhere");
    let outcome = Launch::peer("serve").arg(&nowhere).run();
    outcome.assert_code(1);
    assert!(
        outcome.stderr.contains("cannot serve") && outcome.stderr.lines().count() == 1,
        "{}",
        outcome.stderr
    );
}
