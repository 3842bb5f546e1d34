use cascade_tests::address::connect_from;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::foreign_client::{ForeignClient, blocks_given, request};
use cascade_tests::foreign_peer::ForeignPeer;
use cascade_tests::full_speed;
use cascade_tests::launch::Launch;
use cascade_tests::outcome::Outcome;
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// What a limit may be missed by, in parts of a hundred.
const PERCENT: u64 = 5;

/// Times that a busy machine may be too slow.
const TRIES: usize = 4;

fn assert_within(what: &str, bytes: u64, wanted: u64, percent: u64) {
    let off = bytes.abs_diff(wanted) * 100;
    assert!(off <= wanted * percent, "{what}: {bytes} bytes instead of {wanted}");
}

/// Clients that read for as long as the guard lives, and what each has read.
struct Readers {
    read: Vec<AtomicU64>,
    over: AtomicBool,
}

impl Readers {
    fn new(count: usize) -> Self {
        Self { read: (0..count).map(|_| AtomicU64::new(0)).collect(), over: AtomicBool::new(false) }
    }

    /// Asks `addr` for the file again and again, as the client of this number on a host of its own.
    fn read(&self, number: usize, addr: SocketAddr, file: &TestFile) {
        let host = Ipv4Addr::new(127, 0, 0, 10 + u8::try_from(number).unwrap());
        let mut stream = connect_from(host, addr);
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let asked: Vec<u8> = (0..64).flat_map(|at| request(&file.hash, at % file.blocks())).collect();
        stream.write_all(&asked).unwrap();
        let mut piece = vec![0; 64 << 10];
        while !self.over.load(Ordering::Relaxed) {
            if let Ok(bytes) = stream.read(&mut piece) {
                assert!(bytes > 0, "the connection was closed");
                self.read[number].fetch_add(bytes as u64, Ordering::Relaxed);
            }
        }
    }

    fn now(&self) -> (Instant, Vec<u64>) {
        (clock::now(), self.read.iter().map(|read| read.load(Ordering::Relaxed)).collect())
    }

    /// What each reads in ten seconds.
    fn in_ten_seconds(&self) -> Vec<u64> {
        let (start, before) = self.now();
        clock::pause(TEN_SECONDS);
        let (end, after) = self.now();
        let scale = |bytes: u64| bytes * 10_000 / u64::try_from((end - start).as_millis()).unwrap();
        after.iter().zip(&before).map(|(after, before)| scale(after - before)).collect()
    }
}

/// Four clients that know only version 1 ask a limited seeder for everything; what each gets in ten seconds.
fn four_readers(
    file: &TestFile,
    limit: &str,
    meanwhile: impl FnOnce(SocketAddr, &TestFile) + Send,
) -> Vec<u64> {
    let scene = Scene::new(file.clone(), &[]);
    let _ = scene.file.write_data(scene.folder());
    // Version 1 readers, and a question for news among them.
    let mut seeder = scene.seed().env("CASCADE_EXTENSION", "on").args(["--max-up", limit]).start();
    let addr = scene.listening(&mut seeder);
    let readers = Readers::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let (readers, file) = (&readers, &scene.file);
            scope.spawn(move || readers.read(number, addr, file));
        }
        clock::eventually("everybody reads", || readers.now().1.iter().all(|read| *read > 0).then_some(()));
        scope.spawn(|| meanwhile(addr, &scene.file));
        let read = readers.in_ten_seconds();
        readers.over.store(true, Ordering::Relaxed);
        read
    })
}

/// Fails unless what four readers get is the limit, and each gets its share. A busy machine may make them slower, but
/// never faster.
fn assert_shared(limit: u64, readers: impl Fn() -> Vec<u64>) {
    let mut slow = Vec::new();
    while slow.len() < TRIES {
        let read = readers();
        let all: u64 = read.iter().sum();
        assert!(all * 100 <= limit * 10 * (100 + PERCENT), "{all} bytes are more than the limit allows");
        if all * 100 < limit * 10 * (100 - PERCENT) {
            slow.push(all);
            continue;
        }
        for one in read {
            assert_within("one of four", one, limit * 10 / 4, 20);
        }
        return;
    }
    panic!("{slow:?} bytes instead of {}", limit * 10);
}

#[test]
fn what_goes_up_is_exact_and_shared_by_all_clients() {
    let file = TestFile::random("up.bin", 40_000_000, 1 << 20);
    assert_shared(2 << 20, || four_readers(&file, "2MiB/s", |_, _| {}));
}

#[test]
fn a_low_limit_on_large_blocks_is_exact_and_keeps_small_answers_moving() {
    let file = TestFile::random("large.bin", 40_000_000, 16 << 20);
    let small_answers = |addr: SocketAddr, file: &TestFile| {
        // Not one of ten waits for the rest of a block, which takes minutes.
        for _ in 0..10 {
            let start = clock::now();
            let refusal = ForeignClient::connect(addr).ask(&file.hash, 99).unwrap();
            refusal.assert_message(3);
            assert!(
                full_speed::since(start) < Duration::from_secs(1),
                "a refusal took {:?}",
                start.elapsed()
            );
        }
        let start = clock::now();
        let _ = ExtendedClient::connect(addr, file, 0).ask_news();
        assert!(full_speed::since(start) < Duration::from_secs(1), "news took {:?}", start.elapsed());
    };
    assert_shared(64 << 10, || four_readers(&file, "64KiB/s", small_answers));
}

/// How a limited download went.
struct Done {
    seconds: f64,
    duplicate: u64,
}

