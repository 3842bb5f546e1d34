//! What a process costs that waits for others.

use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock::pause;
use cascade_tests::scene::Scene;
use std::fs;
use std::time::Duration;

/// For how long a process is watched: its longest pauses are of five seconds.
const WATCHED: Duration = Duration::from_secs(10);

/// Wake-ups a second that a process without anything to do may have.
const MOST: u64 = 1;

/// How often a process has gone to sleep and was woken, over all of its threads.
fn wakeups(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_thread = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim();
        line.parse::<u64>().ok()
    };
    threads.filter_map(|thread| of_thread(fs::read_to_string(thread.path().join("status")).ok()?)).sum()
}

fn assert_rests(what: &str, pid: u32) {
    // What came with the start is over.
    pause(Duration::from_secs(1));
    let before = wakeups(pid);
    assert!(before > 0, "{what}: nothing is counted");
    pause(WATCHED);
    let woken = wakeups(pid).saturating_sub(before);
    assert!(woken <= MOST * WATCHED.as_secs(), "{what} woke up {woken} times in {WATCHED:?}");
}

#[test]
fn a_download_without_peers_sleeps() {
    let scene = Scene::new(TestFile::random("awaited.bin", 100_000, 1_000), &[]);
    let mut process = scene.download().start();
    let _ = scene.listening(&mut process);
    assert_rests("a download without peers", process.pid());
}

#[test]
fn a_seeder_without_clients_sleeps() {
    let scene = Scene::new(TestFile::random("offered.bin", 100_000, 1_000), &[]);
    let (process, _) = scene.seeding();
    assert_rests("a seeder without clients", process.pid());
}
