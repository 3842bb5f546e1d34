//! What viewers cost, with a thousand receivers of which each one changes all the time.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "the functions beside the #[test] one are tests, too"
)]

use cascade_web::model::{File, Member, Snapshot, Swarm, Totals};
use cascade_web::{Options, Server, Source};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const RECEIVERS: u64 = 1000;
const VIEWERS: usize = 10;
const TIME: Duration = Duration::from_secs(10);

/// Processor time that may be used, in a hundredth of a core.
const MOST: f64 = 2.0;

#[derive(Default)]
struct Busy(AtomicU64);

impl Source for Busy {
    fn totals(&self) -> Totals {
        let given = self.0.fetch_add(100_000_000, Ordering::Relaxed);
        Totals { received: 0, given }
    }

    fn snapshot(&self) -> Snapshot {
        let at = self.0.load(Ordering::Relaxed) / 10_000_000;
        let member = |number: u64| {
            let address = format!("10.0.{}.{}:8889", number / 250, number % 250);
            let member = Member {
                name: Some(format!("lab-{number}")),
                address: address.clone(),
                blocks_done: Some(at + number),
                presence: "here",
                bytes_per_second: Some(1_000_000 + at * number % 1000),
                bytes_received: Some(at * 1_048_576 + number),
                bytes_given: Some(at * 524_288 + number),
                program: Some("cascade 0.1.0".into()),
                ..Member::default()
            };
            (address, member)
        };
        let members = (0..RECEIVERS).map(member).collect();
        let swarm = Swarm { blocks: Some(100_000), incomplete: RECEIVERS, members, ..Swarm::default() };
        let file = File { file: "disk.img".into(), blocks: 100_000, blocks_done: 100_000, ..File::default() };
        let hash = "ab".repeat(32);
        Snapshot {
            program: "peer",
            version: "0.1.0",
            files: [(hash.clone(), file)].into(),
            swarms: [(hash, swarm)].into(),
            ..Snapshot::default()
        }
    }
}

/// Reads events until the end; returns their bytes.
fn view(page: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(page).unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (mut seen, mut buffer) = (0, vec![0; 1 << 20]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        seen += read;
    }
    seen
}

/// Processor time of the page's thread.
fn used() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
    let mut tasks =
        tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "web\n"));
    let stat = fs::read_to_string(tasks.next().unwrap().join("schedstat")).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

#[test]
#[ignore = "a measurement: cargo test --release -p cascade-web --test cost -- --ignored --nocapture"]
#[allow(clippy::print_stdout, reason = "a measurement")]
fn ten_viewers_of_a_thousand_receivers() {
    let address = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let bound = Server::bind(Options { address, ..Options::default() }).unwrap();
    let url = bound.url();
    let page: SocketAddr = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let server = bound.serve(Busy::default()).unwrap();
    let viewers: Vec<_> = (0..VIEWERS).map(|_| thread::spawn(move || view(page))).collect();
    thread::sleep(Duration::from_secs(1));
    let (before, begun) = (used(), Instant::now());
    thread::sleep(TIME);
    let share = 100.0 * (used() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    drop(server);
    let seen: usize = viewers.into_iter().map(|viewer| viewer.join().unwrap()).sum();
    println!(
        "{RECEIVERS} receivers, {VIEWERS} viewers: {share:.2} % of a core, {} MB sent",
        seen / 1_000_000
    );
    assert!(share <= MOST, "{share:.2} %");
}
