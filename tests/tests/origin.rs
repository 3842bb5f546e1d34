use crate::swarm::any;
use crate::tracker_setup::RunningTracker;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_client::{ForeignClient, fetch};
use cascade_tests::launch::Launch;
use cascade_tests::node::Node;
use cascade_tests::object_server::{Habit, Object, ObjectServer};
use cascade_tests::process::{Process, Signal};
use cascade_tests::scene::Scene;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The most that an origin gives to a swarm, in copies of the file.
const MOST_COPIES: f64 = 1.1;

fn file() -> TestFile {
    TestFile::random("origin.bin", 3_000_000, 10_000)
}

struct Setup {
    scene: Scene,
    server: ObjectServer,
}

impl Setup {
    fn new(file: TestFile) -> Self {
        let server = ObjectServer::start(Arc::clone(&file.data));
        Self { scene: Scene::new(file, &[]), server }
    }

    fn seed(&self) -> Launch {
        self.scene.seed().args(["--origin", &self.server.url()])
    }

    fn seeding(&self, args: &[&str]) -> (Process, SocketAddr) {
        let mut seeder = self.seed().args(args).start();
        let addr = listening(&mut seeder);
        (seeder, addr)
    }

    fn copies(&self) -> f64 {
        self.server.sent() as f64 / self.scene.file.data.len() as f64
    }

    /// Asks for every block, over one connection.
    fn take_all(&self, addr: SocketAddr) {
        let mut client = ForeignClient::connect(addr);
        for block in 0..self.scene.file.blocks() {
            client.ask(&self.scene.file.hash, block).unwrap().assert_block(&self.scene.file, block);
        }
    }
}

#[test]
fn what_is_asked_for_is_fetched_once_verified_and_kept() {
    let setup = Setup::new(file());
    let (mut seeder, addr) = setup.seeding(&[]);
    assert!(setup.server.sent() <= 1, "nothing is fetched before somebody asks");
    fetch(addr, &setup.scene.file, 250).assert_block(&setup.scene.file, 250);
    setup.take_all(addr);
    setup.take_all(addr);
    assert!(setup.copies() <= 1.001, "{} copies", setup.copies());
    assert!(setup.server.asked().len() < 20, "neighbours are fetched together: {:?}", setup.server.asked());
    seeder.assert_running();
    // What came is kept for the next start, which needs nothing more.
    seeder.end_by(Signal::TERM).assert_success();
    let before = setup.server.sent();
    let (seeder, addr) = setup.seeding(&[]);
    assert!(seeder.has_printed("300 of 300 blocks here"), "{}", seeder.log());
    setup.take_all(addr);
    assert!(setup.server.sent() <= before + 1);
}

#[test]
fn two_clients_that_ask_for_one_block_cost_one_fetch() {
    let setup = Setup::new(TestFile::random("two.bin", 1_000_000, 1_000_000));
    setup.server.behave(Habit::Slow(100_000, Duration::from_millis(30)));
    let (_seeder, addr) = setup.seeding(&[]);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let file = setup.scene.file.clone();
            std::thread::spawn(move || fetch(addr, &file, 0).assert_block(&file, 0))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(setup.copies() <= 1.001, "{} copies", setup.copies());
}

/// Waits until `seeder` serves, and returns where.
fn listening(seeder: &mut Process) -> SocketAddr {
    seeder.wait_line("where it listens", |line| line.strip_prefix("peer: listening on ")?.trim().parse().ok())
}

/// Asks for a block that does not come: the seeder refuses, or ends before.
fn ask_in_vain(addr: SocketAddr, file: &TestFile, block: u64) {
    if let Ok(response) = ForeignClient::connect(addr).ask(&file.hash, block) {
        response.assert_message(2);
    }
}

