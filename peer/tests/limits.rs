//! Limits on speed, by the library's front.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use cascade_peer::{Download, Event, MetafileOnDisk, Options, Peer, Rate, Seed};
use cascade_tests::{clock, full_speed};
use std::time::Duration;
use support::{describe, options};

const BLOCK_SIZE: u64 = 32 << 10;

/// Bytes that take two seconds at the limit.
const RATE: u64 = 512 << 10;
const LENGTH: u64 = 1 << 20;

/// How long a download takes from a seeder within these limits, and how long that is at full speed.
async fn takes(up: Option<Rate>, down: Option<Rate>) -> (Duration, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let (data, cascade) = describe(folder.path(), LENGTH, BLOCK_SIZE);
    let seeder = Peer::start(Options { max_up: up, ..options(folder.path()) }).unwrap();
    let mut seeding = seeder.seed(Seed::new(MetafileOnDisk::open(&cascade).unwrap(), &data));
    while !matches!(seeding.next().await, Some(Event::Seeding { .. })) {}
    let leecher = Peer::start(Options { max_down: down, ..options(folder.path()) }).unwrap();
    let copy = folder.path().join("copy");
    let download = Download::new(MetafileOnDisk::open(&cascade).unwrap(), &copy)
        .with_peer(&seeder.address().unwrap().to_string());
    let start = clock::now();
    let done = leecher.download(download).finish().await.unwrap();
    let share = full_speed::since(start).as_secs_f64() / start.elapsed().as_secs_f64();
    assert!(std::fs::read(&data).unwrap() == std::fs::read(&copy).unwrap());
    leecher.shut_down().await;
    seeder.shut_down().await;
    (done.summary.time, done.summary.time.mul_f64(share))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_keeps_its_limits_in_both_directions() {
    let rate = Rate::new(RATE);
    full_speed::begin();
    assert!(takes(None, None).await.1 < Duration::from_millis(1500), "there is no limit");
    for (up, down) in [(rate, None), (None, rate)] {
        let (took, at_full_speed) = takes(up, down).await;
        let (least, most) = (Duration::from_millis(1700), Duration::from_millis(3000));
        assert!(took >= least && at_full_speed < most, "up {up:?}, down {down:?}: {took:?} instead of 2 s");
    }
}
