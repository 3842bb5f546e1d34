//! A part file that turns out to be a folder: nothing is lost of it, wherever its blocks wait.

use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::{ForeignClient, blocks_given, request};
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::can_mount;
use cascade_tests::process::Signal;
use cascade_tests::tree::{self, Elsewhere, FolderScene};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A client has a block in its connection, and has not read it yet, when the block is moved out of the part file, which
/// is cut. The part file's pages are not what the client gets then.
#[test]
fn a_block_that_waits_in_a_connection_stays_right_when_the_part_file_becomes_a_folder() {
    let film = TestFile::random("film", 2_000_000, 1000);
    let make = |root: &Path| fs::write(root.join("film"), &*film.data).unwrap();
    // No page ends where a block ends.
    let scene = FolderScene::new("photos", "70000", make);
    let (_seeder, addr) = scene.seeding();
    let file = TestFile { name: "photos".into(), ..scene.fetch(addr) };
    let peer = ForeignPeer::start(&file, Script::default().holding(1..file.blocks()));
    let (elsewhere, tracker) = (Elsewhere::of(&file), ForeignTracker::listing(&[]));
    let download = elsewhere.download(peer.addr).arg("--seed").arg("--tracker").arg(tracker.addr.to_string());
    let mut process = download.start();
    let addr = process.wait_until("a subscription", || tracker.first_subscriber(&file.hash));
    let others: Vec<u64> = (1..file.blocks()).collect();
    process.wait_until("all blocks but the first", || (blocks_given(addr, &file) == others).then_some(()));
    let mut clients: Vec<_> = (1..=5).map(|block| (block, ForeignClient::connect(addr))).collect();
    for (block, client) in &mut clients {
        client.send(&request(&file.hash, *block)).unwrap();
        assert!(client.hears_within(Duration::from_secs(20)));
    }
    peer.gain(0..1);
    process.wait_until("the folder under its name", || elsewhere.target.exists().then_some(()));
    for (block, client) in &mut clients {
        client.receive().unwrap().assert_block(&file, *block);
    }
    process.end_by(Signal::TERM).assert_success();
}

/// The disk has room for the folder and a quarter more. Whatever came as a file, in this run or before the last one was
/// killed, is moved a part at a time.
#[test]
fn a_folder_fits_on_a_disk_that_is_little_larger() {
    if !can_mount() {
        eprintln!("skipped without user namespaces");
        return;
    }
    let make = |root: &Path| {
        for number in 0..8_u8 {
            fs::write(root.join(number.to_string()), vec![number; 500_000]).unwrap();
        }
    };
    let scene = FolderScene::new("photos", "16384", make);
    let (_seeder, addr) = scene.seeding();
    let file = TestFile { name: "photos".into(), ..scene.fetch(addr) };
    let peer = ForeignPeer::honest(&file);
    let mut missing = file.data.to_vec();
    missing[2_000_000..2_040_000].fill(0);
    for (there, data) in [("photos.part/head", file.data.to_vec()), ("photos.part", missing)] {
        let elsewhere = Elsewhere::of(&file);
        let dir = elsewhere.dir.path();
        fs::write(dir.join("came"), data).unwrap();
        let setup = format!(
            "mkdir disk && mount -t tmpfs -o size=5000k tmpfs disk
             case {there} in */*) mkdir -p disk/photos.part/files;; esac
             cp came disk/{there}
             (until [ -e disk/photos ]; do sleep 0.05; done; cp -a disk/photos copy.new; mv copy.new copied) &\n"
        );
        let target = dir.join("disk/photos");
        let launch = elsewhere.download(peer.addr).arg("--seed").arg("-o").arg(&target).cwd(dir);
        let mut process = launch.after_shell_with_mounts(&setup).start();
        process.wait_until("the folder", || dir.join("copied").is_dir().then_some(()));
        process.end_by(Signal::TERM).assert_success();
        tree::assert_same(&scene.source, &dir.join("copied"));
    }
}