/// A tracker, a seeder with this origin, and receivers that are all of our kind.
fn swarm(file: &TestFile, server: &ObjectServer, receivers: usize, args: &[&str]) -> (Process, Node) {
    let tracker =
        RunningTracker::with_args(Launch::tracker().args(["-l", "127.0.0.1:0", "--allow", &file.hex()]));
    let origin = Node::new(file);
    let seed = origin.launch("seed", tracker.addr, any()).args(["--origin", &server.url()]).args(args);
    let mut seeder = seed.start();
    crate::swarm::registered(&tracker, file, 1, &mut seeder);
    let nodes: Vec<_> = (0..receivers).map(|_| Node::new(file)).collect();
    let downloads: Vec<_> =
        nodes.iter().map(|node| node.launch("download", tracker.addr, any()).arg("--seed").start()).collect();
    for (mut download, node) in downloads.into_iter().zip(&nodes) {
        download.wait_until("a complete file", || node.target(file).exists().then_some(()));
        file.assert_same(&node.target(file));
    }
    (seeder, origin)
}

#[test]
fn sixteen_receivers_cost_one_copy() {
    for (length, block) in [(24 << 20, 64 << 10), (4 << 20, 1 << 10)] {
        let file = TestFile::random("swarm.bin", length, block);
        let server = ObjectServer::start(Arc::clone(&file.data));
        let (mut seeder, _origin) = swarm(&file, &server, 16, &[]);
        let copies = server.sent() as f64 / file.data.len() as f64;
        assert!(copies <= MOST_COPIES, "{copies} copies in blocks of {block}: {}", seeder.log());
        assert!(server.most_under_way() <= 8, "{} requests at a time", server.most_under_way());
        seeder.assert_running();
    }
}

#[test]
fn no_more_is_kept_than_may_be() {
    let bound = 1 << 20;
    let file = TestFile::random("bounded.bin", 16 << 20, 64 << 10);
    let server = ObjectServer::start(Arc::clone(&file.data));
    let tracker =
        RunningTracker::with_args(Launch::tracker().args(["-l", "127.0.0.1:0", "--allow", &file.hex()]));
    let origin = Node::new(&file);
    let seed = origin.launch("seed", tracker.addr, any());
    let mut seeder = seed.args(["--origin", &server.url(), "--cache", "1MiB"]).start();
    crate::swarm::registered(&tracker, &file, 1, &mut seeder);
    let kept = origin.target(&file).with_extension("bin.cache");
    let nodes: Vec<_> = (0..3).map(|_| Node::new(&file)).collect();
    let mut downloads: Vec<_> =
        nodes.iter().map(|node| node.launch("download", tracker.addr, any()).arg("--seed").start()).collect();
    let mut most = 0;
    for (download, node) in downloads.iter_mut().zip(&nodes) {
        download.wait_until("a complete file", || {
            most = most.max(allocated(&kept));
            node.target(&file).exists().then_some(())
        });
        file.assert_same(&node.target(&file));
    }
    assert!(most > 0 && most <= bound, "{most} bytes are kept");
    let copies = server.sent() as f64 / file.data.len() as f64;
    assert!(copies < 2.0, "{copies} copies: {}", seeder.log());
    // What is left is there after a restart, and no part file was made that might be somebody's.
    seeder.end_by(Signal::TERM).assert_success();
    assert!(allocated(&kept) > 0 && !origin.target(&file).with_extension("bin.part").exists());
    let again = origin.launch("seed", tracker.addr, any());
    let mut again = again.args(["--origin", &server.url(), "--cache", "1MiB"]).start();
    again.wait_line("what is here", |line| line.contains("of 256 blocks here").then_some(()));
    assert!(!again.has_printed(", 0 of 256"), "{}", again.log());
}

fn allocated(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |there| there.blocks() * 512)
}

#[test]
fn a_cache_that_holds_no_block_is_refused() {
    let setup = Setup::new(TestFile::random("large.bin", 3_000_000, 1_000_000));
    let outcome = setup.seed().args(["--cache", "500KiB"]).run();
    outcome
        .assert_code(1)
        .assert_one_line_error(&["--cache 500 KiB holds no block", "give at least 980 KiB (1003520 bytes)"]);
}

