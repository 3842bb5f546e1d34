use cascade_tests::address::Mute;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_peer::{Delivery, ForeignPeer, Journal, Reading, Script};
use cascade_tests::scene::Scene;
use std::time::Duration;

/// A C seeder of the field: one connection after the other, one answer each, header and body with two calls; it
/// dies when it writes to a connection that was closed.
fn c_seeder() -> Script {
    Script::default().closing().serial().fragile().delivery(Delivery::TwoSegments)
}

fn file(block_size: usize) -> TestFile {
    TestFile::random("fragile.bin", 1_000_000, block_size)
}

/// Downloads from this peer, and others if `beside` names some; returns what it saw once all is over.
fn survives(file: &TestFile, script: Script, beside: &[std::net::SocketAddr]) -> Journal {
    let peer = ForeignPeer::start(file, script);
    let addrs: Vec<_> = beside.iter().copied().chain([peer.addr]).collect();
    let scene = Scene::new(file.clone(), &addrs);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    // What it writes to closed connections is known when it has left them all.
    let journal = peer.finish();
    assert_eq!(journal.deaths, 0, "it died of a connection that was closed: {done}");
    journal
}

#[test]
fn a_c_seeder_survives_a_download() {
    for block_size in [1_000, 10_000, 100_000, 400_000, 1_000_000] {
        let file = file(block_size);
        let journal = survives(&file, c_seeder(), &[]);
        let asked = journal.requests.iter().filter(|seen| seen.block < file.blocks()).count() as u64;
        assert!(asked <= file.blocks() + 1, "{asked} requests for {} blocks", file.blocks());
        // What it is like is learnt with the first answer.
        assert!(journal.late <= 1, "{} requests on connections that were known to end", journal.late);
    }
}

#[test]
fn a_c_seeder_survives_beside_others() {
    let file = file(20_000);
    for _ in 0..5 {
        let fast: Vec<_> = (0..3).map(|_| ForeignPeer::honest(&file)).collect();
        let slow = c_seeder().slow(200_000);
        survives(&file, slow, &fast.iter().map(|peer| peer.addr).collect::<Vec<_>>());
    }
}

#[test]
fn c_seeders_survive_when_there_is_less_to_ask_for_than_peers() {
    let file = file(500_000);
    for _ in 0..5 {
        let others: Vec<_> = (0..8).map(|_| ForeignPeer::start(&file, c_seeder())).collect();
        survives(&file, c_seeder(), &others.iter().map(|peer| peer.addr).collect::<Vec<_>>());
        assert!(others.into_iter().all(|peer| peer.finish().deaths == 0));
    }
}

#[test]
fn a_silent_peer_beside_a_seeder_that_closes_costs_two_seconds() {
    for block_size in [100_000, 500_000] {
        let (file, mute) = (file(block_size), Mute::new());
        let peer = ForeignPeer::start(&file, Script::default().closing());
        let scene = Scene::new(file, &[mute.addr, peer.addr]);
        let done = scene.download().run();
        done.assert_success();
        scene.assert_complete();
        assert!(done.at_full_speed < Duration::from_millis(3500), "{done}");
    }
}

#[test]
fn a_seeder_that_insists_on_zeros_is_asked_with_zeros() {
    let file = file(20_000);
    // It may have other habits, too.
    for reading in [Reading::Stream, Reading::OneAtATime] {
        for script in [Script::default(), Script::default().closing()] {
            let peer = ForeignPeer::start(&file, script.zeros_only().reading(reading));
            let scene = Scene::new(file.clone(), &[peer.addr]);
            let done = scene.download().args(["--extension", "on"]).run();
            done.assert_success();
            scene.assert_complete();
            let journal = peer.journal();
            assert_eq!(journal.refused_marked, 1, "the fault never happened, or again and again: {done}");
            assert!(done.at_full_speed < Duration::from_secs(3), "{done}");
        }
    }
}

#[test]
fn short_blocks_in_two_segments_do_not_wait_for_acknowledgements() {
    let file = TestFile::random("short.bin", 5_000_000, 1024);
    let two = || Script::default().delivery(Delivery::TwoSegments);
    for script in [two(), two().reading(Reading::OneAtATime)] {
        let one_at_a_time = format!("{script:?}").contains("OneAtATime");
        let peer = ForeignPeer::start(&file, script);
        let scene = Scene::new(file.clone(), &[peer.addr]);
        let done = scene.download().run();
        done.assert_success();
        scene.assert_complete();
        // 40 ms for each of 4883 blocks, asked for one at a time, are 195 s; pipelined, 4 s were seen.
        let limit = if one_at_a_time { 10 } else { 3 };
        assert!(done.at_full_speed < Duration::from_secs(limit), "{done}");
    }
}
