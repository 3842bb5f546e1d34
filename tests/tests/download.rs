use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::fetch;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::scene::Scene;
use std::collections::BTreeSet;
use std::fs;

fn file() -> TestFile {
    TestFile::random("wanted.bin", 1_000_000, 10_000)
}

#[test]
fn one_peer_through_the_tracker() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    scene.download().run().assert_success();
    scene.assert_complete();
    let journal = peer.journal();
    let asked: BTreeSet<_> = journal.asked().into_iter().collect();
    assert_eq!(asked.len(), 100, "every block was asked for");
    assert!(
        journal.requests.len() <= 105,
        "{} requests for 100 blocks of the only peer",
        journal.requests.len()
    );
    assert!(
        journal.connections.len() <= 4,
        "a peer that keeps open was left {} times",
        journal.connections.len()
    );
    assert_eq!(scene.tracker.malformed(), 0);
}

#[test]
fn peers_given_by_hand_need_no_tracker() {
    let (peer, nobody) = (ForeignPeer::honest(&file()), Reserved::new());
    let scene = Scene::new(file(), &[]);
    let launch = scene.download_without_tracker().env("CASCADE_TRACKER", nobody.addr.to_string());
    launch.args(["--peer", &peer.addr.to_string()]).run().assert_success();
    scene.assert_complete();
}

#[test]
fn the_tracker_comes_from_the_environment() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let tracker = scene.tracker.addr.to_string();
    scene.download_without_tracker().env("CASCADE_TRACKER", tracker).run().assert_success();
    scene.assert_complete();
}

#[test]
fn all_useful_peers_are_used_at_once() {
    let script = || Script::default().slow(200_000);
    let peers = [0; 4].map(|_| ForeignPeer::start(&file(), script()));
    let scene = Scene::new(file(), &peers.each_ref().map(|peer| peer.addr));
    scene.download().run().assert_success();
    scene.assert_complete();
    for peer in &peers {
        let served = peer.journal().served.len();
        assert!(served >= 10, "a peer with a quarter of the rate served {served} of 100 blocks");
    }
}

#[test]
fn several_files_at_once_go_into_one_folder() {
    let files = ["a.bin", "b.bin", "c.bin"].map(|name| TestFile::random(name, 200_000, 10_000));
    let peer = ForeignPeer::with_files(files.to_vec(), Script::default());
    let scene = Scene::new(files[0].clone(), &[peer.addr]);
    let out = scene.folder().join("out");
    fs::create_dir(&out).unwrap();
    let more = files[1..].iter().map(|file| file.write_cascade(scene.folder()));
    scene.download().args(more).arg("--output").arg(&out).run().assert_success();
    files.iter().for_each(|file| file.assert_same(&out.join(&file.name)));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3, "nothing else is in the folder");
}

#[test]
fn a_file_that_nobody_has_does_not_stop_the_others() {
    let (here, nowhere) = (file(), TestFile::random("nowhere.bin", 200_000, 10_000));
    let peer = ForeignPeer::honest(&here);
    let scene = Scene::new(here, &[peer.addr]);
    let done = scene.download().arg(nowhere.write_cascade(scene.folder())).arg("--no-wait").run();
    done.assert_code(1).assert_error_mentions(&["nowhere.bin"]);
    scene.assert_complete();
    assert!(!scene.folder().join("nowhere.bin").exists());
}

#[test]
fn the_output_may_be_a_file_or_a_folder() {
    let peer = ForeignPeer::honest(&file());
    for out in ["another.name", "folder/"] {
        let scene = Scene::new(file(), &[peer.addr]);
        fs::create_dir(scene.folder().join("folder")).unwrap();
        let out = scene.folder().join(out);
        scene.download().arg("-o").arg(&out).run().assert_success();
        scene.file.assert_same(&if out.is_dir() { out.join(&scene.file.name) } else { out });
        assert!(!scene.target().exists());
    }
}

#[test]
fn one_output_file_for_several_cascades_is_wrong() {
    let scene = Scene::new(file(), &[]);
    let second = TestFile::random("second", 10, 1).write_cascade(scene.folder());
    let out = scene.folder().join("out.bin");
    fs::write(&out, b"mine").unwrap();
    let done = scene.download().arg(second).arg("-o").arg(&out).run();
    assert!(matches!(done.code, Some(1 | 2)), "{done}");
    assert_eq!(fs::read(out).unwrap(), b"mine");
}

