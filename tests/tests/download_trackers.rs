use cascade_tests::address::{Mute, Reserved};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_peer::ForeignPeer;
use cascade_tests::foreign_tracker::{ForeignTracker, Manner};
use cascade_tests::full_speed;
use cascade_tests::outcome::Outcome;
use cascade_tests::process::Signal;
use cascade_tests::scene::Scene;
use std::time::Duration;

/// The shortest time between two requests for one file to one tracker (protocol §2), less what the
/// clocks and the scheduling of two processes may differ by.
const SHORTEST: Duration = Duration::from_millis(29_500);

fn file() -> TestFile {
    TestFile::random("announced.bin", 300_000, 10_000)
}

/// Downloads from a peer given by hand while a tracker behaves like this.
fn beside(tracker: &ForeignTracker) -> Outcome {
    let honest = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[]);
    let launch = scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]);
    let done = launch.args(["--peer", &honest.addr.to_string()]).run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < Duration::from_secs(10), "{done}");
    assert!(done.peak_memory < 64 << 20, "{done}");
    done
}

#[test]
fn a_broken_tracker_does_not_stop_a_download_from_a_peer_given_by_hand() {
    for manner in [
        Manner::Refusal(b"not allowed".to_vec()),
        Manner::Claim(u32::MAX),
        Manner::Claim(12),
        Manner::Ragged,
        Manner::Close,
        Manner::Silence,
        Manner::HeaderByteByByte,
    ] {
        let tracker = ForeignTracker::start(manner.clone());
        let _ = beside(&tracker);
        assert!(tracker.connections() > 0, "{manner:?} was never asked");
        assert!(tracker.connections() <= 3, "{manner:?} was asked {} times", tracker.connections());
    }
}

#[test]
fn a_header_byte_by_byte_is_a_right_answer() {
    let peer = ForeignPeer::honest(&file());
    let tracker = ForeignTracker::start(Manner::HeaderByteByByte);
    tracker.add(peer.addr);
    let scene = Scene::new(file(), &[]);
    scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]).run().assert_success();
    scene.assert_complete();
}

#[test]
fn a_thousand_entries_are_not_a_thousand_connections() {
    let peer = ForeignPeer::honest(&file());
    let tracker = ForeignTracker::start(Manner::Everybody);
    // The honest one is the last of twenty: a longer list may be cut.
    let dead: Vec<_> = (0..19).map(|_| Reserved::new()).collect();
    dead.iter().for_each(|dead| tracker.add(dead.addr));
    tracker.add(peer.addr);
    for n in 0..980 {
        tracker.add(std::net::SocketAddr::from(([127, 1, 2, 3], 1000 + n)));
    }
    let scene = Scene::new(file(), &[]);
    let done = scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]).run();
    done.assert_success();
    scene.assert_complete();
}

#[test]
fn its_own_address_in_the_list_is_no_peer() {
    let peer = ForeignPeer::honest(&file());
    let tracker = ForeignTracker::start(Manner::Everybody);
    tracker.add(peer.addr);
    let scene = Scene::new(file(), &[]);
    let done = scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]).run();
    done.assert_success();
    scene.assert_complete();
    assert!(tracker.announces().iter().any(|seen| seen.command == 2), "it never subscribed: {done}");
}

#[test]
fn one_of_several_trackers_is_enough_and_all_are_asked() {
    let peer = ForeignPeer::honest(&file());
    let (dead, mute, refusing) =
        (Reserved::new(), Mute::new(), ForeignTracker::start(Manner::Refusal(b"no".to_vec())));
    let second = ForeignTracker::listing(&[]);
    let scene = Scene::new(file(), &[peer.addr]);
    let others = [dead.addr, mute.addr, refusing.addr, second.addr];
    let done =
        others.iter().fold(scene.download(), |launch, addr| launch.args(["-t", &addr.to_string()])).run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < Duration::from_secs(10), "{done}");
    for tracker in [&refusing, &second] {
        assert_eq!(tracker.announces().len(), 1, "each tracker is asked");
    }
}

#[test]
fn trackers_list_peers_for_each_other() {
    let file = file();
    let even = cascade_tests::foreign_peer::Script::default().holding((0..30).filter(|block| block % 2 == 0));
    let odd = cascade_tests::foreign_peer::Script::default().holding((0..30).filter(|block| block % 2 == 1));
    let (even, odd) = (ForeignPeer::start(&file, even), ForeignPeer::start(&file, odd));
    let second = ForeignTracker::listing(&[odd.addr]);
    let scene = Scene::new(file, &[even.addr]);
    scene.download().args(["-t", &second.addr.to_string()]).run().assert_success();
    scene.assert_complete();
}

#[test]
fn without_waiting_an_unreachable_tracker_is_one_line() {
    let dead = Reserved::new();
    let scene = Scene::new(file(), &[]);
    let done = scene.download_without_tracker().args(["--no-wait", "-t", &dead.addr.to_string()]).run();
    done.assert_code(1).assert_error_mentions(&[&dead.addr.to_string()]);
    assert!(done.at_full_speed < Duration::from_secs(15), "{done}");
}

#[test]
fn without_waiting_an_empty_list_is_an_error() {
    let scene = Scene::new(file(), &[]);
    let done = scene.download().arg("--no-wait").run();
    done.assert_code(1).assert_error_mentions(&["announced.bin", "peer"]);
    assert!(done.at_full_speed < Duration::from_secs(15), "{done}");
    assert!(!scene.target().exists());
}

#[test]
fn the_tracker_s_message_is_shown_and_tamed() {
    let message = b"ask the \x1b[31moperator\x07\nfor this hash\xff".to_vec();
    let tracker = ForeignTracker::start(Manner::Refusal(message));
    let scene = Scene::new(file(), &[]);
    let done = scene.download_without_tracker().args(["--no-wait", "-t", &tracker.addr.to_string()]).run();
    done.assert_code(1);
    for part in ["ask the", "operator", "for this hash\\xff", &tracker.addr.to_string()] {
        assert!(done.stderr.contains(part), "{part}: {done}");
    }
    assert!(!done.both().contains(['\x1b', '\x07']), "a message plays with the terminal: {done}");
}

#[test]
fn it_waits_for_peers_and_asks_again_after_thirty_seconds() {
    let scene = Scene::new(file(), &[]);
    let mut process = scene.download().start();
    let _ = scene.listening(&mut process);
    let peer = ForeignPeer::honest(&scene.file);
    scene.tracker.add(peer.addr);
    process.assert_running();
    process.wait_exit_within(Duration::from_secs(45)).assert_success();
    scene.assert_complete();
    let announces = scene.tracker.announces();
    assert!(announces.len() >= 2, "{announces:?}");
    for pair in announces.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= SHORTEST, "asked again after {gap:?}");
    }
}

#[test]
fn waiting_can_be_interrupted_at_once() {
    let scene = Scene::new(file(), &[]);
    let mut process = scene.download().start();
    let _ = scene.listening(&mut process);
    let start = clock::now();
    process.end_by(Signal::INT).assert_code(130);
    assert!(full_speed::since(start) < Duration::from_secs(5));
}
