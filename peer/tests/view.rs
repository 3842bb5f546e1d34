//! What is seen of a running peer, by the library's front.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use cascade_peer::view::{FileState, FileView, Role, View};
use cascade_peer::{Download, Event, MetafileOnDisk, Options, Peer, Rate, Seed};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{describe, options};

const BLOCK_SIZE: u64 = 16 << 10;
const BLOCKS: u64 = 64;
const LENGTH: u64 = BLOCKS * BLOCK_SIZE;

/// A peer that seeds the file, once it does.
async fn seeder(folder: &Path, options: Options) -> (Peer, PathBuf) {
    let (data, cascade) = describe(folder, LENGTH, BLOCK_SIZE);
    let peer = Peer::start(options).unwrap();
    let mut seeding = peer.seed(Seed::new(MetafileOnDisk::open(&cascade).unwrap(), &data));
    while !matches!(seeding.next().await, Some(Event::Seeding { .. })) {}
    (peer, cascade)
}

fn only(view: &View) -> &FileView {
    assert_eq!(view.files.len(), 1, "{view:?}");
    &view.files[0]
}

/// Looks until `there` finds what it looks for.
async fn until<T>(mut there: impl AsyncFnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = there().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.expect("it was not seen within 20 s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_of_a_transfer_show_what_they_do_and_the_seeder_hears_that_all_has_come() {
    let folder = tempfile::tempdir().unwrap();
    // Slow enough to be looked at on the way: four seconds.
    let slow = Options { max_up: Rate::new(LENGTH / 4), ..options(folder.path()) };
    let (seeder, cascade) = seeder(folder.path(), slow).await;
    let view = seeder.view();
    let file = only(&view);
    assert_eq!(
        (file.name.as_str(), file.length, file.blocks, file.block_size),
        ("data", LENGTH, BLOCKS, BLOCK_SIZE)
    );
    assert_eq!((file.state, file.have.is_complete(), file.receivers_known), (FileState::Seeding, true, 0));

    let leecher = Peer::start(options(folder.path())).unwrap();
    let download = Download::new(MetafileOnDisk::open(&cascade).unwrap(), &folder.path().join("copy"));
    let from = seeder.address().unwrap();
    let transfer = leecher.download(download.with_peer(&from.to_string()));
    let watch = leecher.watch();
    let half = until(async || {
        let view = watch.fresh().await;
        let file = view.files.first().filter(|file| file.have.count() >= BLOCKS / 4)?.clone();
        let download = file.download.clone()?;
        (!download.in_flight.is_empty()).then_some((view, file, download))
    });
    let (view, file, download) = half.await;
    assert_eq!((file.name.as_str(), file.state), ("copy", FileState::Downloading));
    assert!(
        file.have.count() < BLOCKS && view.bytes_received > 0 && file.bytes_received == view.bytes_received
    );
    assert!(download.in_flight.iter().all(|block| *block < BLOCKS));
    assert_eq!((download.seeders, download.known_peers, download.links.len()), (1, 1, 1), "{download:?}");
    let link = &download.links[0];
    assert_eq!(
        (link.addr, link.extension, link.blocks_done),
        (from.to_string().parse().unwrap(), true, Some(BLOCKS))
    );
    assert!(matches!(link.role, Role::Asking | Role::Stalled), "{link:?}");

    let view = seeder.view();
    let receiver = &only(&view).receivers[0];
    assert_eq!(receiver.ip, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(receiver.port, leecher.address().map(|address| address.port()));
    assert!(receiver.extension && receiver.active && receiver.complete == Some(false), "{receiver:?}");
    let had = receiver.blocks_done.unwrap();
    assert!((1..BLOCKS).contains(&had), "{had} blocks");

    transfer.finish().await.unwrap();
    let done = until(async || {
        seeder.view().files[0].receivers.first().filter(|r| r.complete == Some(true)).cloned()
    });
    let receiver = done.await;
    assert_eq!((receiver.blocks_done, receiver.bytes_given >= LENGTH), (Some(BLOCKS), true));
    let file = only(&seeder.view()).clone();
    assert!((1.0..1.5).contains(&file.copies_given), "{} copies", file.copies_given);
    assert!(seeder.view().bytes_given >= file.bytes_given);
    // It is served on.
    let file = only(&watch.view()).clone();
    assert!(file.download.is_none() && file.have.is_complete(), "{file:?}");
    leecher.shut_down().await;
    seeder.shut_down().await;
}

/// A client of version 1 tells nothing: what it was given is known, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_receiver_that_speaks_version_1_only_what_it_was_given_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (seeder, cascade) = seeder(folder.path(), options(folder.path())).await;
    let leecher = Peer::start(Options { extension: false, ..options(folder.path()) }).unwrap();
    let download = Download::new(MetafileOnDisk::open(&cascade).unwrap(), &folder.path().join("copy"));
    let from = seeder.address().unwrap().to_string();
    leecher.download(download.with_peer(&from)).finish().await.unwrap();
    let view = seeder.view();
    let receiver = &only(&view).receivers[0];
    assert_eq!((receiver.port, receiver.extension), (None, false));
    assert_eq!((receiver.blocks_done, receiver.complete, receiver.bytes_given), (None, None, LENGTH));
    leecher.shut_down().await;
    seeder.shut_down().await;
}

/// What cannot be seeded is not shown; what was shown when the peer was stopped still is, by a handle that outlives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_shown_while_it_is_worked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (data, cascade) = describe(folder.path(), LENGTH, BLOCK_SIZE);
    std::fs::remove_file(data).unwrap();
    let peer = Peer::start(options(folder.path())).unwrap();
    let watch = peer.watch();
    let nothing = Seed::new(MetafileOnDisk::open(&cascade).unwrap(), &folder.path().join("data"));
    peer.seed(nothing).finish().await.unwrap_err();
    assert!(watch.view().files.is_empty());
    let order = Download::new(MetafileOnDisk::open(&cascade).unwrap(), &folder.path().join("copy"));
    let transfer = peer.download(order);
    until(async || {
        let view = watch.fresh().await;
        view.files.first().is_some_and(|file| file.download.is_some()).then_some(())
    })
    .await;
    let thread = {
        let watch = watch.clone();
        std::thread::spawn(move || watch.view().files.len())
    };
    assert_eq!(thread.join().unwrap(), 1);
    peer.stopper().stop();
    transfer.finish().await.unwrap_err();
    peer.shut_down().await;
    let view = watch.view();
    assert!(only(&view).download.is_none() && view.uptime > Duration::ZERO);
}