#[test]
fn wrong_blocks_are_never_served_and_in_the_end_the_origin_is_given_up() {
    let setup = Setup::new(TestFile::random("wrong.bin", 100_000, 10_000));
    setup.server.behave(Habit::Spoils(35_000..35_001));
    let (mut seeder, addr) = setup.seeding(&[]);
    for block in [0, 1, 2, 4, 9] {
        fetch(addr, &setup.scene.file, block).assert_block(&setup.scene.file, block);
    }
    fetch(addr, &setup.scene.file, 3).assert_message(2);
    seeder.wait_line("a wrong block", |line| {
        line.contains("block 3 came wrong, and is not served").then_some(())
    });
    // It is right at last.
    setup.server.behave(Habit::Honest);
    clock::eventually("block 3", || {
        let response = fetch(addr, &setup.scene.file, 3);
        (response.status == 0).then(|| response.assert_block(&setup.scene.file, 3))
    });
    seeder.assert_running();
}

#[test]
fn an_origin_with_another_file_of_the_same_length_is_given_up() {
    let setup = Setup::new(file());
    setup.server.behave(Habit::Spoils(0..3_000_000));
    let (seeder, addr) = setup.seeding(&[]);
    ask_in_vain(addr, &setup.scene.file, 0);
    let outcome = seeder.wait_exit();
    outcome.assert_code(1).assert_error_mentions(&[
        "gives wrong blocks",
        "origin.bin.cascade",
        "name another origin",
    ]);
}

#[test]
fn an_origin_that_cannot_be_used_is_an_error_at_the_start() {
    let setup = Setup::new(file());
    let (host, loop_url) = (setup.server.addr(), setup.server.url());
    for (habit, parts) in [
        (Habit::Status(404), ["status 404: there is no such object", "check the address"]),
        (Habit::Status(403), ["status 403: access is denied", "check the address"]),
        (Habit::Whole, ["does not give parts of a file", "seed it without --origin"]),
        (Habit::Longer, ["has 3000001 bytes", "a file of 3000000; name the right object"]),
        (Habit::Redirects(loop_url), ["redirect", "check the address"]),
        (Habit::Redirects(format!("http://{host}/elsewhere")), ["redirect", "check the address"]),
    ] {
        setup.server.behave(habit.clone());
        let outcome = setup.seed().run();
        outcome.assert_code(1).assert_one_line_error(&parts);
    }
}

#[test]
fn a_redirection_is_followed() {
    let setup = Setup::new(file());
    let other = ObjectServer::start(Arc::clone(&setup.scene.file.data));
    setup.server.behave(Habit::Redirects(other.url()));
    let (_seeder, addr) = setup.seeding(&[]);
    fetch(addr, &setup.scene.file, 7).assert_block(&setup.scene.file, 7);
    assert!(other.sent() > 1);
}

#[test]
fn connections_that_are_cut_go_on_where_they_were() {
    let setup = Setup::new(TestFile::random("cut.bin", 3_000_000, 1_000_000));
    let (_seeder, addr) = setup.seeding(&[]);
    setup.server.behave(Habit::Cuts(700_000));
    setup.take_all(addr);
    assert!(setup.copies() <= 1.001, "{} copies", setup.copies());
    assert!(setup.server.asked().len() >= 5);
}

#[test]
fn a_silent_origin_costs_a_client_ten_seconds_and_a_polite_refusal() {
    let setup = Setup::new(file());
    let (mut seeder, addr) = setup.seeding(&[]);
    setup.server.behave(Habit::Silent);
    let (mut client, start) = (ForeignClient::connect(addr), clock::now());
    client.ask(&setup.scene.file.hash, 5).unwrap().assert_message(2);
    let waited = start.elapsed();
    assert!((8..25).contains(&waited.as_secs()), "{waited:?}");
    // The connection stays, and the block is given when the origin is well again.
    setup.server.behave(Habit::Honest);
    clock::eventually("the block", || {
        let response = client.ask(&setup.scene.file.hash, 5).unwrap();
        (response.status == 0).then(|| response.assert_block(&setup.scene.file, 5))
    });
    seeder.assert_running();
}