#[test]
fn sequential_asks_in_order_and_the_default_does_not() {
    // Large: blocks may be asked for in runs, and a few runs may be in order by chance.
    // Slow: a download that is over in no time may go in order, for the sake of the whole-file hash.
    let file = TestFile::random("ordered.bin", 8 << 20, 64 << 10);
    for (args, sequential) in [(&["--sequential"][..], true), (&[], false)] {
        let peer = ForeignPeer::start(&file, Script::default().slow(2 << 20));
        let scene = Scene::new(file.clone(), &[peer.addr]);
        scene.download().args(args).run().assert_success();
        scene.assert_complete();
        let asked = peer.journal().asked();
        assert_eq!(asked.is_sorted(), sequential, "{asked:?}");
    }
}

#[test]
fn an_empty_file_needs_nobody() {
    let scene = Scene::new(TestFile::of("empty", Vec::new(), 64), &[]);
    scene.download().arg("--no-wait").run().assert_success();
    scene.assert_complete();
}

#[test]
fn odd_layouts_arrive_whole() {
    for (length, block_size) in
        [(1, 1), (1, 1 << 20), (300, 1), (4096, 1024), (4097, 1024), (3_000_000, 3_000_000)]
    {
        let file = TestFile::random(&format!("{length}-{block_size}"), length, block_size);
        let peer = ForeignPeer::honest(&file);
        let scene = Scene::new(file, &[peer.addr]);
        scene.download().run().assert_success();
        scene.assert_complete();
    }
}

#[test]
fn a_complete_file_is_not_fetched_again() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let _ = scene.file.write_data(scene.folder());
    scene.download().run().assert_success();
    scene.assert_complete();
    assert_eq!(peer.journal().requests.len(), 0);
}

#[test]
fn a_whole_file_hash_that_does_not_match_fails_and_makes_no_target() {
    let file = file().with_false_file_hash();
    let peer = ForeignPeer::honest(&file);
    let scene = Scene::new(file, &[peer.addr]);
    let done = scene.download().run();
    done.assert_code(1).assert_error_mentions(&["wanted.bin", "hash"]);
    assert!(!scene.target().exists(), "a file that is not what it should be has the target's name: {done}");
}

#[test]
fn json_is_one_object_a_line() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().arg("--json").run();
    let lines = done.assert_success().json_lines();
    assert!(!lines.is_empty(), "{done}");
    assert!(lines.iter().any(|line| line.to_string().contains("wanted.bin")), "names the file: {done}");
}

#[test]
fn plain_output_is_few_lines_without_control_characters() {
    let peer = ForeignPeer::start(&file(), Script::default().slow(500_000));
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().run();
    let both = done.assert_success().both();
    assert!(both.lines().count() <= 20, "{done}");
    assert!(!both.contains(['\x1b', '\r']), "not on a terminal: {done}");
    assert!(both.contains("wanted.bin"), "{done}");
}

#[test]
fn with_seed_it_goes_on_serving() {
    let mut peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let mut process = scene.download().arg("--seed").start();
    let addr = scene.listening(&mut process);
    process.wait_until("the file is complete", || scene.target().exists().then_some(()));
    peer.vanish();
    for block in 0..scene.file.blocks() {
        fetch(addr, &scene.file, block).assert_block(&scene.file, block);
    }
    process.assert_running();
    let done = process.end_by(Signal::INT);
    assert!(matches!(done.code, Some(0 | 130)), "{done}");
    scene.assert_complete();
}

#[test]
fn no_serve_does_not_subscribe() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    scene.download().arg("--no-serve").run().assert_success();
    scene.assert_complete();
    let commands: Vec<_> = scene.tracker.announces().iter().map(|seen| seen.command).collect();
    assert!(!commands.is_empty() && commands.iter().all(|command| *command == 1), "{commands:?}");
}

#[test]
fn it_subscribes_with_the_address_that_reaches_the_tracker() {
    let peer = ForeignPeer::start(&file(), Script::default().slow(1_000_000));
    let scene = Scene::new(file(), &[peer.addr]);
    let download = Launch::peer("download").arg(&scene.cascade).args(["-l", "0.0.0.0:0", "-t"]);
    let mut process = download.arg(scene.tracker.addr.to_string()).start();
    let addr = scene.listening(&mut process);
    assert!(addr.ip().is_loopback(), "announced {addr}");
    assert_ne!(addr.port(), 0);
    process.wait_exit().assert_success();
    scene.assert_complete();
}