fn done(outcome: &Outcome) -> Done {
    let lines = outcome.assert_success().json_lines();
    let done =
        lines.iter().find(|line| line["event"] == "done").unwrap_or_else(|| panic!("{}", outcome.both()));
    let (seconds, duplicate) = (done["seconds"].as_f64(), done["bytes_duplicate"].as_u64());
    Done { seconds: seconds.unwrap(), duplicate: duplicate.unwrap() }
}

/// Downloads a file from `peers` with these arguments, to where no disk is waited for.
fn download(file: &TestFile, peers: &[SocketAddr], args: &[&str]) -> Done {
    let scene = Scene::new(file.clone(), peers);
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let outcome = scene.download().args(args).arg("--json").arg("--output").arg(folder.path()).run();
    file.assert_same(&folder.path().join(&file.name));
    done(&outcome)
}

/// Fails unless a download takes ten seconds, within the limits of exactness, and brings nothing twice. A busy
/// machine may make one slower, but never faster.
fn assert_ten_seconds(download: impl Fn() -> Done) {
    let mut slow = Vec::new();
    while slow.len() < TRIES {
        let Done { seconds, duplicate } = download();
        assert_eq!(duplicate, 0, "bytes came twice");
        assert!(seconds > 9.5, "{seconds} seconds are less than the limit allows");
        if seconds < 10.5 {
            return;
        }
        slow.push(seconds);
    }
    panic!("{slow:?} seconds");
}

/// A file that takes ten seconds within the limit, from this number of foreign peers.
fn ten_seconds_down(file: &TestFile, peers: usize, limit: &str) {
    let foreign: Vec<ForeignPeer> = (0..peers).map(|_| ForeignPeer::honest(file)).collect();
    let addrs: Vec<SocketAddr> = foreign.iter().map(|peer| peer.addr).collect();
    assert_ten_seconds(|| download(file, &addrs, &["--max-down", limit]));
}

#[test]
fn what_comes_down_is_exact() {
    let file = TestFile::random("down.bin", 20 << 20, 256 << 10);
    ten_seconds_down(&file, 4, "2MiB/s");
}

#[test]
fn a_low_limit_shared_by_ten_peers_brings_every_block_once() {
    let file = TestFile::random("slow.bin", 640 << 10, 64 << 10);
    ten_seconds_down(&file, 10, "64KiB/s");
}

#[test]
fn what_is_sent_before_it_is_read_is_bounded() {
    // A peer that is never read from any more has sent what the system's buffer takes, and that is little.
    let file = TestFile::random("window.bin", 16 << 20, 16 << 20);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene::new(file, &[listener.local_addr().unwrap()]);
    let mut download: Process = scene.download().args(["--max-down", "64KiB/s"]).start();
    let (mut stream, _) = listener.accept().unwrap();
    let sent = send_for(&mut stream, &scene.file, TEN_SECONDS);
    download.assert_running();
    assert!(sent <= 64 * 1024 * 21 / 2 + (128 << 10), "{sent} bytes were taken in ten seconds");
}

/// Bytes that the other side's system takes of an answer in this time, or ours keeps for it.
fn send_for(stream: &mut TcpStream, file: &TestFile, time: Duration) -> u64 {
    let mut asked = [0; 64];
    stream.read_exact(&mut asked).unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&*stream, 8 << 10).unwrap();
    stream.set_nonblocking(true).unwrap();
    let block = file.block(0).unwrap();
    let answer = [[0].as_slice(), &(block.len() as u64).to_be_bytes(), block].concat();
    let (start, mut sent) = (clock::now(), 0);
    while start.elapsed() < time {
        match stream.write(&answer[sent..]) {
            Ok(bytes) => sent += bytes,
            Err(_) => clock::breathe(),
        }
    }
    sent as u64
}

#[test]
fn whatever_way_blocks_go_to_the_socket_they_are_right_within_a_limit() {
    for (length, block_size) in [(600_000, 10_240), (600_000, 150_000), (60_000, 500)] {
        for paranoid in [false, true] {
            let file = TestFile::random("pieces.bin", length, block_size);
            let scene = Scene::new(file, &[]);
            let _ = scene.file.write_data(scene.folder());
            let paranoid: &[&str] = if paranoid { &["--paranoid"] } else { &[] };
            let mut seeder = scene.seed().args(["--max-up", "400KiB/s"]).args(paranoid).start();
            let addr = scene.listening(&mut seeder);
            let given = blocks_given(addr, &scene.file);
            assert_eq!(given.len() as u64, scene.file.blocks());
        }
    }
}

#[test]
fn our_own_peers_keep_the_lower_of_two_limits() {
    let file = TestFile::random("both.bin", 10 << 20, 128 << 10);
    let seeding = Scene::new(file.clone(), &[]);
    let _ = file.write_data(seeding.folder());
    let mut seeder = seeding.seed().args(["--max-up", "1MiB/s"]).start();
    let addr = seeding.listening(&mut seeder);
    let limits = ["--max-down", "40Mbit/s", "--max-up", "8Mbit/s"];
    assert_ten_seconds(|| download(&file, &[addr], &limits));
}

#[test]
fn wrong_limits_are_told_in_a_line() {
    for (option, wrong, says) in [
        ("--max-down", "10", "the unit is missing"),
        ("--max-down", "10MiB", "write MiB/s"),
        ("--max-up", "10Mb/s", "write Mbit/s or MB/s"),
        ("--max-up", "fast", "is no number"),
        ("--max-up", "0MiB/s", "less than 1 KiB/s"),
    ] {
        for subcommand in ["download", "seed", "share"] {
            let outcome = Launch::peer(subcommand).args(["x.cascade", option, wrong]).run();
            outcome.assert_code(2);
            assert!(outcome.stderr.contains(says), "{option} {wrong}: {}", outcome.stderr);
        }
    }
}