#[test]
fn an_origin_that_is_overloaded_is_told_once_and_asked_again() {
    let setup = Setup::new(file());
    let (mut seeder, addr) = setup.seeding(&[]);
    setup.server.behave(Habit::Status(503));
    let file = setup.scene.file.clone();
    let client = std::thread::spawn(move || fetch(addr, &file, 1));
    seeder.wait_line("a line", |line| line.contains("status 503; trying again").then_some(()));
    setup.server.behave(Habit::Honest);
    client.join().unwrap().assert_block(&setup.scene.file, 1);
    seeder.wait_line("a line", |line| line.contains("goes on").then_some(()));
}

#[test]
fn an_object_that_is_replaced_is_an_error() {
    let setup = Setup::new(TestFile::random("replaced.bin", 20 << 20, 64 << 10));
    let (seeder, addr) = setup.seeding(&[]);
    fetch(addr, &setup.scene.file, 0).assert_block(&setup.scene.file, 0);
    setup.server.replace(vec![7; 20 << 20].into());
    ask_in_vain(addr, &setup.scene.file, setup.scene.file.blocks() - 1);
    seeder
        .wait_exit()
        .assert_code(1)
        .assert_error_mentions(&["was changed meanwhile", "make a new .cascade file"]);
}

#[test]
fn what_is_here_already_is_not_fetched() {
    let setup = Setup::new(file());
    fs::write(setup.scene.part(), setup.scene.file.data_with(|block| block >= 250)).unwrap();
    let (seeder, addr) = setup.seeding(&[]);
    assert!(seeder.has_printed("250 of 300 blocks here"), "{}", seeder.log());
    setup.take_all(addr);
    assert!(setup.copies() <= 0.17, "{} copies", setup.copies());
    drop(seeder);
    // Of a complete file nothing is asked.
    fs::remove_file(setup.scene.part()).unwrap();
    let _ = setup.scene.file.write_data(setup.scene.folder());
    let before = setup.server.asked().len();
    let (_seeder, addr) = setup.seeding(&[]);
    setup.take_all(addr);
    assert_eq!(setup.server.asked().len(), before);
}

#[test]
fn a_bucket_is_asked_with_a_signature_and_no_secret_is_printed() {
    let setup = Setup::new(file());
    let endpoint = format!("http://{}", setup.server.addr());
    let seed = setup.scene.seed().args(["--origin", "s3://films/a b/origin.bin", "--endpoint", &endpoint]);
    let seed = seed.env("AWS_ACCESS_KEY_ID", "KNOWN").env("AWS_SECRET_ACCESS_KEY", "SECRET");
    let mut seeder = seed.env("AWS_REGION", "eu-central-1").start();
    let addr = listening(&mut seeder);
    fetch(addr, &setup.scene.file, 3).assert_block(&setup.scene.file, 3);
    let asked = setup.server.asked();
    for asked in &asked {
        assert_eq!(asked.path, "/films/a%20b/origin.bin");
        let authorization = asked.authorization.as_deref().unwrap_or_default();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=KNOWN/"), "{authorization}");
        assert!(
            authorization.contains("/eu-central-1/s3/aws4_request") && authorization.contains("Signature=")
        );
    }
    assert!(asked.len() >= 2 && !seeder.has_printed("SECRET"), "{}", seeder.log());
    drop(seeder);
    // The environment names the server, too.
    let seed =
        setup.scene.seed().args(["--origin", "s3://films/origin.bin"]).env("AWS_ENDPOINT_URL", &endpoint);
    let seed = seed.env("AWS_ACCESS_KEY_ID", "KNOWN").env("AWS_SECRET_ACCESS_KEY", "SECRET");
    setup.server.behave(Habit::Status(403));
    let outcome = seed.run();
    outcome.assert_code(1).assert_one_line_error(&["s3://films/origin.bin", "access is denied", "check"]);
    assert!(!outcome.stderr.contains("SECRET"), "{}", outcome.stderr);
}

