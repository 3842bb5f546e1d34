use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::blocks_given;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::outcome::Outcome;
use cascade_tests::process::{Process, Signal};
use cascade_tests::scene::Scene;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

const BLOCKS: u64 = 100;

fn file() -> TestFile {
    TestFile::random("resumed.bin", 1_000_000, 10_000)
}

/// A peer that holds the blocks below 40 and says of all others that it does not have them yet.
fn with_the_first_forty() -> ForeignPeer {
    ForeignPeer::start(&file(), Script::default().holding(0..40))
}

/// Starts a download that gets 40 blocks and waits for more; returns it when it serves those 40.
fn with_forty_blocks(scene: &Scene) -> Process {
    let mut process = scene.download().start();
    let addr = scene.listening(&mut process);
    process.wait_until("the first 40 blocks are verified", || {
        (blocks_given(addr, &scene.file).len() == 40).then_some(())
    });
    process
}

/// Finishes the download from an honest peer and returns which blocks that one was asked for.
fn finish(scene: &Scene) -> (Vec<u64>, Outcome) {
    let honest = ForeignPeer::honest(&scene.file);
    let done = scene.download_without_tracker().args(["--peer", &honest.addr.to_string()]).run();
    done.assert_success();
    scene.assert_complete();
    let mut asked = honest.journal().asked();
    asked.sort_unstable();
    (asked, done)
}

fn interrupted_by(signal: Signal) -> Outcome {
    let seeder = with_the_first_forty();
    let scene = Scene::new(file(), &[seeder.addr]);
    let process = with_forty_blocks(&scene);
    let ended = process.end_by(signal);
    assert!(!scene.target().exists(), "an incomplete file has the target's name: {ended}");
    assert!(scene.part().exists(), "no partial file: {ended}");
    drop(seeder);
    let (asked, done) = finish(&scene);
    let wanted: Vec<_> = (40..BLOCKS).collect();
    assert_eq!(asked, wanted, "after {signal:?} it should ask for what is missing and nothing else: {done}");
    ended
}

#[test]
fn a_killed_download_goes_on_where_it_was() {
    assert_eq!(interrupted_by(Signal::KILL).code, None);
}

#[test]
fn an_interrupted_download_exits_with_130_and_goes_on_where_it_was() {
    interrupted_by(Signal::INT).assert_code(130);
}

#[test]
fn a_terminated_download_goes_on_where_it_was() {
    let ended = interrupted_by(Signal::TERM);
    assert!(matches!(ended.code, Some(130 | 143)), "no clean end: {ended}");
}

#[test]
fn a_partial_file_that_was_spoiled_is_not_trusted() {
    for (signal, restore_time) in [(Signal::KILL, false), (Signal::INT, false), (Signal::INT, true)] {
        let seeder = with_the_first_forty();
        let scene = Scene::new(file(), &[seeder.addr]);
        let ended = with_forty_blocks(&scene).end_by(signal);
        drop(seeder);
        let part = OpenOptions::new().write(true).open(scene.part()).unwrap();
        let before = part.metadata().unwrap().modified().unwrap();
        part.write_all_at(&[0; 10_000], 100_000).unwrap();
        if restore_time {
            part.set_modified(before).unwrap();
        }
        drop(part);
        let (asked, _) = finish(&scene);
        assert!(asked.contains(&10), "block 10 was zeroed and yet not fetched again: {ended}");
    }
}

#[test]
fn a_partial_file_of_nonsense_is_not_trusted() {
    for nonsense in [vec![], b"nonsense".to_vec(), vec![7; 1_000_000], vec![7; 2_000_000]] {
        let honest = ForeignPeer::honest(&file());
        let scene = Scene::new(file(), &[honest.addr]);
        fs::write(scene.part(), &nonsense).unwrap();
        let done = scene.download().run();
        // It may be somebody else's file: either it is of no use, or it is left alone.
        if done.code == Some(0) {
            scene.assert_complete();
            assert!(honest.journal().served.len() as u64 >= BLOCKS, "what was trusted? {done}");
        } else {
            done.assert_one_line_error(&["resumed.bin.part"]);
            assert!(fs::read(scene.part()).unwrap() == nonsense, "somebody else's file was changed: {done}");
        }
    }
}

#[test]
fn what_the_target_holds_already_is_used_and_left_untouched_until_the_end() {
    let seeder = ForeignPeer::start(&file(), Script::default().holding(0..80));
    let scene = Scene::new(file(), &[seeder.addr]);
    // An older version: every third block is another.
    let older = scene.file.data_with(|block| block % 3 == 0);
    fs::write(scene.target(), &older).unwrap();
    let mut process = scene.download().start();
    let wanted: BTreeSet<_> = (0..80).filter(|block| block % 3 == 0).collect();
    process
        .wait_until("the blocks that differ", || seeder.sees(|journal| journal.served.len() >= wanted.len()));
    assert_eq!(fs::read(scene.target()).unwrap(), older, "the target was touched");
    assert!(scene.part().exists(), "the partial file lies beside the target");
    seeder.gain(80..BLOCKS);
    process.wait_exit().assert_success();
    scene.assert_complete();
    let served = seeder.journal().served;
    assert!(served.iter().all(|block| block % 3 == 0), "blocks that were there were fetched: {served:?}");
}

#[test]
fn the_target_is_untouched_when_the_download_is_killed() {
    let seeder = with_the_first_forty();
    let scene = Scene::new(file(), &[seeder.addr]);
    fs::write(scene.target(), b"precious").unwrap();
    let _ = with_forty_blocks(&scene).end_by(Signal::KILL);
    assert_eq!(fs::read(scene.target()).unwrap(), b"precious");
    drop(seeder);
    finish(&scene);
}

#[test]
fn a_file_that_comes_up_at_the_target_or_is_changed_during_the_download_is_kept() {
    for before in [None, Some("an older version")] {
        let seeder = with_the_first_forty();
        let scene = Scene::new(file(), &[seeder.addr]);
        if let Some(before) = before {
            fs::write(scene.target(), before).unwrap();
        }
        let process = with_forty_blocks(&scene);
        fs::write(scene.target(), "the user's work of this minute").unwrap();
        seeder.gain(40..BLOCKS);
        let done = process.wait_exit();
        done.assert_success();
        scene.assert_complete();
        let kept = scene.folder().join(format!("{}.replaced", scene.file.name));
        assert_eq!(fs::read(&kept).unwrap(), b"the user's work of this minute", "{before:?}: {done}");
        assert!(done.both().contains(&format!("it is kept as {}", kept.display())), "{done}");
    }
}

#[test]
fn a_target_that_is_too_long_or_too_short_is_used_for_what_is_right() {
    for length in [555_555, 1_200_000] {
        let scene = Scene::new(file(), &[]);
        let mut older = scene.file.data.to_vec();
        older.resize(length, 9);
        fs::write(scene.target(), older).unwrap();
        let (asked, done) = finish(&scene);
        let missing = if length < 1_000_000 { 45 } else { 0 };
        assert_eq!(asked.len(), missing, "a target of {length} bytes: {done}");
    }
}

#[test]
fn two_downloads_of_one_file_do_not_spoil_each_other() {
    let seeder = with_the_first_forty();
    let scene = Scene::new(file(), &[seeder.addr]);
    let mut first = with_forty_blocks(&scene);
    let done = scene.download().run();
    done.assert_code(1).assert_error_mentions(&["resumed.bin"]);
    first.assert_running();
    let _ = first.end_by(Signal::INT);
    drop(seeder);
    assert_eq!(finish(&scene).0.len(), 60);
}
