use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_peer::{Answer, Ask, ForeignPeer, Script};
use cascade_tests::scene::Scene;
use std::time::Duration;

/// The block that comes wrong.
const WRONG: u64 = 7;

/// A block that nobody else has is asked for five times, 2, 4, 8 and 16 s apart.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);

fn file() -> TestFile {
    TestFile::random("flipped.bin", 300_000, 10_000)
}

/// A peer that sends one block wrong, the first `times` times.
fn flipping(times: usize) -> ForeignPeer {
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let rule = move |ask: Ask| {
        let wrong = ask.block == WRONG && sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < times;
        if wrong { Answer::WrongBytes } else { Answer::Block }
    };
    ForeignPeer::start(&file(), Script::default().ruled(rule))
}

#[test]
fn one_bit_that_flips_once_costs_two_seconds() {
    let peer = flipping(1);
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().arg("--no-wait").run();
    done.assert_success();
    scene.assert_complete();
    assert_eq!(peer.journal().lies.len(), 1, "the fault never happened");
    assert!(done.at_full_speed < Duration::from_secs(6), "{done}");
    let addr = peer.addr.to_string();
    for part in ["block 7 came wrong", &addr, "nobody else has it", "asked again in 2"] {
        assert!(done.both().contains(part), "{part}: {done}");
    }
    assert!(done.stdout.contains(&format!("1 wrong block (1 from {addr})")), "{done}");
}

#[test]
fn a_block_that_stays_wrong_ends_the_download() {
    for option in [&[][..], &["--no-wait"], &["--extension", "off"]] {
        let peer = flipping(usize::MAX);
        let scene = Scene::new(file(), &[peer.addr]);
        let done = scene.download().args(option).run();
        done.assert_code(1);
        let (lies, addr) = (peer.journal().lies.len(), peer.addr.to_string());
        assert_eq!(lies, 5, "{done}");
        assert!(done.took >= GIVEN_UP_AFTER && done.at_full_speed < GIVEN_UP_AFTER * 3 / 2, "{done}");
        done.assert_error_mentions(&[
            "flipped.bin",
            "block 7 came wrong 5 times",
            &addr,
            "nobody else has it",
        ]);
        assert!(scene.part().exists(), "the other blocks are kept");
    }
}

#[test]
fn a_peer_that_sends_nothing_right_ends_the_download() {
    let peer = ForeignPeer::start(&file(), Script::default().answering(Answer::WrongBytes));
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().run();
    done.assert_code(1);
    done.assert_error_mentions(&["came wrong", "nobody else has it"]);
    assert!(done.at_full_speed < GIVEN_UP_AFTER, "{done}");
}

#[test]
fn wrong_blocks_are_events() {
    let peer = flipping(2);
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().arg("--json").run();
    done.assert_success();
    let addr = peer.addr.to_string();
    let wrong: Vec<_> = done.json_lines().into_iter().filter(|line| line["event"] == "wrong_block").collect();
    assert_eq!(wrong.len(), 2, "{done}");
    for (line, (times, pause)) in wrong.iter().zip([(1, 2.0), (2, 4.0)]) {
        assert_eq!((&line["block"], &line["times"]), (&WRONG.into(), &times.into()), "{line}");
        assert_eq!(
            (&line["address"], &line["again_seconds"]),
            (&addr.as_str().into(), &pause.into()),
            "{line}"
        );
    }
    let lines = done.json_lines();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["blocks_wrong"], 2, "{summary}");
    assert_eq!(summary["wrong_from"][0]["address"], addr.as_str(), "{summary}");
    assert_eq!(summary["wrong_from"][0]["blocks"], 2, "{summary}");
}

#[test]
fn a_liar_among_honest_peers_does_not_end_a_download() {
    // The honest one is slow: all of the liar's blocks are wrong long before its first one is there.
    let honest = ForeignPeer::start(&file(), Script::default().slow(20_000));
    let liars: Vec<_> = (0..6)
        .map(|_| ForeignPeer::start(&file(), Script::default().answering(Answer::WrongBytes)))
        .collect();
    let mut addrs: Vec<_> = liars.iter().map(|liar| liar.addr).collect();
    addrs.push(honest.addr);
    let scene = Scene::new(file(), &addrs);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    let lies: usize = liars.iter().map(|liar| liar.journal().lies.len()).sum();
    assert!(lies >= 6, "the fault never happened: {done}");
    assert!(done.stdout.contains("as wrong ("), "{done}");
}