#[test]
fn the_secret_of_a_signed_address_is_not_printed() {
    let setup = Setup::new(file());
    let url = format!("{}?X-Amz-Signature=SECRET", setup.server.url());
    let mut seeder = setup.scene.seed().args(["--origin", &url]).start();
    let addr = listening(&mut seeder);
    fetch(addr, &setup.scene.file, 3).assert_block(&setup.scene.file, 3);
    assert!(setup.server.asked().iter().all(|asked| asked.path == "/object?X-Amz-Signature=SECRET"));
    assert!(!seeder.has_printed("SECRET"), "{}", seeder.log());
    drop(seeder);
    for wrong in [
        "https://me:SECRET@example.org/f",
        "https://example.org/a b?SECRET",
        "SECRET",
        "https://example.org:99999/f?SECRET",
        "http://[::1/f?SECRET",
        "http://example.org/{foo}?SECRET",
    ] {
        let outcome = setup.scene.seed().args(["--origin", wrong]).run();
        outcome.assert_code(2).assert_error_mentions(&["--origin"]);
        assert!(!outcome.stdout.contains("listening"), "{}", outcome.stdout);
        assert!(!outcome.stderr.contains("SECRET"), "{}", outcome.stderr);
    }
}

#[test]
fn several_files_come_from_a_folder_of_objects() {
    let setup = Setup::new(file());
    let other = TestFile::random("another one.bin", 3_000_000, 20_000);
    let cascade = other.write_cascade(setup.scene.folder());
    let folder = format!("http://{}/films/", setup.server.addr());
    let outcome = setup.seed().arg(&cascade).run();
    outcome.assert_code(2).assert_error_mentions(&["several files", "with / at the end"]);
    let mut seeder = setup.scene.seed().arg(&cascade).args(["--origin", &folder]).start();
    let addr = listening(&mut seeder);
    fetch(addr, &setup.scene.file, 3).assert_block(&setup.scene.file, 3);
    // The server has the same bytes there, which are not those of the other file.
    fetch(addr, &other, 3).assert_message(2);
    let paths: Vec<_> = setup.server.asked().into_iter().map(|asked| asked.path).collect();
    assert!(paths.contains(&"/films/origin.bin".to_owned()), "{paths:?}");
    assert!(paths.contains(&"/films/another%20one.bin".to_owned()), "{paths:?}");
}

#[test]
fn what_comes_from_an_origin_is_limited_like_all_that_is_received() {
    let length = 3 << 20;
    let setup = Setup::new(TestFile::random("limited.bin", length, 64 << 10));
    let (_seeder, addr) = setup.seeding(&["--max-down", "1MiB/s"]);
    let start = clock::now();
    setup.take_all(addr);
    // What nobody has used before may be: a fifth of a second's worth.
    assert!(start.elapsed() >= Duration::from_millis(2700), "{:?}", start.elapsed());
    assert!(setup.copies() <= 1.001, "{} copies", setup.copies());
}

#[test]
fn a_large_block_takes_little_memory() {
    let (block, length) = (96 << 20, (96 << 20) + 1000);
    let server = ObjectServer::start_over(Some(Object::Zeroes(length)), |stream| Some(Box::new(stream)));
    let file = TestFile::of("zeroes.bin", vec![0; length], block);
    let scene = Scene::new(file, &[]);
    let seed = || scene.seed().args(["--origin", &server.url()]);
    seed()
        .args(["--cache", "95MiB"])
        .run()
        .assert_code(1)
        .assert_one_line_error(&["holds no block", "give at least"]);
    let mut seeder = seed().args(["--cache", "97MiB"]).start();
    let addr = listening(&mut seeder);
    for number in [0, 1] {
        seeder.wait_until("a block", || {
            let response = fetch(addr, &scene.file, number);
            (response.status == 0).then(|| response.assert_block(&scene.file, number))
        });
    }
    assert!(seeder.peak_memory() < 48 << 20, "{} bytes of memory", seeder.peak_memory());
}
