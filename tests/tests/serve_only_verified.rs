use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::{ForeignClient, blocks_given, fetch};
use cascade_tests::foreign_peer::{Answer, Ask, ForeignPeer, Script};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::process::{Process, Signal};
use cascade_tests::scene::Scene;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;

fn file() -> TestFile {
    TestFile::random("served.bin", 500_000, 10_000)
}

/// What must hold of every answer for a block: the right bytes, or none.
fn never_wrong(addr: SocketAddr, file: &TestFile, block: u64) -> bool {
    let mut client = ForeignClient::connect(addr);
    match client.ask(&file.hash, block) {
        Ok(response) if response.status == 0 => {
            response.assert_block(file, block);
            true
        }
        // Refused, or given up in the middle: both are honest.
        Ok(_) | Err(_) => false,
    }
}

#[test]
fn incomplete_data_is_served_for_the_blocks_that_are_right() {
    let scene = Scene::new(file(), &[]);
    fs::write(scene.target(), scene.file.data_with(|block| block % 3 == 1)).unwrap();
    let mut seeder = scene.seed().start();
    let addr = scene.listening(&mut seeder);
    let right: Vec<_> = (0..50).filter(|block| block % 3 != 1).collect();
    assert_eq!(blocks_given(addr, &scene.file), right, "{}", seeder.log());
}

#[test]
fn data_that_ends_early_is_served_as_far_as_it_goes() {
    let scene = Scene::new(file(), &[]);
    fs::write(scene.target(), &scene.file.data[..123_456]).unwrap();
    let mut seeder = scene.seed().start();
    let addr = scene.listening(&mut seeder);
    assert_eq!(blocks_given(addr, &scene.file), (0..12).collect::<Vec<_>>());
}

/// A seeder that has served block 20, and then its data is changed.
fn changed_under(change: impl FnOnce(&Scene)) -> (Scene, Process, SocketAddr) {
    let scene = Scene::new(file(), &[]);
    let (seeder, addr) = scene.seeding();
    fetch(addr, &scene.file, 20).assert_block(&scene.file, 20);
    change(&scene);
    (scene, seeder, addr)
}

#[test]
fn a_block_changed_in_place_is_never_served_wrong() {
    let (scene, mut seeder, addr) = changed_under(|scene| {
        let data = OpenOptions::new().write(true).open(scene.target()).unwrap();
        data.write_all_at(&[0; 10_000], 200_000).unwrap();
    });
    for _ in 0..3 {
        assert!(!never_wrong(addr, &scene.file, 20), "block 20 is gone from the disk");
    }
    for block in 0..50 {
        let _ = never_wrong(addr, &scene.file, block);
    }
    seeder.assert_running();
}

#[test]
fn data_cut_short_is_never_served_wrong() {
    let (scene, mut seeder, addr) = changed_under(|scene| {
        OpenOptions::new().write(true).open(scene.target()).unwrap().set_len(100_000).unwrap();
    });
    for block in 0..50 {
        assert!(!never_wrong(addr, &scene.file, block) || block < 10);
    }
    seeder.assert_running();
}

#[test]
fn data_replaced_or_removed_is_never_served_wrong() {
    for replaced in [true, false] {
        let (scene, mut seeder, addr) = changed_under(|scene| {
            fs::remove_file(scene.target()).unwrap();
            if replaced {
                fs::write(scene.target(), vec![1; 500_000]).unwrap();
            }
        });
        for block in 0..50 {
            let _ = never_wrong(addr, &scene.file, block);
        }
        seeder.assert_running();
    }
}

#[test]
fn a_block_changed_between_two_runs_is_never_served_wrong() {
    for restore_time in [false, true] {
        let scene = Scene::new(file(), &[]);
        let (seeder, _) = scene.seeding();
        let ended = seeder.end_by(Signal::INT);
        let data = OpenOptions::new().write(true).open(scene.target()).unwrap();
        let before = data.metadata().unwrap().modified().unwrap();
        data.write_all_at(&[0; 10_000], 200_000).unwrap();
        if restore_time {
            data.set_modified(before).unwrap();
        }
        drop(data);
        let again = ForeignTracker::listing(&[]);
        let mut seeder = scene.seed().args(["--tracker", &again.addr.to_string()]).start();
        let addr = seeder.wait_until("a subscription", || again.first_subscriber(&scene.file.hash));
        let right: Vec<_> = (0..50).filter(|block| *block != 20).collect();
        assert_eq!(
            blocks_given(addr, &scene.file),
            right,
            "modification time restored: {restore_time} {ended}"
        );
    }
}

#[test]
fn a_download_serves_what_is_verified_and_nothing_else() {
    // Below 20 right; 20 to 39 wrong; from 40 the first half, and then silence.
    let rule = |ask: Ask| match ask.block {
        0..20 => Answer::Block,
        20..40 => Answer::WrongBytes,
        _ => Answer::HalfThenSilence,
    };
    let honest = ForeignPeer::start(&file(), Script::default().holding(0..20));
    let liars: Vec<_> = (0..3).map(|_| ForeignPeer::start(&file(), Script::default().ruled(rule))).collect();
    let mut peers: Vec<_> = liars.iter().map(|liar| liar.addr).collect();
    peers.push(honest.addr);
    let scene = Scene::new(file(), &peers);
    let mut process = scene.download().start();
    let addr = scene.listening(&mut process);
    let wanted: Vec<_> = (0..20).collect();
    process.wait_until("twenty verified blocks are served", || {
        let given = blocks_given(addr, &scene.file);
        assert!(given.iter().all(|block| wanted.contains(block)), "unverified blocks: {given:?}");
        (given == wanted).then_some(())
    });
    process.wait_until("the liars have been asked", || {
        liars.iter().all(|liar| liar.sees(|journal| !journal.lies.is_empty()).is_some()).then_some(())
    });
    assert_eq!(blocks_given(addr, &scene.file), wanted);
    process.assert_running();
}

#[test]
fn a_block_that_is_half_there_is_not_served() {
    let file = TestFile::random("halves.bin", 4 << 20, 1 << 20);
    let peer = ForeignPeer::start(&file, Script::default().answering(Answer::HalfThenSilence));
    let scene = Scene::new(file, &[peer.addr]);
    let mut process = scene.download().start();
    let addr = scene.listening(&mut process);
    process.wait_until("half a block was sent", || peer.sees(|journal| !journal.lies.is_empty()));
    assert!(blocks_given(addr, &scene.file).is_empty(), "half a block was served");
    process.assert_running();
}
